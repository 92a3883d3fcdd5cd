//! Tests of the loop with a scripted node, a disk that fails on demand and a network of strings.

#![expect(clippy::wildcard_enum_match_arm, reason = "a script names the inputs that it plays with")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytchat_core::io::{Caller, JobId, JobResult, Output, Task};
use bytchat_core::node::Standing;
use bytchat_core::persist::{Query, Row, Table, Write};
use bytchat_core::time::{Deadline, Mono, Now};
use bytchat_proto::key::NodeKey;
use bytchat_proto::limits::JOBS_WAITING_MAX;
use bytchat_proto::rpc::{Call, ErrorKind, Nothing, message};
use serde_json::json;
use tokio::sync::{Notify, mpsc, watch};
use zeroize::Zeroizing;

use super::*;
use crate::rpc::Service;

const LINK: LinkId = LinkId(1);
const ANN: Caller = Caller { uid: 1000 };

type Script = Box<dyn FnMut(&Input) -> Vec<Output>>;

struct Puppet {
    script: Script,
    outputs: VecDeque<Output>,
    deadline: Arc<Mutex<Option<Deadline>>>,
}

impl Decide for Puppet {
    fn handle_input(&mut self, input: Input, _: Now) {
        if matches!(input, Input::Wake) {
            *self.deadline.lock().unwrap() = None;
        }
        self.outputs.extend((self.script)(&input));
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        *self.deadline.lock().unwrap()
    }

    fn standing(&self) -> Standing {
        Standing { links: 2, peers: 3, outbox: 1 }
    }
}

/// What happened outside, in order; the errors that the disk has in store; and its commits.
#[derive(Clone, Default)]
struct Journal {
    lines: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<VecDeque<StoreError>>>,
    unreadable: Arc<Mutex<VecDeque<StoreError>>>,
    committed: Arc<Notify>,
}

impl Journal {
    fn note(&self, line: impl Into<String>) {
        self.lines.lock().unwrap().push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn fail_next(&self, errors: impl IntoIterator<Item = StoreError>) {
        self.errors.lock().unwrap().extend(errors);
    }
}

impl Disk for Journal {
    fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        match self.errors.lock().unwrap().pop_front() {
            Some(error) => {
                self.note("commit failed");
                Err(error)
            }
            None => {
                self.note(format!("commit {}", writes.len()));
                self.committed.notify_one();
                Ok(())
            }
        }
    }

    fn scan(&self, query: &Query) -> Result<Vec<Row>, StoreError> {
        self.note(format!("scan {:?}", query.table));
        if let Some(error) = self.unreadable.lock().unwrap().pop_front() {
            return Err(error);
        }
        Ok(vec![(b"key".to_vec(), b"value".to_vec())])
    }

    fn bytes(&self) -> u64 {
        4096
    }
}

struct Strings {
    events: mpsc::Receiver<Input>,
    journal: Journal,
}

impl Links for Strings {
    async fn next(&mut self) -> Option<Input> {
        self.events.recv().await
    }

    fn dial(&self, dial: DialId, _: SocketAddr, _: Option<NodeKey>) {
        self.journal.note(format!("dial {}", dial.0));
    }

    fn send(&self, link: LinkId, bytes: Vec<u8>) {
        let text = String::from_utf8(bytes).unwrap();
        self.journal.note(format!("send {} {text}", link.0));
    }

    fn close(&self, link: LinkId, reason: &str) {
        self.journal.note(format!("close {} {reason}", link.0));
    }
}

/// Everything around one engine.
struct Stage {
    engine: Engine<Puppet, Journal, Strings>,
    events: mpsc::Sender<Input>,
    calls: Calls,
    journal: Journal,
    deadline: Arc<Mutex<Option<Deadline>>>,
    stop: watch::Sender<bool>,
}

fn stage(script: impl FnMut(&Input) -> Vec<Output> + 'static) -> Stage {
    let journal = Journal::default();
    let (events, receiver) = mpsc::channel(64);
    let (_, shows) = watch::channel(bytchat_proto::rpc::node::Config::default());
    let (calls, incoming) = channel(shows, Clock::start());
    let deadline = Arc::new(Mutex::new(None));
    let node = Puppet {
        script: Box::new(script),
        outputs: VecDeque::new(),
        deadline: Arc::clone(&deadline),
    };
    let surface = Surface {
        disk: journal.clone(),
        links: Strings { events: receiver, journal: journal.clone() },
        calls: incoming,
        resolver: Resolver::new(BTreeMap::new(), &[]),
        clock: Clock::start(),
        notifier: Notifier::default(),
        changes: mpsc::channel(1).1,
    };
    Stage {
        engine: Engine::new(node, surface),
        events,
        calls,
        journal,
        deadline,
        stop: watch::channel(false).0,
    }
}

impl Stage {
    /// Runs the engine beside a play, and stops it when the play is over.
    async fn run(
        self,
        play: impl AsyncFnOnce(&mpsc::Sender<Input>, &Calls),
    ) -> (Result<(), EngineError>, Vec<String>) {
        let (mut engine, events, calls, stop) = (self.engine, self.events, self.calls, self.stop);
        let mut stopped = stop.subscribe();
        let until = async move {
            stopped.wait_for(|stop| *stop).await.unwrap();
        };
        let play = async {
            play(&events, &calls).await;
            stop.send_replace(true);
        };
        let (result, ()) = tokio::join!(engine.run(until), play);
        (result, self.journal.lines())
    }
}

fn full() -> StoreError {
    StoreError::Full { dir: PathBuf::from("/data") }
}

fn put(value: &str) -> Output {
    Output::Persist(vec![Write::Put {
        table: Table::Message,
        key: b"k".to_vec(),
        value: value.as_bytes().to_vec(),
    }])
}

fn send(text: &str) -> Output {
    Output::Transmit { link: LINK, bytes: text.as_bytes().to_vec() }
}

fn frame(text: &str) -> Input {
    Input::Frame { link: LINK, bytes: text.as_bytes().to_vec() }
}

fn load() -> Output {
    Output::Load { load: LoadId(7), query: Query::prefix(Table::Message, b"", 1) }
}

fn status() -> Call {
    Call::NodeStatus(Nothing {})
}

fn sending() -> Call {
    Call::MessageSend(serde_json::from_value(json!({"to": "ann@pod.test", "text": "hi"})).unwrap())
}

fn kind(result: CallResult) -> ErrorKind {
    result.unwrap_err().kind
}

/// A node that keeps and echoes frames, and keeps and answers calls.
fn echo(input: &Input) -> Vec<Output> {
    match input {
        Input::Frame { bytes, .. } => {
            let text = std::str::from_utf8(bytes).unwrap();
            vec![send(text), put(text)]
        }
        Input::Call { call, request: Call::NodeStatus(_), .. } => {
            vec![Output::Reply { call: *call, result: Ok(json!("up")) }]
        }
        Input::Call { call, .. } => vec![
            put("call"),
            Output::Reply { call: *call, result: Ok(json!("queued")) },
            send("call"),
        ],
        _ => Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_visible_before_it_is_on_disk() {
    let (result, lines) = stage(echo)
        .run(async |events, calls| {
            events.send(frame("a")).await.unwrap();
            assert_eq!(calls.ask(ANN, sending()).await, Ok(json!("queued")));
        })
        .await;
    result.unwrap();
    let commit = lines.iter().position(|line| line.starts_with("commit"));
    assert_eq!(commit, Some(0), "{lines:?}");
    assert!(lines.contains(&"send 1 a".to_owned()), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn the_status_is_asked_for_once_until_something_changes_and_then_reflects_it() {
    let (mut frames, asked) = (0, Arc::new(Mutex::new(0)));
    let seen = Arc::clone(&asked);
    let stage = stage(move |input| {
        frames += usize::from(matches!(input, Input::Frame { .. }));
        let Input::Call { call, request: Call::NodeStatus(_), .. } = input else {
            return echo(input);
        };
        *seen.lock().unwrap() += 1;
        let status = json!({ "links": frames, "uptime_ms": 0 });
        vec![Output::Reply { call: *call, result: Ok(status) }]
    });
    let journal = stage.journal.clone();
    let play = stage.run(async |events, calls| {
        let links = async || calls.call(ANN, None, status()).await.unwrap()["links"].clone();
        for count in 1..=3 {
            events.send(frame("a")).await.unwrap();
            // Whoever has seen what came of a frame sees the frame in the status.
            while journal.lines().iter().filter(|line| line.starts_with("send")).count() < count {
                tokio::task::yield_now().await;
            }
            assert_eq!((links().await, links().await), (json!(count), json!(count)));
        }
    });
    play.await.0.unwrap();
    // Once for each frame, and perhaps once for the size of the store.
    assert!((3..=4).contains(&*asked.lock().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn inputs_that_are_there_together_share_one_commit() {
    let stage = stage(echo);
    for text in ["a", "b", "c"] {
        stage.events.try_send(frame(text)).unwrap();
    }
    let (result, lines) = stage.run(async |_, _| {}).await;
    result.unwrap();
    assert_eq!(lines, ["commit 3", "send 1 a", "send 1 b", "send 1 c"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_holds_everything_back_and_loses_nothing() {
    let stage = stage(echo);
    stage.journal.fail_next([full(), full(), full()]);
    let journal = stage.journal.clone();
    let (result, lines) = stage
        .run(async |events, calls| {
            // Its commit fails, so the answer says that it is not done yet.
            let taken = calls.ask(ANN, sending()).await.unwrap_err();
            assert_eq!(taken.kind, ErrorKind::DiskFull);
            assert!(taken.message.contains("waits in memory"), "{taken}");
            // Now nothing is taken, but who only reads is answered.
            let refused = calls.ask(ANN, sending()).await.unwrap_err();
            assert_eq!(refused, super::calls::disk_full());
            assert_eq!(calls.ask(ANN, status()).await, Ok(json!("up")));
            events.send(frame("lost")).await.unwrap();
            journal.committed.notified().await;
            assert_eq!(calls.ask(ANN, sending()).await, Ok(json!("queued")));
        })
        .await;
    result.unwrap();
    let failed = "commit failed";
    let once = ["commit 1", "send 1 call"];
    let expected = [&[failed; 3][..], &once, &once].concat();
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_links_and_tells_the_dialler() {
    let failed = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&failed);
    let stage = stage(move |input| {
        match input {
            Input::DialFailed { dial, reason } => {
                seen.lock().unwrap().push(format!("dial {} failed: {reason}", dial.0))
            }
            Input::LinkUp { .. } => seen.lock().unwrap().push("up".into()),
            Input::LinkDown { .. } => seen.lock().unwrap().push("down".into()),
            _ => {}
        }
        echo(input)
    });
    stage.journal.fail_next([full()]);
    let journal = stage.journal.clone();
    let (result, lines) = stage
        .run(async |events, calls| {
            assert_eq!(kind(calls.ask(ANN, sending()).await), ErrorKind::DiskFull);
            events
                .send(Input::LinkUp {
                    link: LinkId(2),
                    key: NodeKey([1; 32]),
                    address: "192.0.2.1:1".parse().unwrap(),
                    binding: [0; 32],
                    dial: Some(DialId(9)),
                })
                .await
                .unwrap();
            while failed.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            journal.committed.notified().await;
            assert_eq!(calls.ask(ANN, sending()).await, Ok(json!("queued")));
            let reason = "closed".to_owned();
            let link = LinkId(2);
            events.send(Input::LinkDown { link, reason }).await.unwrap();
        })
        .await;
    result.unwrap();
    assert_eq!(*failed.lock().unwrap(), ["dial 9 failed: our disk is full"]);
    assert_eq!(lines[..2], ["commit failed", "close 2 disk full"]);
}

#[tokio::test(start_paused = true)]
async fn reads_reach_the_disk_while_it_is_full() {
    let mut waiting = None;
    let stage = stage(move |input| match input {
        Input::Call { call, request: Call::MessageInbox(_), .. } => {
            waiting = Some(*call);
            vec![load()]
        }
        Input::Loaded { load, rows } => {
            assert_eq!((load.0, rows.len()), (7, 1));
            let result = Ok(json!(rows.len()));
            let call = waiting.unwrap();
            vec![Output::Reply { call, result }]
        }
        _ => echo(input),
    });
    stage.journal.fail_next([full(), full()]);
    let (result, lines) = stage
        .run(async |_, calls| {
            assert_eq!(kind(calls.ask(ANN, sending()).await), ErrorKind::DiskFull);
            let inbox = Call::MessageInbox(message::Inbox::default());
            assert_eq!(calls.ask(ANN, inbox).await, Ok(json!(1)));
        })
        .await;
    assert!(matches!(result, Err(EngineError::StoppedFull { writes: 1 })), "{result:?}");
    assert_eq!(lines[..2], ["commit failed", "scan Message"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_disk_stops_the_engine_and_the_caller_learns_why() {
    let stage = stage(echo);
    stage.journal.fail_next([StoreError::Failed {
        dir: PathBuf::from("/data"),
        reason: "input/output error".into(),
    }]);
    let (result, lines) = stage
        .run(async |_, calls| {
            let error = calls.ask(ANN, sending()).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::StoreFailed);
            let later = calls.ask(ANN, status()).await.unwrap_err();
            assert_eq!(later.kind, ErrorKind::ShuttingDown);
            assert!(later.message.contains("was not taken"), "{}", later.message);
        })
        .await;
    assert!(matches!(result, Err(EngineError::Store(_))), "{result:?}");
    assert_eq!(lines, ["commit failed"]);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_row_is_one_error_and_not_the_end() {
    let stage = stage(move |input| match input {
        Input::Call { request: Call::MessageInbox(_), .. } => vec![load()],
        Input::LoadFailed { load, reason } => {
            assert_eq!(load.0, 7);
            assert!(reason.contains("segment 3"), "{reason}");
            let result = Ok(json!("unreadable"));
            vec![Output::Reply { call: CallId(1), result }]
        }
        _ => echo(input),
    });
    let dir = PathBuf::from("/data");
    let damaged = StoreError::Corrupt { dir, segment: 3, from: 0, to: 9 };
    stage.journal.unreadable.lock().unwrap().push_back(damaged);
    let (result, _) = stage
        .run(async |_, calls| {
            let inbox = Call::MessageInbox(message::Inbox::default());
            assert_eq!(calls.ask(ANN, inbox).await, Ok(json!("unreadable")));
            assert_eq!(calls.ask(ANN, status()).await, Ok(json!("up")));
        })
        .await;
    result.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_is_reported_to_the_node() {
    let gone = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&gone);
    let stage = stage(move |input| {
        match input {
            Input::Call { call, .. } => seen.lock().unwrap().push(("call", *call)),
            Input::CallGone { call } => seen.lock().unwrap().push(("gone", *call)),
            _ => {}
        }
        Vec::new()
    });
    let (result, _) = stage
        .run(async |_, calls| {
            let waiting = calls.ask(ANN, status());
            let impatient = tokio::time::timeout(Duration::from_secs(1), waiting).await;
            assert!(impatient.is_err());
            while gone.lock().unwrap().len() < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    result.unwrap();
    let call = CallId(1);
    assert_eq!(*gone.lock().unwrap(), [("call", call), ("gone", call)]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_answers_those_who_wait() {
    let taken = Arc::new(Mutex::new(false));
    let seen = Arc::clone(&taken);
    let stage = stage(move |input| {
        if let Input::Call { .. } = input {
            *seen.lock().unwrap() = true;
        }
        Vec::new()
    });
    let waiting = stage.calls.ask(ANN, status());
    let play = stage.run(async |_, _| {
        while !*taken.lock().unwrap() {
            tokio::task::yield_now().await;
        }
    });
    let ((result, _), answer) = tokio::join!(play, waiting);
    result.unwrap();
    let error = answer.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ShuttingDown);
    assert!(error.message.contains("may have been carried out"), "{}", error.message);
}

#[tokio::test]
async fn systemd_is_told_how_the_node_stands_and_what_was_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let systemd = tokio::net::UnixDatagram::bind(&path).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let mut stage = stage(move |input| {
        if let Input::Settings { bootstrap } = input {
            seen.lock().unwrap().extend(bootstrap.clone());
        }
        Vec::new()
    });
    let (changes, changed) = mpsc::channel(1);
    stage.engine.surface.notifier = Notifier::open(path.to_str(), None).unwrap();
    stage.engine.surface.changes = changed;
    let place: SocketAddr = "192.0.2.1:4848".parse().unwrap();
    let hear = async || {
        let mut bytes = [0; 256];
        let length = systemd.recv(&mut bytes).await.unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let (result, _) = stage
        .run(async |_, _| {
            let standing = "STATUS=running: 2 links, 3 nodes known, 1 message under way";
            assert_eq!(hear().await, standing);
            let remark = "a restart is needed for listen".to_owned();
            let resolver = Resolver::new(BTreeMap::new(), &[]);
            let settings = Some(Settings { resolver, bootstrap: vec![place] });
            changes.send(Change { settings, remark }).await.unwrap();
            assert_eq!(hear().await, format!("{standing}; a restart is needed for listen"));
        })
        .await;
    result.unwrap();
    assert_eq!(*told.lock().unwrap(), [place]);
}

#[tokio::test(start_paused = true)]
async fn the_node_is_woken_when_it_asked_to_be() {
    let woken = Arc::new((Mutex::new(None), Notify::new()));
    let seen = Arc::clone(&woken);
    let clock = Clock::start();
    let stage = stage(move |input| {
        if matches!(input, Input::Wake) {
            *seen.0.lock().unwrap() = Some(clock.now().mono);
            seen.1.notify_one();
        }
        Vec::new()
    });
    *stage.deadline.lock().unwrap() = Some(Deadline { at: Mono(90_000), why: "test" });
    let (result, _) = stage.run(async |_, _| woken.1.notified().await).await;
    result.unwrap();
    let at = woken.0.lock().unwrap().unwrap();
    assert!((90_000..90_010).contains(&at.0), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn too_many_jobs_fail_at_once_and_the_rest_are_done() {
    let results = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&results);
    let jobs = JOBS_WAITING_MAX + JOBS_AT_ONCE + 1;
    let stage = stage(move |input| match input {
        Input::Frame { .. } => (0..jobs)
            .map(|job| Output::Job {
                job: JobId(job as u64),
                task: Task::ReadAccount { pem: Zeroizing::new("no key".into()) },
            })
            .collect(),
        Input::Done { result: JobResult::Failed(why), .. } => {
            seen.lock().unwrap().push(why.clone());
            Vec::new()
        }
        _ => Vec::new(),
    });
    let (result, _) = stage
        .run(async |events, _| {
            events.send(frame("go")).await.unwrap();
            while results.lock().unwrap().len() < jobs {
                tokio::task::yield_now().await;
            }
        })
        .await;
    result.unwrap();
    let refused = |why: &&String| why.contains("too much");
    assert_eq!(results.lock().unwrap().iter().filter(refused).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_size_of_the_store_is_reported_every_minute() {
    let (sizes, mut reports) = mpsc::channel(8);
    let clock = Clock::start();
    let stage = stage(move |input| {
        if let Input::StoreSize { bytes } = input {
            let report = (clock.now().mono.0 / 1_000, *bytes);
            sizes.try_send(report).unwrap();
        }
        Vec::new()
    });
    let (result, _) = stage
        .run(async |_, _| {
            assert_eq!(reports.recv().await, Some((0, 4096)));
            assert_eq!(reports.recv().await, Some((60, 4096)));
        })
        .await;
    result.unwrap();
}
