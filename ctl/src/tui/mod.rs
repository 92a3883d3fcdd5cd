//! `bytctl tui`: conversations on a whole terminal. `model` is what is known, `update` what
//! happens next, `layout` and `view` how it looks; none of them touches anything. `link` makes
//! the calls, `keys` and `screen` are the terminal; here they meet.

#[cfg(test)]
mod fixture;
mod keys;
mod layout;
mod link;
mod model;
mod screen;
mod update;
mod view;

use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::raise;
use tz::TimeZone;

use self::link::{Feed, Link};
use self::model::{End, Model, Msg, Zone};
use self::screen::Screen;
use self::view::Theme;
use crate::client::Client;
use crate::failure::Failure;

/// Messages that wait for the model; who tells more waits.
const MESSAGES: usize = 256;
/// Messages taken between two pictures, so that a flood does not stop the picture.
const BATCH: usize = 256;

/// What it is started with.
#[derive(Debug)]
pub(crate) struct Start {
    /// Who calls the daemon.
    pub(crate) client: Client,
    /// The account to show first.
    pub(crate) account: Option<String>,
    /// A word that no other front end uses.
    pub(crate) client_ids: String,
    /// Whether the mouse is ours.
    pub(crate) mouse: bool,
}

/// Runs until the person or a signal ends it.
///
/// # Errors
/// There is no terminal or no daemon at the start, the terminal goes away, or a signal came.
pub(crate) fn run(start: Start) -> Result<(), Failure> {
    check_terminal()?;
    // A daemon that was never there is told in words, not on a picture.
    start.client.another().connect()?;
    let (tx, messages) = sync_channel(MESSAGES);
    let feed = Feed(tx);
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let stop = feed.clone();
    thread::spawn(move || signals.forever().all(|_| stop.tell(Msg::Stop)));
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut screen = Screen::open(Theme::new(colour), start.mouse)?;
    let own = feed.clone();
    thread::spawn(move || keys::listen(&own));
    let link = Link::start(&start.client, &feed);
    let mut model = Model::new(screen.size()?, start.account, start.client_ids);
    model.zone = zone();
    match turn(model, &mut screen, link, &messages)? {
        End::Quit => Ok(()),
        End::Stopped => Err(Failure::Interrupted),
    }
}

fn check_terminal() -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Failure::Usage("this needs a terminal for its input and output".to_owned()));
    }
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return Err(Failure::Usage(
            "this terminal says (TERM=dumb) that it cannot draw".to_owned(),
        ));
    }
    Ok(())
}

/// The zone that TZ names, or the machine's.
fn zone() -> Zone {
    let rules = match std::env::var("TZ") {
        Ok(name) => TimeZone::from_posix_tz(&name),
        Err(_) => TimeZone::local(),
    };
    Zone::new(rules.ok())
}

/// Draws, waits for messages, takes them, and again.
fn turn(
    mut model: Model,
    screen: &mut Screen,
    mut link: Link,
    messages: &Receiver<Msg>,
) -> Result<End, Failure> {
    loop {
        screen.draw(&model)?;
        // The threads that tell us live as long as we do.
        let Ok(first) = messages.recv() else {
            return Ok(End::Stopped);
        };
        for msg in [first].into_iter().chain(messages.try_iter().take(BATCH)) {
            link.run(update::update(&mut model, msg));
        }
        if let Some(end) = model.end {
            return Ok(end);
        }
        let wishes = std::mem::take(&mut model.wishes);
        if wishes.redraw {
            screen.clear()?;
        }
        if wishes.suspend {
            screen.lend(suspend)?;
            model.size = screen.size()?;
        }
    }
}

/// Stops until the shell lets us go on.
fn suspend() {
    // Sent to this very thread, so that we stop before we take the terminal again. Without a shell
    // that could let us go on, the system does not stop us at all.
    match raise(SIGTSTP) {
        Ok(()) | Err(_) => {}
    }
}
