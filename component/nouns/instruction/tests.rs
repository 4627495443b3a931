//! What instructions change, and which are refused.

use super::*;
use crate::nouns::config::{Execution, Healthcheck};

fn changed(text: &str) -> Result<Execution, Error> {
    let mut execution = Execution::default();
    for instruction in parse(text)? {
        apply(&mut execution, &instruction)?;
    }
    Ok(execution)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn each_instruction_changes_what_it_says() {
    let none = Execution::default;
    let rows = [
        ("CMD echo $HOME", Execution { cmd: Some(words(&["/bin/sh", "-c", "echo $HOME"])), ..none() }),
        (r#"cmd ["echo", "$HOME"]"#, Execution { cmd: Some(words(&["echo", "$HOME"])), ..none() }),
        ("CMD ['echo']", Execution { cmd: Some(words(&["/bin/sh", "-c", "['echo']"])), ..none() }),
        ("CMD []", Execution { cmd: Some(Vec::new()), ..none() }),
        (r#"ENTRYPOINT ["/app"]"#, Execution { entrypoint: Some(words(&["/app"])), ..none() }),
        ("ENTRYPOINT /app -v", Execution { entrypoint: Some(words(&["/bin/sh", "-c", "/app -v"])), ..none() }),
        ("ENV a=b c='d e' f=\"g h\" i=j\\ k", Execution { env: words(&["a=b", "c=d e", "f=g h", "i=j k"]), ..none() }),
        ("ENV a b  c", Execution { env: words(&["a=b  c"]), ..none() }),
        ("ENV a=1\nENV b=$a a=2 c=${x:-$a}", Execution { env: words(&["a=2", "b=1", "c=1"]), ..none() }),
        (
            "LABEL a=\"b c\" d=e\nLABEL d f",
            Execution { labels: [("a", "b c"), ("d", "f")].map(|(a, b)| (a.into(), b.into())).into(), ..none() },
        ),
        (
            "ENV p=\"80 81\"\nEXPOSE $p 53/UDP 90-91",
            Execution {
                env: words(&["p=80 81"]),
                exposed_ports: ["80/tcp", "81/tcp", "53/udp", "90/tcp", "91/tcp"].map(str::to_owned).into(),
                ..none()
            },
        ),
        ("USER 1000:1000", Execution { user: "1000:1000".into(), ..none() }),
        (r#"VOLUME ["/a b", "/c"]"#, Execution { volumes: ["/a b", "/c"].map(str::to_owned).into(), ..none() }),
        ("VOLUME /a /c", Execution { volumes: ["/a", "/c"].map(str::to_owned).into(), ..none() }),
        ("WORKDIR a\nWORKDIR ../b/./c", Execution { working_dir: "/b/c".into(), ..none() }),
        ("STOPSIGNAL SIGRTMIN+3", Execution { stop_signal: Some("SIGRTMIN+3".into()), ..none() }),
        ("ONBUILD RUN  make", Execution { on_build: words(&["RUN  make"]), ..none() }),
        ("# a remark\n\nUSER \\\n  # another\n  me\n", Execution { user: "me".into(), ..none() }),
    ];
    for (text, expected) in rows {
        assert_eq!(changed(text), Ok(expected), "{text}");
    }
}

#[test]
fn a_check_is_read_with_its_flags() {
    let check = |text: &str| changed(text).map(|execution| execution.healthcheck.unwrap());
    let flags = "--interval=30s --timeout=1m30s --start-period=2s --start-interval=500ms --retries=3";
    let expected = Healthcheck {
        test: words(&["CMD", "/check", "a b"]),
        interval: 30_000_000_000,
        timeout: 90_000_000_000,
        start_period: 2_000_000_000,
        start_interval: 500_000_000,
        retries: 3,
    };
    assert_eq!(check(&format!(r#"HEALTHCHECK {flags} CMD ["/check", "a b"]"#)), Ok(expected));
    let test = |test: &[&str]| Ok(Healthcheck { test: words(test), ..Healthcheck::default() });
    assert_eq!(check("HEALTHCHECK CMD /check a b"), test(&["CMD-SHELL", "/check a b"]));
    assert_eq!(check("HEALTHCHECK NONE"), test(&["NONE"]));
}

#[test]
fn what_is_not_understood_is_refused() {
    for text in [
        "",
        "# nothing",
        "RUN make",
        "FROM alpine",
        "SHELL [\"bash\"]",
        "CMD",
        "CMD --fast a",
        "CMD [1]",
        "ENTRYPOINT",
        "ENV",
        "ENV a",
        "ENV =b",
        "ENV a=b c",
        "ENV a='b",
        "ENV a=${b",
        "ENV a=${b#c}",
        "ENV a=${b:?}",
        "LABEL a=b c",
        "EXPOSE",
        "EXPOSE 80:80",
        "EXPOSE 70000",
        "EXPOSE +80",
        "EXPOSE 90-80",
        "EXPOSE 80/icmp",
        "USER",
        "VOLUME",
        "VOLUME [\"\"]",
        "WORKDIR",
        "STOPSIGNAL",
        "STOPSIGNAL SIGNOTHING",
        "STOPSIGNAL 0",
        "STOPSIGNAL RTMIN+x",
        "ONBUILD",
        "ONBUILD FROM alpine",
        "ONBUILD ONBUILD RUN make",
        "ONBUILD ENV a",
        "HEALTHCHECK",
        "HEALTHCHECK CMD",
        "HEALTHCHECK NONE a",
        "HEALTHCHECK --retries=1 NONE",
        "HEALTHCHECK RUN a",
        "HEALTHCHECK --retries=-1 CMD a",
        "HEALTHCHECK --interval=soon CMD a",
        "HEALTHCHECK --interval=1us CMD a",
        "HEALTHCHECK --often CMD a",
    ] {
        assert!(changed(text).is_err(), "{text}: {:?}", changed(text));
    }
    assert_eq!(parse(&format!("CMD {}", "a".repeat(TEXT_BYTES_MAX))), Err(Error::TooLong));
    let deep = format!("ENV a={}x{}", "${b:-".repeat(40), "}".repeat(40));
    assert!(changed(&deep).is_err());
    let doubled = format!("ENV a=1234567890123456\n{}", "ENV a=$a$a\n".repeat(40));
    let error = changed(&doubled).unwrap_err().to_string();
    assert!(error.ends_with("it becomes too long"), "{error}");
    let error = changed("RUN make").unwrap_err().to_string();
    assert!(error.starts_with("`RUN` changes no config; CMD, "), "{error}");
}
