//! What calls with a client id were answered: kept for a while, so that who repeats one gets the
//! same; and the calls under way that change something.

use std::collections::BTreeMap;

use bytchat_proto::limits::{
    ANSWERS_BYTES_PER_USER_MAX, ANSWERS_FORGOTTEN_AT_ONCE, ANSWERS_KEPT_MS, ANSWERS_PER_USER_MAX,
    PAGE_BYTES_MAX, RPC_CALLS_PER_USER_MAX, RPC_WAITS_MAX,
};
use bytchat_proto::rpc::{ErrorKind, RpcError};
use bytchat_proto::timestamp::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::io::{CallId, Outputs};
use crate::persist::{Query, Row, Table};

/// The beginning of the rows that count what each Unix user has.
const COUNT: &[u8] = b"answers/";
/// The row that says until when answers of former versions are kept.
const FORMER: &[u8] = b"answers-before";
/// What that row says if there are none.
const NO_FORMER: &[u8] = b"none";
/// The beginning of the rows that hold answers, and of those that say when each was given.
const ANSWER: &[u8] = b"a";
const TIME: &[u8] = b"t";
/// What a row takes besides the answer: its key, its place in time, and what was asked for.
const ROW_BYTES: u64 = 160;

/// A client id of a Unix user, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    uid: u32,
    id: [u8; 32],
}

/// A call that changes something and is not answered yet.
#[derive(Debug)]
pub struct Begun {
    uid: u32,
    /// Its client id, and the hash of what is asked for.
    client: Option<(Key, [u8; 32])>,
    dry_run: bool,
    /// When it came.
    at: Timestamp,
    /// The bytes of what is on disk of its answer.
    kept: Option<u64>,
}

/// An answer as it was kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    /// The hash of what was asked for.
    pub asked: [u8; 32],
    /// The answer.
    pub answer: Value,
}

/// What one Unix user has on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    rows: u64,
    bytes: u64,
}

/// What was counted anew so far, and from which row it goes on.
#[derive(Debug)]
struct Recount {
    count: Count,
    from: Vec<u8>,
}

/// The answers that are kept, and the calls under way.
#[derive(Debug, Default)]
pub struct Answers {
    begun: BTreeMap<CallId, Begun>,
    counts: BTreeMap<u32, Count>,
    /// Unix users whose count is damaged on disk.
    recounts: BTreeMap<u32, Recount>,
    /// Whether rows that are to be forgotten or counted are being read: one question at a time, so
    /// that none is counted down twice.
    pub sweeping: bool,
    /// Until when answers of former versions are kept, if there may be any.
    pub former: Former,
}

/// What is known of the answers that former versions kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Former {
    /// Nothing: no version that knows of them was started before.
    #[default]
    Unknown,
    /// They are removed then.
    Until(Timestamp),
    /// There are none any more.
    None,
}

impl Begun {
    /// A call of a Unix user, with its client id and the hash of what is asked for.
    pub fn new(uid: u32, client: Option<(Key, [u8; 32])>, dry_run: bool, at: Timestamp) -> Self {
        Self { uid, client, dry_run, at, kept: None }
    }
}

impl Key {
    /// The key of a client id.
    pub fn new(uid: u32, client_id: &str) -> Self {
        Self { uid, id: hash(client_id) }
    }

    /// Where the answer is.
    pub fn query(&self) -> Query {
        Query::row(Table::Answer, &self.row())
    }

    fn row(&self) -> Vec<u8> {
        [ANSWER, &self.uid.to_be_bytes(), &self.id].concat()
    }

    fn time(&self, at: Timestamp) -> Vec<u8> {
        [TIME, &at.0.to_be_bytes(), &self.uid.to_be_bytes(), &self.id].concat()
    }

    /// Reads a key in time.
    fn of_time(key: &[u8]) -> Option<(Self, Timestamp)> {
        let (at, rest) = key.strip_prefix(TIME)?.split_first_chunk()?;
        let (uid, id) = rest.split_first_chunk()?;
        let key = Self { uid: u32::from_be_bytes(*uid), id: id.try_into().ok()? };
        Some((key, Timestamp(u64::from_be_bytes(*at))))
    }
}

impl Kept {
    fn encode(asked: &[u8; 32], answer: &Value) -> Vec<u8> {
        [asked.as_slice(), answer.to_string().as_bytes()].concat()
    }

    /// Reads a row.
    pub fn decode(row: &[u8]) -> Option<Self> {
        let (asked, answer) = row.split_first_chunk()?;
        Some(Self { asked: *asked, answer: serde_json::from_slice(answer).ok()? })
    }
}

impl Answers {
    /// Takes a row at start; false if it is of something else.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> bool {
        if key == FORMER {
            self.former = match value.try_into().map(u64::from_be_bytes) {
                Ok(until) => Former::Until(Timestamp(until)),
                Err(_) if value == NO_FORMER => Former::None,
                // As after an update: nothing is done again that may have been done before.
                Err(_) => {
                    tracing::error!("until when former answers are kept is damaged on disk");
                    Former::Unknown
                }
            };
            return true;
        }
        let Some(uid) = key.strip_prefix(COUNT).and_then(|uid| uid.try_into().ok()) else {
            return false;
        };
        let count = value.split_first_chunk().and_then(|(rows, bytes)| {
            let bytes = u64::from_be_bytes(bytes.try_into().ok()?);
            Some(Count { rows: u64::from_be_bytes(*rows), bytes })
        });
        let uid = u32::from_be_bytes(uid);
        match count {
            Some(count) => drop(self.counts.insert(uid, count)),
            None => {
                tracing::error!(uid, "the number of remembered answers is damaged on disk");
                let from = [ANSWER, &uid.to_be_bytes()].concat();
                self.recounts.insert(uid, Recount { count: Count::default(), from });
            }
        }
        true
    }

    /// The next rows to be counted anew, if a count is damaged.
    pub fn recount(&self) -> Option<Query> {
        let (uid, Recount { from, .. }) = self.recounts.first_key_value()?;
        let prefix = [ANSWER, &uid.to_be_bytes()].concat();
        let query = Query::prefix(Table::Answer, &prefix, ANSWERS_FORGOTTEN_AT_ONCE);
        Some(Query { from: from.clone(), ..query }.within(PAGE_BYTES_MAX))
    }

    /// Counts such rows; when there are no more, the count is whole again.
    pub fn recounted(&mut self, rows: &[Row], out: &mut Outputs) {
        let Some(mut entry) = self.recounts.first_entry() else {
            return;
        };
        let Recount { count, from } = entry.get_mut();
        for (key, row) in rows {
            let bytes = u64::try_from(row.len()).unwrap_or(u64::MAX).saturating_add(ROW_BYTES);
            count.bytes = count.bytes.saturating_add(bytes);
            count.rows = count.rows.saturating_add(1);
            *from = [key.as_slice(), &[0]].concat();
        }
        if rows.is_empty() {
            let (uid, Recount { count, .. }) = entry.remove_entry();
            self.counts.insert(uid, count);
            self.count(uid, None, None, out);
        }
    }

    /// Sets what is known of the answers of former versions.
    pub fn set_former(&mut self, former: Former, out: &mut Outputs) {
        self.former = former;
        let row = match former {
            Former::Until(until) => until.0.to_be_bytes().to_vec(),
            Former::Unknown | Former::None => NO_FORMER.to_vec(),
        };
        out.put(Table::Node, FORMER, row);
    }

    /// Notes that a call is under way.
    pub fn begin(&mut self, call: CallId, begun: Begun) -> Result<(), RpcError> {
        let own = self.begun.values().filter(|other| other.uid == begun.uid).count();
        if self.begun.len() >= RPC_WAITS_MAX || own >= RPC_CALLS_PER_USER_MAX {
            return Err(ErrorKind::Busy.because("too many calls are under way"));
        }
        if let Some((key, _)) = begun.client {
            let same = |other: &Begun| other.client.is_some_and(|(other, _)| other == key);
            if self.begun.values().any(same) {
                return Err(ErrorKind::Busy.because("a call with this client id is under way"));
            }
        }
        self.begun.insert(call, begun);
        Ok(())
    }

    /// Whether there is room for one more answer of a Unix user, with all that are under way.
    ///
    /// SPEC 8.50: who has too many is refused beforehand, because what was done must be kept.
    pub fn check_room(&self, uid: u32) -> Result<(), RpcError> {
        if self.recounts.contains_key(&uid) {
            let error = "the client ids that are remembered for you are being counted anew";
            return Err(ErrorKind::Busy.because(error));
        }
        let Count { rows, bytes } = self.counts.get(&uid).copied().unwrap_or_default();
        let own = self.begun.values().filter(|begun| begun.uid == uid).count();
        let rows = rows.saturating_add(u64::try_from(own).unwrap_or(u64::MAX));
        if rows > ANSWERS_PER_USER_MAX || bytes > ANSWERS_BYTES_PER_USER_MAX {
            return Err(ErrorKind::Quota.because(
                "you have as many client ids of the last 7 days as are remembered: call without \
                 one, or wait until the oldest are forgotten",
            ));
        }
        Ok(())
    }

    /// Whether a call asks for what has this hash.
    pub fn is_asked(&self, call: CallId, asked: [u8; 32]) -> bool {
        let begun = self.begun.get(&call).and_then(|begun| begun.client);
        begun.is_some_and(|(_, own)| own == asked)
    }

    // SPEC 8.51: whoever changes something for a call asks this first.
    /// Whether a call is only to say what would happen.
    pub fn is_dry(&self, call: CallId) -> bool {
        self.begun.get(&call).is_some_and(|begun| begun.dry_run)
    }

    /// Writes an answer down, in one commit with what it speaks of. A later one takes its place.
    pub fn keep(&mut self, call: CallId, answer: &Value, out: &mut Outputs) {
        let Some(begun) = self.begun.get_mut(&call) else {
            return;
        };
        let Some((key, asked)) = begun.client.filter(|_| !begun.dry_run) else {
            return;
        };
        let row = Kept::encode(&asked, answer);
        let bytes = u64::try_from(row.len()).unwrap_or(u64::MAX).saturating_add(ROW_BYTES);
        let (before, at) = (begun.kept.replace(bytes), begun.at);
        out.put(Table::Answer, key.row(), row);
        out.put(Table::Answer, key.time(at), bytes.to_be_bytes());
        self.count(key.uid, before, Some(bytes), out);
    }

    /// The call is answered; what was kept for it goes if it has failed after all.
    pub fn end(&mut self, call: CallId, result: &mut Result<Value, RpcError>, out: &mut Outputs) {
        match result {
            Ok(answer) => {
                self.keep(call, answer, out);
                if self.is_dry(call) {
                    answer["dry_run"] = true.into();
                }
                self.begun.remove(&call);
            }
            Err(_) => {
                let begun = self.begun.remove(&call);
                let kept = begun.and_then(|begun| Some((begun.client?.0, begun.kept?, begun.at)));
                if let Some((key, bytes, at)) = kept {
                    self.remove(key, at, bytes, out);
                }
            }
        }
    }

    /// A call that was done before is answered from what was kept: nothing new is.
    pub fn replay(&mut self, call: CallId) {
        self.begun.remove(&call);
    }

    /// The rows of answers that are too old, so many at once.
    pub fn old(now: Timestamp, limit: usize) -> Query {
        let until = now.0.saturating_sub(ANSWERS_KEPT_MS);
        let mut query = Query::prefix(Table::Answer, TIME, limit);
        query.to = Some([TIME, &until.to_be_bytes()].concat());
        query
    }

    /// Forgets what such rows name.
    pub fn forget(&mut self, rows: &[Row], out: &mut Outputs) {
        for (time, bytes) in rows {
            let bytes = bytes.as_slice().try_into().map_or(ROW_BYTES, u64::from_be_bytes);
            match Key::of_time(time) {
                Some((key, at)) => self.remove(key, at, bytes, out),
                None => out.remove(Table::Answer, time.clone()),
            }
        }
    }

    fn remove(&mut self, key: Key, at: Timestamp, bytes: u64, out: &mut Outputs) {
        out.remove(Table::Answer, key.row());
        out.remove(Table::Answer, key.time(at));
        self.count(key.uid, Some(bytes), None, out);
    }

    fn count(&mut self, uid: u32, before: Option<u64>, after: Option<u64>, out: &mut Outputs) {
        let count = self.counts.entry(uid).or_default();
        let rows = count.rows.saturating_add(u64::from(after.is_some()));
        count.rows = rows.saturating_sub(u64::from(before.is_some()));
        let bytes = count.bytes.saturating_add(after.unwrap_or_default());
        count.bytes = bytes.saturating_sub(before.unwrap_or_default());
        let key = [COUNT, &uid.to_be_bytes()].concat();
        match *count {
            Count { rows: 0, .. } => {
                self.counts.remove(&uid);
                out.remove(Table::Node, key);
            }
            Count { rows, bytes } => {
                out.put(Table::Node, key, [rows.to_be_bytes(), bytes.to_be_bytes()].concat());
            }
        }
    }
}

/// SHA-256 of a text.
pub fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
