//! A config, written: of an image that is made here. What it does not say is left out, and
//! the same config makes the same bytes.
//!
//! OCI image-spec, config.md; the keys of `config` are Docker's where it has more.

use super::{Config, Execution, Healthcheck, Step};
use serde_json::{Map, Value, json};

impl Config {
    /// Returns the document.
    pub fn write(&self) -> Vec<u8> {
        let mut all = Map::new();
        text(&mut all, "created", self.created.as_deref());
        text(&mut all, "author", self.author.as_deref());
        all.insert("architecture".to_owned(), json!(self.architecture));
        all.insert("os".to_owned(), json!(self.os));
        text(&mut all, "variant", Some(&self.variant));
        text(&mut all, "os.version", Some(&self.os_version));
        list(&mut all, "os.features", &self.os_features);
        all.insert("config".to_owned(), Value::Object(execution(&self.execution)));
        all.insert("rootfs".to_owned(), json!({"type": self.rootfs.kind, "diff_ids": self.rootfs.diff_ids}));
        all.insert("history".to_owned(), self.history.iter().map(step).collect());
        serde_json::to_vec(&all).expect("texts and numbers can always be written")
    }
}

fn execution(execution: &Execution) -> Map<String, Value> {
    let mut all = Map::new();
    let keys = |keys: &mut dyn Iterator<Item = &String>| -> Map<String, Value> {
        keys.map(|key| (key.clone(), json!({}))).collect()
    };
    let mut put = |name: &str, is_there: bool, value: Value| {
        if is_there {
            all.insert(name.to_owned(), value);
        }
    };
    let Execution { exposed_ports, volumes, labels, stop_timeout, args_escaped, healthcheck, .. } = execution;
    put("ExposedPorts", !exposed_ports.is_empty(), keys(&mut exposed_ports.iter()).into());
    put("Volumes", !volumes.is_empty(), keys(&mut volumes.iter()).into());
    put("Labels", !labels.is_empty(), json!(labels));
    put("StopTimeout", stop_timeout.is_some(), json!(stop_timeout));
    put("ArgsEscaped", *args_escaped, json!(args_escaped));
    put("Healthcheck", healthcheck.is_some(), healthcheck.as_ref().map(check).into());
    text(&mut all, "User", Some(&execution.user));
    text(&mut all, "WorkingDir", Some(&execution.working_dir));
    text(&mut all, "StopSignal", execution.stop_signal.as_deref());
    list(&mut all, "Env", &execution.env);
    list(&mut all, "Entrypoint", execution.entrypoint.as_deref().unwrap_or_default());
    list(&mut all, "Cmd", execution.cmd.as_deref().unwrap_or_default());
    list(&mut all, "OnBuild", &execution.on_build);
    list(&mut all, "Shell", &execution.shell);
    all
}

fn check(check: &Healthcheck) -> Value {
    let mut all = Map::new();
    list(&mut all, "Test", &check.test);
    for (name, number) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
        ("Retries", check.retries),
    ] {
        if number != 0 {
            all.insert(name.to_owned(), json!(number));
        }
    }
    all.into()
}

fn step(step: &Step) -> Value {
    let mut all = Map::new();
    text(&mut all, "created", step.created.as_deref());
    text(&mut all, "created_by", Some(&step.created_by));
    text(&mut all, "author", step.author.as_deref());
    text(&mut all, "comment", Some(&step.comment));
    if step.empty_layer {
        all.insert("empty_layer".to_owned(), json!(true));
    }
    all.into()
}

fn text(all: &mut Map<String, Value>, name: &str, text: Option<&str>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        all.insert(name.to_owned(), json!(text));
    }
}

fn list(all: &mut Map<String, Value>, name: &str, list: &[String]) {
    if !list.is_empty() {
        all.insert(name.to_owned(), json!(list));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_written_and_read_again() {
        let digest = format!("sha256:{}", "5f".repeat(32));
        let text = json!({
            "created": "2024-01-02T03:04:05Z", "author": "me", "architecture": "arm64", "os": "linux", "variant": "v8",
            "os.version": "1", "os.features": ["a"],
            "config": {
                "User": "1", "ExposedPorts": {"80/tcp": {}}, "Env": ["A=b"], "Entrypoint": ["/a"], "Cmd": ["b"],
                "Volumes": {"/c": {}}, "WorkingDir": "/d", "Labels": {"e": "f"}, "StopSignal": "9", "StopTimeout": 5,
                "ArgsEscaped": true, "OnBuild": ["RUN x"], "Shell": ["sh"],
                "Healthcheck": {"Test": ["CMD", "g"], "Interval": 1, "Timeout": 2, "StartPeriod": 3,
                    "StartInterval": 4, "Retries": 5},
            },
            "rootfs": {"type": "layers", "diff_ids": [digest]},
            "history": [{"created": "2024-01-02T03:04:05Z", "created_by": "x", "author": "y", "comment": "z"},
                {"empty_layer": true}],
        });
        let bytes = serde_json::to_vec(&text).expect("it is JSON");
        let written = Config::parse(&bytes).expect("it is a config").write();
        assert_eq!(serde_json::from_slice::<Value>(&written).expect("it is JSON"), text);
    }

    #[test]
    fn what_is_not_said_is_left_out() {
        let bytes = br#"{"architecture":"amd64","config":{},"history":[],"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#;
        assert_eq!(Config::parse(bytes).expect("it is a config").write(), bytes);
    }
}
