//! Client ids: a call that is repeated with the same one gives the first answer again.

use bytchat_proto::id::UserId;
use bytchat_proto::rpc::message::Sent;
use bytchat_proto::rpc::{ErrorKind, to_result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Node;
use super::history::Loading;
use super::send::Draft;
use crate::persist::{Query, Row, Table};
use crate::time::Now;

impl Node {
    /// Remembers what a client id led to, so that a repeated call gives the same answer.
    pub(super) fn remember_client(&mut self, account: UserId, client_id: &str, done: &ClientDone) {
        let row = serde_json::to_vec(done).expect("answers have a JSON form");
        self.out.put(Table::MessageIndex, client_key(account, client_id), row);
    }

    /// Looks whether a client id was used before, then sends.
    pub(super) fn load_client(&mut self, draft: Draft, client_id: &str, to: UserId) {
        if !self.waits.begin_client((draft.account, hash(client_id))) {
            let error = ErrorKind::Busy.because("a call with this client id is under way");
            return self.reply(draft.call, Err(error));
        }
        let key = client_key(draft.account, client_id);
        let query = Query::row(Table::MessageIndex, &key);
        self.load(query, Loading::Client { draft: Box::new(draft), to });
    }

    pub(super) fn handle_client(&mut self, draft: Draft, to: UserId, rows: &[Row], now: Now) {
        let client_id = draft.client_id.clone().unwrap_or_default();
        self.waits.end_client(&(draft.account, hash(&client_id)));
        let used = rows.first().and_then(|(_, value)| serde_json::from_slice(value).ok());
        match used {
            Some(ClientDone { sent, text }) if text == hash(&draft.text) && sent.to == to => {
                self.reply(draft.call, Ok(to_result(&sent)));
            }
            Some(_) => self.reply(
                draft.call,
                Err(ErrorKind::Conflict.because("this client id was used for another message")),
            ),
            None => self.send(draft, to, now),
        }
    }
}

/// What a client id led to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ClientDone {
    pub(super) sent: Sent,
    pub(super) text: [u8; 32],
}

/// SHA-256 of a text.
pub(super) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn client_key(account: UserId, client_id: &str) -> Vec<u8> {
    [b"c".as_slice(), account.as_bytes(), &hash(client_id)].concat()
}
