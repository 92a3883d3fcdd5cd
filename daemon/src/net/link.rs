//! One link: its streams, its tasks and its end.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use quinn::{Connection, RecvStream, SendStream, WriteError};
use tokio::io::BufReader;
use tokio::sync::mpsc;
use tracing::{debug, trace};

use super::arrivals::{Arrivals, Share};
use super::end::{CloseCode, LinkEnd, close_connection};
use super::frame::{FrameError, encode_frame, encode_length, read_frame};
use super::gate::{Seat, lock};
use super::limits::{
    FRAME_BYTES_MAX, FRAME_INLINE_BYTES_MAX, READ_BUFFER_BYTES, WRITE_BATCH_BYTES,
};
use super::pace::Pace;
use super::queue::{Queued, SendQueue, Waiting};
use super::{DialId, LinkId, NetEvent, SendError};

/// The links that are up.
#[derive(Debug, Default)]
pub(crate) struct Links {
    next: AtomicU64,
    by_id: Mutex<BTreeMap<LinkId, Arc<Link>>>,
}

impl Links {
    pub(crate) fn send(&self, id: LinkId, bytes: Vec<u8>) -> Result<(), SendError> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(SendError::TooLong { got: bytes.len() });
        }
        let link = lock(&self.by_id).get(&id).cloned().ok_or(SendError::Down { link: id })?;
        if link.closed.get().is_some() {
            return Err(SendError::Down { link: id });
        }
        if link.queue.push(bytes) {
            return Ok(());
        }
        link.close(CloseCode::TooSlow, "peer does not keep up with what it is sent");
        Err(SendError::TooSlow { link: id })
    }

    pub(crate) fn close(&self, id: LinkId, reason: &str) {
        let link = lock(&self.by_id).get(&id).cloned();
        if let Some(link) = link {
            link.close(CloseCode::Done, reason);
        }
    }

    pub(crate) fn close_all(&self, code: CloseCode, reason: &str) {
        let links: Vec<_> = lock(&self.by_id).values().cloned().collect();
        links.iter().for_each(|link| link.close(code, reason));
    }
}

#[derive(Debug)]
struct Link {
    connection: Connection,
    queue: SendQueue,
    /// Why we closed it, if it was us.
    closed: OnceLock<String>,
}

impl Link {
    /// Closes the link; the first reason stands.
    fn close(&self, code: CloseCode, reason: &str) {
        if self.closed.set(reason.to_owned()).is_ok() {
            close_connection(&self.connection, code, reason);
        }
    }
}

/// A connection whose peer is authenticated and whose shared stream is open.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) key: [u8; 32],
    pub(crate) binding: [u8; 32],
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
    pub(crate) dial: Option<DialId>,
    pub(crate) seat: Seat,
}

/// Lives as long as the link: says that it is up, moves frames, says why it is down.
pub(crate) async fn run_link(links: &Links, events: &Arrivals, opened: Opened) {
    let Opened { connection, key, binding, mut send, mut recv, dial, seat } = opened;
    let id = LinkId(links.next.fetch_add(1, Ordering::Relaxed));
    let (queue, waiting) = SendQueue::new();
    let link = Arc::new(Link { connection: connection.clone(), queue, closed: OnceLock::new() });
    lock(&links.by_id).insert(id, Arc::clone(&link));
    let address = connection.remote_address();
    debug!(link = id.0, %address, dialled = dial.is_some(), "link is up");

    let end = if events.send(NetEvent::Up { link: id, key, address, binding, dial }).await.is_ok() {
        let share = Share::new();
        let pace = Pace::new();
        let work = Work { connection: &connection, events, share: &share, pace: &pace, id };
        work.drive(&mut send, &mut recv, waiting).await
    } else {
        LinkEnd::NobodyListens
    };

    let reason = end.describe(link.closed.get(), &connection);
    link.close(end.code(), &reason);
    lock(&links.by_id).remove(&id);
    drop(seat);
    debug!(link = id.0, %reason, "link is down");
    if events.send(NetEvent::Down { link: id, reason }).await.is_err() {
        trace!("nobody listens to events any more");
    }
}

#[derive(Clone, Copy)]
struct Work<'a> {
    connection: &'a Connection,
    events: &'a Arrivals,
    share: &'a Share,
    pace: &'a Pace,
    id: LinkId,
}

impl Work<'_> {
    /// Moves frames until the link ends; what had arrived before a loss is still handed up.
    async fn drive(
        self,
        send: &mut SendStream,
        recv: &mut RecvStream,
        waiting: Waiting,
    ) -> LinkEnd {
        let read = async { tokio::try_join!(self.read_small(recv), self.read_large()) };
        tokio::select! {
            end = read => end.map_or_else(|end| end, |_| LinkEnd::Lost),
            end = self.write_small(send, waiting.small) => end,
            end = self.write_large(waiting.large) => end,
            end = self.refuse_streams() => end,
        }
    }

    /// Reads the shared stream; ends well when the connection is lost.
    async fn read_small(self, recv: &mut RecvStream) -> Result<(), LinkEnd> {
        let mut recv = BufReader::with_capacity(READ_BUFFER_BYTES, recv);
        loop {
            match read_frame(&mut recv, FRAME_INLINE_BYTES_MAX).await {
                Ok(Some(bytes)) => self.hand_up(bytes).await?,
                Ok(None) => return Err(LinkEnd::StreamEnded),
                Err(error) => return self.judge(error),
            }
        }
    }

    /// Reads streams of large frames one after the other; a peer has at most one frame in our
    /// memory beside its window.
    async fn read_large(self) -> Result<(), LinkEnd> {
        loop {
            let Ok(mut recv) = self.connection.accept_uni().await else {
                return Ok(());
            };
            match read_frame(&mut recv, FRAME_BYTES_MAX).await {
                Ok(Some(bytes)) => self.hand_up_alone(bytes, &mut recv).await?,
                Ok(None) => return Err(LinkEnd::EmptyStream),
                Err(error) => self.judge(error)?,
            }
        }
    }

    async fn hand_up_alone(self, bytes: Vec<u8>, recv: &mut RecvStream) -> Result<(), LinkEnd> {
        match recv.read(&mut [0]).await {
            Ok(None) => self.hand_up(bytes).await,
            Ok(Some(_)) => Err(LinkEnd::TrailingBytes),
            Err(error) => self.judge(FrameError::Lost(error.into())),
        }
    }

    async fn hand_up(self, bytes: Vec<u8>) -> Result<(), LinkEnd> {
        trace!(link = self.id.0, bytes = bytes.len(), "frame received");
        self.pace.turn(bytes.len()).await;
        let handed = self.events.frame(self.share, self.id, bytes).await;
        handed.map_err(|_| LinkEnd::NobodyListens)
    }

    /// A read that fails is the peer's fault unless the whole connection is gone.
    fn judge(self, error: FrameError) -> Result<(), LinkEnd> {
        let gone = self.connection.close_reason().is_some();
        if gone { Ok(()) } else { Err(LinkEnd::Frame(error)) }
    }

    async fn write_small(
        self,
        send: &mut SendStream,
        mut waiting: mpsc::Receiver<Queued>,
    ) -> LinkEnd {
        let mut batch = Vec::new();
        while let Some(first) = waiting.recv().await {
            encode_frame(&first.bytes, &mut batch);
            while batch.len() < WRITE_BATCH_BYTES {
                let Ok(next) = waiting.try_recv() else { break };
                encode_frame(&next.bytes, &mut batch);
            }
            if let Err(error) = send.write_all(&batch).await {
                return self.write_failed(error).await;
            }
            batch.clear();
            batch.shrink_to(WRITE_BATCH_BYTES);
        }
        pending().await
    }

    async fn write_large(self, mut waiting: mpsc::Receiver<Queued>) -> LinkEnd {
        while let Some(frame) = waiting.recv().await {
            if let Err(error) = self.write_alone(&frame.bytes).await {
                return self.write_failed(error).await;
            }
        }
        pending().await
    }

    async fn write_alone(self, bytes: &[u8]) -> Result<(), WriteError> {
        let mut send = self.connection.open_uni().await?;
        // Small frames go first: a lookup must not wait for an attachment.
        send.set_priority(-1)?;
        send.write_all(&encode_length(bytes)).await?;
        send.write_all(bytes).await?;
        send.finish()?;
        Ok(())
    }

    /// Leaves it to the readers to notice a lost connection, once they have read what came.
    async fn write_failed(self, error: WriteError) -> LinkEnd {
        if self.connection.close_reason().is_some() { pending().await } else { error.into() }
    }

    async fn refuse_streams(self) -> LinkEnd {
        match self.connection.accept_bi().await {
            Ok(_) => LinkEnd::SecondStream,
            Err(_) => pending().await,
        }
    }
}
