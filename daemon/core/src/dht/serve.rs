//! What this node answers to others, and what it keeps for them.

use bytchat_proto::codec::decode;
use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{BUCKET_CONTACTS_MAX, CONTACTS_PER_ANSWER_MAX};
use bytchat_proto::point::Point;
use bytchat_proto::record::{
    Contact, LocationBody, Record, RecordError, RecordKind, verify_record_within,
};
use bytchat_proto::unverified::VerifyError;
use bytchat_proto::wire::{Contacts, Refusal, Request, Response};

use super::Dht;
use super::lookup::Slotted;
use super::put::stale_detail;
use super::records::Kept;
use crate::io::Outputs;
use crate::stamp::Why;
use crate::time::Now;

impl Dht {
    /// Answers a request of another node; `None` if the verb belongs to somebody else.
    pub fn handle_request(
        &mut self,
        from: Option<NodeId>,
        request: &Request,
        now: Now,
        out: &mut Outputs,
    ) -> Option<Response> {
        if let Some(node) = from {
            self.noticed(node, now);
        }
        match request {
            Request::Ping => Some(Response::Done),
            Request::FindNode { target } => {
                let contacts = self.contacts_near(*target, from);
                Some(Response::Nodes(Contacts { contacts }))
            }
            Request::FindRecord { target, kind } => Some(Response::Records {
                records: self.records.answer(*target, *kind, now.wall),
                contacts: self.contacts_near(*target, from),
            }),
            Request::PutRecord { record } => Some(self.put_here(from, record, now, out)),
            Request::TakeKeys { .. }
            | Request::PutKeys { .. }
            | Request::Deposit { .. }
            | Request::Attach { .. }
            | Request::Prove { .. }
            | Request::Remove { .. }
            | Request::Fetch { .. }
            | Request::ShowKept { .. }
            | Request::Compare { .. }
            | Request::Notify { .. }
            | Request::RegisterAlias { .. }
            | Request::ResolveAlias { .. } => None,
        }
    }

    fn contacts_near(&self, target: Point, asker: Option<NodeId>) -> Vec<Contact> {
        // SPEC 4.8: only contacts that answered themselves are handed on.
        let near = self.table.closest(target, CONTACTS_PER_ANSWER_MAX + 1, true);
        near.iter()
            .filter(|peer| Some(peer.node) != asker)
            .take(CONTACTS_PER_ANSWER_MAX)
            .map(|peer| (*peer.contact).clone())
            .collect()
    }

    fn put_here(
        &mut self,
        from: Option<NodeId>,
        record: &Record,
        now: Now,
        out: &mut Outputs,
    ) -> Response {
        if !self.may_check_record(record, from.unwrap_or(self.own.node), now) {
            return Response::refused(Refusal::Busy, "too many stamps are to be checked");
        }
        // SPEC 4.6: the holder checks before it stores.
        let checked = self.check_record(record, now);
        let new = match checked {
            Ok(new) => new,
            Err(error) => return Response::refused(reason_of(&error), error.to_string()),
        };
        if !self.may_hold(new.slot.point, BUCKET_CONTACTS_MAX) {
            return Response::refused(Refusal::NotClosest, "20 nodes known here are closer");
        }
        match self.keep(&new, from, now, out) {
            Kept::New | Kept::Same => Response::Done,
            Kept::Stale(sequence) => Response::refused(Refusal::Stale, stale_detail(sequence)),
            Kept::Full => Response::refused(Refusal::Full, "no room for a record so far away"),
        }
    }

    /// Whether a record costs no proof of work to check, or the node that brings it may make us
    /// check one.
    pub(super) fn may_check_record(&mut self, record: &Record, from: NodeId, now: Now) -> bool {
        let named = record.peek().ok().filter(|body| body.kind == RecordKind::Location);
        let body = named.and_then(|body| decode::<LocationBody>(&body.body).ok());
        let contact = body.and_then(|body| body.contact.peek().ok());
        contact.is_none_or(|it| self.checked.stamps.may_check(&it, from, Why::Pushed, now.mono))
    }

    /// Checks a record of somebody else.
    pub(super) fn check_record(
        &mut self,
        record: &Record,
        now: Now,
    ) -> Result<Slotted, RecordError> {
        let record = verify_record_within(record, self.network, self.doubt.around(now.wall))?;
        if record.kind == RecordKind::Location {
            let body: LocationBody = decode(&record.body)?;
            self.checked.stamps.check(&body.contact.peek()?)?;
        }
        Ok(Slotted { slot: record.slot()?, record: record.into() })
    }

    /// Keeps a record, and notes who holds it too: the node that brought it, and the others
    /// that it will have brought it to.
    pub(super) fn keep(
        &mut self,
        new: &Slotted,
        from: Option<NodeId>,
        now: Now,
        out: &mut Outputs,
    ) -> Kept {
        let kept = self.records.keep(new, now.mono, out);
        if !matches!(kept, Kept::New | Kept::Same) {
            return kept;
        }
        // Who brought it may see a smaller region than we do: the nearest are sure to have it.
        let (others, _) = self.table.holders(new.slot.point, None);
        if let Some(held) = self.records.get_mut(&new.slot) {
            held.refreshed = now.mono;
            let all = others.iter().map(|peer| peer.node).chain(from);
            all.for_each(|node| held.confirm(node));
        }
        if kept == Kept::New {
            self.watch(new.slot.point, now, out);
            self.plan_expiry(now);
        }
        kept
    }
}

fn reason_of(error: &RecordError) -> Refusal {
    match error {
        RecordError::Expired(_) => Refusal::Expired,
        RecordError::Verify(VerifyError::Key(_)) => Refusal::BadSignature,
        RecordError::TooLong { .. }
        | RecordError::Suite(_)
        | RecordError::Network { .. }
        | RecordError::WrongSigner(_)
        | RecordError::WrongUser { .. }
        | RecordError::Future(_)
        | RecordError::Lifetime { .. }
        | RecordError::Limit(_)
        | RecordError::Work { .. }
        | RecordError::Verify(VerifyError::Decode(_)) => Refusal::Malformed,
    }
}
