//! A daemon that only pretends: it answers lines on a socket as it is told to.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::{Value, json};

/// What the daemon does about a call.
pub(crate) enum Reply {
    Result(Value),
    Error(Value),
    /// It goes away in the middle of the call.
    HangUp,
}

/// What a call was.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) params: Value,
}

impl Seen {
    /// Takes the client id out, which is another one each time.
    pub(crate) fn take_id(&mut self) -> Option<String> {
        let id = self.params.as_object_mut()?.remove("client_id")?;
        Some(id.as_str()?.to_owned())
    }
}

type Answer = Box<dyn FnMut(&str, &Value) -> Reply + Send>;

pub(crate) struct Fake {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) seen: Receiver<Seen>,
}

pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The one line of JSON on stdout.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.out.matches('\n').count(), 1, "{}", self.out);
        serde_json::from_str(&self.out).unwrap()
    }

    /// The error on stderr.
    pub(crate) fn error(&self) -> Value {
        assert_eq!(self.err.matches('\n').count(), 1, "{}", self.err);
        let mut error: Value = serde_json::from_str(&self.err).unwrap();
        error["error"].take()
    }
}

impl Fake {
    pub(crate) fn new(answer: impl FnMut(&str, &Value) -> Reply + Send + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let (tx, seen) = channel();
        thread::spawn(move || {
            let mut answer: Answer = Box::new(answer);
            for stream in listener.incoming() {
                serve(&stream.unwrap(), &mut answer, &tx);
            }
        });
        Self { dir, seen }
    }

    /// A daemon that knows one method.
    pub(crate) fn knowing(method: &'static str, result: Value) -> Self {
        Self::new(move |called, _| {
            assert_eq!(called, method);
            Reply::Result(result.clone())
        })
    }

    /// A daemon that refuses everything.
    pub(crate) fn refusing(code: i32, kind: &'static str) -> Self {
        Self::new(move |_, _| {
            Reply::Error(json!({
                "code": code, "message": "no", "data": { "kind": kind, "hint": "do this" },
            }))
        })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    /// A command that talks to this daemon.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = bytctl();
        command.arg("--socket").arg(self.socket()).args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        ran(&self.command(args).output().unwrap())
    }

    pub(crate) fn run_with(&self, args: &[&str], stdin: &[u8]) -> Ran {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        ran(&child.wait_with_output().unwrap())
    }

    pub(crate) fn next(&self) -> Seen {
        self.seen.recv().unwrap()
    }
}

/// A command that knows no socket.
pub(crate) fn bytctl() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bytctl"));
    for variable in ["BYTCHAT_SOCKET", "XDG_RUNTIME_DIR", "CARGO"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

pub(crate) fn ran(output: &Output) -> Ran {
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout.clone()).unwrap(),
        err: String::from_utf8(output.stderr.clone()).unwrap(),
    }
}

fn serve(stream: &UnixStream, answer: &mut Answer, seen: &Sender<Seen>) {
    let mut output = stream;
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let request: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(request["jsonrpc"], "2.0");
        let method = request["method"].as_str().unwrap().to_owned();
        let params = request["params"].clone();
        let reply = answer(&method, &params);
        // The test may have seen enough.
        drop(seen.send(Seen { method, params }));
        let (name, value) = match reply {
            Reply::Result(value) => ("result", value),
            Reply::Error(value) => ("error", value),
            Reply::HangUp => return,
        };
        let mut response = json!({ "jsonrpc": "2.0", "id": request["id"] });
        response[name] = value;
        if writeln!(output, "{response}").is_err() {
            return;
        }
    }
}
