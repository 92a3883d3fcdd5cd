//! Requests in flight, and how often one node has been asked the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytchat_proto::limits::{ASK_TRIES_MAX, REQUEST_TIMEOUT_MS};
use bytchat_proto::record::RecordSlot;
use bytchat_proto::wire::{Refusal, Request, Response};

use super::contacts::Peer;
use super::rtt::Rtt;
use super::{Ask, AskId, Failure, LookupId, PutId};
use crate::time::Mono;

/// What a request is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Lookup(LookupId),
    Put(PutId),
    Ping,
    Repair { slot: RecordSlot, sequence: u64 },
}

/// A request in flight.
#[derive(Clone, Debug)]
pub(super) struct Flying {
    pub(super) peer: Peer,
    pub(super) purpose: Purpose,
    /// It was slow and no longer takes a slot.
    pub(super) slow: bool,
    soft: Mono,
    hard: Mono,
}

/// What a deadline did to a request.
#[derive(Clone, Debug)]
pub(super) enum Lapse {
    /// It is slow; its answer may still come.
    Slow(Flying),
    /// It is lost.
    Lost(Flying),
}

/// An answer or its absence, in one form.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply<'a> {
    Answer(&'a Response),
    Refused(Refusal, &'a str),
    Malformed,
    Lost(Loss),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The link went down: over another one it may be answered at once.
    Broken,
    /// Its time is over. The link has repeated what was lost on the way (RFC 9000, 13.3), so that
    /// asking again over the same link brings nothing sooner.
    Silent,
    /// No link could be opened.
    Unreachable,
}

impl<'a> Reply<'a> {
    /// Reads what the link layer reports.
    pub(super) fn of(answer: Result<&'a Response, Failure>) -> Self {
        match answer {
            Ok(Response::Refused { reason, detail }) => Self::Refused(*reason, detail),
            Ok(response) => Self::Answer(response),
            Err(Failure::Refused(reason)) => Self::Refused(reason, ""),
            Err(Failure::Malformed) => Self::Malformed,
            Err(Failure::TimedOut) => Self::Lost(Loss::Silent),
            Err(Failure::Broken) => Self::Lost(Loss::Broken),
            Err(Failure::Unreachable) => Self::Lost(Loss::Unreachable),
        }
    }
}

/// All requests in flight.
#[derive(Default)]
pub(super) struct Asks {
    last: u64,
    flying: BTreeMap<AskId, Flying>,
    deadlines: BTreeSet<(Mono, AskId)>,
    queue: VecDeque<Ask>,
}

impl Asks {
    /// Sends a request.
    pub(super) fn send(
        &mut self,
        peer: &Peer,
        request: Request,
        purpose: Purpose,
        rtt: Rtt,
        now: Mono,
    ) {
        self.last += 1;
        let id = AskId(self.last);
        let soft_timeout_ms = rtt.soft_timeout_ms();
        let flying = Flying {
            peer: peer.clone(),
            purpose,
            slow: false,
            soft: now.plus_ms(soft_timeout_ms),
            hard: now.plus_ms(REQUEST_TIMEOUT_MS),
        };
        self.deadlines.insert((flying.soft, id));
        self.flying.insert(id, flying);
        self.queue.push_back(Ask {
            id,
            to: peer.clone(),
            request,
            soft_timeout_ms,
            timeout_ms: REQUEST_TIMEOUT_MS,
        });
    }

    /// The next request for the link layer.
    pub(super) fn poll(&mut self) -> Option<Ask> {
        self.queue.pop_front()
    }

    /// Ends a request.
    pub(super) fn take(&mut self, id: AskId) -> Option<Flying> {
        let flying = self.flying.remove(&id)?;
        let deadline = if flying.slow { flying.hard } else { flying.soft };
        self.deadlines.remove(&(deadline, id));
        Some(flying)
    }

    /// The next deadline that has passed.
    pub(super) fn lapse(&mut self, now: Mono) -> Option<Lapse> {
        let (at, id) = self.deadlines.first().copied()?;
        if at > now {
            return None;
        }
        self.deadlines.remove(&(at, id));
        let flying = self.flying.get_mut(&id)?;
        if flying.slow {
            return self.flying.remove(&id).map(Lapse::Lost);
        }
        flying.slow = true;
        self.deadlines.insert((flying.hard, id));
        Some(Lapse::Slow(flying.clone()))
    }

    /// When the next deadline is.
    pub(super) fn due(&self) -> Option<Mono> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// How many requests are in flight.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.flying.len()
    }
}

/// Where one node stands in a lookup or a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// To be asked.
    Fresh,
    /// Asked in time.
    Asked,
    /// Asked, but slow: others are asked meanwhile.
    Slow,
    /// It has answered; for puts: it holds the record, or a newer one.
    Done,
    /// It will not be asked again.
    Failed,
}

/// One node that is asked the same up to three times.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) peer: Peer,
    pub(super) state: State,
    tries: u8,
}

impl Attempt {
    pub(super) fn new(peer: Peer) -> Self {
        Self { peer, state: State::Fresh, tries: 0 }
    }

    /// Whether it may be asked now.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Fresh
    }

    pub(super) fn asked(&mut self) {
        self.tries += 1;
        self.state = State::Asked;
    }

    /// A request became slow.
    pub(super) fn slow(&mut self) {
        if self.state == State::Asked {
            self.state = State::Slow;
        }
    }

    /// A request was lost, and is tried again unless that was the final word.
    pub(super) fn lost(&mut self, final_word: bool) {
        let over = final_word || self.tries >= ASK_TRIES_MAX;
        if matches!(self.state, State::Asked | State::Slow) {
            self.state = if over { State::Failed } else { State::Fresh };
        }
    }

    /// An answer ends it.
    pub(super) fn end(&mut self, state: State) {
        if self.state != State::Done {
            self.state = state;
        }
    }
}
