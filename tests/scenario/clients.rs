//! The examples for other languages, run as they are against real daemons.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use bytchat_tests::daemon::{Backbone, Daemon, Setup, cannot_run, pause, programs, until};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

/// The text of the last message.
const END: &str = "the end";
/// Messages between two kills.
const BURST: usize = 3;

/// A process that does not outlive its test.
struct Running(Child);

impl Running {
    /// Ends it as a power cut would.
    fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/examples").join(name)
}

/// Whether a program can be run here; if not, it is said which test lacks it.
pub(crate) fn has(program: &str, what: &str) -> bool {
    let ran = Command::new(program).arg("--version").output();
    let there = ran.is_ok_and(|ran| ran.status.success());
    if !there {
        cannot_run(what, &format!("{program} is missing"));
    }
    there
}

/// A command of another language that finds the daemon as a person's would.
pub(crate) fn command(daemon: &Daemon, program: &str, script: &Path) -> Command {
    let folder = programs().bytctl.parent().unwrap().as_os_str().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = [PathBuf::from(folder)].into_iter().chain(std::env::split_paths(&path));
    let mut command = Command::new(program);
    command
        .arg(script)
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env("BYTCHAT_SOCKET", daemon.socket_path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    command
}

fn log_of(daemon: &Daemon, name: &str) -> File {
    File::options().create(true).append(true).open(daemon.path(name)).unwrap()
}

fn rounds(short: usize, long: usize) -> usize {
    let is_long = std::env::var_os("BYTCHAT_LONG").is_some_and(|long| long == "1");
    if is_long { long } else { short }
}

fn chance() -> ChaCha20Rng {
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    ChaCha20Rng::seed_from_u64(seed)
}

/// Some time in which a burst of messages is partly answered.
fn while_it_works(chance: &mut ChaCha20Rng) {
    pause(Duration::from_micros(u64::from(chance.next_u32() % 400_000)));
}

/// The named position of a bot, once there is one.
fn position(daemon: &Daemon, name: &str) -> u64 {
    until("the position of a bot", || {
        let answer = daemon.socket().call("cursor.list", &json!({ "name": name }));
        answer["result"]["cursors"][0]["seq"].as_u64()
    })
}

/// What an account has sent, by text.
fn sent(daemon: &Daemon, to: &str) -> BTreeMap<String, usize> {
    let mut texts = BTreeMap::new();
    let history = daemon.get(&["history", to, "--limit", "500"]);
    for message in history.as_array().unwrap() {
        if message["direction"] == "out" {
            *texts.entry(message["text"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    texts
}

/// Lets a bot answer while it and its daemon are killed.
fn answers_once(name: &str, program: &str, script: &str) {
    let (mut chance, backbone) = (chance(), Backbone::shared());
    let (alice, alice_id) = backbone.user(&format!("{name}@a.test"));
    let (bob, bob_id) = backbone.user(&format!("asks-{name}@b.test"));
    let bot = || {
        let mut command = command(&alice, program, &example(script));
        let (out, err) = (log_of(&alice, "bot.log"), log_of(&alice, "bot.log"));
        Running(command.arg(name).stdout(out).stderr(err).spawn().unwrap())
    };
    let mut running = bot();
    let begin = position(&alice, name);
    let mut texts = Vec::new();
    for round in 0..rounds(4, 50) {
        for number in 0..BURST {
            // What a shell, a line or a format could spoil.
            let text = format!("{round}.{number} \"$(id)\" %s \\n ü\n\n");
            bob.get(&["send", &alice_id, &text]);
            texts.push(text);
        }
        while_it_works(&mut chance);
        if round % 2 == 1 {
            running.kill();
            running = bot();
        }
        alice.kill();
        while_it_works(&mut chance);
        alice.run();
    }
    let mut ask = |text: &str| {
        texts.push(text.to_owned());
        bob.get(&["send", &alice_id, text, "--wait", "delivered", "--timeout", "90"]);
    };
    ask(END);
    answered(&alice, &bob_id, &format!("echo: {END}"));
    // Whoever loses the place answers all again; the ids make the same answers of them.
    running.kill();
    alice.call("cursor.set", &json!({ "name": name, "seq": begin }));
    running = bot();
    ask("again");
    answered(&alice, &bob_id, "echo: again");
    running.kill();
    let expected: BTreeMap<_, _> = texts.iter().map(|text| (format!("echo: {text}"), 1)).collect();
    let log = fs::read_to_string(alice.path("bot.log")).unwrap();
    assert_eq!(sent(&alice, &bob_id), expected, "{log}");
    let mut inbox = Vec::new();
    until("the answers", || {
        let all = bob.get(&["inbox", "--limit", "500"]);
        inbox = all.as_array().unwrap().iter().map(|one| one["text"].clone()).collect();
        (inbox.len() >= texts.len()).then_some(())
    });
    let once = inbox.iter().map(|text| (text.as_str().unwrap().to_owned(), 1)).collect();
    assert_eq!((inbox.len(), expected), (texts.len(), once));
}

fn answered(daemon: &Daemon, to: &str, text: &str) {
    until("an answer", || sent(daemon, to).contains_key(text).then_some(()));
}

#[test]
fn a_bot_in_python_answers_each_message_once_through_kills() {
    if has("python3", "the bot in Python") {
        answers_once("echo-bot", "python3", "python/echo_bot.py");
    }
}

#[test]
fn a_bot_in_shell_answers_each_message_once_through_kills() {
    if has("jq", "the bot in shell") {
        answers_once("shell-bot", "sh", "shell/bot.sh");
    }
}

/// A program that prints events, what it has printed, and how it is started again.
struct Follower<'a> {
    daemon: &'a Daemon,
    program: &'static str,
    script: PathBuf,
    out: PathBuf,
    running: Option<Running>,
}

impl<'a> Follower<'a> {
    fn new(daemon: &'a Daemon, program: &'static str, script: PathBuf) -> Self {
        let out = daemon.path(&format!("{program}.events"));
        let mut follower = Self { daemon, program, script, out, running: None };
        follower.restart();
        follower
    }

    /// Kills it and starts it after the last event that it has printed.
    fn restart(&mut self) {
        drop(self.running.take());
        let printed = fs::read_to_string(&self.out).unwrap_or_default();
        let whole = printed.rfind('\n').map_or(0, |end| end + 1);
        fs::write(&self.out, &printed[..whole]).unwrap();
        let since = self.events().last().map_or(0, |event| event["seq"].as_u64().unwrap());
        let mut command = command(self.daemon, self.program, &self.script);
        let out = File::options().append(true).open(&self.out).unwrap();
        let err = log_of(self.daemon, "follow.log");
        let child = command.arg(since.to_string()).stdout(out).stderr(err).spawn();
        self.running = Some(Running(child.unwrap()));
    }

    /// What it has printed.
    fn events(&self) -> Vec<Value> {
        let printed = fs::read_to_string(&self.out).unwrap();
        let whole = printed.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What it has printed when the last message is among it.
    fn all(&self) -> Vec<Value> {
        until("the last event", || {
            let events = self.events();
            events.iter().any(|event| event["data"]["text"] == END).then_some(events)
        })
    }
}

/// All followers that can be run here.
fn followers(daemon: &Daemon) -> Vec<Follower<'_>> {
    let mut followers = Vec::new();
    if has("python3", "the follower in Python") {
        followers.push(Follower::new(daemon, "python3", example("python/follow.py")));
    }
    if let Some(folder) = javascript() {
        followers.push(Follower::new(daemon, "node", folder.join("follow.mjs")));
    }
    followers
}

#[test]
fn followers_in_python_and_javascript_print_each_event_once_through_kills() {
    let (mut chance, backbone) = (chance(), Backbone::shared());
    let (alice, alice_id) = backbone.user("followed@a.test");
    let (bob, bob_id) = backbone.user("writes@b.test");
    // Of a stranger only so many messages are kept.
    alice.get(&["contact", "add", &bob_id]);
    let mut followers = followers(&alice);
    for round in 0..rounds(4, 50) {
        for number in 0..BURST {
            bob.get(&["send", &alice_id, &format!("{round}.{number}")]);
        }
        while_it_works(&mut chance);
        if round % 2 == 1 {
            followers.iter_mut().for_each(Follower::restart);
        } else {
            alice.kill();
            while_it_works(&mut chance);
            alice.run();
        }
    }
    bob.get(&["send", &alice_id, END, "--wait", "delivered", "--timeout", "90"]);
    let log = alice.call("event.list", &json!({ "since": 0, "limit": 500 }));
    let log = log["events"].as_array().unwrap();
    for follower in followers {
        let printed = follower.all();
        assert!(printed.len() > 4 * BURST, "{printed:?}");
        assert_eq!(printed, log[..printed.len()], "{}", follower.program);
    }
}

#[test]
fn followers_read_the_log_of_a_replaced_store_from_its_beginning() {
    let daemon = Daemon::start(&Setup { network: "alone".to_owned(), ..Setup::default() });
    let followers = followers(&daemon);
    let write = |texts: &[&str]| {
        let (writer, reader) = (daemon.account("writer"), daemon.account("reader"));
        for text in texts {
            let args = ["send", &reader, text, "--account", &writer];
            daemon.get(&[&args[..], &["--wait", "delivered", "--timeout", "90"]].concat());
        }
    };
    write(&["one", "two", "three"]);
    let third = |event: &Value| event["data"]["text"] == "three";
    for follower in &followers {
        until("the third text", || follower.events().iter().any(third).then_some(()));
    }
    daemon.kill();
    fs::remove_dir_all(daemon.path("data")).unwrap();
    daemon.run();
    // The new log soon has more events than the old one: the number alone would tell nothing.
    write(&["another", "one", "and", "two", "more", END]);
    for follower in &followers {
        let mut printed = follower.all();
        let anew = printed.iter().rposition(|event| event["seq"] == 1).unwrap();
        assert!(printed[..anew].iter().any(third), "{}: {printed:?}", follower.program);
        let printed = printed.split_off(anew);
        let log = daemon.call("event.list", &json!({ "since": 0, "limit": 500 }));
        assert_eq!(printed, log["events"].as_array().unwrap()[..printed.len()]);
    }
    let told = fs::read_to_string(daemon.path("follow.log")).unwrap();
    assert_eq!(told.matches("epoch").count(), followers.len(), "{told}");
}

/// Where the example in JavaScript lies with what it needs; `None` if that cannot be had.
fn javascript() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(install).as_deref()
}

fn install() -> Option<PathBuf> {
    let source = example("javascript");
    let folder = npm("the follower in JavaScript", &source, "examples/javascript")?;
    fs::copy(source.join("follow.mjs"), folder.join("follow.mjs")).unwrap();
    Some(folder)
}

/// A folder below the target with what a `package.json` names; `None` if it cannot be had.
pub(crate) fn npm(what: &str, source: &Path, place: &str) -> Option<PathBuf> {
    if !has("node", what) || !has("npm", what) {
        return None;
    }
    let target = programs().bytctl.ancestors().nth(2).unwrap();
    let folder = target.join(place);
    fs::create_dir_all(&folder).unwrap();
    for name in ["package.json", "package-lock.json"] {
        fs::copy(source.join(name), folder.join(name)).unwrap();
    }
    let args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
    let ran = Command::new("npm").args(args).current_dir(&folder).output().unwrap();
    if !ran.status.success() {
        let why = String::from_utf8_lossy(&ran.stderr);
        cannot_run(what, &format!("npm does not bring what it needs: {why}"));
        return None;
    }
    Some(folder)
}

/// A lock names versions and sums; from where they come is for each machine to say.
#[test]
fn the_locks_of_javascript_name_no_host() {
    let metaschema = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenario/metaschema");
    for folder in [example("javascript"), metaschema] {
        let lock = fs::read_to_string(folder.join("package-lock.json")).unwrap();
        let lock: Value = serde_json::from_str(&lock).unwrap();
        for (name, package) in lock["packages"].as_object().unwrap() {
            assert!(package["resolved"].is_null(), "{name}");
            let sum = package["integrity"].as_str().unwrap_or_default();
            assert!(name.is_empty() || sum.starts_with("sha512-"), "{name} has no sum");
        }
    }
}
