//! The daemon's socket as a program without `bytctl` sees it.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use bytchat_proto::rpc::{self, openrpc};
use serde_json::{Value, json};

use super::wait::PATIENCE;

/// A connection.
#[derive(Debug)]
pub struct Socket(BufReader<UnixStream>);

impl Socket {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Connects, if somebody listens.
    ///
    /// # Panics
    /// If the socket cannot be set up.
    pub fn try_connect(path: &Path) -> Option<Self> {
        let stream = UnixStream::connect(path).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(Self(BufReader::new(stream)))
    }

    /// Sends bytes as they are; false if the daemon does not want them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.get_mut().write_all(bytes).is_ok()
    }

    /// Says that nothing more will come.
    ///
    /// # Panics
    /// If the connection is gone.
    pub fn end(&mut self) {
        self.0.get_mut().shutdown(Shutdown::Write).unwrap();
    }

    /// The next line, or `None` at the end.
    ///
    /// # Panics
    /// If there is no answer in time.
    pub fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).unwrap();
        (read > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    /// The next line, unless the connection breaks before its end.
    pub fn try_line(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        let whole = line.ends_with('\n');
        whole.then(|| serde_json::from_str(&line).ok()).flatten()
    }

    /// Calls, unless the connection breaks before the answer.
    pub fn try_call(&mut self, method: &str, params: &Value) -> Option<Value> {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let sent = self.send(format!("{call}\n").as_bytes());
        if sent { self.try_line() } else { None }
    }

    /// All that comes until the connection ends.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            Ok(_) | Err(_) => String::from_utf8(rest).unwrap(),
        }
    }

    /// Calls and gives the whole answer, be it a result or an error.
    ///
    /// # Panics
    /// If there is none.
    pub fn call(&mut self, method: &str, params: &Value) -> Value {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        assert!(self.send(format!("{call}\n").as_bytes()));
        let answer = self.line().unwrap();
        assert_listed(method, &answer);
        answer
    }
}

/// Fails on an error that the document does not list for its method. What cannot be read is no
/// call of any.
fn assert_listed(method: &str, answer: &Value) {
    let kind = answer["error"]["data"]["kind"].as_str();
    let Some(kind) = kind.filter(|kind| *kind != rpc::ErrorKind::BadRequest.name()) else { return };
    let listed = openrpc::errors(method).unwrap_or(vec![rpc::ErrorKind::UnknownMethod]);
    let is_listed = listed.iter().any(|listed| listed.name() == kind);
    assert!(is_listed, "{kind} is not among the errors of {method}: see rpc/openrpc/errors.rs");
}
