//! Pods: what they are wanted for, and what they answer.

use bytchat_proto::alias::{Alias, Host};
use bytchat_proto::binding::{AliasClaim, Resolved, verify_binding};
use bytchat_proto::id::UserId;
use bytchat_proto::key::DeviceKey;
use bytchat_proto::record::NodeRecord;
use bytchat_proto::rpc::{ErrorKind, RpcError};
use bytchat_proto::unverified::Unverified;
use bytchat_proto::wire::{Notice, Refusal, Request, Response};

use super::Node;
use super::aliases::taken;
use super::links::Token;
use super::send::Draft;
use crate::host::{Event, HostError};
use crate::io::{CallId, Caller};
use crate::link::{Failure, Named};
use crate::outbox::EntryId;
use crate::time::Now;

/// What a pod is wanted for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// It keeps the fast copy of an envelope.
    Deposit { entry: EntryId, device: DeviceKey },
    /// It tells a device that something waits.
    Notify { notice: Notice },
    /// It pushes our mail.
    Attach { user: UserId },
    /// It answers whose an alias is.
    Alias { owner: Caller, alias: Alias, then: Then },
    /// It registers an alias of ours.
    Register { call: CallId, user: UserId, claim: Box<Unverified<AliasClaim>> },
}

/// What to do once it is known whose an alias is.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// Tell a front end.
    Answer { call: CallId },
    /// Send a message.
    Send { draft: Box<Draft> },
    /// Go on with a call that named somebody.
    Person { call: CallId, ask: super::people::PersonAsk },
    /// Compare with what is pinned.
    Check,
    /// Tell a front end whether it could be registered for a user.
    Register { call: CallId, user: UserId },
}

/// A request to a pod under way.
#[derive(Debug)]
pub(super) struct PodAsk {
    record: NodeRecord,
    host: Host,
    what: What,
    /// Whether it is asked for the second time.
    again: bool,
}

#[derive(Debug)]
enum What {
    Alias { owner: Caller, alias: Alias, then: Then },
    Register { call: CallId, user: UserId, alias: Alias },
}

impl Node {
    pub(super) fn handle_host_event(&mut self, event: Event<Purpose>, now: Now) {
        match event {
            Event::Dial { host, address, trusted } => {
                let named = if trusted { Named::ByOperator } else { Named::ByOthers };
                let dial = self.links.dial_address(address, named, now, &mut self.out);
                self.hosts.dialling(&host, dial, now);
            }
            Event::Failed { purpose, error } => self.handle_no_pod(purpose, &error, now),
            Event::Found { record, purpose } => self.handle_pod(&record, purpose, now),
        }
    }

    pub(super) fn handle_pod(&mut self, record: &NodeRecord, purpose: Purpose, now: Now) {
        let Some(host) = record.pod.clone() else {
            return self.give_up_pod(purpose, "the record of the pod names no host");
        };
        let (request, what) = match purpose {
            Purpose::Deposit { entry, device } => return self.deposit(entry, device, record, now),
            Purpose::Notify { notice } => {
                return self.ask(record, Request::Notify { notice }, Token::Nothing, now);
            }
            Purpose::Attach { user } => {
                self.upkeep.found_pod(user, host, record.clone());
                return self.upkeep.attach_soon(user, now);
            }
            Purpose::Alias { owner, alias, then } => {
                let request = Request::ResolveAlias { alias: alias.clone() };
                (request, What::Alias { owner, alias, then })
            }
            Purpose::Register { call, user, claim } => {
                let Ok(alias) = claim.peek().map(|claim| claim.alias) else {
                    return self.malformed_claim(call);
                };
                (Request::RegisterAlias { claim: *claim }, What::Register { call, user, alias })
            }
        };
        let ask = PodAsk { record: record.clone(), host, what, again: false };
        self.ask(record, request, Token::Pod(Box::new(ask)), now);
    }

    /// Something that should not occur has: who waits for the pod is told so.
    pub(super) fn give_up_pod(&mut self, purpose: Purpose, why: &str) {
        tracing::error!(why, "a pod is not asked");
        let error = ErrorKind::Internal.because(why);
        match purpose {
            Purpose::Alias { alias, then, .. } => self.alias_failed(&alias, then, error),
            Purpose::Register { call, .. } => self.reply(call, Err(error)),
            Purpose::Deposit { .. } | Purpose::Notify { .. } | Purpose::Attach { .. } => {}
        }
    }

    pub(super) fn malformed_claim(&mut self, call: CallId) {
        self.reply(
            call,
            Err(ErrorKind::Internal.because("the claim that was signed is malformed")),
        );
    }

    fn handle_no_pod(&mut self, purpose: Purpose, error: &HostError, now: Now) {
        let kind = match error {
            HostError::Unreachable { .. } => ErrorKind::PodUnreachable,
            HostError::Changed { .. } | HostError::Damaged { .. } => ErrorKind::KeyChanged,
            HostError::Busy { .. } => ErrorKind::Busy,
        };
        match purpose {
            Purpose::Deposit { entry, .. } => self.step_once(entry, &error.to_string(), now),
            Purpose::Attach { user } => self.upkeep.no_pod(user, error.host(), now),
            Purpose::Notify { .. } => {}
            Purpose::Alias { owner, alias, then } => {
                if kind == ErrorKind::KeyChanged
                    && let Some(user) = self.book.doubt_alias(owner, &alias, &mut self.out)
                {
                    self.tell_change(owner, user, now);
                }
                self.alias_failed(&alias, then, kind.because(error.to_string()));
            }
            Purpose::Register { call, .. } => {
                self.reply(call, Err(kind.because(error.to_string())));
            }
        }
    }

    pub(super) fn handle_pod_answer(
        &mut self,
        ask: PodAsk,
        result: Result<Response, Failure>,
        now: Now,
    ) {
        let alias = match &ask.what {
            What::Alias { alias, .. } | What::Register { alias, .. } => alias.clone(),
        };
        // Of two links that both ends opened at once one goes: over the other one it is answered.
        if matches!((&ask.what, &result), (What::Alias { .. }, Err(Failure::Broken))) && !ask.again
        {
            let (record, again) = (ask.record.clone(), PodAsk { again: true, ..ask });
            let request = Request::ResolveAlias { alias };
            return self.ask(&record, request, Token::Pod(Box::new(again)), now);
        }
        let resolved = self.read_binding(&ask, result, &alias);
        match (ask.what, resolved) {
            (What::Alias { owner, then, .. }, Ok(resolved)) => {
                self.handle_resolved(owner, &resolved, then, now);
            }
            (What::Alias { then, .. }, Err(error)) => self.alias_failed(&alias, then, error),
            (What::Register { call, user, .. }, Ok(resolved)) if resolved.user == user => {
                self.handle_registered(call, user, &alias, now);
            }
            (What::Register { call, .. }, Ok(_)) => {
                self.reply(call, Err(taken(&alias)));
            }
            (What::Register { call, .. }, Err(error)) => self.reply(call, Err(error)),
        }
    }

    fn read_binding(
        &mut self,
        ask: &PodAsk,
        result: Result<Response, Failure>,
        alias: &Alias,
    ) -> Result<Resolved, RpcError> {
        let host = &ask.host;
        match result {
            Ok(Response::Binding { binding }) => verify_binding(&binding, ask.record.key, alias)
                .map_err(|error| {
                    ErrorKind::KeyChanged
                        .because(format!("pod {host} gave a binding that is not believed: {error}"))
                }),
            Ok(Response::Refused { reason, detail }) => {
                let detail: String = detail.chars().take(200).collect();
                let registers = matches!(ask.what, What::Register { .. });
                let kind = match reason {
                    Refusal::NotFound => {
                        return Err(ErrorKind::UnknownAddress
                            .because(format!("pod {host} knows no {alias}")));
                    }
                    Refusal::Taken if registers => ErrorKind::AliasTaken,
                    Refusal::Full if registers => ErrorKind::Quota,
                    Refusal::Busy => ErrorKind::Busy,
                    Refusal::NotPod => ErrorKind::PodUnreachable,
                    // To a question these are no answers.
                    Refusal::Taken
                    | Refusal::Full
                    | Refusal::Malformed
                    | Refusal::Unknown
                    | Refusal::BadSignature
                    | Refusal::Stale
                    | Refusal::Expired
                    | Refusal::NotClosest
                    | Refusal::NotAttached
                    | Refusal::Other => ErrorKind::Internal,
                };
                Err(kind.because(format!("pod {host} refuses {alias}: {detail}")))
            }
            Ok(_) => Err(ErrorKind::PodUnreachable
                .because(format!("pod {host} answers something else than was asked"))),
            Err(failure) => {
                self.hosts.lost(host);
                let why = match failure {
                    Failure::Unreachable => "it cannot be reached",
                    Failure::Broken => "its link went down",
                    Failure::TimedOut => "it does not answer",
                    Failure::Busy => "too much is under way with it",
                };
                Err(ErrorKind::PodUnreachable.because(format!("pod {host}: {why}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::at;
    use crate::node::fixture::Machine;

    #[test]
    fn who_waits_for_a_pod_is_answered_also_when_what_should_not_occur_does() {
        let mut machine = Machine::new();
        let user = machine.person(1);
        let claim = || Unverified::<AliasClaim>::assemble(vec![0xff; 9], vec![0; 384]);
        let alias: Alias = "alice@pod.test".parse().unwrap();
        let no_pod = machine.node.own.peek().unwrap();
        let pod =
            bytchat_proto::record::NodeRecord { pod: Some(alias.host().clone()), ..no_pod.clone() };
        let call = CallId(7);
        let register = || Purpose::Register { call, user, claim: Box::new(claim()) };
        let then = Then::Answer { call };
        let resolve = Purpose::Alias { owner: Caller { uid: 1 }, alias: alias.clone(), then };
        machine.node.claim(call, user, claim(), at(1));
        machine.node.handle_pod(&pod, register(), at(1));
        machine.node.handle_pod(&no_pod, register(), at(1));
        machine.node.handle_pod(&no_pod, resolve, at(1));
        machine.node.find_pod(alias.host(), UserId([9; 20]), register(), at(1));
        machine.drain();
        let kinds: Vec<_> = machine.replies.drain(..).map(|it| it.unwrap_err().kind).collect();
        assert_eq!(kinds, [ErrorKind::Internal; 5]);
    }
}
