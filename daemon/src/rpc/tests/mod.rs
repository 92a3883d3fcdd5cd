//! The RPC over a real socket, with a service that only pretends.

#![expect(clippy::disallowed_methods, reason = "a test ends and takes its tasks with it")]
#![expect(clippy::wildcard_enum_match_arm, reason = "the service names the calls that it knows")]

mod events;
mod grants;
mod hostile;
mod http;
mod lines;
mod memory;
mod pages;
mod socket;
mod websocket;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytchat_core::io::{Caller, Scope};
use bytchat_core::token::id_of;
use bytchat_proto::id::{NetworkId, NodeId, UserId};
use bytchat_proto::limits::PAGE_MAX;
use bytchat_proto::rpc::event::{Gap, GapReason, List, wanted};
use bytchat_proto::rpc::node::{Clock, Stats, Status};
use bytchat_proto::rpc::session::{Narrowing, Restrict};
use bytchat_proto::rpc::{Call, ErrorKind, Role, RpcError, to_result};
use bytchat_proto::timestamp::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use super::desk::{Bounds, Desk};
use super::{Access, Answer, Follower, Hub, Listener, MODE_USER, RpcConfig, Rules, Service};

/// The account that events concern, and another one.
const ACCOUNT: UserId = UserId([7; 20]);
const OTHER: UserId = UserId([8; 20]);

const NEVER: Duration = Duration::from_secs(3600);
/// Bytes of a page that the service gives.
const PAGE: usize = 300 * 1024;

/// Says what happens to the calls that wait.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    Waiting,
    Dropped,
}

/// A log of events, of the user who runs the tests.
#[derive(Default)]
struct Log {
    hub: Arc<Hub>,
    uid: u32,
    /// Names and JSON; the first has the number 1.
    events: Mutex<Vec<(&'static str, Arc<str>)>>,
    /// Events up to this one are gone.
    first: AtomicUsize,
    /// How often the log was read.
    reads: AtomicUsize,
    /// What the wall's clock says.
    time: AtomicU64,
}

impl Log {
    fn publish(&self, name: &'static str, data: &Value) {
        let mut events = self.events.lock().unwrap();
        let seq = events.len() as u64 + 1;
        let account = serde_json::from_value(data["account"].clone()).unwrap_or(ACCOUNT);
        let json = json!({ "seq": seq, "type": name, "data": data, "account": account });
        let json = json.to_string();
        let json: Arc<str> = json.into();
        events.push((name, Arc::clone(&json)));
        self.hub.publish((self.uid, account), seq, name, json);
    }

    fn head(&self) -> u64 {
        self.events.lock().unwrap().len() as u64
    }

    fn page(&self, ask: &List, scope: Option<&Scope>) -> Value {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let log = self.events.lock().unwrap();
        let (first, head) = (self.first.load(Ordering::SeqCst), log.len());
        let asked = ask.since.map_or(head, |since| usize::try_from(since).unwrap());
        let from = asked.max(first);
        let position = |number: usize| number as u64;
        let gap = Gap { from: position(asked), to: position(first), reason: GapReason::Retention };
        let limit = ask.limit.unwrap().min(PAGE_MAX);
        let page = log.iter().skip(from).take(limit);
        let next = from + page.len();
        let events: Vec<Value> = page
            .filter(|(name, _)| wanted(ask.types.as_deref(), name))
            .map(|(_, json)| serde_json::from_str::<Value>(json).unwrap())
            .filter(|event| {
                let account = serde_json::from_value(event["account"].clone()).unwrap();
                scope.is_none_or(|scope| scope.has(account))
            })
            .collect();
        let gap = (asked < first).then_some(gap);
        json!({ "events": events, "next": next, "first": first, "head": head, "epoch": "e",
            "gap": gap })
    }
}

struct Fake {
    words: mpsc::Sender<Word>,
    log: Arc<Log>,
    /// Pages that were asked for.
    asked: Arc<AtomicUsize>,
    /// Ends the wait of a slow call.
    slow: Arc<Notify>,
    /// Whether the pod has said whose aliases are.
    found: Arc<AtomicBool>,
}

impl Fake {
    fn new(words: mpsc::Sender<Word>, log: Arc<Log>) -> Self {
        Self { words, log, asked: Arc::default(), slow: Arc::default(), found: Arc::default() }
    }
}

struct TellDrop(mpsc::Sender<Word>);

impl Drop for TellDrop {
    fn drop(&mut self) {
        self.0.try_send(Word::Dropped).unwrap();
    }
}

impl Service for Fake {
    fn call(&self, caller: Caller, scope: Option<Arc<Scope>>, call: Call) -> Answer {
        let (words, log) = (self.words.clone(), Arc::clone(&self.log));
        let (asked, slow) = (Arc::clone(&self.asked), Arc::clone(&self.slow));
        let found = Arc::clone(&self.found);
        Box::pin(async move {
            let params = call.params();
            match call {
                Call::NodeStatus(_) => Ok(status(caller)),
                Call::CursorGet(with) => Ok(json!({ "name": with.name })),
                Call::NodePeers(_) => {
                    asked.fetch_add(1, Ordering::SeqCst);
                    Ok(json!({ "peers": "x".repeat(PAGE) }))
                }
                // The pod is asked whose an alias is.
                Call::MessageHistory(with) => {
                    if with.who.contains('@') && !found.load(Ordering::SeqCst) {
                        words.send(Word::Waiting).await.unwrap();
                        slow.notified().await;
                    }
                    Ok(json!({ "messages": [], "before": with.before }))
                }
                // One that the engine has taken and answers when it is told to.
                Call::MessageSend(_) if params["text"] == "slow" => {
                    words.send(Word::Waiting).await.unwrap();
                    slow.notified().await;
                    Ok(json!({ "echo": "slow" }))
                }
                Call::MessageSend(_) if params["text"] == "refuse" => {
                    Err(ErrorKind::Blocked.because("you block bob"))
                }
                Call::MessageSend(_) => Ok(json!({ "echo": params["text"] })),
                // The one that waits for ever names no limit.
                Call::EventList(ask) if ask.limit.is_some() || ask.wait_ms == Some(0) => {
                    let limit = Some(ask.limit.unwrap_or(1));
                    Ok(log.page(&List { limit, ..ask }, scope.as_deref()))
                }
                Call::EventList(ask) => {
                    let _tell = TellDrop(words.clone());
                    words.send(Word::Waiting).await.unwrap();
                    slow.notified().await;
                    Ok(json!({ "events": [], "next": ask.since, "head": log.head() }))
                }
                Call::SessionRestrict(with) => narrowing(with),
                Call::TokenDelete(with) if with.id == id_of("full") => {
                    Err(ErrorKind::DiskFull.because("there is no room"))
                }
                Call::TokenDelete(with) if with.id == id_of("lost") => {
                    words.send(Word::Waiting).await.unwrap();
                    std::future::pending().await
                }
                Call::TokenDelete(_) => Ok(json!({})),
                Call::NodeStats(_) => Ok(to_result(&Stats::default())),
                Call::EventSubscribe(_) => Err(ErrorKind::NoStream.because("use WebSocket")),
                other => panic!("unexpected {}", other.method()),
            }
        })
    }

    fn follow(&self, caller: Caller) -> Follower {
        self.log.hub.follow(caller)
    }

    fn time(&self) -> Timestamp {
        Timestamp(self.log.time.load(Ordering::SeqCst))
    }
}

/// What a restriction means: of tokens, `read` leaves that role, and `other` another account.
fn narrowing(with: Restrict) -> Result<Value, RpcError> {
    let Restrict { role, methods, until, token, .. } = with;
    let left_ms = until.map(|until| until.0);
    let own = Narrowing { role, accounts: None, methods, until, left_ms };
    Ok(to_result(&match token.as_deref() {
        None => own,
        Some("read" | "full" | "lost") => Narrowing { role: Some(Role::Read), ..own },
        Some("other") => Narrowing { accounts: Some(vec![OTHER]), ..own },
        Some(_) => return Err(ErrorKind::BadToken.because("no")),
    }))
}

fn status(caller: Caller) -> Value {
    let mut status = to_result(&Status {
        node_id: NodeId::from_slice(&[1; 20]).unwrap(),
        listen: Vec::new(),
        observed: Vec::new(),
        peers: 1,
        links: 2,
        records: 3,
        envelopes: 4,
        outbox: 5,
        network: NetworkId::of_name("test"),
        pod: None,
        store_bytes: 4_096,
        damaged_accounts: 0,
        clock: Clock::Ok,
        clock_offset_ms: 0,
        uptime_ms: 61_000,
        version: "1".to_owned(),
    });
    status["uid"] = json!(caller.uid);
    status
}

struct World {
    dir: tempfile::TempDir,
    words: mpsc::Receiver<Word>,
    log: Arc<Log>,
    /// Pages that were asked for.
    asked: Arc<AtomicUsize>,
    slow: Arc<Notify>,
    found: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    desk: Arc<Desk>,
    serving: JoinHandle<()>,
}

fn config(dir: &tempfile::TempDir) -> RpcConfig {
    RpcConfig { socket: dir.path().join("run/bytchat/bytchatd.sock"), mode: MODE_USER }
}

/// Patience without end, but a quick look at who is gone.
fn bounds() -> Bounds {
    Bounds {
        write: NEVER,
        answer: NEVER,
        gone_check: Duration::from_millis(1),
        first_byte: NEVER,
        half_request: NEVER,
        heartbeat: NEVER,
        turn_away: Duration::from_millis(200),
        ..Bounds::default()
    }
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn world() -> World {
    world_within(bounds())
}

fn world_within(bounds: Bounds) -> World {
    let dir = tempfile::tempdir().unwrap();
    let (tx, words) = mpsc::channel(1024);
    let (stop, stopped) = watch::channel(false);
    let log = Arc::new(Log { uid: own_uid(), ..Log::default() });
    let listener = Listener::bind(&config(&dir)).unwrap();
    let fake = Fake::new(tx, Arc::clone(&log));
    let (asked, slow) = (Arc::clone(&fake.asked), Arc::clone(&fake.slow));
    let found = Arc::clone(&fake.found);
    let access = Arc::new(Access::new(Rules::default()));
    let desk = Arc::new(Desk::new(Arc::new(fake), access, bounds, stopped));
    let serving = tokio::spawn(listener.serve_at(Arc::clone(&desk)));
    World { dir, words, log, asked, slow, found, stop, desk, serving }
}

impl World {
    fn socket(&self) -> PathBuf {
        config(&self.dir).socket
    }

    async fn stream(&self) -> UnixStream {
        UnixStream::connect(self.socket()).await.unwrap()
    }

    async fn connect(&self) -> Client {
        Client::of(self.stream().await)
    }

    /// Sends bytes and reads until the other side closes.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.stream().await;
        // Who is refused early need not take all.
        drop(stream.write_all(bytes).await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8(answer).unwrap()
    }
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect(what);
}

struct Client {
    input: BufReader<OwnedReadHalf>,
    output: OwnedWriteHalf,
}

impl Client {
    fn of(stream: UnixStream) -> Self {
        let (input, output) = stream.into_split();
        Self { input: BufReader::new(input), output }
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.output.write_all(bytes).await.unwrap();
    }

    async fn read(&mut self) -> Value {
        let mut line = String::new();
        self.input.read_line(&mut line).await.unwrap();
        assert!(line.ends_with('\n'), "no whole line: {line:?}");
        serde_json::from_str(&line).unwrap()
    }

    async fn ask(&mut self, line: &str) -> Value {
        self.write(line.as_bytes()).await;
        self.write(b"\n").await;
        self.read().await
    }

    /// Asserts that the connection still works and has nothing else to say.
    async fn assert_well(&mut self) {
        let answer = self.ask(r#"{"jsonrpc":"2.0","id":"well?","method":"node.status"}"#).await;
        assert_eq!(answer["id"], "well?", "{answer}");
        assert!(answer["result"]["uid"].is_u64(), "{answer}");
    }
}

fn request(id: u64, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

fn send(id: u64, text: &str) -> String {
    request(id, "message.send", &json!({ "to": "bob@b.test", "text": text }))
}
