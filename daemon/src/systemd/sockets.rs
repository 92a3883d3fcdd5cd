//! Sockets that systemd has bound for us (sd_listen_fds(3)), told apart by their names: with
//! several socket units their order is nobody's promise.

use std::io;
use std::net::UdpSocket;
use std::os::unix::net::UnixListener;

use bytchat_proto::limits::SOCKETS_PASSED_MAX;
use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

const RPC: &str = "rpc";
const QUIC: &str = "quic";

/// The sockets that were handed over.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Where front ends call.
    pub rpc: Option<UnixListener>,
    /// Where other nodes call, one for each address.
    pub quic: Vec<UdpSocket>,
}

/// Why the sockets that were handed over are of no use.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    /// There are too many.
    #[error("systemd passes {got} sockets, expected at most {SOCKETS_PASSED_MAX}")]
    TooMany {
        /// How many.
        got: String,
    },
    /// A socket has no name, or one that says nothing.
    #[error(
        "systemd passes a socket with the name {name:?}, expected {RPC:?} or {QUIC:?}: set \
         FileDescriptorName= in its socket unit"
    )]
    Name {
        /// The name; empty if there is none.
        name: String,
    },
    /// There are two where there can be one.
    #[error("systemd passes several sockets with the name {RPC:?}: let one socket unit have one")]
    Several,
    /// It is a socket of another kind.
    #[error(
        "the socket {name:?} of systemd is of another kind: {source}: use ListenStream= with a \
         path for {RPC:?}, ListenDatagram= with an address for {QUIC:?}"
    )]
    Kind {
        /// Its name.
        name: &'static str,
        /// What does not fit.
        source: io::Error,
    },
}

impl Sockets {
    /// Takes what was handed over to this very process; must be called before there are threads,
    /// and once.
    ///
    /// # Errors
    /// When a socket is not one that we know what to do with.
    pub fn take() -> Result<Self, SocketsError> {
        let names = names(|name| std::env::var(name).ok(), std::process::id())?;
        let mut sockets = Self::default();
        if names.is_empty() {
            return Ok(sockets);
        }
        let mut passed = ListenFd::from_env();
        for (index, name) in names.into_iter().enumerate() {
            let kind = |source| SocketsError::Kind { name, source };
            if name == QUIC {
                sockets.quic.extend(passed.take_udp_socket(index).map_err(kind)?);
            } else {
                let socket = passed.take_unix_listener(index).map_err(kind)?;
                sockets.rpc = socket.map(listening).transpose().map_err(kind)?;
            }
        }
        Ok(sockets)
    }
}

fn listening(socket: UnixListener) -> io::Result<UnixListener> {
    match socket_acceptconn(&socket)? {
        true => Ok(socket),
        false => Err(io::Error::other("it does not listen")),
    }
}

/// The names of the sockets for this process, in their order.
fn names(
    variable: impl Fn(&str) -> Option<String>,
    process: u32,
) -> Result<Vec<&'static str>, SocketsError> {
    let ours = variable("LISTEN_PID").is_some_and(|pid| pid == process.to_string());
    let Some(got) = variable("LISTEN_FDS").filter(|_| ours) else {
        return Ok(Vec::new());
    };
    let Some(count) = got.parse::<usize>().ok().filter(|count| *count <= SOCKETS_PASSED_MAX) else {
        return Err(SocketsError::TooMany { got });
    };
    let given = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut given = given.split(':');
    let mut names = Vec::new();
    for _ in 0..count {
        names.push(match given.next().unwrap_or_default() {
            RPC if names.contains(&RPC) => return Err(SocketsError::Several),
            RPC => RPC,
            QUIC => QUIC,
            other => return Err(SocketsError::Name { name: other.to_owned() }),
        });
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pid: &str, count: &str, given: &str) -> Result<Vec<&'static str>, String> {
        let variable = |name: &str| match name {
            "LISTEN_PID" => Some(pid.to_owned()),
            "LISTEN_FDS" => Some(count.to_owned()),
            "LISTEN_FDNAMES" => Some(given.to_owned()),
            _ => None,
        };
        names(variable, 7).map_err(|error| error.to_string())
    }

    #[test]
    fn sockets_are_told_apart_by_their_names_and_not_by_their_order() {
        assert_eq!(told("7", "3", "quic:rpc:quic").unwrap(), ["quic", "rpc", "quic"]);
        assert_eq!(told("7", "0", "").unwrap(), [""; 0]);
    }

    #[test]
    fn sockets_of_another_process_are_not_ours() {
        assert_eq!(told("8", "1", "rpc").unwrap(), [""; 0]);
        assert!(names(|_| None, 7).unwrap().is_empty());
    }

    #[test]
    fn a_socket_that_nobody_named_is_refused_with_the_remedy() {
        let unnamed = told("7", "2", "rpc").unwrap_err();
        assert!(unnamed.contains("name \"\", expected \"rpc\" or \"quic\""), "{unnamed}");
        let strange = told("7", "1", "bytchatd.socket").unwrap_err();
        assert!(strange.contains("set FileDescriptorName="), "{strange}");
        assert!(told("7", "2", "rpc:rpc").unwrap_err().contains("several"));
        assert!(told("7", "4000000000", "rpc").unwrap_err().contains("at most 16"));
        assert!(told("7", "many", "rpc").unwrap_err().contains("many sockets"));
    }

    #[test]
    fn a_socket_that_does_not_listen_is_none_of_the_front_ends() {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("a")).unwrap();
        listening(listener).unwrap();
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let error = listening(UnixListener::from(std::os::fd::OwnedFd::from(one))).unwrap_err();
        assert!(error.to_string().contains("does not listen"), "{error}");
    }
}
