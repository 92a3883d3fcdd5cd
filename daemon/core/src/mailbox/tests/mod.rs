//! Tests of the mailbox: a holder with a disk, and devices that talk to it.

mod deposit;
mod device;
mod kept;
mod keys;
mod random;
mod repair;
mod share;

use std::collections::BTreeMap;

use bytchat_proto::envelope::{
    AttachProof, ENCAPSULATION_BYTES, Envelope, HolderReceipt, Removal, TAG_BYTES,
};
use bytchat_proto::key::NodeKey;
use bytchat_proto::limits::{DAY_MS, ENVELOPE_CLASS_MIN, IDS_PER_REQUEST_MAX};
use bytchat_proto::unverified::Unverified;
use bytchat_proto::wire::{Body, Notice, Refusal};
use serde_bytes::ByteBuf;

use super::*;
use crate::fixture::{Account, Signer, at};
use crate::io::Output;
use crate::persist::{Query, Row, Write};
use crate::prefix::Prefix;

const OWN: NodeId = NodeId([7; 20]);

/// One device of one of the two accounts, with its certificate.
struct Device {
    account: usize,
    signer: Signer,
    certificate: Unverified<bytchat_proto::record::DeviceCertificate>,
}

impl Device {
    fn new(account: usize, number: u8) -> Self {
        let signer = Signer::new(number);
        let certificate = Account::of(account).certify(signer.device());
        Self { account, signer, certificate }
    }

    fn user(&self) -> UserId {
        Account::of(self.account).key.user()
    }

    fn owner(&self) -> Owner {
        Owner { user: self.user(), device: self.signer.device() }
    }

    fn envelope(&self, number: u32) -> Envelope {
        let mut sealed = vec![0; ENVELOPE_CLASS_MIN + TAG_BYTES];
        sealed[..4].copy_from_slice(&number.to_be_bytes());
        let (user, device) = (self.user(), self.signer.device());
        Envelope::assemble(user, device, 1, &[3; ENCAPSULATION_BYTES], &sealed).unwrap()
    }

    fn notice(&self, number: u32, until: Timestamp) -> Notice {
        Notice {
            user: self.user(),
            device: self.signer.device(),
            envelope: self.envelope(number).id(),
            until,
        }
    }

    fn removal(&self, envelopes: &[EnvelopeId]) -> Request {
        let removal = Removal {
            user: self.user(),
            device: self.signer.device(),
            envelopes: envelopes.to_vec(),
        };
        Request::Remove { removal: Unverified::sign(&removal, |digest| self.signer.sign(digest)) }
    }

    fn proof(&self, nonce: &[u8], link: u64) -> AttachProof {
        AttachProof {
            user: self.user(),
            device: self.signer.device(),
            holder: OWN,
            nonce: ByteBuf::from(nonce.to_vec()),
            binding: ByteBuf::from(binding_of(link).to_vec()),
        }
    }

    fn prove(&self, proof: &AttachProof) -> Request {
        Request::Prove {
            account: Account::of(self.account).key.clone(),
            certificate: self.certificate.clone(),
            proof: Unverified::sign(proof, |digest| self.signer.sign(digest)),
        }
    }
}

fn binding_of(link: u64) -> [u8; 32] {
    let mut binding = [0; 32];
    binding[..8].copy_from_slice(&link.to_be_bytes());
    binding
}

/// A holder whose writes go to a disk of its own.
struct World {
    mailbox: Mailbox,
    out: Outputs,
    disk: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    now: Now,
    near: bool,
    /// Who asks; somebody new each time if nobody is named.
    from: Option<Source>,
    asked: u64,
    pushed: Vec<(u64, EnvelopeId)>,
    notices: Vec<(u64, EnvelopeId)>,
    offers: Vec<(NodeId, EnvelopeId, Timestamp)>,
    /// What other holders have; the deaf ones do not answer.
    others: BTreeMap<NodeId, BTreeSet<MailMark>>,
    deaf: BTreeSet<NodeId>,
    /// Marks that other holders were asked about.
    compared: Vec<(NodeId, MailMark)>,
    handed_on: Vec<(NodeId, Unverified<Removal>)>,
    answers: Vec<(u64, u64, Response)>,
}

impl World {
    fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Self {
        Self {
            mailbox: Mailbox::with_limits(OWN, limits),
            out: Outputs::new([5; 32]),
            disk: BTreeMap::new(),
            now: at(0),
            near: true,
            from: None,
            asked: 0,
            pushed: Vec::new(),
            notices: Vec::new(),
            offers: Vec::new(),
            others: BTreeMap::new(),
            deaf: BTreeSet::new(),
            compared: Vec::new(),
            handed_on: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// The same holder after a crash: only the disk is left.
    fn restart(&mut self) {
        self.mailbox = Mailbox::with_limits(OWN, self.mailbox.limits);
        for ((table, key), value) in &self.disk {
            self.mailbox.restore(*table, key, value, self.now);
        }
    }

    /// Asks, and hands back the answer before the disk answered anything.
    fn ask_only(&mut self, link: u64, request: &Request) -> Response {
        let node = Signer::new(200);
        let sign = |digest: &[u8; 64]| node.sign(digest);
        self.asked += 1;
        let source = self.from.unwrap_or_else(|| source(self.asked, None));
        let binding = binding_of(link);
        let peer = Peer { link: LinkId(link), binding: &binding, near: self.near, source };
        self.mailbox.handle_request(peer, request, &sign, self.now, &mut self.out).unwrap()
    }

    fn ask(&mut self, link: u64, request: &Request) -> Response {
        let response = self.ask_only(link, request);
        self.settle();
        response
    }

    /// Runs all outputs and effects until nothing is left to do.
    fn settle(&mut self) {
        loop {
            self.collect();
            let Some(output) = self.out.poll() else {
                return;
            };
            if let Output::Persist(writes) = output {
                self.persist(writes);
            } else if let Output::Load { load, query } = output {
                let rows = self.load(&query);
                let now = self.now;
                let ours = self.mailbox.handle_loaded(load, &rows, now, &mut self.out);
                assert!(ours);
            } else {
                panic!("a mailbox does not ask for {output:?}");
            }
        }
    }

    fn collect(&mut self) {
        while let Some(effect) = self.mailbox.poll_effect() {
            match effect {
                Effect::Push { link, body } => self.collect_push(link.0, *body),
                Effect::Respond { link, request, response } => {
                    self.answers.push((link.0, request, *response));
                }
                Effect::Compare { to, marks } => self.collect_compare(to, &marks),
                Effect::HandOn { to, removal } => self.handed_on.push((to, *removal)),
                Effect::Offer { to, envelope, until } => {
                    self.offers.push((to, envelope.id(), until));
                    self.collect_offer(to, &envelope);
                }
            }
        }
    }

    fn collect_compare(&mut self, to: NodeId, marks: &[MailMark]) {
        assert!(marks.len() <= IDS_PER_REQUEST_MAX);
        self.compared.extend(marks.iter().map(|mark| (to, *mark)));
        if self.deaf.contains(&to) {
            return;
        }
        let has = self.others.entry(to).or_default();
        let lacks = marks.iter().filter(|mark| !has.contains(mark));
        let lacks: Vec<MailMark> = lacks.copied().collect();
        self.mailbox.compared(to, marks, &lacks, self.now, &mut self.out);
    }

    fn collect_offer(&mut self, to: NodeId, envelope: &Envelope) {
        let id = envelope.id();
        let receipt =
            HolderReceipt { envelope: id, holder: to, until: self.now.wall, taken: false };
        let receipt = Unverified::sign(&receipt, |_| Vec::new());
        let answer = Response::Receipt { receipt };
        let answer = if self.deaf.contains(&to) { None } else { Some(&answer) };
        if answer.is_some() {
            let mark = Owner::of(envelope).mark(id);
            self.others.entry(to).or_default().insert(mark);
        }
        self.mailbox.offered(id, to, answer, self.now, &mut self.out);
    }

    fn collect_push(&mut self, link: u64, body: Body) {
        if let Body::Delivery(delivery) = body {
            self.pushed.push((link, delivery.envelope.id()));
        } else if let Body::Notice(notice) = body {
            self.notices.push((link, notice.envelope));
        } else {
            panic!("a mailbox does not push {body:?}");
        }
    }

    fn persist(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Put { table, key, value } => self.disk.insert((table, key), value),
                Write::Remove { table, key } => self.disk.remove(&(table, key)),
            };
        }
    }

    fn load(&self, query: &Query) -> Vec<Row> {
        let from = (query.table, query.from.clone());
        let to = (query.table, query.to.clone().unwrap());
        let rows = self.disk.range(from..to).take(query.limit);
        rows.map(|((_, key), value)| (key.clone(), value.clone())).collect()
    }

    fn rows(&self, table: Table) -> usize {
        self.disk.keys().filter(|(of, _)| *of == table).count()
    }

    /// Lets time pass, with every timeout that falls into it.
    fn wait(&mut self, ms: u64) {
        let end = self.now.mono.plus_ms(ms);
        while let Some(deadline) = self.mailbox.poll_timeout() {
            if deadline.at > end {
                break;
            }
            self.advance(deadline.at.since_ms(self.now.mono));
            self.mailbox.handle_timeout(self.now, &mut self.out);
            self.settle();
        }
        self.advance(end.since_ms(self.now.mono));
    }

    fn advance(&mut self, ms: u64) {
        self.now.mono = self.now.mono.plus_ms(ms);
        self.now.wall = self.now.wall.plus_ms(ms);
    }

    fn in_days(&self, days: u64) -> Timestamp {
        self.now.wall.plus_ms(days * DAY_MS)
    }

    fn deposit(&mut self, envelope: &Envelope) -> Response {
        let until = self.in_days(7);
        self.deposit_until(envelope, until, false)
    }

    fn deposit_until(&mut self, envelope: &Envelope, until: Timestamp, repair: bool) -> Response {
        let request = Request::Deposit { envelope: envelope.clone(), until, repair };
        self.ask(99, &request)
    }

    fn challenge(&mut self, link: u64, user: UserId) -> Vec<u8> {
        let response = self.ask(link, &Request::Attach { user });
        let Response::Challenge { nonce } = response else {
            panic!("expected a challenge, got {response:?}");
        };
        nonce.into_vec()
    }

    fn attach(&mut self, link: u64, device: &Device) -> (u32, u32) {
        let nonce = self.challenge(link, device.user());
        let proof = device.proof(&nonce, link);
        let response = self.ask(link, &device.prove(&proof));
        let Response::Attached { waiting, keys } = response else {
            panic!("expected to be attached, got {response:?}");
        };
        (waiting, keys)
    }

    fn remove(&mut self, link: u64, device: &Device, ids: &[EnvelopeId]) {
        assert_eq!(self.ask(link, &device.removal(ids)), Response::Done);
    }

    fn pushed(&mut self) -> Vec<EnvelopeId> {
        self.pushed.drain(..).map(|(_, id)| id).collect()
    }
}

/// The node with a number, in a /24 if one is named.
fn source(number: u64, subnet: Option<u8>) -> Source {
    let mut node = NodeId([0x77; 20]);
    node.0[..8].copy_from_slice(&number.to_be_bytes());
    let prefix = subnet.and_then(|c| Prefix::of([203, 0, c, 9].into()));
    Source { node, prefix, neighbour: false }
}

fn receipt(response: Response) -> HolderReceipt {
    let Response::Receipt { receipt } = response else {
        panic!("expected a receipt, got {response:?}");
    };
    let node = NodeKey(Signer::new(200).public());
    receipt.verify(&node).unwrap().into_value()
}

fn reason(response: &Response) -> Refusal {
    let Response::Refused { reason, .. } = response else {
        panic!("expected a refusal, got {response:?}");
    };
    *reason
}

/// So many envelopes of a device, from a number on.
fn envelopes(device: &Device, from: u32, count: usize) -> Vec<Envelope> {
    (from..).take(count).map(|n| device.envelope(n)).collect()
}

fn ids(envelopes: &[Envelope]) -> Vec<EnvelopeId> {
    envelopes.iter().map(Envelope::id).collect()
}
