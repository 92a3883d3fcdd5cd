//! Frames that wait to be sent on one link: bounded in number and in bytes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::limits::{FRAME_INLINE_BYTES_MAX, SEND_QUEUE_BYTES_MAX, SEND_QUEUE_FRAMES_MAX};

/// A frame that waits, and the room it takes until it is handed to the transport.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) bytes: Vec<u8>,
    _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// The engine's end: two lanes that share their room.
#[derive(Debug)]
pub(crate) struct SendQueue {
    small: mpsc::Sender<Queued>,
    large: mpsc::Sender<Queued>,
    frames: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// The link's end: small frames share a stream, each large one gets its own.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) small: mpsc::Receiver<Queued>,
    pub(crate) large: mpsc::Receiver<Queued>,
}

impl SendQueue {
    pub(crate) fn new() -> (Self, Waiting) {
        let (small, small_waiting) = mpsc::channel(SEND_QUEUE_FRAMES_MAX);
        let (large, large_waiting) = mpsc::channel(SEND_QUEUE_FRAMES_MAX);
        let frames = Arc::new(Semaphore::new(SEND_QUEUE_FRAMES_MAX));
        let bytes = Arc::new(Semaphore::new(SEND_QUEUE_BYTES_MAX));
        let waiting = Waiting { small: small_waiting, large: large_waiting };
        (Self { small, large, frames, bytes }, waiting)
    }

    /// Appends a frame; false when there is no room for it.
    pub(crate) fn push(&self, bytes: Vec<u8>) -> bool {
        let lane = if bytes.len() > FRAME_INLINE_BYTES_MAX { &self.large } else { &self.small };
        let room = u32::try_from(bytes.len()).ok().and_then(|count| {
            let frame = Arc::clone(&self.frames).try_acquire_owned().ok()?;
            let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(count).ok()?;
            Some((frame, bytes))
        });
        room.is_some_and(|room| lane.try_send(Queued { bytes, _room: room }).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::limits::FRAME_BYTES_MAX;

    #[test]
    fn the_number_of_waiting_frames_is_bounded_over_both_lanes() {
        let (queue, mut waiting) = SendQueue::new();
        assert!(queue.push(vec![0; FRAME_INLINE_BYTES_MAX + 1]));
        for _ in 1..SEND_QUEUE_FRAMES_MAX {
            assert!(queue.push(Vec::new()));
        }
        assert!(!queue.push(Vec::new()));
        drop(waiting.small.try_recv().unwrap());
        assert!(queue.push(Vec::new()));
        assert!(!queue.push(Vec::new()));
    }

    #[test]
    fn the_bytes_of_waiting_frames_are_bounded() {
        let (queue, mut waiting) = SendQueue::new();
        for _ in 0..SEND_QUEUE_BYTES_MAX / FRAME_BYTES_MAX {
            assert!(queue.push(vec![0; FRAME_BYTES_MAX]));
        }
        assert!(!queue.push(vec![0]));
        assert!(queue.push(Vec::new()));
        drop(waiting.large.try_recv().unwrap());
        assert!(queue.push(vec![0; FRAME_BYTES_MAX]));
    }

    #[test]
    fn frames_are_put_on_the_lane_of_their_size() {
        let (queue, mut waiting) = SendQueue::new();
        assert!(queue.push(vec![0; FRAME_INLINE_BYTES_MAX]));
        assert!(waiting.large.try_recv().is_err());
        assert!(waiting.small.try_recv().is_ok());
        assert!(queue.push(vec![0; FRAME_INLINE_BYTES_MAX + 1]));
        assert!(waiting.small.try_recv().is_err());
        assert!(waiting.large.try_recv().is_ok());
    }
}
