//! What an address gets that has not shown that it is there: three times what came from it.
//!
//! The transport begins a datagram while it is below that (quinn's issue 1082), so that the last
//! one goes beyond it; here it is dropped, as the network might have done. RFC 9000 8.1.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::gate::lock;
use super::limits::UNPROVED_MAX;

/// So many times what came may go back.
const TIMES: usize = 3;

/// The addresses that began a handshake and have not ended it.
#[derive(Debug, Default)]
pub(crate) struct Unproved(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    unproved: BTreeMap<SocketAddr, Count>,
    /// In the order in which they came; some of them may be gone.
    order: VecDeque<SocketAddr>,
    /// Where links lead; whoever names such an address slows no link down.
    proved: BTreeMap<SocketAddr, usize>,
}

#[derive(Debug, Default)]
struct Count {
    received: usize,
    sent: usize,
    /// Handshakes that were accepted: as long as there is one it is not forgotten.
    handshakes: usize,
}

impl Unproved {
    /// Begins a handshake that was accepted.
    pub(crate) fn accept(self: &Arc<Self>, address: SocketAddr) -> Handshake {
        let mut state = lock(&self.0);
        let stage = if state.proved.contains_key(&address) { Stage::Free } else { Stage::Bound };
        if stage == Stage::Bound {
            state.count(address).handshakes += 1;
        }
        Handshake { table: Arc::clone(self), address, stage }
    }

    /// Begins a dial: what was answered to the address before does not count against it, unless
    /// a handshake that came from there goes on.
    pub(crate) fn dial(self: &Arc<Self>, address: SocketAddr) -> Handshake {
        let mut state = lock(&self.0);
        if state.unproved.get(&address).is_some_and(|count| count.handshakes == 0) {
            state.unproved.remove(&address);
        }
        Handshake { table: Arc::clone(self), address, stage: Stage::Free }
    }

    /// Notes what came from an address.
    fn received(&self, from: SocketAddr, bytes: usize, hello: bool) {
        let mut state = lock(&self.0);
        if state.proved.contains_key(&from) {
            return;
        }
        if hello {
            state.count(from).received += bytes;
        } else if let Some(count) = state.unproved.get_mut(&from) {
            count.received += bytes;
        }
    }

    /// How many of some bytes may go to an address, in whole datagrams; they count as sent.
    fn take(&self, to: SocketAddr, bytes: usize, datagram: usize) -> usize {
        let mut state = lock(&self.0);
        let Some(count) = state.unproved.get_mut(&to) else { return bytes };
        let room = count.received.saturating_mul(TIMES).saturating_sub(count.sent);
        let fits = if bytes <= room { bytes } else { room / datagram.max(1) * datagram };
        count.sent += fits;
        fits
    }

    /// Takes back what was not sent after all.
    fn untake(&self, to: SocketAddr, bytes: usize) {
        if let Some(count) = lock(&self.0).unproved.get_mut(&to) {
            count.sent = count.sent.saturating_sub(bytes);
        }
    }
}

impl State {
    /// The count of an address; where there are too many, the oldest one without a handshake goes.
    fn count(&mut self, address: SocketAddr) -> &mut Count {
        if !self.unproved.contains_key(&address) {
            self.order.push_back(address);
            for _ in 0..self.order.len() {
                if self.order.len() <= UNPROVED_MAX {
                    break;
                }
                self.forget_oldest();
            }
        }
        self.unproved.entry(address).or_default()
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.order.pop_front() else { return };
        match self.unproved.get(&oldest) {
            Some(count) if count.handshakes > 0 => self.order.push_back(oldest),
            Some(_) => drop(self.unproved.remove(&oldest)),
            None => {}
        }
    }
}

/// A handshake, and then the link that it led to.
#[derive(Debug)]
pub(crate) struct Handshake {
    table: Arc<Unproved>,
    address: SocketAddr,
    stage: Stage,
}

/// How far a handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// What it sends is counted.
    Bound,
    /// This node dialled, or a link leads there.
    Free,
    /// It has led to a link.
    Proved,
}

impl Handshake {
    /// The other end has answered what was sent to its address.
    pub(crate) fn prove(&mut self) {
        let mut state = lock(&self.table.0);
        state.unproved.remove(&self.address);
        if self.stage != Stage::Proved {
            *state.proved.entry(self.address).or_default() += 1;
            self.stage = Stage::Proved;
        }
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut state = lock(&self.table.0);
        match self.stage {
            Stage::Bound => {
                if let Some(count) = state.unproved.get_mut(&self.address) {
                    count.handshakes = count.handshakes.saturating_sub(1);
                }
            }
            Stage::Free => {}
            Stage::Proved => {
                if let Some(links) = state.proved.get_mut(&self.address) {
                    *links -= 1;
                    if *links == 0 {
                        state.proved.remove(&self.address);
                    }
                }
            }
        }
    }
}

/// A socket that keeps to it.
#[derive(Debug)]
pub(crate) struct Scales {
    socket: Arc<dyn AsyncUdpSocket>,
    table: Arc<Unproved>,
}

impl Scales {
    pub(crate) fn new(socket: Arc<dyn AsyncUdpSocket>, table: Arc<Unproved>) -> Self {
        Self { socket, table }
    }
}

/// Whether a datagram is the first of a handshake: a long header of an initial packet (RFC 9000
/// 17.2.2), whatever the fixed bit says.
fn is_hello(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & 0b1011_0000 == 0b1000_0000)
}

impl AsyncUdpSocket for Scales {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let to = transmit.destination;
        let all = transmit.contents.len();
        let fits = self.table.take(to, all, transmit.segment_size.unwrap_or(all));
        if fits == 0 {
            return Ok(());
        }
        let sent = self.socket.try_send(&Transmit {
            destination: to,
            ecn: transmit.ecn,
            contents: &transmit.contents[..fits],
            segment_size: transmit.segment_size.filter(|size| *size < fits),
            src_ip: transmit.src_ip,
        });
        if sent.is_err() {
            self.table.untake(to, fits);
        }
        sent
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let polled = self.socket.poll_recv(context, buffers, meta);
        if let Poll::Ready(Ok(count)) = polled {
            for (buffer, meta) in buffers.iter().zip(meta.iter()).take(count) {
                self.table.received(meta.addr, meta.len, is_hello(buffer));
            }
        }
        polled
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([203, 0, 113, 1], port))
    }

    #[test]
    fn what_does_not_fit_is_cut_to_whole_datagrams_or_dropped() {
        let table = Arc::new(Unproved::default());
        table.received(at(1), 1_200, true);
        assert_eq!(table.take(at(1), 2_400, 1_200), 2_400);
        assert_eq!(table.take(at(1), 2_500, 1_000), 1_000);
        assert_eq!(table.take(at(1), 1_000, 1_000), 0);
        assert_eq!(table.take(at(1), 200, 200), 200);
        table.untake(at(1), 200);
        table.received(at(1), 10, false);
        assert_eq!(table.take(at(1), 230, 230), 230);
        assert_eq!(table.take(at(1), 1, 1), 0);
        assert_eq!(table.take(at(2), 9_999, 1_200), 9_999, "nothing came from there");
    }

    #[test]
    fn a_proof_frees_an_address_as_long_as_its_link_lives() {
        let table = Arc::new(Unproved::default());
        table.received(at(1), 100, true);
        let mut handshake = table.accept(at(1));
        assert_eq!(table.take(at(1), 301, 301), 0);
        handshake.prove();
        // Somebody else names the address.
        table.received(at(1), 100, true);
        let _second = table.accept(at(1));
        assert_eq!(table.take(at(1), 301, 301), 301);
        drop(handshake);
        table.received(at(1), 100, true);
        assert_eq!(table.take(at(1), 301, 301), 0);
        assert!(lock(&table.0).proved.is_empty());
    }

    #[test]
    fn a_handshake_that_ends_leaves_its_count_behind_and_a_dial_clears_it() {
        let table = Arc::new(Unproved::default());
        table.received(at(1), 100, true);
        let handshake = table.accept(at(1));
        let meanwhile = table.dial(at(1));
        assert_eq!(table.take(at(1), 301, 301), 0);
        drop((handshake, meanwhile));
        assert_eq!(table.take(at(1), 301, 301), 0, "its close counts as well");
        let _dial = table.dial(at(1));
        assert_eq!(table.take(at(1), 301, 301), 301);
    }

    #[test]
    fn a_flood_of_hellos_forgets_the_oldest_and_no_handshake() {
        let table = Arc::new(Unproved::default());
        table.received(at(1), 100, true);
        let _handshake = table.accept(at(1));
        for port in 2..=u16::MAX {
            table.received(at(port), 100, true);
        }
        let state = lock(&table.0);
        assert_eq!((state.unproved.len(), state.order.len()), (UNPROVED_MAX, UNPROVED_MAX));
        assert_eq!(state.unproved.get(&at(1)).map(|count| count.received), Some(100));
        assert!(state.unproved.contains_key(&at(u16::MAX)));
        assert!(!state.unproved.contains_key(&at(2)));
    }

    #[test]
    fn a_hello_is_an_initial_packet() {
        assert!(is_hello(&[0xc0]) && is_hello(&[0x8f]));
        // A handshake packet, a retry, and a packet of a link.
        assert!(!is_hello(&[0xe0]) && !is_hello(&[0xf0]) && !is_hello(&[0x40]) && !is_hello(&[]));
    }
}
