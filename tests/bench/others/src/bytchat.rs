//! One of our daemons, which puts and gets profiles as front ends have it do that.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::PATIENCE;

/// Between two tries to reach a daemon that starts.
const PAUSE: Duration = Duration::from_millis(20);

/// A daemon; it ends with this.
pub(crate) struct Daemon {
    child: Child,
    stream: BufReader<UnixStream>,
}

impl Daemon {
    pub(crate) fn start(dir: &Path, port: u16, first: Option<u16>) -> Self {
        let own = dir.join(port.to_string());
        fs::create_dir_all(&own).expect("a directory can be made");
        let known = first.map(|first| format!("\"127.0.0.1:{first}\"")).unwrap_or_default();
        let toml = own.join("bytchatd.toml");
        let text = format!("network = \"side-by-side\"\nbootstrap = [{known}]\n");
        fs::write(&toml, text).expect("a file can be written");
        let socket = own.join("sock");
        let mut command = Command::new(crate::root().join("target/release/bytchatd"));
        command.arg("--config").arg(toml).arg("--data-dir").arg(own.join("data"));
        command.arg("--socket").arg(&socket).args(["--listen", &format!("127.0.0.1:{port}")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("the daemon is built");
        let end = Instant::now() + PATIENCE;
        let stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < end, "a daemon does not start: {error}"),
            }
            thread::sleep(PAUSE);
        };
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        Self { child, stream: BufReader::new(stream) }
    }

    fn call(&mut self, method: &str, params: Value) -> Option<Value> {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        writeln!(self.stream.get_mut(), "{call}").expect("the daemon listens");
        let mut line = String::new();
        self.stream.read_line(&mut line).ok()?;
        let mut answer: Value = serde_json::from_str(&line).ok()?;
        answer.get_mut("result").map(Value::take)
    }

    /// Makes an account whose profile is put later; gives its id.
    pub(crate) fn account(&mut self) -> String {
        let account = self.call("account.create", json!({})).expect("an account can be made");
        account["id"].as_str().expect("an account has an id").to_owned()
    }

    pub(crate) fn put(&mut self, account: &str, value: &str) -> bool {
        let set = json!({ "account": account, "name": value });
        self.call("profile.set", set).is_some()
    }

    pub(crate) fn get(&mut self, account: &str) -> Option<String> {
        let profile = self.call("profile.show", json!({ "who": account }))?;
        profile["name"].as_str().map(str::to_owned)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
