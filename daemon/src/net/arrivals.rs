//! Events on their way to the engine: bounded in number, and frames in bytes as well.

use std::sync::Arc;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::limits::{EVENT_BYTES_MAX, EVENT_BYTES_PER_LINK_MAX, EVENTS_MAX};
use super::{LinkId, NetEvent};

/// The room that a frame takes until the engine has it: in its link's share, and in all.
type Room = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// The end of the sockets. Whoever sends waits while there is no room.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    queue: mpsc::Sender<(NetEvent, Option<Room>)>,
    bytes: Arc<Semaphore>,
}

/// What one link may have waiting for the engine.
#[derive(Debug)]
pub(crate) struct Share(Arc<Semaphore>);

/// The engine's end.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::Receiver<(NetEvent, Option<Room>)>,
}

/// The engine is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NobodyListens;

/// Makes the way for events: the sockets' end and the engine's.
pub(crate) fn queue() -> (Arrivals, Events) {
    let (sender, queue) = mpsc::channel(EVENTS_MAX);
    let bytes = Arc::new(Semaphore::new(EVENT_BYTES_MAX));
    (Arrivals { queue: sender, bytes }, Events { queue })
}

impl Share {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(EVENT_BYTES_PER_LINK_MAX)))
    }
}

impl Arrivals {
    /// Hands an event up that is no frame.
    pub(crate) async fn send(&self, event: NetEvent) -> Result<(), NobodyListens> {
        self.queue.send((event, None)).await.map_err(|_| NobodyListens)
    }

    /// Hands a frame up once there is room for it. A link waits for its own share first, so that
    /// who fills that takes nothing from others.
    pub(crate) async fn frame(
        &self,
        share: &Share,
        link: LinkId,
        bytes: Vec<u8>,
    ) -> Result<(), NobodyListens> {
        let count = u32::try_from(bytes.len()).expect("a frame is shorter than its limit");
        let own = Arc::clone(&share.0).acquire_many_owned(count);
        let own = own.await.map_err(|_| NobodyListens)?;
        let all = Arc::clone(&self.bytes).acquire_many_owned(count);
        let all = tokio::select! {
            all = all => all.map_err(|_| NobodyListens)?,
            () = self.queue.closed() => return Err(NobodyListens),
        };
        let event = NetEvent::Frame { link, bytes };
        self.queue.send((event, Some((own, all)))).await.map_err(|_| NobodyListens)
    }
}

impl Events {
    /// Waits for the next event; `None` when the network is gone.
    pub async fn recv(&mut self) -> Option<NetEvent> {
        self.queue.recv().await.map(|(event, _)| event)
    }

    /// Takes an event that is there already.
    ///
    /// # Errors
    /// When none is there, or none will ever be.
    pub fn try_recv(&mut self) -> Result<NetEvent, TryRecvError> {
        self.queue.try_recv().map(|(event, _)| event)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use super::*;
    use crate::net::limits::FRAME_BYTES_MAX;

    /// Polls once: whether it is done at once.
    async fn at_once<T>(future: impl Future<Output = T>) -> bool {
        // Otherwise tokio makes who polls often wait, room or not.
        let mut future = pin!(tokio::task::unconstrained(future));
        std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
    }

    async fn full(arrivals: &Arrivals, share: &Share, link: u64) -> bool {
        let frame = vec![0; FRAME_BYTES_MAX];
        !at_once(arrivals.frame(share, LinkId(link), frame)).await
    }

    #[tokio::test]
    async fn a_link_that_fills_its_share_waits_and_others_do_not() {
        let (arrivals, mut events) = queue();
        let (greedy, other) = (Share::new(), Share::new());
        for _ in 0..EVENT_BYTES_PER_LINK_MAX / FRAME_BYTES_MAX {
            assert!(!full(&arrivals, &greedy, 1).await);
        }
        assert!(full(&arrivals, &greedy, 1).await);
        assert!(!full(&arrivals, &other, 2).await);
        assert!(
            at_once(arrivals.send(NetEvent::Down { link: LinkId(3), reason: String::new() })).await
        );
        assert!(matches!(events.recv().await, Some(NetEvent::Frame { link: LinkId(1), .. })));
        assert!(!full(&arrivals, &greedy, 1).await);
    }

    #[tokio::test]
    async fn all_links_together_keep_to_a_bound_in_bytes() {
        let (arrivals, mut events) = queue();
        let frames = EVENT_BYTES_MAX / FRAME_BYTES_MAX;
        for link in 0..frames as u64 {
            assert!(!full(&arrivals, &Share::new(), link).await);
        }
        assert!(full(&arrivals, &Share::new(), 1_000).await);
        assert!(events.try_recv().is_ok());
        assert!(!full(&arrivals, &Share::new(), 1_000).await);
    }

    #[tokio::test]
    async fn who_waits_for_room_is_told_when_the_engine_goes() {
        let (arrivals, events) = queue();
        while !full(&arrivals, &Share::new(), 1).await {}
        let share = Share::new();
        let mut waiting = pin!(arrivals.frame(&share, LinkId(2), vec![0; FRAME_BYTES_MAX]));
        assert!(
            at_once(std::future::poll_fn(|context| {
                Poll::Ready(waiting.as_mut().poll(context).is_pending())
            }))
            .await
        );
        drop(events);
        assert_eq!(waiting.await, Err(NobodyListens));
    }
}
