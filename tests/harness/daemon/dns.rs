//! A DNS server on this machine, which daemons are told to ask.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, SRV, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// How long an answer may be kept; tests change names.
const KEPT_S: u32 = 1;

#[derive(Debug, Default)]
struct State {
    zone: Vec<(Name, RData)>,
    asked: Vec<(Name, RecordType)>,
    ended: bool,
}

/// A DNS server; it answers until it is dropped.
#[derive(Debug)]
pub struct Dns {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap().to_lowercase()
}

impl Dns {
    /// Starts a server that knows no names.
    ///
    /// # Panics
    /// If there is no port for it.
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let state = Arc::default();
        let served = Arc::clone(&state);
        thread::spawn(move || serve(&socket, &served));
        Self { address, state }
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says that a host is a pod at an address of this machine, and which node it is.
    ///
    /// # Panics
    /// If the address is not of IPv4.
    pub fn put_pod(&self, host: &str, address: SocketAddr, node: &str) {
        let SocketAddr::V4(address) = address else { panic!("{address} is not of IPv4") };
        let (service, target) = (service(host), name(&format!("machine.{host}.")));
        let rows = [
            (service.clone(), RData::SRV(SRV::new(0, 0, address.port(), target.clone()))),
            (service, RData::TXT(TXT::new(vec![format!("node={node}")]))),
            (target, RData::A(A(*address.ip()))),
        ];
        let mut state = lock(&self.state);
        state.zone.retain(|(name, _)| rows.iter().all(|(new, _)| new != name));
        state.zone.extend(rows);
    }

    /// Says that a host is no pod.
    pub fn put_no_pod(&self, host: &str) {
        let none = RData::SRV(SRV::new(0, 0, 0, Name::root()));
        lock(&self.state).zone.push((service(host), none));
    }

    /// Whether somebody asked for both records of a pod.
    pub fn was_asked(&self, host: &str) -> bool {
        let state = lock(&self.state);
        [RecordType::SRV, RecordType::TXT].iter().all(|kind| {
            state.asked.iter().any(|(name, asked)| *name == service(host) && asked == kind)
        })
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        lock(&self.state).ended = true;
        // Whatever arrives wakes the thread, which then sees that it is over.
        if let Ok(socket) = UdpSocket::bind("127.0.0.1:0") {
            drop(socket.send_to(&[], self.address));
        }
    }
}

fn service(host: &str) -> Name {
    name(&format!("_bytchat._udp.{host}."))
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(socket: &UdpSocket, state: &Mutex<State>) {
    let mut packet = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut packet) {
        let mut state = lock(state);
        if state.ended {
            return;
        }
        if let Some(answer) = answer(&mut state, &packet[..length]) {
            drop(socket.send_to(&answer, from));
        }
    }
}

fn answer(state: &mut State, packet: &[u8]) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(packet).ok()?.into_response();
    let query = message.queries.first()?.clone();
    let asked = query.name().to_lowercase();
    state.asked.push((asked.clone(), query.query_type()));
    let mut rows = state.zone.iter().filter(|(name, _)| *name == asked).peekable();
    if rows.peek().is_none() {
        message.metadata.response_code = ResponseCode::NXDomain;
    }
    for (_, data) in rows.filter(|(_, data)| data.record_type() == query.query_type()) {
        message.add_answer(Record::from_rdata(query.name().clone(), KEPT_S, data.clone()));
    }
    message.to_vec().ok()
}
