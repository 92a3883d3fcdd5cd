//! Subscriptions: events as they happen, and from the log whenever that is not enough.

mod hub;
mod stream;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytchat_proto::limits::{EVENT_REPLAY_PAGE, RPC_SUBSCRIPTIONS_PER_CLIENT_MAX};
use bytchat_proto::rpc::event::{List, Subscribe, Subscribed, Unsubscribe};
use bytchat_proto::rpc::{Call, Done, ErrorKind, RpcError, to_result};
use serde_json::Value;
use tokio::sync::watch;

use super::exchange::Exchange;

pub use hub::{Follower, Hub};
use stream::Page;
pub(super) use stream::Stream;

const SUBSCRIBE: &str = "event.subscribe";
const UNSUBSCRIBE: &str = "event.unsubscribe";

/// The subscriptions of one connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: Mutex<Open>,
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
        self: &std::sync::Arc<Self>,
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
        self: &std::sync::Arc<Self>,
        exchange: &Exchange,
        with: Subscribe,
    ) -> Result<(Stream, Subscribed), RpcError> {
        let place = exchange.desk.subscriptions.take(exchange.caller.uid)?;
        // What happens from here on is seen, whatever the log says first.
        let follower = exchange.desk.service.follow(exchange.caller);
        let Subscribe { since, cursor, epoch, types } = with;
        let ask = List {
            since,
            cursor,
            epoch,
            types: types.clone(),
            limit: Some(EVENT_REPLAY_PAGE),
            wait_ms: None,
        };
        let page = exchange.ask(Call::EventList(ask)).await?;
        let page = Page::read(page)?;
        let (id, ended) = self.add()?;
        let subscribed = Subscribed {
            subscription: id.clone(),
            epoch: page.epoch.clone(),
            first: page.first,
            head: page.head,
        };
        let desk = exchange.desk.clone();
        let streams = std::sync::Arc::clone(self);
        let (caller, grant) = (exchange.caller, exchange.grant.clone());
        let _place = place;
        let stream =
            Stream { id, caller, grant, types, page, follower, desk, streams, ended, _place };
        Ok((stream, subscribed))
    }

    fn add(&self) -> Result<(String, watch::Receiver<()>), RpcError> {
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
        Ok((id, ended))
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
