//! What happens in the demo, told while it happens.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytchat_proto::id::BlockId;
use bytchat_proto::rpc::event::{Event, Events, List, What};
use bytchat_proto::rpc::message::{ById, Inbox, Message, Messages, Send, Sent, State, Trace};
use bytchat_proto::rpc::{Call, account, alias, contact};
use serde::Serialize;
use serde_json::Value;

use super::world::{ALICE, BOB, World};
use crate::cmd::{message, random_hex, send};
use crate::failure::Failure;
use crate::print::Printer;

/// Whatever is waited for happens by then.
const PATIENCE: Duration = Duration::from_secs(60);
/// One look into the log of events.
const WAIT_MS: u64 = 5_000;

/// What came of it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) seconds: f64,
    pub(super) messages: Vec<Arrived>,
    pub(super) alice: PathBuf,
    pub(super) bob: PathBuf,
}

/// A message that arrived exactly once.
#[derive(Debug, Serialize)]
pub(super) struct Arrived {
    id: BlockId,
    from: &'static str,
    to: &'static str,
    text: &'static str,
    state: State,
    seconds: f64,
    #[serde(skip)]
    reader: usize,
}

/// Tells the story; every step comes true, or the failure says which one did not.
pub(super) fn tell(printer: &mut Printer, world: World) -> Result<Told, Failure> {
    let began = Instant::now();
    let mut teller = Teller { printer, world, began, messages: Vec::new() };
    teller.gather()?;
    teller.introduce()?;
    let hi = teller.talk(ALICE, "hi bob, can you read this?")?;
    teller.show(ALICE, hi)?;
    let back = teller.talk(BOB, "loud and clear, alice")?;
    teller.show(BOB, back)?;
    teller.meet_never()?;
    teller.check_all()?;
    Ok(Told {
        seconds: began.elapsed().as_secs_f64(),
        alice: teller.world.node(ALICE).socket(),
        bob: teller.world.node(BOB).socket(),
        messages: teller.messages,
    })
}

struct Teller<'p> {
    printer: &'p mut Printer,
    world: World,
    began: Instant,
    messages: Vec<Arrived>,
}

impl Teller<'_> {
    fn gather(&mut self) -> Result<(), Failure> {
        let dir = self.world.dir().display().to_string();
        self.say(&format!("Twelve daemons on this machine; their files are in {dir}"))?;
        self.step("the pods a.test and b.test start", World::start_pods)?;
        self.step("ten more daemons start", World::start_others)?;
        self.step("all find each other, knowing only the pods at first", World::meet)
    }

    fn introduce(&mut self) -> Result<(), Failure> {
        for (place, friend) in [(ALICE, BOB), (BOB, ALICE)] {
            let (name, alias) = (name(place), alias(place));
            self.step(&format!("{name} makes a key and registers {alias}"), |world| {
                let create = account::Create { name: Some(name.to_owned()), ..Default::default() };
                call(world, place, &Call::AccountCreate(create))?;
                let register = alias::Register { alias: alias.to_owned(), ..Default::default() };
                call(world, place, &Call::AliasRegister(register))
            })?;
            debug_assert_ne!(place, friend);
        }
        for (place, friend) in [(ALICE, BOB), (BOB, ALICE)] {
            let (name, who) = (name(place), alias(friend));
            self.step(&format!("{name} puts {who} into the address book"), |world| {
                let add = contact::Change { who: who.to_owned(), ..Default::default() };
                call(world, place, &Call::ContactAdd(add))
            })?;
        }
        Ok(())
    }

    /// Both are online.
    fn talk(&mut self, writer: usize, text: &'static str) -> Result<BlockId, Failure> {
        let reader = other(writer);
        self.say("")?;
        let began = Instant::now();
        let id = self.write(writer, text)?;
        let arrives = format!("{} reads it, once", name(reader));
        self.step(&arrives, |world| arrival(world, reader, id, text))?;
        let seconds = began.elapsed().as_secs_f64();
        self.reach(writer, id, State::Delivered)?;
        self.note(id, writer, text, seconds);
        Ok(id)
    }

    /// The two are never online at the same time.
    fn meet_never(&mut self) -> Result<(), Failure> {
        let text = "when you read this, I am offline";
        self.say("")?;
        self.step("bob's daemon stops", |world| world.node(BOB).stop())?;
        let id = self.write(ALICE, text)?;
        self.reach(ALICE, id, State::Stored)?;
        self.show(ALICE, id)?;
        self.step("alice's daemon stops: nobody who knows the text is up", |world| {
            world.node(ALICE).stop()
        })?;
        let began = Instant::now();
        self.step("bob's daemon comes back", |world| world.start(BOB))?;
        let arrives = "bob reads it, once, while alice is away";
        self.step(arrives, |world| arrival(world, BOB, id, text))?;
        let seconds = began.elapsed().as_secs_f64();
        self.step("alice's daemon comes back", |world| world.start(ALICE))?;
        self.reach(ALICE, id, State::Delivered)?;
        self.note(id, ALICE, text, seconds);
        self.show(ALICE, id)
    }

    fn check_all(&mut self) -> Result<(), Failure> {
        self.say("")?;
        let messages = std::mem::take(&mut self.messages);
        self.step("a last look: every message arrived exactly once", |world| {
            messages.iter().try_for_each(|m| exactly_once(world, m.reader, m.id, m.text))
        })?;
        self.messages = messages;
        Ok(())
    }

    fn write(&mut self, writer: usize, text: &'static str) -> Result<BlockId, Failure> {
        let to = alias(other(writer));
        let step = format!("{} writes to {to}: {text:?}", name(writer));
        self.step(&step, |world| {
            let call = Call::MessageSend(Send {
                account: None,
                to: to.to_owned(),
                text: text.to_owned(),
                client_id: Some(random_hex(16)?),
                dry_run: false,
            });
            let sent: Sent = world.node(writer).client.call(&call)?;
            Ok(sent.id)
        })
    }

    fn reach(&mut self, writer: usize, id: BlockId, state: State) -> Result<(), Failure> {
        let step = format!("{} sees that it is {}", name(writer), state.as_str());
        self.step(&step, |world| {
            let client = &mut world.node(writer).client;
            send::wait(client, id, state, Instant::now() + PATIENCE).map(drop)
        })
    }

    /// Shows the trace of a message.
    fn show(&mut self, place: usize, id: BlockId) -> Result<(), Failure> {
        let call = Call::MessageTrace(ById { id });
        let trace: Trace = self.world.node(place).client.call(&call)?;
        for line in message::trace_lines(&trace) {
            self.say(&format!("             {line}"))?;
        }
        Ok(())
    }

    fn note(&mut self, id: BlockId, writer: usize, text: &'static str, seconds: f64) {
        let reader = other(writer);
        self.messages.push(Arrived {
            id,
            from: alias(writer),
            to: alias(reader),
            text,
            state: State::Delivered,
            seconds,
            reader,
        });
    }

    /// Does a step and tells it with its time.
    fn step<T>(
        &mut self,
        step: &str,
        act: impl FnOnce(&mut World) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        match act(&mut self.world) {
            Ok(value) => {
                let (at, took) = (self.began.elapsed(), began.elapsed());
                let (at, took) = (at.as_secs_f64(), took.as_secs_f64());
                self.say(&format!("[{at:7.3} s]  {step} ({took:.3} s)"))?;
                Ok(value)
            }
            Err(failure) => {
                let nodes = [ALICE, BOB].map(|place| self.world.node(place).log());
                let [alice, bob] = nodes.map(|log| log.display().to_string());
                Err(Failure::Demo {
                    step: step.to_owned(),
                    why: failure.to_string(),
                    hint: format!(
                        "the logs are {}/*/log; alice's is {alice}, bob's is {bob}",
                        self.world.dir().display()
                    ),
                })
            }
        }
    }

    fn say(&mut self, text: &str) -> Result<(), Failure> {
        if self.printer.json() {
            return Ok(());
        }
        self.printer.line(text)
    }
}

fn call(world: &mut World, place: usize, call: &Call) -> Result<Value, Failure> {
    world.node(place).client.call_json(call)
}

/// Waits until a message is in the reader's log of events, then checks that it is there once.
fn arrival(world: &mut World, reader: usize, id: BlockId, text: &str) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    let mut since = 0;
    loop {
        let page = page(world, reader, since, WAIT_MS)?;
        if page.events.iter().any(|event| is_arrival(event, id)) {
            return exactly_once(world, reader, id, text);
        }
        if Instant::now() > until {
            let seconds = PATIENCE.as_secs();
            return Err(Failure::Unmet(format!("it did not arrive in {seconds} seconds")));
        }
        since = page.next;
    }
}

fn exactly_once(world: &mut World, reader: usize, id: BlockId, text: &str) -> Result<(), Failure> {
    let mut told = 0;
    let mut since = 0;
    loop {
        let page = page(world, reader, since, 0)?;
        if page.events.is_empty() {
            break;
        }
        told += page.events.iter().filter(|event| is_arrival(event, id)).count();
        since = page.next;
    }
    let call = Call::MessageInbox(Inbox::default());
    let Messages { messages, .. } = world.node(reader).client.call(&call)?;
    let same = |message: &&Message| message.id == id || message.text == text;
    let found: Vec<_> = messages.iter().filter(same).collect();
    match found.as_slice() {
        [one] if told == 1 && one.text == text => Ok(()),
        _ => Err(Failure::Unmet(format!(
            "it was told {told} times and is {} times in the inbox, expected once",
            found.len()
        ))),
    }
}

fn page(world: &mut World, place: usize, since: u64, wait_ms: u64) -> Result<Events, Failure> {
    let call =
        Call::EventList(List { since: Some(since), wait_ms: Some(wait_ms), ..List::default() });
    world.node(place).client.call(&call)
}

fn is_arrival(event: &Event, id: BlockId) -> bool {
    matches!(&event.what, What::Received(message) if message.id == id)
}

fn other(place: usize) -> usize {
    if place == ALICE { BOB } else { ALICE }
}

fn name(place: usize) -> &'static str {
    if place == ALICE { "alice" } else { "bob" }
}

fn alias(place: usize) -> &'static str {
    if place == ALICE { "alice@a.test" } else { "bob@b.test" }
}
