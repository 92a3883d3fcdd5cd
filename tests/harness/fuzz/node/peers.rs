//! What hand-made peers say: well-formed, and signed where that is what it takes, with any values.

use std::net::SocketAddr;
use std::sync::OnceLock;

use bytchat_proto::alias::Alias;
use bytchat_proto::binding::{AliasBinding, AliasClaim};
use bytchat_proto::codec::encode;
use bytchat_proto::envelope::{
    AttachProof, ENCAPSULATION_BYTES, Envelope, HolderReceipt, OneTimeKey, Removal, TAG_BYTES,
};
use bytchat_proto::id::{EnvelopeId, MailMark, UserId};
use bytchat_proto::key::{AccountKey, DeviceKey};
use bytchat_proto::limits::{
    ENVELOPE_CLASS_MIN, FRAME_BYTES_MAX, IDS_PER_REQUEST_MAX, LOCATION_TTL_MS, PROTOCOL_VERSION,
    RECORD_TTL_MAX_MS, SUITE,
};
use bytchat_proto::point::Point;
use bytchat_proto::record::{
    Contact, DeviceCertificate, LocationBody, NodeRecord, PrekeyBody, ProfileBody, Record,
    RecordBody, RecordKind, Signer, UserBody,
};
use bytchat_proto::timestamp::Timestamp;
use bytchat_proto::unverified::Unverified;
use bytchat_proto::wire::{Body, Contacts, Delivery, Hello, Notice, Refusal, Request, Response};
use serde_bytes::ByteBuf;

use super::super::source::Source;
use super::super::values::{Person, by_account, nth_person};
use super::rig::{MACHINES, Rig, address_of, network, secret_of};

/// Hand-made peers: the other machines of the world, and some that nobody knows.
pub(super) const PEERS: usize = MACHINES + 8;
/// People whose keys are here; the first three have accounts on the nodes.
const PEOPLE: usize = 5;
/// Devices of one person, whose keys are those of peers.
const DEVICES: usize = 3;

/// Who speaks: a peer with the key of a machine, over a link of a node.
pub(super) struct Voice<'s, 'a> {
    pub(super) which: usize,
    pub(super) machine: usize,
    pub(super) nonce: Vec<u8>,
    pub(super) now: Timestamp,
    pub(super) source: &'s mut Source<'a>,
}

fn person(number: usize) -> &'static Person {
    static ALL: OnceLock<Vec<Person>> = OnceLock::new();
    &ALL.get_or_init(|| (0..PEOPLE).map(nth_person).collect())[number % PEOPLE]
}

/// The account's word for a device whose key is that of a peer; made once.
fn certificate(number: usize, device: usize) -> &'static Unverified<DeviceCertificate> {
    static ALL: OnceLock<Vec<Unverified<DeviceCertificate>>> = OnceLock::new();
    let make = |at: usize| {
        let person = person(at / DEVICES);
        let certificate = DeviceCertificate {
            user: person.key.user(),
            device: device_key(at % DEVICES),
            identity: ByteBuf::from(vec![9; 32]),
            label: "fuzz".to_owned(),
            added: Timestamp(0),
        };
        Unverified::sign(&certificate, |digest| by_account(&person.secret, digest))
    };
    let all = ALL.get_or_init(|| (0..PEOPLE * DEVICES).map(make).collect());
    &all[(number % PEOPLE) * DEVICES + device % DEVICES]
}

fn device_key(device: usize) -> DeviceKey {
    DeviceKey(secret_of(device % DEVICES).key().0)
}

impl Voice<'_, '_> {
    fn person(&mut self) -> usize {
        self.source.below(PEOPLE)
    }

    fn device(&mut self) -> usize {
        self.source.below(DEVICES)
    }

    fn account(&mut self) -> AccountKey {
        person(self.person()).key.clone()
    }

    fn user(&mut self) -> UserId {
        match self.source.byte() {
            0..=199 => self.account().user(),
            byte => UserId([byte; 20]),
        }
    }

    fn point(&mut self) -> Point {
        match self.source.byte() {
            0..=127 => Point::of_user(self.user()),
            128..=159 => Point::of_profile(self.user()),
            160..=191 => Point::of_location(self.user()),
            _ => Point(self.source.array()),
        }
    }

    /// A time around now, or any.
    fn time(&mut self) -> Timestamp {
        match self.source.byte() {
            0..=99 => self.now,
            100..=199 => self.now.plus_ms(self.source.number().min(2 * RECORD_TTL_MAX_MS)),
            200..=229 => self.now.minus_ms(self.source.number().min(2 * RECORD_TTL_MAX_MS)),
            _ => Timestamp(self.source.number()),
        }
    }

    fn id(&mut self) -> EnvelopeId {
        EnvelopeId([self.source.byte(); 32])
    }

    fn ids(&mut self) -> Vec<EnvelopeId> {
        let many = self.source.byte() == 255;
        let count = if many { IDS_PER_REQUEST_MAX + 1 } else { self.source.below(4) };
        (0..count).map(|_| self.id()).collect()
    }

    fn marks(&mut self) -> Vec<MailMark> {
        let (user, device) = (self.user(), device_key(self.device()));
        self.ids().into_iter().map(|id| MailMark::new(user, device, id)).collect()
    }

    fn address(&mut self) -> SocketAddr {
        match self.source.byte() {
            0..=127 => address_of(self.source.below(PEERS)),
            128..=199 => SocketAddr::from((self.source.array::<4>(), 4848)),
            _ => SocketAddr::from((self.source.array::<16>(), u16::from(self.source.byte()))),
        }
    }

    pub(super) fn contact(&mut self, machine: usize) -> Contact {
        let count = 1 + self.source.below(3);
        let record = NodeRecord {
            network: network(),
            key: secret_of(machine).key(),
            stamp: ByteBuf::new(),
            addresses: (0..count).map(|_| self.address()).collect(),
            pod: match self.source.byte() {
                0..=31 => "b.test".parse().ok(),
                _ => None,
            },
            sequence: self.source.number(),
        };
        Unverified::sign(&record, |digest| secret_of(machine).sign(digest))
    }

    fn contacts(&mut self) -> Vec<Contact> {
        let count = self.source.below(5);
        let one = |_| {
            let machine = self.source.below(PEERS);
            self.contact(machine)
        };
        (0..count).map(one).collect()
    }

    pub(super) fn hello(&mut self) -> Body {
        Body::Hello(Hello {
            version: PROTOCOL_VERSION,
            network: network(),
            contact: self.contact(self.machine),
            observed: self.address(),
            frame_bytes_max: u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX),
            time: Some(self.time()),
        })
    }

    fn envelope(&mut self) -> Envelope {
        let class = match self.source.byte() {
            0..=239 => ENVELOPE_CLASS_MIN,
            _ => 4096 * (1 + self.source.below(16)),
        };
        let (user, device) = (self.user(), self.device());
        let mut sealed = vec![0; class + TAG_BYTES];
        sealed[..2].copy_from_slice(&self.source.array::<2>());
        let kem = u32::from(self.source.byte());
        Envelope::assemble(user, device_key(device), kem, &[3; ENCAPSULATION_BYTES], &sealed)
            .expect("it has the size of a class")
    }

    fn record(&mut self) -> Record {
        let kinds =
            [RecordKind::Prekey, RecordKind::Location, RecordKind::User, RecordKind::Profile];
        let kind = *self.source.pick(&kinds);
        let (who, device) = (self.person(), self.device());
        let account = person(who).key.clone();
        let life = if kind == RecordKind::Location { LOCATION_TTL_MS } else { RECORD_TTL_MAX_MS };
        let created = self.time();
        let certificate = certificate(who, device).clone();
        let signer = match kind {
            RecordKind::User | RecordKind::Profile => Signer::Account { account },
            RecordKind::Prekey | RecordKind::Location => Signer::Device { account, certificate },
        };
        let body = RecordBody {
            suite: SUITE,
            network: network(),
            kind,
            signer,
            sequence: self.source.number(),
            created,
            expires: created.plus_ms(life),
            body: ByteBuf::from(self.body(kind, who)),
        };
        match &body.signer {
            Signer::Account { .. } => {
                Unverified::sign(&body, |digest| by_account(&person(who).secret, digest))
            }
            Signer::Device { .. } => {
                Unverified::sign(&body, |digest| secret_of(device).sign(digest))
            }
        }
    }

    fn body(&mut self, kind: RecordKind, who: usize) -> Vec<u8> {
        match kind {
            RecordKind::User => encode(&UserBody {
                devices: (0..self.source.below(DEVICES + 1))
                    .map(|device| certificate(who, device).clone())
                    .collect(),
                revoked: (0..self.source.below(2)).map(|_| device_key(self.device())).collect(),
                pods: (0..self.source.below(3)).flat_map(|_| "b.test".parse()).collect(),
            }),
            RecordKind::Profile => encode(&ProfileBody {
                uid: person(who).key.user(),
                name: String::from_utf8_lossy(self.source.bytes()).chars().take(99).collect(),
                avatar: ByteBuf::new(),
                more: Default::default(),
            }),
            RecordKind::Prekey => encode(&PrekeyBody {
                kem_id: u32::from(self.source.byte()),
                kem: ByteBuf::from(vec![self.source.byte(); 1216]),
                fallback: ByteBuf::from(vec![9; 32]),
            }),
            RecordKind::Location => {
                let machine = self.source.below(PEERS);
                encode(&LocationBody { contact: self.contact(machine) })
            }
        }
    }

    fn keys(&mut self) -> Vec<Unverified<OneTimeKey>> {
        let count = self.source.below(24);
        let device = self.device();
        let holder = match self.source.byte() {
            0..=199 => secret_of(3 + self.which).key().node(network(), &[]),
            _ => secret_of(self.machine).key().node(network(), &[]),
        };
        let expires = self.time();
        let first = self.source.byte();
        let key = |number: usize| {
            let number = u8::try_from(number).unwrap_or(0).wrapping_add(first);
            let key = ByteBuf::from(vec![number; 32]);
            let key = OneTimeKey { device: device_key(device), holder, key, expires };
            Unverified::sign(&key, |digest| secret_of(device).sign(digest))
        };
        (0..count).map(key).collect()
    }

    fn notice(&mut self) -> Notice {
        let (user, device) = (self.user(), device_key(self.device()));
        Notice { user, device, envelope: self.id(), until: self.time() }
    }

    fn claim(&mut self) -> Unverified<AliasClaim> {
        let who = self.person();
        let alias = self.alias();
        let claim = AliasClaim {
            alias,
            account: person(who).key.clone(),
            sequence: self.source.number(),
            created: self.time(),
        };
        Unverified::sign(&claim, |digest| by_account(&person(who).secret, digest))
    }

    fn alias(&mut self) -> Alias {
        let hosts = ["c.test", "a.test", "b.test"];
        let text = format!("u{}@{}", self.source.byte(), self.source.pick(&hosts));
        text.parse().expect("it is an alias")
    }

    pub(super) fn request(&mut self) -> Request {
        match self.source.below(15) {
            0 => Request::Ping,
            1 => Request::FindNode { target: self.point() },
            2 => {
                let kinds = [RecordKind::User, RecordKind::Prekey, RecordKind::Location];
                Request::FindRecord { target: self.point(), kind: *self.source.pick(&kinds) }
            }
            3 => Request::PutRecord { record: self.record() },
            4 => Request::TakeKeys { user: self.user() },
            5 => Request::PutKeys { user: self.user(), keys: self.keys() },
            6 | 7 => Request::Deposit {
                envelope: self.envelope(),
                until: self.time(),
                repair: self.source.chance(64),
            },
            8 => Request::Attach { user: self.user() },
            9 => self.prove(),
            10 => Request::Remove { removal: self.removal() },
            11 if self.source.chance(128) => Request::ShowKept {
                user: self.user(),
                device: device_key(self.device()),
                envelope: self.id(),
                nonce: ByteBuf::from(self.source.bytes().to_vec()),
            },
            11 if self.source.chance(128) => Request::Compare { marks: self.marks() },
            11 => Request::Fetch { user: self.user(), envelopes: self.ids() },
            12 => Request::Notify { notice: self.notice() },
            13 => Request::RegisterAlias { claim: self.claim() },
            _ => Request::ResolveAlias { alias: self.alias() },
        }
    }

    fn prove(&mut self) -> Request {
        let (who, device) = (self.person(), self.device());
        let holder = secret_of(3 + self.which).key().node(network(), &[]);
        let proof = AttachProof {
            user: person(who).key.user(),
            device: device_key(device),
            holder,
            nonce: ByteBuf::from(self.nonce.clone()),
            binding: ByteBuf::from(vec![9; 32]),
        };
        Request::Prove {
            account: person(who).key.clone(),
            certificate: certificate(who, device).clone(),
            proof: Unverified::sign(&proof, |digest| secret_of(device).sign(digest)),
        }
    }

    fn removal(&mut self) -> Unverified<Removal> {
        let (user, device) = (self.user(), self.device());
        let removal = Removal { user, device: device_key(device), envelopes: self.ids() };
        Unverified::sign(&removal, |digest| secret_of(device).sign(digest))
    }

    pub(super) fn push(&mut self) -> Body {
        match self.source.below(3) {
            0 => Body::Routing(Contacts { contacts: self.contacts() }),
            1 => Body::Delivery(Delivery { envelope: self.envelope() }),
            _ => Body::Notice(self.notice()),
        }
    }

    /// An answer to a request: one that fits, or any.
    pub(super) fn response(&mut self, request: &Request) -> Response {
        let fits = match request {
            Request::Ping | Request::PutKeys { .. } | Request::Remove { .. } => 0,
            Request::FindNode { .. } => 1,
            Request::FindRecord { .. } => 2,
            Request::TakeKeys { .. } => 3,
            Request::Deposit { .. } => 4,
            Request::Attach { .. } => 5,
            Request::Prove { .. } => 6,
            Request::RegisterAlias { .. } | Request::ResolveAlias { .. } => 7,
            Request::ShowKept { .. } => 9,
            Request::Compare { .. } => 10,
            Request::PutRecord { .. } | Request::Fetch { .. } | Request::Notify { .. } => 0,
        };
        let kind = if !self.source.chance(32) { fits } else { self.source.below(9) };
        match kind {
            0 => Response::Done,
            1 => Response::Nodes(Contacts { contacts: self.contacts() }),
            2 => Response::Records {
                records: (0..self.source.below(4)).map(|_| self.record()).collect(),
                contacts: self.contacts(),
            },
            3 => Response::Keys { keys: self.keys() },
            4 => Response::Receipt { receipt: self.receipt(request) },
            5 => Response::Challenge { nonce: ByteBuf::from(self.source.bytes().to_vec()) },
            6 => {
                let keys = u32::from(self.source.byte());
                Response::Attached { waiting: u32::MAX, keys }
            }
            7 => {
                let binding = AliasBinding { claim: self.claim(), registered: self.time() };
                let machine = self.machine;
                let sign = |digest: &[u8; 64]| secret_of(machine).sign(digest);
                Response::Binding { binding: Unverified::sign(&binding, sign) }
            }
            10 => Response::Lacks { marks: self.marks() },
            9 => Response::Kept { proof: ByteBuf::from(self.source.bytes().to_vec()) },
            _ => {
                let reasons = [
                    Refusal::Stale,
                    Refusal::Full,
                    Refusal::Busy,
                    Refusal::NotClosest,
                    Refusal::Unknown,
                    Refusal::NotFound,
                ];
                let detail = format!("sequence {}", self.source.number());
                Response::refused(*self.source.pick(&reasons), detail)
            }
        }
    }

    fn receipt(&mut self, request: &Request) -> Unverified<HolderReceipt> {
        let envelope =
            if let Request::Deposit { envelope, .. } = request { envelope.id() } else { self.id() };
        let receipt = HolderReceipt {
            envelope,
            holder: secret_of(self.machine).key().node(network(), &[]),
            until: self.time(),
            taken: self.source.chance(64),
        };
        let machine = self.machine;
        Unverified::sign(&receipt, |digest| secret_of(machine).sign(digest))
    }
}

impl Rig {
    /// The voice of a peer on a link.
    pub(super) fn voice<'s, 'a>(
        &self,
        which: usize,
        (machine, nonce): (usize, Vec<u8>),
        source: &'s mut Source<'a>,
    ) -> Voice<'s, 'a> {
        Voice { which, machine, nonce, now: self.now().wall, source }
    }
}
