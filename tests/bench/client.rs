//! One connection to a daemon's socket, and one that listens for what comes in.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytchat_proto::id::BlockId;
use bytchat_proto::rpc::Call;
use bytchat_proto::rpc::event::{Events, List, What};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Whatever is waited for happens by then, or nothing is to be measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// One look into the log of events.
const LOOK_MS: u64 = 500;
/// Arrivals that wait to be counted.
const ARRIVALS_MAX: usize = 65_536;

/// One connection.
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
    calls: u64,
}

impl Client {
    pub(crate) fn connect(socket: &Path) -> std::io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream), calls: 0 })
    }

    /// Calls and reads the answer.
    pub(crate) fn call<T: DeserializeOwned>(&mut self, call: &Call) -> T {
        let id = self.post(call);
        let (answered, result) = self.answer();
        assert_eq!(answered, id, "one call, one answer");
        serde_json::from_value(result).expect("an answer is what its method promises")
    }

    /// Calls and does not wait.
    pub(crate) fn post(&mut self, call: &Call) -> u64 {
        self.calls += 1;
        let request = json!({
            "jsonrpc": "2.0", "id": self.calls, "method": call.method(), "params": call.params(),
        });
        let line = format!("{request}\n");
        self.stream.get_mut().write_all(line.as_bytes()).expect("the daemon listens");
        self.calls
    }

    /// Reads the next answer.
    pub(crate) fn answer(&mut self) -> (u64, Value) {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the daemon answers");
        let mut answer: Value = serde_json::from_str(&line).expect("an answer is JSON");
        let id = answer["id"].as_u64().unwrap_or_default();
        match answer.get_mut("result") {
            Some(result) => (id, result.take()),
            None => panic!("a call is refused: {answer}"),
        }
    }

    /// One page of the log of events.
    pub(crate) fn events(&mut self, since: Option<u64>, wait_ms: u64) -> Events {
        let (limit, wait_ms) = (Some(500), Some(wait_ms));
        self.call(&Call::EventList(List { since, limit, wait_ms, ..List::default() }))
    }

    /// Waits until a message is in the log of events.
    pub(crate) fn await_arrival(&mut self, mut since: u64, id: BlockId) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let page = self.events(Some(since), LOOK_MS);
            if page.events.iter().any(|event| arrival(&event.what) == Some(id)) {
                return;
            }
            since = page.next;
        }
        panic!("{id} did not arrive within {PATIENCE:?}");
    }
}

fn arrival(what: &What) -> Option<BlockId> {
    match what {
        What::Received(message) => Some(message.id),
        What::State(_) | What::KeyChanged { .. } => None,
    }
}

/// A long poll on a connection of its own, that notes when each message is told.
pub(crate) struct Watch {
    arrivals: Receiver<(BlockId, Instant)>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Follows the log of events from its present end.
    pub(crate) fn start(socket: PathBuf) -> Self {
        let mut client = Client::connect(&socket).expect("the daemon listens");
        let mut since = client.events(None, 0).next;
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, arrivals) = sync_channel(ARRIVALS_MAX);
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let page = client.events(Some(since), LOOK_MS);
                let at = Instant::now();
                since = page.next;
                for id in page.events.iter().filter_map(|event| arrival(&event.what)) {
                    sender.send((id, at)).expect("who watches counts");
                }
            }
        });
        Self { arrivals, stop, thread: Some(thread) }
    }

    /// The next message, and when it was told.
    pub(crate) fn next(&self) -> (BlockId, Instant) {
        self.arrivals.recv_timeout(PATIENCE).expect("what is sent arrives")
    }

    /// The next message that is told within a time.
    pub(crate) fn next_within(&self, time: Duration) -> Option<(BlockId, Instant)> {
        self.arrivals.recv_timeout(time).ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
