//! Attaching our devices to the holders of their mail.

use bytchat_proto::envelope::AttachProof;
use bytchat_proto::id::{NodeId, UserId};
use bytchat_proto::limits::{
    DEPOSIT_TIMEOUT_MS, HOLDERS, LINKS_MAX, ONE_TIME_KEYS_LOW, ONE_TIME_KEYS_PER_BATCH,
};
use bytchat_proto::record::NodeRecord;
use bytchat_proto::unverified::Unverified;
use bytchat_proto::wire::{Notice, Request, Response};
use serde_bytes::ByteBuf;

use super::Node;
use super::links::Token;
use super::pods::Purpose;
use crate::io::LinkId;
use crate::link::NewAsk;
use crate::time::Now;

impl Node {
    /// The nodes closest to one of our users are known: attach to them and to the pods.
    pub(super) fn handle_holders(&mut self, user: UserId, nodes: &[NodeRecord], now: Now) {
        let own = self.id;
        let mut wanted: Vec<NodeRecord> =
            nodes.iter().filter(|record| record.node() != own).cloned().collect();
        // Attachments keep their links: who buys places around our users must not take all.
        if self.inbox.attachments() >= LINKS_MAX / 2 {
            wanted.truncate(HOLDERS);
        }
        let mut pods =
            self.accounts.get(user).map(crate::account::Account::pods).unwrap_or_default();
        pods.retain(|host| Some(host) != self.config.pod.as_ref());
        for host in &pods {
            match self.upkeep.pod(user, host) {
                Some(record) => wanted.push(record.clone()),
                None if self.upkeep.may_seek(user, host, now) => {
                    self.find_pod(host, user, Purpose::Attach { user }, now);
                }
                None => {}
            }
        }
        for node in self.inbox.set_holders(user, &wanted, now) {
            self.links.release(node);
        }
        self.attach_due(now);
    }

    /// No link to a node can be opened. If it is a pod of ours it may have moved: it is found by
    /// its name again, ever later while that is in vain.
    pub(super) fn lose_pod(&mut self, node: NodeId, now: Now) {
        self.hosts.lost_node(node);
        self.upkeep.lost_pod(node, now);
    }

    /// Asks the holders whose turn it is for a challenge (SPEC 6.9).
    pub(super) fn attach_due(&mut self, now: Now) {
        for (user, record) in self.inbox.due(now) {
            self.ask(&record, Request::Attach { user }, Token::Attach { user }, now);
        }
    }

    /// A node that a device of ours is attached to says that something waits: it is looked for if
    /// it is not here.
    pub(super) fn handle_notice(&mut self, link: LinkId, notice: &Notice, now: Now) {
        let (user, id) = (notice.user, notice.envelope);
        let ours = self.accounts.with_device(user, notice.device).is_some();
        if !ours || !self.inbox.may_bring(user, link) {
            return;
        }
        if self.inbox.has_seen(id) {
            return self.seen_again(Some(link), user, id, now);
        }
        self.inbox.want(user, link, id, now);
    }

    /// Asks holders for what notices have told of.
    // SPEC 5.6: nobody makes us ask honest holders for more than they answer.
    pub(super) fn send_fetches(&mut self, now: Now) {
        for (user, link, envelopes) in self.inbox.poll_wanted(now) {
            let request = Request::Fetch { user, envelopes };
            let ask = NewAsk { request, token: Token::Nothing, timeout_ms: DEPOSIT_TIMEOUT_MS };
            self.links.request_on(link, ask, now, &mut self.out);
        }
    }

    /// Signs a holder's challenge, bound to the link on which it came.
    pub(super) fn handle_challenge(
        &mut self,
        user: UserId,
        from: NodeId,
        response: Option<Response>,
        now: Now,
    ) {
        let Some(Response::Challenge { nonce }) = response else {
            return self.attach_failed(user, from, now);
        };
        let Some(link) = self.links.to(from) else {
            return self.attach_failed(user, from, now);
        };
        if !self.inbox.proven(user, from, link) {
            return;
        }
        self.links.keep(from);
        let binding = self.links.binding(link).unwrap_or_default();
        let Some(account) = self.accounts.get(user) else {
            return self.attach_failed(user, from, now);
        };
        let proof = AttachProof {
            user,
            device: account.device.device(),
            holder: from,
            nonce,
            binding: ByteBuf::from(binding.to_vec()),
        };
        let request = Request::Prove {
            account: account.key.clone(),
            certificate: account.certificate.clone(),
            proof: Unverified::sign(&proof, |digest| account.device.sign(digest)),
        };
        let timeout_ms = bytchat_proto::limits::CHALLENGE_MS;
        let ask = NewAsk { request, token: Token::Prove { user }, timeout_ms };
        self.links.request_on(link, ask, now, &mut self.out);
    }

    fn attach_failed(&mut self, user: UserId, from: NodeId, now: Now) {
        if self.inbox.failed(user, from, now) {
            self.links.release(from);
        }
    }

    /// A holder believed us or not; it gets one-time keys if it has few.
    pub(super) fn handle_attached(
        &mut self,
        user: UserId,
        from: NodeId,
        response: Option<Response>,
        now: Now,
    ) {
        let Some(Response::Attached { waiting, keys }) = response else {
            tracing::debug!(%user, node = %from, ?response, "a holder does not attach us");
            return self.attach_failed(user, from, now);
        };
        let Some(link) = self.links.to(from) else {
            return self.attach_failed(user, from, now);
        };
        if !self.inbox.attached(user, from, waiting) {
            return;
        }
        let few = usize::try_from(keys).is_ok_and(|keys| keys < ONE_TIME_KEYS_LOW);
        let Some(account) = self.accounts.get_mut(user).filter(|_| few) else {
            return;
        };
        let keys = account.device.one_time_keys(from, now.wall, ONE_TIME_KEYS_PER_BATCH);
        account.save_device(&self.vault, &mut self.out);
        let request = Request::PutKeys { user, keys };
        let timeout_ms = bytchat_proto::limits::DEPOSIT_TIMEOUT_MS;
        let ask = NewAsk { request, token: Token::Nothing, timeout_ms };
        self.links.request_on(link, ask, now, &mut self.out);
    }
}

#[cfg(test)]
mod tests {
    use bytchat_proto::alias::Host;
    use bytchat_proto::envelope::{ENCAPSULATION_BYTES, Envelope, TAG_BYTES};
    use bytchat_proto::id::{EnvelopeId, NetworkId};
    use bytchat_proto::key::NodeKey;
    use bytchat_proto::limits::{
        ATTACH_RETRY_MIN_MS, DAY_MS, DEPOSIT_TIMEOUT_MS, ENVELOPE_CLASS_MIN, GATHER_MS,
        NOTICE_TOKENS_MAX, NOTICE_TOKENS_PER_SECOND, PROTOCOL_VERSION, REMOVAL_RETRY_MIN_MS,
    };
    use bytchat_proto::wire::{Body, Contacts, Delivery, Frame, Hello, Notice};

    use super::*;
    use crate::fixture::{Signer, at};
    use crate::io::{Input, LinkId, Output};
    use crate::link::Event;
    use crate::node::fixture::Machine;

    fn resolves(machine: &mut Machine) -> usize {
        let outputs = machine.drain();
        outputs.iter().filter(|output| matches!(output, Output::Resolve { .. })).count()
    }

    #[test]
    fn a_pod_that_cannot_be_reached_is_looked_for_by_its_name_again() {
        let mut machine = Machine::new();
        let user = machine.person(1);
        let host: Host = "pod.test".parse().unwrap();
        let alias = "alice@pod.test".parse().unwrap();
        machine.node.accounts.get_mut(user).unwrap().aliases.push(alias);
        let record = NodeRecord {
            network: NetworkId::of_name("test"),
            key: NodeKey([9; 32]),
            stamp: ByteBuf::new(),
            addresses: vec!["192.0.2.1:4848".parse().unwrap()],
            pod: Some(host.clone()),
            sequence: 1,
        };
        machine.node.handle_pod(&record, Purpose::Attach { user }, at(0));
        machine.node.handle_holders(user, &[], at(1));
        assert!(machine.node.inbox.record(user, record.node()).is_some());
        assert_eq!(resolves(&mut machine), 0);

        let gone = || Event::Unreachable { node: record.node() };
        machine.node.handle_link_event(gone(), at(10_000));
        machine.node.handle_holders(user, &[], at(10_001));
        assert_eq!(resolves(&mut machine), 0, "it is asked for before its time");
        machine.node.handle_holders(user, &[], at(10_000 + ATTACH_RETRY_MIN_MS));
        assert_eq!(resolves(&mut machine), 1);

        // In vain: ever later.
        let result = Err("no such name".to_owned());
        machine.node.handle_input(Input::Resolved { host, result }, at(20_000));
        machine.node.handle_holders(user, &[], at(20_000 + ATTACH_RETRY_MIN_MS));
        assert_eq!(resolves(&mut machine), 0);
        machine.node.handle_holders(user, &[], at(30_000));
        assert_eq!(resolves(&mut machine), 1);
    }

    const LINK: LinkId = LinkId(1);

    /// What the only node there is answers.
    fn answer(frame: &Frame) -> Option<(u64, Response)> {
        let Body::Request(request) = &frame.body else { return None };
        let none = matches!(request, Request::FindNode { .. } | Request::FindRecord { .. });
        none.then(|| (frame.id, Response::Nodes(Contacts { contacts: Vec::new() })))
    }

    /// A machine with a link to a holder, which is made by hand.
    struct Bench {
        machine: Machine,
        user: UserId,
        holder: NodeRecord,
    }

    impl Bench {
        fn new() -> Self {
            let mut machine = Machine::new();
            let user = machine.person(1);
            let (signer, network) = (Signer::new(9), NetworkId::of_name("test"));
            let (key, address) = (NodeKey(signer.public()), "192.0.2.1:4848".parse().unwrap());
            let addresses = vec![address];
            let stamp = ByteBuf::new();
            let holder = NodeRecord { network, key, stamp, addresses, pod: None, sequence: 1 };
            let contact = Unverified::sign(&holder, |digest| signer.sign(digest));
            let up = Input::LinkUp { link: LINK, key, address, binding: [0; 32], dial: None };
            machine.node.handle_input(up, at(0));
            let mut bench = Self { machine, user, holder };
            let hello = Hello {
                version: PROTOCOL_VERSION,
                network,
                contact,
                observed: "192.0.2.2:4848".parse().unwrap(),
                frame_bytes_max: 1_000,
                time: None,
            };
            bench.say(Body::Hello(hello), 0, 0);
            bench
        }

        /// The holder says something; what the machine says in turn.
        fn say(&mut self, body: Body, id: u64, ms: u64) -> Vec<Frame> {
            let input = Input::Frame { link: LINK, bytes: body.with_id(id).encode() };
            self.machine.node.handle_input(input, at(ms));
            self.heard(ms)
        }

        /// What the machine says; what it asks the holder as a node of the DHT is answered.
        fn heard(&mut self, ms: u64) -> Vec<Frame> {
            let outputs = self.machine.drain().into_iter();
            let frame = |output| {
                let Output::Transmit { link: LINK, bytes } = output else { return None };
                Frame::decode(&bytes).ok()
            };
            let mut frames: Vec<Frame> = outputs.filter_map(frame).collect();
            for (id, answer) in frames.iter().filter_map(answer).collect::<Vec<_>>() {
                frames.extend(self.say(Body::Response(answer), id, ms));
            }
            frames
        }

        /// Lets the machine ask for a challenge and prove itself; the id of its proof.
        fn prove(&mut self) -> u64 {
            let holders = [self.holder.clone()];
            self.machine.node.handle_holders(self.user, &holders, at(1));
            let frames = self.heard(1);
            let asks = |frame: &&Frame| matches!(frame.body, Body::Request(Request::Attach { .. }));
            let id = frames.iter().find(asks).unwrap().id;
            let challenge = Response::Challenge { nonce: ByteBuf::from(vec![1; 32]) };
            let frames = self.say(Body::Response(challenge), id, 2);
            let proves =
                |frame: &&Frame| matches!(frame.body, Body::Request(Request::Prove { .. }));
            frames.iter().find(proves).unwrap().id
        }

        /// Mail that does not open; it is removed all the same.
        fn delivery(&mut self) -> Body {
            let device = &self.machine.node.accounts.get(self.user).unwrap().device;
            let (device, kem) = (device.device(), device.prekeys().kem_id);
            let sealed = vec![7; ENVELOPE_CLASS_MIN + TAG_BYTES];
            let encapsulation = [7; ENCAPSULATION_BYTES];
            let envelope = Envelope::assemble(self.user, device, kem, &encapsulation, &sealed);
            Body::Delivery(Delivery { envelope: envelope.unwrap() })
        }

        /// Whether mail is removed within the time in which removals are gathered.
        fn removes(&mut self, ms: u64) -> bool {
            self.removal(ms + GATHER_MS).is_some()
        }

        /// The request to remove mail that is sent then.
        fn removal(&mut self, ms: u64) -> Option<u64> {
            self.machine.node.handle_input(Input::Wake, at(ms));
            let frames = self.heard(ms);
            let removes = |it: &&Frame| matches!(it.body, Body::Request(Request::Remove { .. }));
            frames.iter().find(removes).map(|it| it.id)
        }
    }

    #[test]
    fn mail_that_overtakes_the_answer_to_the_proof_is_taken() {
        let mut bench = Bench::new();
        let mail = bench.delivery();
        bench.say(mail.clone(), 0, 1);
        assert!(!bench.removes(1), "nobody has asked it for mail");
        let proof = bench.prove();
        bench.say(mail, 0, 3);
        assert!(bench.removes(3));
        let attached = Response::Attached { waiting: 1, keys: 20 };
        bench.say(Body::Response(attached), proof, 20);
    }

    #[test]
    fn a_removal_that_is_refused_or_lost_is_sent_again_until_it_is_taken() {
        let mut bench = Bench::new();
        let mail = bench.delivery();
        let proof = bench.prove();
        let attached = Response::Attached { waiting: 1, keys: 20 };
        bench.say(Body::Response(attached), proof, 2);
        bench.say(mail.clone(), 0, 10);
        let first = bench.removal(20).unwrap();
        let busy = Response::refused(bytchat_proto::wire::Refusal::Busy, "");
        bench.say(Body::Response(busy), first, 30);
        bench.say(mail.clone(), 0, 40);
        assert_eq!(bench.removal(1_029), None);
        bench.removal(1_030).unwrap();
        // No answer to that one.
        let late = 1_030 + DEPOSIT_TIMEOUT_MS;
        assert_eq!(bench.removal(late), None);
        let third = bench.removal(late + 2 * REMOVAL_RETRY_MIN_MS).unwrap();
        bench.say(Body::Response(Response::Done), third, late + 3_000);
        // A copy that was under way by then wants none.
        bench.say(mail, 0, late + 4_000);
        assert_eq!(bench.removal(late + 5_000), None);
    }

    /// How often the holder is asked for mail, and for how many envelopes.
    fn fetched(frames: &[Frame]) -> (usize, usize) {
        let count = |(asks, ids): (usize, usize), frame: &Frame| {
            if let Body::Request(Request::Fetch { envelopes, .. }) = &frame.body {
                return (asks + 1, ids + envelopes.len());
            }
            (asks, ids)
        };
        frames.iter().fold((0, 0), count)
    }

    #[test]
    fn a_holder_that_tells_of_very_much_makes_us_ask_rarely() {
        let mut bench = Bench::new();
        let proof = bench.prove();
        let attached = Response::Attached { waiting: 1, keys: 20 };
        bench.say(Body::Response(attached), proof, 2);
        let device = bench.machine.node.accounts.get(bench.user).unwrap().device.device();
        let (mut asks, mut ids) = (0, 0);
        for number in 0_u64..2_500 {
            let mut envelope = EnvelopeId([1; 32]);
            envelope.0[..8].copy_from_slice(&number.to_be_bytes());
            let notice = Notice { user: bench.user, device, envelope, until: at(DAY_MS).wall };
            let (more, more_ids) = fetched(&bench.say(Body::Notice(notice), 0, 10 + 4 * number));
            (asks, ids) = (asks + more, ids + more_ids);
        }
        assert!(asks > 0 && asks <= 40, "{asks} requests in ten seconds");
        let allowed = NOTICE_TOKENS_MAX + 10 * NOTICE_TOKENS_PER_SECOND;
        assert!(ids <= usize::try_from(allowed).unwrap(), "{ids} ids in ten seconds");
    }

    #[test]
    fn who_refuses_the_proof_has_no_mail_for_us() {
        let mut bench = Bench::new();
        let mail = bench.delivery();
        let proof = bench.prove();
        let refused = Response::refused(bytchat_proto::wire::Refusal::NotClosest, "");
        bench.say(Body::Response(refused), proof, 3);
        bench.say(mail, 0, 4);
        assert!(!bench.removes(4));
    }
}
