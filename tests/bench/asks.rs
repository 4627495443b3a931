//! How many requests about one image a server of containerd's API answers in a second:
//! `cargo bench --bench asks -- SOCKET NAME REQUESTS CLIENTS`.
//!
//! Each client has a connection of its own, and asks again once it has an answer. Prints the seconds that all of it took.

use containerd_client::services::v1::GetImageRequest;
use containerd_client::services::v1::images_client::ImagesClient;
use std::time::Instant;
use tokio::task::JoinSet;
use tonic::Request;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [socket, name, requests, clients] = words.as_slice() else {
        eprintln!("usage: cargo bench --bench asks -- SOCKET NAME REQUESTS CLIENTS");
        std::process::exit(2);
    };
    let number = |text: &str| text.parse::<u32>().expect("a number");
    let (requests, clients) = (number(requests), number(clients));
    let mut connected = Vec::new();
    for _ in 0..clients {
        let channel = containerd_client::connect(socket).await.expect("somebody listens");
        connected.push(ImagesClient::new(channel));
    }
    let begin = Instant::now();
    let mut asking = JoinSet::new();
    for mut client in connected {
        let name = name.clone();
        asking.spawn(async move {
            for _ in 0..requests / clients {
                let mut request = Request::new(GetImageRequest { name: name.clone() });
                request.metadata_mut().insert("containerd-namespace", "default".parse().expect("a header"));
                let answer = client.get(request).await.expect("an answer").into_inner();
                assert_eq!(answer.image.expect("an image").name, name);
            }
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked.expect("it does not panic");
    }
    println!("{:.6}", begin.elapsed().as_secs_f64());
}
