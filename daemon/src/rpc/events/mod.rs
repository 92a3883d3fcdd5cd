//! Subscriptions: events as they happen, and from the log whenever that is not enough.

mod hub;
mod stream;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytchat_proto::limits::{
    EVENT_REPLAY_BYTES_MAX, EVENT_REPLAY_PAGE, RPC_SUBSCRIPTIONS_PER_CLIENT_MAX,
};
use bytchat_proto::rpc::event::{List, Subscribe, Subscribed, Unsubscribe};
use bytchat_proto::rpc::{Call, Done, ErrorKind, RpcError, to_result};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use super::exchange::Exchange;

pub use hub::{Follower, Hub};
use stream::Page;
pub(super) use stream::Stream;

const SUBSCRIBE: &str = "event.subscribe";
const UNSUBSCRIBE: &str = "event.unsubscribe";

/// A subscription that its connection knows, until this is dropped.
#[derive(Debug)]
struct Entry {
    streams: Arc<Streams>,
    id: String,
}

/// The subscriptions of one connection.
#[derive(Debug)]
pub(super) struct Streams {
    open: Mutex<Open>,
    /// Bytes of events that wait to be written, of all of them together.
    queue: Arc<Semaphore>,
}

impl Default for Streams {
    fn default() -> Self {
        let queue = Arc::new(Semaphore::new(EVENT_REPLAY_BYTES_MAX));
        Self { open: Mutex::default(), queue }
    }
}

#[derive(Debug, Default)]
struct Open {
    count: u64,
    /// What ends each of them when it is dropped.
    ends: BTreeMap<String, watch::Sender<()>>,
}

impl Streams {
    /// Tells whether a method is for the connection to answer.
    pub(super) fn serve(method: &str) -> bool {
        [SUBSCRIBE, UNSUBSCRIBE].contains(&method)
    }

    /// Answers one of its methods.
    pub(super) async fn call(
        self: &Arc<Self>,
        exchange: &Exchange,
        call: Call,
        opened: &mut Vec<Stream>,
    ) -> Result<Value, RpcError> {
        // The methods were told apart by their names.
        if let Call::EventSubscribe(with) = call {
            let (stream, subscribed) = self.subscribe(exchange, with).await?;
            opened.push(stream);
            return Ok(to_result(&subscribed));
        }
        if let Call::EventUnsubscribe(with) = call {
            return Ok(to_result(&self.unsubscribe(&with)?));
        }
        Err(ErrorKind::Internal.because("this method is not the connection's to answer"))
    }

    async fn subscribe(
        self: &Arc<Self>,
        exchange: &Exchange,
        with: Subscribe,
    ) -> Result<(Stream, Subscribed), RpcError> {
        let (desk, caller) = (Arc::clone(&exchange.desk), exchange.caller);
        let place = desk.subscriptions.take(caller.uid)?;
        // What happens from here on is seen, whatever the log says first.
        let follower = desk.service.follow(caller);
        let Subscribe { since, cursor, epoch, types } = with;
        let limit = Some(EVENT_REPLAY_PAGE);
        let ask = List { since, cursor, epoch, types: types.clone(), limit, wait_ms: None };
        let permit = desk.replays.take(caller.uid).await;
        let page = exchange.ask(Call::EventList(ask)).await?;
        let page = Page::read(page, EVENT_REPLAY_PAGE)?;
        let bytes = page.hold(&desk, caller)?;
        drop(permit);
        let (entry, ended) = self.add()?;
        let subscribed = Subscribed {
            subscription: entry.id.clone(),
            epoch: page.epoch.clone(),
            first: page.first,
            head: page.head,
        };
        let (grant, _place) = (exchange.grant.clone(), place);
        let stream =
            Stream { entry, caller, grant, types, page, bytes, follower, desk, ended, _place };
        Ok((stream, subscribed))
    }

    fn add(self: &Arc<Self>) -> Result<(Entry, watch::Receiver<()>), RpcError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.ends.len() >= RPC_SUBSCRIPTIONS_PER_CLIENT_MAX {
            return Err(ErrorKind::Quota.because(format!(
                "a connection has at most {RPC_SUBSCRIPTIONS_PER_CLIENT_MAX} subscriptions"
            )));
        }
        open.count += 1;
        let id = format!("s{}", open.count);
        let (end, ended) = watch::channel(());
        open.ends.insert(id.clone(), end);
        Ok((Entry { streams: Arc::clone(self), id }, ended))
    }

    fn unsubscribe(&self, with: &Unsubscribe) -> Result<Done, RpcError> {
        if self.remove(&with.subscription) {
            return Ok(Done {});
        }
        let shown: String = with.subscription.chars().take(80).collect();
        Err(ErrorKind::NotFound.because(format!("this connection has no subscription {shown:?}")))
    }

    fn remove(&self, id: &str) -> bool {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).ends.remove(id).is_some()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // It is gone already if the front end has unsubscribed.
        self.streams.remove(&self.id);
    }
}
