//! Every limit of the network module, each with its reason.

use std::time::Duration;

/// The longest frame a link carries: a chunk of an attachment with its envelope.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;

/// The longest frame on the shared stream; what is longer would hold up the small ones behind it.
pub const FRAME_INLINE_BYTES_MAX: usize = 16 * 1024;

/// Links of a node, accepted and dialled: at 1.3 MiB each in the worst case they stay below 1 GiB.
pub const LINKS_MAX: usize = 512;

/// Accepted links from one host: enough for an office behind one NAT, a sixteenth of all.
pub const LINKS_PER_HOST_MAX: usize = 32;

/// Accepted links from one prefix (/24, /48): one network cannot take more than a quarter of all.
pub const LINKS_PER_PREFIX_MAX: usize = 128;

/// Handshakes under way before strangers must prove their address by a Retry.
pub const HALF_OPEN_MAX: usize = 64;

/// Dials under way: above it a dial fails at once instead of waiting in an unbounded queue.
pub const DIALS_MAX: usize = 128;

/// Handshakes a second from one host (IPv4 address or IPv6 /64) in the long run.
pub const HOST_HANDSHAKES_PER_SECOND: u32 = 10;

/// Handshakes a host may start at once: a whole office that comes back after a power cut.
pub const HOST_HANDSHAKES_BURST: u32 = 40;

/// Handshakes a second from one prefix (IPv4 /24, IPv6 /48) in the long run.
pub const PREFIX_HANDSHAKES_PER_SECOND: u32 = 40;

/// Handshakes a prefix may start at once.
pub const PREFIX_HANDSHAKES_BURST: u32 = 160;

/// Slots of a rate table, 16 bytes each; hosts that share a slot share its rate.
pub const RATE_SLOTS: usize = 4096;

/// Time for a handshake and the opening of the shared stream, on a bad mobile network.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence after which a link is dead: at least two keep-alives may be lost.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Shortest keep-alive; each link draws its own, so that links do not beat in step.
pub const KEEP_ALIVE_MIN: Duration = Duration::from_secs(15);

/// Longest keep-alive: NATs forget UDP mappings after 30 seconds.
pub const KEEP_ALIVE_MAX: Duration = Duration::from_secs(25);

/// Receive window of a stream: the largest frame and its length fit, so that a frame never waits
/// for credit in its middle and both ends may handle large frames one after the other.
pub const STREAM_WINDOW_BYTES: u32 = 272 * 1024;

/// Receive window of a link over all its streams: what a peer can make us hold unread.
pub const LINK_WINDOW_BYTES: u32 = 1024 * 1024;

/// What we hold of a link's sent and not yet acknowledged bytes.
pub const SEND_WINDOW_BYTES: u64 = 1024 * 1024;

/// Streams a peer may have open for large frames.
pub const UNI_STREAMS_MAX: u32 = 16;

/// Shared streams a peer may have open: the one that the dialler opens.
pub const BIDI_STREAMS_MAX: u32 = 1;

/// Frames that wait to be sent on a link: more means that the peer does not keep up.
pub const SEND_QUEUE_FRAMES_MAX: usize = 256;

/// Bytes that wait to be sent on a link.
pub const SEND_QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Events that wait for the engine; when they are that many, readers wait.
pub const EVENTS_MAX: usize = 1024;

/// Bytes of frames of one link that wait for the engine: two of the longest, so that one is read
/// while another waits.
pub const EVENT_BYTES_PER_LINK_MAX: usize = 2 * FRAME_BYTES_MAX;

/// Bytes of frames of all links that wait for the engine: a second of a fast line, so that a
/// commit that takes long slows nobody down, and a stalled engine costs no more.
pub const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a frame of one link costs of its time: 2 000 a second are four times the requests that a
/// node answers. The engine decodes each and looks at its deadlines, also if it then drops it.
pub const FRAME_COST: Duration = Duration::from_micros(500);

/// And for each KiB of it: 32 MiB a second, twice the mail that a device takes from one holder.
pub const FRAME_COST_PER_KIB: Duration = Duration::from_micros(30);

/// The time that a link can save for frames at once.
pub const FRAMES_SAVED: Duration = Duration::from_secs(1);

/// Connection attempts that wait for a decision, which takes microseconds.
pub const INCOMING_MAX: usize = 256;

/// Bytes kept of a connection attempt that waits: a hello with ML-KEM is two packets.
pub const INCOMING_BYTES_MAX: u64 = 16 * 1024;

/// Bytes kept of all connection attempts that wait.
pub const INCOMING_BYTES_TOTAL_MAX: u64 = 1024 * 1024;

/// Bytes of a reason that travel in a close and that are believed of a peer's.
pub const REASON_BYTES_MAX: usize = 128;

/// Buffer of the reader of the shared stream.
pub const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Small frames are gathered up to this size before they are written together.
pub const WRITE_BATCH_BYTES: usize = 32 * 1024;

/// Time for peers to learn of a shutdown, and again for the sockets to go.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// The limits an operator may change; the rest are constants of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetLimits {
    /// Links of the node, accepted and dialled.
    pub links: usize,
    /// Accepted links from one IPv4 address or IPv6 /64.
    pub links_per_host: usize,
    /// Accepted links from one IPv4 /24 or IPv6 /48.
    pub links_per_prefix: usize,
    /// Handshakes under way before addresses must be proved.
    pub half_open: usize,
    /// Whether this machine's own addresses are free of the limits per host and prefix.
    pub loopback_exempt: bool,
}

impl Default for NetLimits {
    fn default() -> Self {
        Self {
            links: LINKS_MAX,
            links_per_host: LINKS_PER_HOST_MAX,
            links_per_prefix: LINKS_PER_PREFIX_MAX,
            half_open: HALF_OPEN_MAX,
            loopback_exempt: true,
        }
    }
}
