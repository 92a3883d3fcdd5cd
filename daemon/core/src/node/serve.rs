//! Requests: answering those of others, and asking others or ourselves.

use bytchat_proto::envelope::Envelope;
use bytchat_proto::id::{NodeId, UserId};
use bytchat_proto::limits::{DEPOSIT_TIMEOUT_MS, HOLDERS_MAX, REQUEST_TIMEOUT_MS};
use bytchat_proto::point::Point;
use bytchat_proto::record::NodeRecord;
use bytchat_proto::wire::{Refusal, Request, Response};

use super::Node;
use super::links::{SELF, Token};
use super::receive::Bringer;
use crate::dht::Ask;
use crate::io::LinkId;
use crate::link::{Event, NewAsk, Target};
use crate::mailbox;
use crate::prefix::Prefix;
use crate::time::Now;

impl Node {
    /// Answers a request of another node, or of this one. While this machine's clock is in
    /// doubt, what one of two possible times allows is done: nothing is refused or withheld by a
    /// clock that is wrong.
    pub(super) fn serve(
        &mut self,
        link: LinkId,
        from: NodeId,
        request: &Request,
        now: Now,
    ) -> Response {
        let reads = matches!(
            request,
            Request::FindRecord { .. }
                | Request::Attach { .. }
                | Request::Prove { .. }
                | Request::Fetch { .. }
                | Request::ShowKept { .. }
                | Request::Compare { .. }
        );
        let at = if reads { self.clock.calm(now) } else { self.clock.late(now) };
        let response = self.serve_at(link, from, request, at);
        let refused = matches!(
            response,
            Response::Refused { reason: Refusal::Expired | Refusal::Malformed, .. }
        );
        match self.clock.other(now).filter(|_| refused) {
            Some(other) => {
                let then = if other == at { now } else { other };
                self.serve_at(link, from, request, then)
            }
            None => response,
        }
    }

    fn serve_at(&mut self, link: LinkId, from: NodeId, request: &Request, now: Now) -> Response {
        let peer = (link != SELF).then_some(from);
        if let Some(response) = self.dht.handle_request(peer, request, now, &mut self.out) {
            self.note_revoked(request, &response);
            return response;
        }
        if let Some(refused) = self.refuse_revoked(request) {
            return refused;
        }
        if let Request::Deposit { envelope, until, repair } = request
            && let bringer = (Bringer { link, node: from, repair: *repair })
            && let Some(taken) = self.take(bringer, envelope, *until, now)
        {
            return taken;
        }
        let secret = &self.secret;
        let sign = |digest: &[u8; 64]| secret.sign(digest);
        if let Some(response) = self.pod.handle_request(request, &sign, now, &mut self.out) {
            return response;
        }
        let binding = self.links.binding(link).unwrap_or_default();
        let near = about(request).is_some_and(|user| self.pod.serves(user) || self.is_near(user));
        let source = self.source(link, from, request);
        let peer = mailbox::Peer { link, binding: &binding, near, source };
        let response = self.mailbox.handle_request(peer, request, &sign, now, &mut self.out);
        let Some(response) = response else {
            return Response::refused(Refusal::Unknown, "nobody here answers this");
        };
        self.note_attached(request, &response, now);
        response
    }

    /// Whether this node is so near to a user that it keeps the user's mail. Views of a
    /// neighbourhood differ at its edge, so twice as many nodes are near as hold.
    fn is_near(&self, user: UserId) -> bool {
        self.dht.is_near(Point::of_user(user))
    }

    /// Where a request comes from. A node is a neighbour of what it hands on if it is as near to
    /// the user as a holder may be, by what we know ourselves of the nodes there.
    fn source(&self, link: LinkId, from: NodeId, request: &Request) -> mailbox::Source {
        let address = self.links.measure(link).map(|(address, _)| address.ip());
        let neighbour = handed_on(request)
            .is_some_and(|user| self.dht.is_neighbour(from, Point::of_user(user)));
        mailbox::Source { node: from, prefix: address.and_then(Prefix::of), neighbour }
    }

    /// Asks a node; this one answers itself without a link.
    pub(super) fn ask(&mut self, to: &NodeRecord, request: Request, token: Token, now: Now) {
        let node = to.node();
        if node == self.id {
            let response = self.serve(SELF, node, &request, now);
            let answer = Event::Answer { token, from: node, result: Ok(response), rtt_ms: 0 };
            return self.answers.push_back(answer);
        }
        let timeout_ms = match request {
            Request::Deposit { .. } | Request::RegisterAlias { .. } => DEPOSIT_TIMEOUT_MS,
            Request::Ping
            | Request::FindNode { .. }
            | Request::FindRecord { .. }
            | Request::PutRecord { .. }
            | Request::TakeKeys { .. }
            | Request::PutKeys { .. }
            | Request::Attach { .. }
            | Request::Prove { .. }
            | Request::Remove { .. }
            | Request::Fetch { .. }
            | Request::ShowKept { .. }
            | Request::Compare { .. }
            | Request::Notify { .. }
            | Request::ResolveAlias { .. } => 2 * REQUEST_TIMEOUT_MS,
        };
        let target = Target { node, record: to.clone() };
        let ask = NewAsk { request, token, timeout_ms };
        self.links.request(&target, ask, now, &mut self.out);
    }

    pub(super) fn handle_ask(&mut self, ask: Ask, now: Now) {
        let target = Target { node: ask.to.node, record: NodeRecord::clone(&ask.to.record) };
        let token = Token::Dht(ask.id);
        let ask = NewAsk { request: ask.request, token, timeout_ms: ask.timeout_ms };
        self.links.request(&target, ask, now, &mut self.out);
    }

    pub(super) fn offer(
        &mut self,
        to: NodeId,
        envelope: Envelope,
        until: bytchat_proto::timestamp::Timestamp,
        now: Now,
    ) {
        let point = Point::of_user(envelope.user());
        let id = envelope.id();
        let near = self.dht.closest(point, 2 * HOLDERS_MAX);
        match near.into_iter().find(|peer| peer.node == to) {
            Some(peer) => {
                let request = Request::Deposit { envelope, until, repair: true };
                self.ask(&peer.record, request, Token::Offer { envelope: id }, now);
            }
            None => self.mailbox.offered(id, to, None, now, &mut self.out),
        }
    }

    /// Says something to another holder, if it is known, and may hold that mail.
    // SPEC 6.10: a removal is handed on to neighbours only.
    pub(super) fn tell_holder(&mut self, to: NodeId, request: Request, token: Token, now: Now) {
        let may = |user| self.dht.is_neighbour(to, Point::of_user(user));
        if !handed_on(&request).is_none_or(may) {
            return;
        }
        let near = self.dht.closest(Point::of_node(to), 1);
        if let Some(peer) = near.into_iter().find(|peer| peer.node == to) {
            self.ask(&peer.record, request, token, now);
        }
    }
}

/// The user whose mail a request hands on as a holder's, if it does.
fn handed_on(request: &Request) -> Option<UserId> {
    if let Request::Deposit { envelope, repair: true, .. } = request {
        return Some(envelope.user());
    }
    let Request::Remove { removal } = request else { return None };
    Some(removal.peek().ok()?.user)
}

/// The user whose mailbox a request is about.
fn about(request: &Request) -> Option<UserId> {
    match request {
        Request::Deposit { envelope, .. } => Some(envelope.user()),
        Request::TakeKeys { user }
        | Request::PutKeys { user, .. }
        | Request::Attach { user }
        | Request::Fetch { user, .. }
        | Request::ShowKept { user, .. } => Some(*user),
        Request::Prove { account, .. } => Some(account.user()),
        Request::Notify { notice } => Some(notice.user),
        Request::Remove { .. }
        | Request::Compare { .. }
        | Request::Ping
        | Request::FindNode { .. }
        | Request::FindRecord { .. }
        | Request::PutRecord { .. }
        | Request::RegisterAlias { .. }
        | Request::ResolveAlias { .. } => None,
    }
}
