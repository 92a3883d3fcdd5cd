//! The inbox: the holders that our devices are attached to, and what was already opened.

mod catching;
mod removals;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};

use bytchat_proto::id::{BlockId, EnvelopeId, NodeId, UserId};
use bytchat_proto::limits::{
    ACCOUNTS_MAX, ATTACH_RETRY_MAX_MS, ATTACH_RETRY_MIN_MS, CHALLENGE_MS, FAILED_ENVELOPES_MAX,
    HOLDERS_MAX, PODS_PER_USER_MAX, RECEIPT_AGAIN_MS, RECEIPTS_AGAIN_MAX, SEEN_MAX, SEEN_TTL_MS,
};
use bytchat_proto::record::NodeRecord;
use bytchat_proto::timestamp::Timestamp;

use crate::fill::Fills;
use crate::io::{LinkId, Outputs};
use crate::persist::Table;
use crate::recent::Recent;
use crate::time::{Deadline, Mono, Now};

use catching::{Catching, all_of};
pub use removals::RemovalId;
use removals::Removals;
pub use wanted::Fetch;
use wanted::Wanted;

/// How an attachment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// To be asked for at this time.
    Wanted(Mono),
    /// Asked for; given up at this time.
    Asked(Mono),
    /// Proven over this link: mail may come before the answer. That comes, or the link goes.
    Proven(LinkId),
    /// Mail is pushed over this link.
    Attached(LinkId),
}

impl Phase {
    /// The link over which mail may come.
    fn link(self) -> Option<LinkId> {
        match self {
            Self::Proven(link) | Self::Attached(link) => Some(link),
            Self::Wanted(_) | Self::Asked(_) => None,
        }
    }

    /// When something is to be done about it.
    fn due(self) -> Option<Mono> {
        match self {
            Self::Wanted(at) | Self::Asked(at) => Some(at),
            Self::Proven(_) | Self::Attached(_) => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Attachment {
    record: NodeRecord,
    phase: Phase,
    tries: u32,
    /// What waited there when it was attached, once that is known.
    waiting: Option<u32>,
    /// What went there since it was asked for.
    gone: u32,
}

/// The message that an envelope brought, and who wrote it: for a receipt that got lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brought {
    /// Who wrote it.
    pub from: UserId,
    /// The message.
    pub block: BlockId,
}

/// An envelope that was opened.
#[derive(Clone, Copy, Debug)]
struct Seen {
    until: Timestamp,
    brought: Option<Brought>,
}

/// The holders of our own mail, and what came from them.
#[derive(Debug, Default)]
pub struct Inbox {
    holders: BTreeMap<(UserId, NodeId), Attachment>,
    seen: BTreeMap<EnvelopeId, Seen>,
    seen_ends: BTreeSet<(Timestamp, EnvelopeId)>,
    told_again: BTreeMap<EnvelopeId, Mono>,
    failed: Recent<EnvelopeId, FAILED_ENVELOPES_MAX>,
    removals: Removals,
    wanted: Wanted,
    catching: BTreeMap<UserId, Catching>,
}

impl Inbox {
    /// How full everything is that others can fill.
    pub fn fills(&self, fills: &mut Fills) {
        fills.note("envelopes opened", self.seen.len().max(self.seen_ends.len()), SEEN_MAX);
        fills.note("receipts sent again", self.told_again.len(), RECEIPTS_AGAIN_MAX);
        fills.note("envelopes that do not open", self.failed.count(), FAILED_ENVELOPES_MAX);
        let holders = ACCOUNTS_MAX * (HOLDERS_MAX + PODS_PER_USER_MAX);
        fills.note("holders of our mail", self.holders.len(), holders);
        self.removals.fills(fills);
        self.wanted.fills(fills);
    }

    /// Reads a row of `Seen` at start.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) {
        match (EnvelopeId::from_slice(key), Seen::parse(value)) {
            (Some(id), Some(seen)) => {
                self.seen.insert(id, seen);
                self.seen_ends.insert((seen.until, id));
            }
            _ => tracing::error!("a mark that an envelope was opened is unreadable"),
        }
    }

    /// Names the nodes that a user's device should be attached to. Gives back those that are no
    /// longer needed and whose link was kept.
    pub fn set_holders(&mut self, user: UserId, nodes: &[NodeRecord], now: Now) -> Vec<NodeId> {
        let wanted: BTreeMap<NodeId, &NodeRecord> =
            nodes.iter().map(|record| (record.node(), record)).collect();
        let mut dropped = Vec::new();
        self.holders.retain(|(owner, node), attachment| {
            let stays = *owner != user || wanted.contains_key(node);
            if !stays && attachment.phase.link().is_some() {
                dropped.push(*node);
            }
            stays
        });
        for (node, record) in wanted {
            let attachment = self.holders.entry((user, node)).or_insert_with(|| Attachment {
                record: record.clone(),
                phase: Phase::Wanted(now.mono),
                tries: 0,
                waiting: None,
                gone: 0,
            });
            // It has moved: it may be tried at its new place at once.
            if attachment.record.addresses != record.addresses
                && matches!(attachment.phase, Phase::Wanted(_))
            {
                attachment.phase = Phase::Wanted(now.mono);
            }
            attachment.record = record.clone();
        }
        dropped
    }

    /// The holders that are to be asked now; each counts as asked from here on.
    pub fn due(&mut self, now: Now) -> Vec<(UserId, NodeRecord)> {
        let mut due = Vec::new();
        for ((user, _), attachment) in &mut self.holders {
            if attachment.phase.due().is_some_and(|at| now.mono >= at) {
                attachment.phase = Phase::Asked(now.mono.plus_ms(CHALLENGE_MS));
                due.push((*user, attachment.record.clone()));
            }
        }
        due
    }

    /// The node of a holder.
    pub fn record(&self, user: UserId, node: NodeId) -> Option<&NodeRecord> {
        self.holders.get(&(user, node)).map(|attachment| &attachment.record)
    }

    /// A holder gets the proof, over a link that is to be kept from now on; false if it is no
    /// longer wanted, or mail may come from it already.
    pub fn proven(&mut self, user: UserId, node: NodeId, link: LinkId) -> bool {
        let Some(attachment) = self.holders.get_mut(&(user, node)) else {
            return false;
        };
        if attachment.phase.link().is_some() {
            return false;
        }
        attachment.phase = Phase::Proven(link);
        (attachment.waiting, attachment.gone) = (None, 0);
        true
    }

    /// A holder believed the proof, and says how much waits; false if it was sent none, or is no
    /// longer wanted.
    pub fn attached(&mut self, user: UserId, node: NodeId, waiting: u32) -> bool {
        let Some(attachment) = self.holders.get_mut(&(user, node)) else {
            return false;
        };
        let Some(link) = attachment.phase.link() else {
            return false;
        };
        attachment.phase = Phase::Attached(link);
        (attachment.tries, attachment.waiting) = (0, Some(waiting));
        true
    }

    /// A holder did not answer or refused: later again, and ever later. True if its link was kept
    /// and need not be any more.
    pub fn failed(&mut self, user: UserId, node: NodeId, now: Now) -> bool {
        let Some(attachment) = self.holders.get_mut(&(user, node)) else {
            return false;
        };
        let kept = attachment.phase.link().is_some();
        let wait = ATTACH_RETRY_MIN_MS << attachment.tries.min(10);
        attachment.tries += 1;
        attachment.phase = Phase::Wanted(now.mono.plus_ms(wait.min(ATTACH_RETRY_MAX_MS)));
        kept
    }

    /// A link is gone: its attachments are asked for again. Gives back the node of each.
    pub fn link_down(&mut self, link: LinkId, now: Now) -> Vec<NodeId> {
        let mut gone = Vec::new();
        for ((user, node), attachment) in &mut self.holders {
            if attachment.phase.link() == Some(link) {
                attachment.phase = Phase::Wanted(now.mono.plus_ms(ATTACH_RETRY_MIN_MS));
                gone.push((*user, *node));
            }
        }
        gone.iter().for_each(|(user, _)| self.cut_off(*user, now));
        gone.into_iter().map(|(_, node)| node).collect()
    }

    /// The links over which a user's mail may come.
    pub fn links(&self, user: UserId) -> Vec<LinkId> {
        self.of_user(user).filter_map(|attachment| attachment.phase.link()).collect()
    }

    /// Whether a user's mail may come over a link: its device is attached there, or has sent its
    /// proof. Large frames overtake small ones, so that mail may come before the answer.
    pub fn may_bring(&self, user: UserId, link: LinkId) -> bool {
        self.links(user).contains(&link)
    }

    /// Whether an envelope was opened before.
    pub fn has_seen(&self, id: EnvelopeId) -> bool {
        self.seen.contains_key(&id)
    }

    /// Whether an envelope was found not to open. Its id is the hash of all of it, so that another
    /// copy, from another holder, need not be tried.
    pub fn has_failed(&self, id: EnvelopeId) -> bool {
        self.failed.has(&id)
    }

    /// Remembers for a while that an envelope does not open.
    pub fn fail(&mut self, id: EnvelopeId) {
        self.failed.add(id);
    }

    /// Remembers an envelope for as long as a copy of it may come back. SPEC 6.12: an envelope is
    /// opened once.
    pub fn see(&mut self, id: EnvelopeId, brought: Option<Brought>, now: Now, out: &mut Outputs) {
        let until = now.wall.plus_ms(SEEN_TTL_MS);
        let seen = Seen { until, brought };
        if self.seen.len() >= SEEN_MAX {
            self.forget_first(out);
        }
        if let Some(old) = self.seen.insert(id, seen) {
            self.seen_ends.remove(&(old.until, id));
        }
        self.seen_ends.insert((until, id));
        out.put(Table::Seen, id.as_bytes(), seen.encode());
    }

    /// The message whose receipt is to be sent again, because its envelope came back: the sender
    /// deposits until it has one. Copies of the first days come from several holders and want
    /// none, and later ones want one in a while.
    pub fn receipt_again(&mut self, id: EnvelopeId, now: Now) -> Option<Brought> {
        let seen = self.seen.get(&id)?;
        let opened = seen.until.minus_ms(SEEN_TTL_MS);
        let brought = seen.brought.filter(|_| now.wall.since_ms(opened) >= RECEIPT_AGAIN_MS)?;
        self.told_again.retain(|_, at| now.mono.since_ms(*at) < RECEIPT_AGAIN_MS);
        if self.told_again.len() >= RECEIPTS_AGAIN_MAX || self.told_again.contains_key(&id) {
            return None;
        }
        self.told_again.insert(id, now.mono);
        Some(brought)
    }

    /// Notes that a holder tells of an envelope.
    pub fn want(&mut self, user: UserId, from: LinkId, id: EnvelopeId, now: Now) {
        self.wanted.add(user, from, id, now.mono);
    }

    /// The questions for envelopes of which holders have told.
    pub fn poll_wanted(&mut self, now: Now) -> Vec<Fetch> {
        let mut wanted = std::mem::take(&mut self.wanted);
        let due = wanted.poll(|user| self.links(user), now.mono);
        self.wanted = wanted;
        due
    }

    /// Notes that an envelope may go at all holders; removals are gathered for a moment.
    pub fn remove(&mut self, user: UserId, id: EnvelopeId, now: Now) {
        self.wanted.found(user, id);
        for link in self.links(user) {
            self.owe(user, link, id, now);
        }
    }

    /// Notes that an envelope may go at the holder that has brought it or told of it.
    pub fn remove_at(&mut self, user: UserId, link: LinkId, id: EnvelopeId, now: Now) {
        if self.may_bring(user, link) {
            self.owe(user, link, id, now);
        }
    }

    /// The removals that are due, in lists that fit one request each.
    // SPEC 6.10: a removal is owed until its holder has taken it.
    pub fn poll_removals(&mut self, now: Now) -> Vec<(RemovalId, Vec<EnvelopeId>)> {
        let holders = &self.holders;
        self.removals.retain(|user, link| {
            let mut of_user = holders.range(all_of(user));
            of_user.any(|(_, attachment)| attachment.phase.link() == Some(link))
        });
        self.removals.poll(now.mono)
    }

    /// A holder has taken removals, or not: then they are sent again later.
    pub fn removed(&mut self, removal: RemovalId, taken: bool, now: Now) {
        self.removals.answered(removal, taken, now.mono);
    }

    /// Forgets what can no longer come back.
    pub fn expire(&mut self, now: Now, out: &mut Outputs) {
        while self.seen_ends.first().is_some_and(|(until, _)| *until <= now.wall) {
            self.forget_first(out);
        }
    }

    fn forget_first(&mut self, out: &mut Outputs) {
        if let Some((_, id)) = self.seen_ends.pop_first() {
            self.seen.remove(&id);
            out.remove(Table::Seen, id.as_bytes());
        }
    }

    /// When something is due.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let waits = self.holders.values().filter_map(|attachment| attachment.phase.due());
        let attach = waits.min().map(|at| Deadline { at, why: "attach" });
        let remove = self.removals.due().map(|at| Deadline { at, why: "remove mail" });
        let fetch = self.wanted.due().map(|at| Deadline { at, why: "fetch mail" });
        Deadline::earliest(Deadline::earliest(attach, remove), fetch)
    }
}

impl Seen {
    fn encode(self) -> Vec<u8> {
        let mut row = self.until.0.to_be_bytes().to_vec();
        if let Some(Brought { from, block }) = self.brought {
            row.extend_from_slice(from.as_bytes());
            row.extend_from_slice(block.as_bytes());
        }
        row
    }

    fn parse(row: &[u8]) -> Option<Self> {
        let (until, rest) = row.split_first_chunk::<8>()?;
        let until = Timestamp(u64::from_be_bytes(*until));
        if rest.is_empty() {
            return Some(Self { until, brought: None });
        }
        let (from, block) = rest.split_first_chunk::<20>()?;
        let brought = Brought { from: UserId(*from), block: BlockId::from_slice(block)? };
        Some(Self { until, brought: Some(brought) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytchat_proto::id::NetworkId;
    use bytchat_proto::key::NodeKey;
    use bytchat_proto::limits::GATHER_MS;
    use serde_bytes::ByteBuf;

    pub(super) const USER: UserId = UserId([1; 20]);

    pub(super) fn now(ms: u64) -> Now {
        Now { mono: Mono(ms), wall: Timestamp(ms) }
    }

    pub(super) fn holder(number: u8) -> NodeRecord {
        NodeRecord {
            network: NetworkId([0; 32]),
            key: NodeKey([number; 32]),
            stamp: ByteBuf::new(),
            addresses: vec![],
            pod: None,
            sequence: 1,
        }
    }

    #[test]
    fn a_holder_is_asked_once_and_again_after_failures_ever_later() {
        let mut inbox = Inbox::default();
        inbox.set_holders(USER, &[holder(1)], now(0));
        assert_eq!(inbox.due(now(0)).len(), 1);
        assert!(inbox.due(now(1)).is_empty());
        inbox.failed(USER, holder(1).node(), now(1));
        let first = inbox.poll_timeout().unwrap().at.since_ms(Mono(1));
        assert_eq!(inbox.due(now(1 + first)).len(), 1);
        inbox.failed(USER, holder(1).node(), now(0));
        assert_eq!(inbox.poll_timeout().unwrap().at, Mono(2 * first));
    }

    /// Attaches to a holder at which so much waits.
    pub(super) fn attach_with(inbox: &mut Inbox, number: u8, link: LinkId, waiting: u32) -> bool {
        let node = holder(number).node();
        inbox.proven(USER, node, link) && inbox.attached(USER, node, waiting)
    }

    fn attach(inbox: &mut Inbox, number: u8, link: LinkId) -> bool {
        attach_with(inbox, number, link, 0)
    }

    #[test]
    fn a_lost_link_is_attached_again_and_a_changed_set_drops_the_old() {
        let mut inbox = Inbox::default();
        inbox.set_holders(USER, &[holder(1), holder(2)], now(0));
        inbox.due(now(0));
        assert!(attach(&mut inbox, 1, LinkId(1)));
        assert!(attach(&mut inbox, 2, LinkId(2)));
        assert_eq!(inbox.links(USER).len(), 2);
        assert_eq!(inbox.link_down(LinkId(1), now(10)), vec![holder(1).node()]);
        assert!(!inbox.may_bring(USER, LinkId(1)));
        assert_eq!(inbox.set_holders(USER, &[holder(1)], now(10)), vec![holder(2).node()]);
        assert!(inbox.links(USER).is_empty());
        assert!(!attach(&mut inbox, 2, LinkId(2)));
    }

    #[test]
    fn mail_may_come_once_the_proof_is_sent_and_its_link_is_kept_once() {
        let mut inbox = Inbox::default();
        let node = holder(1).node();
        inbox.set_holders(USER, &[holder(1)], now(0));
        inbox.due(now(0));
        assert!(!inbox.attached(USER, node, 0), "no proof was sent");
        assert!(!inbox.may_bring(USER, LinkId(1)));
        assert!(inbox.proven(USER, node, LinkId(1)));
        assert!(inbox.may_bring(USER, LinkId(1)));
        assert!(!inbox.proven(USER, node, LinkId(1)), "the link is kept already");
        assert!(inbox.poll_timeout().is_none() && inbox.due(now(u64::MAX)).is_empty());
        // Whether it is refused, lost or no longer wanted: the link is given back once.
        assert!(inbox.failed(USER, node, now(1)));
        assert!(!inbox.failed(USER, node, now(1)));
        assert!(!inbox.may_bring(USER, LinkId(1)));
        assert!(inbox.proven(USER, node, LinkId(2)));
        assert_eq!(inbox.link_down(LinkId(2), now(2)), vec![node]);
        assert!(inbox.link_down(LinkId(2), now(2)).is_empty());
        assert!(inbox.proven(USER, node, LinkId(3)));
        assert_eq!(inbox.set_holders(USER, &[], now(3)), vec![node]);
        assert!(!inbox.attached(USER, node, 0));
    }

    #[test]
    fn removals_go_to_all_holders_or_to_the_one_that_brought_a_copy() {
        let mut inbox = Inbox::default();
        inbox.set_holders(USER, &[holder(1), holder(2)], now(0));
        inbox.due(now(0));
        assert!(attach(&mut inbox, 1, LinkId(1)) && attach(&mut inbox, 2, LinkId(2)));
        let (id, copy) = (EnvelopeId([1; 32]), EnvelopeId([2; 32]));
        inbox.remove(USER, id, now(0));
        inbox.remove_at(USER, LinkId(2), copy, now(0));
        inbox.remove_at(USER, LinkId(3), copy, now(0));
        let due = inbox.poll_removals(now(GATHER_MS));
        let lists = due.iter().map(|(removal, ids)| (removal.link, ids.clone()));
        let expected = [(LinkId(1), vec![id]), (LinkId(2), vec![id, copy])];
        assert_eq!(lists.collect::<Vec<_>>(), expected);
        // Who is no longer attached is owed nothing.
        for (removal, _) in due {
            inbox.removed(removal, false, now(GATHER_MS));
        }
        inbox.link_down(LinkId(2), now(GATHER_MS));
        let due = inbox.poll_removals(now(60_000));
        assert_eq!(due.iter().map(|(it, _)| it.link).collect::<Vec<_>>(), [LinkId(1)]);
    }

    #[test]
    fn what_was_opened_is_remembered_for_as_long_as_a_copy_may_come_back() {
        let (mut inbox, mut out) = (Inbox::default(), Outputs::new([0; 32]));
        let id = EnvelopeId([1; 32]);
        inbox.see(id, None, now(0), &mut out);
        inbox.expire(now(SEEN_TTL_MS - 1), &mut out);
        assert!(inbox.has_seen(id));
        inbox.expire(now(SEEN_TTL_MS), &mut out);
        assert!(!inbox.has_seen(id));
    }

    #[test]
    fn an_envelope_that_comes_back_wants_its_receipt_again_but_rarely() {
        let (mut inbox, mut out) = (Inbox::default(), Outputs::new([0; 32]));
        let (id, other) = (EnvelopeId([1; 32]), EnvelopeId([2; 32]));
        let brought = Brought { from: USER, block: BlockId([3; 32]) };
        inbox.see(id, Some(brought), now(0), &mut out);
        inbox.see(other, None, now(0), &mut out);
        let again = RECEIPT_AGAIN_MS;
        assert_eq!(inbox.receipt_again(id, now(again - 1)), None);
        assert_eq!(inbox.receipt_again(id, now(again)), Some(brought));
        assert_eq!(inbox.receipt_again(id, now(2 * again - 1)), None);
        assert_eq!(inbox.receipt_again(id, now(2 * again)), Some(brought));
        assert_eq!(inbox.receipt_again(other, now(2 * again)), None);
        assert_eq!(inbox.receipt_again(EnvelopeId([4; 32]), now(again)), None);
    }

    #[test]
    fn what_does_not_open_is_remembered_for_a_while_and_the_first_is_forgotten() {
        let mut inbox = Inbox::default();
        let id = |number: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            EnvelopeId(id)
        };
        for number in 0..=FAILED_ENVELOPES_MAX {
            inbox.fail(id(number));
            inbox.fail(id(number));
        }
        assert!(!inbox.has_failed(id(0)));
        assert!((1..=FAILED_ENVELOPES_MAX).all(|number| inbox.has_failed(id(number))));
        assert_eq!(inbox.failed.count(), FAILED_ENVELOPES_MAX);
    }

    #[test]
    fn receipts_that_are_sent_again_are_few_at_once() {
        let (mut inbox, mut out) = (Inbox::default(), Outputs::new([0; 32]));
        let brought = Some(Brought { from: USER, block: BlockId([3; 32]) });
        let id = |number: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            EnvelopeId(id)
        };
        for number in 0..=RECEIPTS_AGAIN_MAX {
            inbox.see(id(number), brought, now(0), &mut out);
        }
        let later = now(RECEIPT_AGAIN_MS);
        let again = (0..=RECEIPTS_AGAIN_MAX).filter_map(|it| inbox.receipt_again(id(it), later));
        assert_eq!(again.count(), RECEIPTS_AGAIN_MAX);
        assert_eq!(inbox.told_again.len(), RECEIPTS_AGAIN_MAX);
    }

    #[test]
    fn what_was_opened_and_what_it_brought_survive_a_restart() {
        let (mut inbox, mut out) = (Inbox::default(), Outputs::new([0; 32]));
        let brought = Brought { from: USER, block: BlockId([3; 32]) };
        inbox.see(EnvelopeId([1; 32]), Some(brought), now(0), &mut out);
        inbox.see(EnvelopeId([2; 32]), None, now(0), &mut out);
        let Some(crate::io::Output::Persist(writes)) = out.poll() else { panic!("no rows") };
        let mut again = Inbox::default();
        for write in writes {
            let crate::persist::Write::Put { key, value, .. } = write else { panic!("a removal") };
            again.restore(&key, &value);
        }
        let later = now(RECEIPT_AGAIN_MS);
        assert_eq!(again.receipt_again(EnvelopeId([1; 32]), later), Some(brought));
        assert!(again.has_seen(EnvelopeId([2; 32])));
    }
}
