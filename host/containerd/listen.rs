//! The socket in front of [`Services`], with what says that they are well and which messages they know.

use super::{Services, streaming};
use futures::stream;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use wharf_containerd_api::CONTRACT;
use wharf_containerd_api::containers::containers_server::ContainersServer;
use wharf_containerd_api::content::content_server::ContentServer;
use wharf_containerd_api::diff::diff_server::DiffServer;
use wharf_containerd_api::events::events_server::EventsServer;
use wharf_containerd_api::images::images_server::ImagesServer;
use wharf_containerd_api::introspection::introspection_server::IntrospectionServer;
use wharf_containerd_api::leases::leases_server::LeasesServer;
use wharf_containerd_api::namespaces::namespaces_server::NamespacesServer;
use wharf_containerd_api::snapshots::snapshots_server::SnapshotsServer;
use wharf_containerd_api::streaming::streaming_server::StreamingServer;
use wharf_containerd_api::transfer::transfer_server::TransferServer;
use wharf_containerd_api::version::version_server::VersionServer;

/// The largest message of a client, in bytes: containerd's `DefaultMaxRecvMsgSize`.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// How many requests of one client are answered at once.
const STREAMS_MAX: u32 = 100;
/// How long nobody is accepted after the machine has refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why nobody is answered.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The contract that was built in cannot be read.
    #[error("the service of reflection cannot be made: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The server has ended.
    #[error("the server has ended: {0}")]
    Server(#[from] tonic::transport::Error),
}

impl Services {
    /// Answers whoever comes until `stop` is cancelled; then nobody new is let in, and who is there has `patience` to
    /// be answered. Returns whether everybody was.
    pub async fn serve(
        self,
        listener: UnixListener,
        stop: &CancellationToken,
        patience: Duration,
    ) -> Result<bool, Unusable> {
        let over = self.exchange.over.clone();
        let (reporter, health) = tonic_health::server::health_reporter();
        // All that are added below.
        reporter.set_serving::<ContainersServer<Self>>().await;
        reporter.set_serving::<ContentServer<Self>>().await;
        reporter.set_serving::<DiffServer<Self>>().await;
        reporter.set_serving::<EventsServer<Self>>().await;
        reporter.set_serving::<ImagesServer<Self>>().await;
        reporter.set_serving::<IntrospectionServer<Self>>().await;
        reporter.set_serving::<LeasesServer<Self>>().await;
        reporter.set_serving::<NamespacesServer<Self>>().await;
        reporter.set_serving::<SnapshotsServer<Self>>().await;
        reporter.set_serving::<StreamingServer<Self>>().await;
        reporter.set_serving::<TransferServer<Self>>().await;
        reporter.set_serving::<VersionServer<Self>>().await;
        let contract = || tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(CONTRACT);
        let incoming = stream::unfold(listener, |listener| async move {
            let stream = loop {
                match listener.accept().await {
                    Ok((stream, _)) => break stream,
                    Err(error) => {
                        tracing::warn!("a client was not let in: {error}");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            };
            Some((Ok::<_, std::io::Error>(stream), listener))
        });
        let serving = Server::builder()
            .max_concurrent_streams(STREAMS_MAX)
            .add_service(health)
            .add_service(contract().build_v1()?)
            .add_service(contract().build_v1alpha()?)
            .add_service(ContainersServer::new(self.clone()))
            .add_service(ContentServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(DiffServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(EventsServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(ImagesServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(IntrospectionServer::new(self.clone()))
            .add_service(LeasesServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(NamespacesServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(SnapshotsServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(StreamingServer::new(self.clone()).max_decoding_message_size(streaming::MESSAGE_BYTES_MAX))
            .add_service(TransferServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(VersionServer::new(self))
            .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        let late = async {
            stop.cancelled().await;
            // Who listens to what happens would never be done.
            over.cancel();
            sleep(patience).await;
        };
        tokio::select! {
            served = serving => served.map(|()| true).map_err(Unusable::Server),
            () = late => Ok(false),
        }
    }
}
