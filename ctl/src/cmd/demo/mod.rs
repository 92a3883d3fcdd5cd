//! `bytctl demo`: twelve real daemons on this machine, and the promise put to the test.

mod children;
mod find;
mod node;
mod story;
mod world;

use std::path::Path;
use std::thread;

use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::children::Children;
use self::story::Told;
use self::world::World;
use crate::failure::Failure;
use crate::print::Printer;

pub(super) fn run(printer: &mut Printer, keep: bool) -> Result<(), Failure> {
    let program = find::bytchatd()?;
    let dir = tempfile::Builder::new().prefix("bytchat-demo-").tempdir().map_err(|source| {
        Failure::File { what: "make a directory in", path: std::env::temp_dir(), source }
    })?;
    let children = Children::default();
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let signalled = signals.handle();
    let watched = children.clone();
    let watcher = thread::spawn(move || {
        // Without its daemon the call that is waiting ends at once, and with it the story.
        if signals.forever().next().is_some() {
            watched.interrupt();
        }
    });
    let world = World::new(program, dir.path(), children.clone());
    let told = world.and_then(|world| story::tell(printer, world));
    let interrupted = children.interrupted();
    signalled.close();
    let joined = watcher.join();
    debug_assert!(joined.is_ok());
    match told {
        _ if interrupted => Err(Failure::Interrupted),
        Ok(told) => {
            let kept = keep.then_some(dir.path());
            say_end(printer, &told, kept)?;
            if keep {
                children.release();
                drop(dir.keep());
            }
            Ok(())
        }
        Err(failure) => {
            drop(dir.keep());
            Err(failure)
        }
    }
}

fn say_end(printer: &mut Printer, told: &Told, kept: Option<&Path>) -> Result<(), Failure> {
    if printer.json() {
        return printer.value(&json!({
            "nodes": world::NODES,
            "seconds": told.seconds,
            "messages": told.messages,
            "sockets": kept.map(|_| json!({ "alice": told.alice, "bob": told.bob })),
            "dir": kept,
        }));
    }
    let Some(dir) = kept else {
        return Ok(());
    };
    let (dir, alice, bob) = (dir.display(), told.alice.display(), told.bob.display());
    printer.line(&format!(
        "\nThe daemons go on. Talk through them:\n  \
         bytctl --socket {alice} send bob@b.test hi\n  \
         bytctl --socket {bob} inbox\n  \
         bytctl --socket {bob} watch\n\
         Stop them:\n  \
         kill $(cat {dir}/*/pid); rm -r {dir}"
    ))
}
