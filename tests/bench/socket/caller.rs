//! A client of one connection that costs as little as possible: it reads no more of an answer
//! than where it ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::Value;

/// How requests and answers are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Lines,
    Http,
    WebSocket,
}

impl Dialect {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Http => "HTTP",
            Self::WebSocket => "WebSocket",
        }
    }
}

/// One connection in one dialect.
pub(super) struct Caller<S> {
    stream: BufReader<S>,
    dialect: Dialect,
    buffer: Vec<u8>,
}

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

impl<S: Read + Write> Caller<S> {
    /// Speaks over a connection; a WebSocket is opened first.
    pub(super) fn new(stream: io::Result<S>, dialect: Dialect) -> Self {
        let stream = BufReader::new(stream.expect("somebody listens"));
        let mut caller = Self { stream, dialect, buffer: Vec::new() };
        if dialect == Dialect::WebSocket {
            caller.write(UPGRADE.as_bytes());
            caller.head();
        }
        caller
    }

    /// Calls and reads the answer.
    pub(super) fn call(&mut self, request: &str) {
        self.buffer.clear();
        match self.dialect {
            Dialect::Lines => {
                self.buffer.extend([request.as_bytes(), b"\n"].concat());
                self.post();
                self.buffer.clear();
                self.stream.read_until(b'\n', &mut self.buffer).expect("an answer comes");
            }
            Dialect::Http => {
                let head = format!(
                    "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                     Content-Length: {}\r\n\r\n",
                    request.len()
                );
                self.buffer.extend([head.as_bytes(), request.as_bytes()].concat());
                self.post();
                let length = self.head();
                self.body(length);
            }
            Dialect::WebSocket => {
                let length = u8::try_from(request.len()).expect("a short request");
                assert!(length < 126, "a short request");
                // RFC 6455 5.2: a whole text, masked; the mask is all zeros.
                self.buffer.extend([0x81, 0x80 | length, 0, 0, 0, 0]);
                self.buffer.extend(request.as_bytes());
                self.post();
                let length = self.frame();
                self.body(length);
            }
        }
        assert!(self.buffer.windows(8).any(|part| part == b"\"result\""), "a call is refused");
    }

    fn post(&mut self) {
        let bytes = std::mem::take(&mut self.buffer);
        self.write(&bytes);
        self.buffer = bytes;
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("a request goes out");
    }

    /// Reads the head of an answer over HTTP; gives the length of its body.
    fn head(&mut self) -> usize {
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("a head comes");
            let line = line.trim_end().to_ascii_lowercase();
            assert!(!line.starts_with("http/1.1 4"), "a call is refused: {line}");
            if let Some(number) = line.strip_prefix("content-length:") {
                length = number.trim().parse().expect("a length is a number");
            }
            if line.is_empty() {
                return length;
            }
        }
    }

    /// Reads the head of a WebSocket frame; gives the length of its body.
    fn frame(&mut self) -> usize {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).expect("a frame comes");
        match head[1] {
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length).expect("a frame comes");
                usize::from(u16::from_be_bytes(length))
            }
            length => usize::from(length),
        }
    }

    fn body(&mut self, length: usize) {
        self.buffer.resize(length, 0);
        self.stream.read_exact(&mut self.buffer).expect("an answer comes");
    }
}

/// A subscriber that speaks in lines.
pub(super) struct Lines(BufReader<UnixStream>);

impl Lines {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// Follows the log from its beginning until it has caught up; gives the number of events.
    pub(super) fn replay(mut self) -> io::Result<u64> {
        let subscribe = concat!(
            r#"{"jsonrpc":"2.0","id":1,"method":"event.subscribe","params":{"since":0}}"#,
            "\n"
        );
        self.0.get_mut().write_all(subscribe.as_bytes())?;
        let (mut line, mut count) = (String::new(), 0);
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            if line.contains("\"seq\":") {
                count += 1;
            } else if line.contains("stream.caught_up") {
                return Ok(count);
            } else {
                let said: Value = serde_json::from_str(&line)?;
                assert!(said["error"].is_null(), "a subscriber is refused: {line}");
            }
        }
    }
}
