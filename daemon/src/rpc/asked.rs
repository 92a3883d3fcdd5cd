//! A request on its way in: bounded, and counted from its first bytes on.

use std::sync::Arc;

use bytchat_proto::rpc::RpcError;
use zeroize::Zeroizing;

use super::desk::Desk;
use super::quota::{Place, Quota};

/// A request, or several as a batch. It may hold a private key, and is wiped when it is dropped.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) text: Zeroizing<Vec<u8>>,
    /// What it takes of its user's bytes.
    pub(super) bytes: Place,
}

/// Why a request is not read to its end.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is above the limit.
    TooLong,
    /// Its user has too much under way.
    Refused(RpcError),
}

/// What has come of a request. After it was refused the rest of it is skipped.
#[derive(Debug)]
pub(super) struct Partial {
    text: Zeroizing<Vec<u8>>,
    bytes: Place,
    skipping: bool,
    bytes_max: usize,
    quota: Arc<Quota>,
    uid: u32,
}

impl Partial {
    pub(super) fn new(quota: &Arc<Quota>, uid: u32, bytes_max: usize) -> Self {
        let (quota, bytes) = (Arc::clone(quota), quota.none(uid));
        Self { text: Zeroizing::default(), bytes, skipping: false, bytes_max, quota, uid }
    }

    /// For requests to a desk.
    pub(super) fn at(desk: &Desk, uid: u32, bytes_max: usize) -> Self {
        Self::new(&desk.bytes, uid, bytes_max)
    }

    /// Whether something has come and not all.
    pub(super) fn is_begun(&self) -> bool {
        self.skipping || !self.text.is_empty()
    }

    // SPEC 8.7: who has too much under way is told so, and not read further.
    /// Takes more of it in.
    pub(super) fn extend(&mut self, part: &[u8]) -> Result<(), Unread> {
        if self.skipping {
            return Ok(());
        }
        let bytes = self.text.len() + part.len();
        if bytes > self.bytes_max {
            self.skip();
            return Err(Unread::TooLong);
        }
        if bytes > self.text.capacity() {
            let room = match self.text.is_empty() {
                true => bytes,
                false => bytes.max((2 * bytes).min(self.bytes_max)),
            };
            if let Err(error) = self.bytes.hold(room) {
                self.skip();
                return Err(Unread::Refused(error));
            }
            // A text that has to grow moves, and its old place is wiped.
            let mut larger = Zeroizing::new(Vec::with_capacity(room));
            larger.extend_from_slice(&self.text);
            self.text = larger;
        }
        self.text.extend_from_slice(part);
        Ok(())
    }

    /// Ends the request; gives it unless it was refused.
    pub(super) fn finish(&mut self) -> Option<Asked> {
        if std::mem::take(&mut self.skipping) {
            return None;
        }
        let text = std::mem::take(&mut self.text);
        let bytes = std::mem::replace(&mut self.bytes, self.quota.none(self.uid));
        Some(Asked { text, bytes })
    }

    fn skip(&mut self) {
        self.text = Zeroizing::default();
        self.bytes = self.quota.none(self.uid);
        self.skipping = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytchat_proto::limits::RPC_FREE_BYTES;

    #[test]
    fn what_is_read_is_counted_until_it_is_dropped_and_no_more_than_there_is_room_for() {
        let quota = Quota::new("bytes", 10 * RPC_FREE_BYTES, 4 * RPC_FREE_BYTES);
        let mut partial = Partial::new(&quota, 1, 8 * RPC_FREE_BYTES);
        let part = vec![b'x'; RPC_FREE_BYTES];
        partial.extend(&part[1..]).unwrap();
        partial.extend(&part).unwrap();
        assert_eq!(quota.taken(), 2 * (2 * RPC_FREE_BYTES - 1));
        let asked = partial.finish().unwrap();
        assert_eq!(asked.text.len(), 2 * RPC_FREE_BYTES - 1);
        assert!(quota.taken() >= asked.text.capacity());
        partial.extend(&part[1..]).unwrap();
        assert!(matches!(partial.extend(&part), Err(Unread::Refused(_))));
        drop(asked);
        assert_eq!(quota.taken(), 0);
        partial.extend(&part).unwrap();
        assert!(partial.skipping && partial.finish().is_none() && !partial.is_begun());
    }
}
