//! The socket: whether it is there, who may use it, and whether somebody listens.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid, getgroups};

use super::{Check, ask};
use crate::failure::Failure;

const SOCKET: &str = "socket";
const GROUP: &str = "group";

/// What came of knocking.
#[derive(Debug)]
pub(super) struct Door {
    /// The socket that answers, or else the one to be mended.
    pub(super) path: PathBuf,
    open: bool,
}

/// How somebody stands to the group of a socket.
#[derive(Clone, Debug)]
struct Standing {
    group: String,
    user: String,
    /// Whether this login is in the group.
    effective: bool,
    /// Whether the next one will be.
    listed: bool,
    open: bool,
}

impl Door {
    /// Whether somebody answers.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether it belongs to a daemon of the whole machine.
    pub(super) fn is_system(&self) -> bool {
        self.path.starts_with("/run/bytchat")
    }
}

/// Knocks at each socket until one answers.
pub(super) fn look(sockets: &[PathBuf], checks: &mut Vec<Check>) -> Door {
    let mut tried = Vec::new();
    for path in sockets {
        match UnixStream::connect(path) {
            Ok(_) => {
                checks.push(Check::ok(SOCKET, answers(path, sockets)));
                checks.push(group(path, true));
                return Door { path: path.clone(), open: true };
            }
            Err(error) => tried.push((path.clone(), error)),
        }
    }
    // One that is there is more likely the one that is meant.
    let kinds = [io::ErrorKind::PermissionDenied, io::ErrorKind::ConnectionRefused];
    let closed = kinds.iter().find_map(|kind| tried.iter().find(|(_, e)| e.kind() == *kind));
    let closed = closed.map(|(path, error)| (path.clone(), error.kind()));
    let path = closed.as_ref().map(|(path, _)| path).or(sockets.last()).cloned();
    let failure = Failure::NoDaemon { tried };
    checks.push(Check::fail(SOCKET, failure.to_string(), failure.hint()));
    let denied = closed.is_some_and(|(_, kind)| kind == io::ErrorKind::PermissionDenied);
    let path = path.unwrap_or_default();
    checks.push(match denied {
        true => group(&path, false),
        false => Check::skip(GROUP, "nobody listens, so that nobody is turned away"),
    });
    Door { path, open: false }
}

fn answers(path: &Path, all: &[PathBuf]) -> String {
    let others = all.iter().filter(|other| *other != path && other.exists());
    let others: Vec<_> = others.map(|other| other.display().to_string()).collect();
    match others.is_empty() {
        true => path.display().to_string(),
        false => format!("{} comes before {}", path.display(), others.join(", ")),
    }
}

fn group(path: &Path, open: bool) -> Check {
    if geteuid().is_root() {
        return Check::ok(GROUP, "root may use every socket");
    }
    // The first that can be looked at is what turns us away: the socket or a folder above.
    let Some(obstacle) = path.ancestors().find_map(|path| fs::metadata(path).ok()) else {
        return Check::skip(GROUP, "nothing can be seen of the socket");
    };
    let user = geteuid().as_raw();
    if obstacle.uid() == user {
        return Check::ok(GROUP, "the socket is your own");
    }
    judge(&standing(user, obstacle.gid(), open))
}

fn standing(user: u32, group: u32, open: bool) -> Standing {
    let line = ask("getent", &["group", &group.to_string()]).unwrap_or_default();
    let entry = ask("getent", &["passwd", &user.to_string()]).unwrap_or_default();
    let (line, entry): (Vec<_>, Vec<_>) =
        (line.trim().split(':').collect(), entry.trim().split(':').collect());
    let name = entry.first().filter(|name| !name.is_empty());
    let members = line.get(3).into_iter().flat_map(|members| members.split(','));
    let primary = entry.get(3).is_some_and(|gid| *gid == group.to_string());
    let own: BTreeSet<u32> = getgroups().unwrap_or_default().iter().map(|g| g.as_raw()).collect();
    Standing {
        group: line
            .first()
            .filter(|name| !name.is_empty())
            .map_or(group.to_string(), |name| (*name).to_owned()),
        user: name.map_or(user.to_string(), |name| (*name).to_owned()),
        effective: getegid().as_raw() == group || own.contains(&group),
        listed: primary || name.is_some_and(|name| members.into_iter().any(|m| m == *name)),
        open,
    }
}

fn judge(standing: &Standing) -> Check {
    let Standing { group, user, effective, listed, open } = standing;
    let join = format!("sudo usermod -aG {group} {user}");
    match (open, effective, listed) {
        (true, true, true) => Check::ok(GROUP, format!("{user} is in the group {group}")),
        (true, true, false) => Check::warn(
            GROUP,
            format!("this login is in the group {group}, the next one will not be"),
            join,
        ),
        (true, false, _) => Check::ok(GROUP, "the socket is open to all"),
        (false, true, _) => Check::fail(
            GROUP,
            format!("{user} is in the group {group}, but the group may not use the socket"),
            "sudo systemctl restart bytchatd.socket bytchatd.service",
        ),
        (false, false, true) => Check::fail(
            GROUP,
            format!("{user} is in the group {group}, but this login began before that"),
            format!("log out and in again, or for this shell: newgrp {group}"),
        ),
        (false, false, false) => Check::fail(
            GROUP,
            format!("{user} is not in the group {group}"),
            format!("{join}\nand log in again"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn told(effective: bool, listed: bool, open: bool) -> Check {
        let (group, user) = ("bytchat".to_owned(), "ann".to_owned());
        judge(&Standing { group, user, effective, listed, open })
    }

    #[test]
    fn a_login_before_the_group_is_told_from_no_group() {
        let old = told(false, true, false);
        assert!(old.fix.unwrap().contains("log out and in again"), "{}", old.found);
        let none = told(false, false, false);
        assert!(none.fix.unwrap().starts_with("sudo usermod -aG bytchat ann\n"));
        assert_eq!([old.verdict, none.verdict], [Verdict::Fail; 2]);
    }

    #[test]
    fn who_is_let_in_is_warned_of_the_next_login_alone() {
        assert_eq!(told(true, true, true).verdict, Verdict::Ok);
        assert_eq!(told(false, false, true).verdict, Verdict::Ok);
        assert_eq!(told(true, false, true).verdict, Verdict::Warn);
        assert_eq!(told(true, true, false).verdict, Verdict::Fail);
    }
}
