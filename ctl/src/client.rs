//! The daemon's socket: JSON-RPC 2.0, one object a line, one call at a time.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytchat_proto::limits::RPC_ANSWER_BYTES_MAX;
use bytchat_proto::rpc::session::Restrict;
use bytchat_proto::rpc::{Call, ErrorKind};
use bytchat_proto::secret::{SecretText, wipe};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::progress::{Progress, doing};

/// The daemon of the whole machine.
const SYSTEM_SOCKET: &str = "/run/bytchat/bytchatd.sock";
/// A call that is not to wait is answered by then, or the daemon is stuck: the slowest one
/// makes a key or asks a pod that does not answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// What an answer may take beyond a deadline that the daemon knows as well.
const ANSWER_GRACE: Duration = Duration::from_secs(2);
/// Lines up to this length do not grow while they are written or read, which would leave copies
/// behind: an account's private key fits.
const LINE_BYTES_ROOM: usize = 128 * 1024;
/// Between two tries to reach a daemon that is starting.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// What is said meanwhile.
const AWAY: &str = "bytchatd is away, it is tried again";

/// Calls the daemon, connecting when it has to.
#[derive(Debug)]
pub(crate) struct Client {
    sockets: Vec<PathBuf>,
    token: Option<SecretText>,
    stream: Option<BufReader<UnixStream>>,
    calls: u64,
    shows_progress: bool,
    patience: Duration,
}

/// Where the daemon may listen: what was named, or else the user's daemon before the system's.
pub(crate) fn sockets(
    named: Option<PathBuf>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Vec<PathBuf> {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    let named = named.or_else(|| variable("BYTCHAT_SOCKET").map(PathBuf::from));
    if let Some(path) = named {
        return vec![path];
    }
    let own = variable("XDG_RUNTIME_DIR").map(|dir| Path::new(&dir).join("bytchat/bytchatd.sock"));
    own.into_iter().chain([SYSTEM_SOCKET.into()]).collect()
}

impl Client {
    /// A client of the first of the sockets that answers.
    pub(crate) fn new(sockets: Vec<PathBuf>) -> Self {
        let (calls, shows_progress, patience) = (0, false, ANSWER_TIMEOUT);
        Self { sockets, token: None, stream: None, calls, shows_progress, patience }
    }

    /// The same, which narrows each of its connections by a token.
    pub(crate) fn narrowed_by(self, token: Option<SecretText>) -> Self {
        Self { token, ..self }
    }

    /// Another one with the same sockets and the same rights.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.sockets.clone()).narrowed_by(self.token.clone())
    }

    /// The same, which says on stderr what takes long.
    pub(crate) fn showing_progress(self, shows_progress: bool) -> Self {
        Self { shows_progress, ..self }
    }

    /// Waits no longer than so for answers from now on.
    pub(crate) fn be_patient(&mut self, patience: Duration) {
        self.patience = patience.min(ANSWER_TIMEOUT);
    }

    /// Whether it says on stderr what takes long.
    pub(crate) fn shows_progress(&self) -> bool {
        self.shows_progress
    }

    /// Where the daemon may listen.
    pub(crate) fn sockets(&self) -> &[PathBuf] {
        &self.sockets
    }

    /// Connects if there is no connection.
    pub(crate) fn connect(&mut self) -> Result<(), Failure> {
        if self.stream.is_some() {
            return Ok(());
        }
        let mut tried = Vec::new();
        for path in &self.sockets {
            match UnixStream::connect(path) {
                Ok(stream) => {
                    self.stream = Some(BufReader::new(stream));
                    return self.narrow();
                }
                Err(error) => tried.push((path.clone(), error)),
            }
        }
        Err(Failure::NoDaemon { tried })
    }

    /// Gives up what the token does not leave, before anything else is asked.
    fn narrow(&mut self) -> Result<(), Failure> {
        let Some(token) = self.token.clone() else {
            return Ok(());
        };
        let call = Call::SessionRestrict(Restrict { token: Some(token), ..Restrict::default() });
        let mut params = call.params();
        let narrowed = self.ask(call.method(), &params, Duration::ZERO);
        wipe(&mut params);
        if narrowed.is_err() {
            // Nothing is asked with more rights than were wished.
            self.stream = None;
        }
        narrowed.map(drop)
    }

    /// Calls and reads the answer as what it should be.
    pub(crate) fn call<T: DeserializeOwned>(&mut self, call: &Call) -> Result<T, Failure> {
        understand(self.call_json(call)?)
    }

    /// Calls.
    pub(crate) fn call_json(&mut self, call: &Call) -> Result<Value, Failure> {
        let (method, mut params) = (call.method(), call.params());
        let shown = self.shows_progress.then(|| Progress::start(doing(method)));
        let result = self.call_raw(method, &params, Duration::ZERO);
        drop(shown);
        wipe(&mut params);
        result
    }

    /// Calls and, if the daemon goes away meanwhile, calls again until the deadline. The call
    /// must be one that can be repeated. That the daemon runs at first is asked for.
    pub(crate) fn call_again(&mut self, call: &Call, until: Instant) -> Result<Value, Failure> {
        self.connect()?;
        let (mut away, mut tried) = (None, false);
        loop {
            // A daemon that hangs is waited for no longer than one that is away.
            let left = until.saturating_duration_since(Instant::now());
            self.be_patient(left.saturating_add(ANSWER_GRACE));
            let result = self.call_json(call);
            self.be_patient(ANSWER_TIMEOUT);
            match result {
                Err(failure) if passes(&failure, tried) && Instant::now() < until => {
                    tried = true;
                    if self.shows_progress && away.is_none() {
                        away = Some(Progress::start(AWAY));
                    }
                    std::thread::sleep(RECONNECT_PAUSE);
                }
                result => return result,
            }
        }
    }

    /// Calls a method by name; the daemon may take `wait` longer than usual.
    pub(crate) fn call_raw(
        &mut self,
        method: &str,
        params: &Value,
        wait: Duration,
    ) -> Result<Value, Failure> {
        self.connect()?;
        self.ask(method, params, wait)
    }

    fn ask(&mut self, method: &str, params: &Value, wait: Duration) -> Result<Value, Failure> {
        self.calls += 1;
        let id = self.calls;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let line = line_of(request);
        let result = self.exchange(&line, id, wait);
        let keep = matches!(&result, Ok(_) | Err(Failure::Refused { .. }));
        if !keep || result.as_ref().is_err_and(Failure::is_passing) {
            self.stream = None;
        }
        result
    }

    fn exchange(&mut self, line: &[u8], id: u64, wait: Duration) -> Result<Value, Failure> {
        let stream = self.stream.as_mut().expect("connect was called");
        let socket = stream.get_mut();
        socket.set_read_timeout(Some(self.patience.saturating_add(wait))).map_err(Failure::Lost)?;
        // A daemon that has no room says so and closes: the write may fail while that answer
        // waits to be read, so reading decides.
        let written = socket.write_all(line);
        loop {
            let answer = match (read_answer(stream), &written) {
                (Err(Failure::Lost(_)), Err(error)) => {
                    return Err(Failure::Lost(error.kind().into()));
                }
                (answer, _) => answer?,
            };
            let addressed = answer.get("id");
            if addressed == Some(&json!(id)) || addressed == Some(&Value::Null) {
                return result_of(answer);
            }
        }
    }
}

/// Whether a call is made again: also when the daemon is still busy with it from the time before.
fn passes(failure: &Failure, tried: bool) -> bool {
    failure.is_passing() || (tried && failure.kind() == Some(ErrorKind::Busy))
}

/// A request as it is sent; neither it nor the line is left in memory.
fn line_of(mut request: Value) -> Zeroizing<Vec<u8>> {
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_BYTES_ROOM));
    serde_json::to_writer(&mut *line, &request).expect("a value is written into memory");
    line.push(b'\n');
    wipe(&mut request);
    line
}

fn read_answer(stream: &mut BufReader<UnixStream>) -> Result<Value, Failure> {
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_BYTES_ROOM));
    let limit = u64::try_from(RPC_ANSWER_BYTES_MAX).unwrap_or(u64::MAX);
    let read = stream.take(limit).read_until(b'\n', &mut line);
    match read {
        Ok(_) if line.ends_with(b"\n") => {}
        Ok(_) if line.len() >= RPC_ANSWER_BYTES_MAX => {
            return Err(Failure::Strange("the answer is too long".to_owned()));
        }
        Ok(_) => return Err(Failure::Lost(io::ErrorKind::UnexpectedEof.into())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(Failure::Lost(io::ErrorKind::TimedOut.into()));
        }
        Err(error) => return Err(Failure::Lost(error)),
    }
    serde_json::from_slice(&line).map_err(|error| Failure::Strange(error.to_string()))
}

fn result_of(mut answer: Value) -> Result<Value, Failure> {
    if let Some(result) = answer.get_mut("result") {
        return Ok(result.take());
    }
    let error = &answer["error"];
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let (Some(code), Some(message)) = (error["code"].as_i64(), text(&error["message"])) else {
        return Err(Failure::Strange(answer.to_string()));
    };
    let data = &error["data"];
    let kind = serde_json::from_value::<ErrorKind>(data["kind"].clone()).ok();
    let kind = kind.or_else(|| ErrorKind::from_code(code.try_into().ok()?));
    let own = |own: fn(ErrorKind) -> &'static str| kind.map_or("", own).to_owned();
    Err(Failure::Refused {
        code,
        kind,
        name: text(&data["kind"]).unwrap_or_else(|| own(ErrorKind::name)),
        hint: text(&data["hint"]).unwrap_or_else(|| own(ErrorKind::hint)),
        message,
    })
}

/// Reads a result as what it should be.
pub(crate) fn understand<T: DeserializeOwned>(result: Value) -> Result<T, Failure> {
    serde_json::from_value(result).map_err(|error| Failure::Strange(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| {
            let pair = pairs.iter().find(|(known, _)| *known == name);
            pair.map(|(_, value)| value.into())
        }
    }

    #[test]
    fn a_named_socket_is_the_only_one() {
        let variables = with(&[("BYTCHAT_SOCKET", "/env"), ("XDG_RUNTIME_DIR", "/run/user/1")]);
        assert_eq!(sockets(Some("/opt".into()), &variables), [Path::new("/opt")]);
        assert_eq!(sockets(None, &variables), [Path::new("/env")]);
    }

    #[test]
    fn the_user_s_daemon_is_tried_before_the_system_s() {
        let variables = with(&[("BYTCHAT_SOCKET", ""), ("XDG_RUNTIME_DIR", "/run/user/1")]);
        assert_eq!(
            sockets(None, variables),
            [Path::new("/run/user/1/bytchat/bytchatd.sock"), Path::new(SYSTEM_SOCKET)]
        );
        assert_eq!(sockets(None, with(&[])), [Path::new(SYSTEM_SOCKET)]);
    }

    #[test]
    fn an_error_without_data_is_known_by_its_number() {
        let answer = json!({ "id": 1, "error": { "code": 1006, "message": "late" } });
        let failure = result_of(answer).unwrap_err();
        assert_eq!(failure.kind(), Some(ErrorKind::Timeout));
        assert_eq!(failure.exit_code(), 6);
    }

    #[test]
    fn an_error_of_a_later_daemon_keeps_its_name() {
        let error = json!({ "code": 4711, "message": "m", "data": { "kind": "new", "hint": "h" } });
        let failure = result_of(json!({ "id": 1, "error": error })).unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(failure.to_json()["error"]["kind"], "new");
        assert_eq!(failure.to_json()["error"]["hint"], "h");
    }

    #[test]
    fn what_is_no_answer_is_no_panic() {
        for answer in [json!({}), json!([1]), json!(null), json!({ "error": 1 })] {
            assert!(matches!(result_of(answer), Err(Failure::Strange(_))));
        }
    }
}
