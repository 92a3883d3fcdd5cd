//! Calls whose answers are large take turns, and what waits for the world or for news has none.

use std::future::{Future, poll_fn};
use std::pin::pin;

use bytchat_proto::limits::{RPC_LINE_BYTES_MAX, RPC_PAGES_AT_ONCE, RPC_PAGES_PER_USER_AT_ONCE};

use super::super::asked::Partial;
use super::super::exchange::Exchange;
use super::super::turns::Turn;
use super::*;

impl World {
    /// All turns of the user who runs the tests.
    async fn turns(&self) -> Vec<Turn> {
        let mut turns = Vec::new();
        for _ in 0..RPC_PAGES_PER_USER_AT_ONCE {
            turns.push(in_time(self.desk.pages.take(own_uid())).await);
        }
        turns
    }
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it takes long")
}

fn list(id: u64, params: &Value) -> String {
    request(id, "event.list", params) + "\n"
}

#[tokio::test]
async fn who_waits_for_a_pod_holds_up_no_page() {
    let mut world = world();
    let mut client = world.connect().await;
    let ask = |id| request(id, "message.history", &json!({ "who": "bob@b.test", "before": 7 }));
    let count = RPC_PAGES_AT_ONCE as u64 + 1;
    for id in 0..count {
        client.write((ask(id) + "\n").as_bytes()).await;
        assert_eq!(in_time(world.words.recv()).await, Some(Word::Waiting));
    }
    let mut other = world.connect().await;
    let peers = in_time(other.ask(&request(1, "node.peers", &json!({})))).await;
    assert!(peers["result"].is_object(), "{peers}");
    world.found.store(true, Ordering::SeqCst);
    world.slow.notify_waiters();
    for _ in 0..count {
        assert_eq!(in_time(client.read()).await["result"]["before"], 7);
    }
}

#[tokio::test]
async fn the_log_is_read_in_turn_whether_a_call_waits_or_not() {
    let world = world();
    for _ in 0..3 {
        world.log.publish("message.state", &json!({}));
    }
    for wait_ms in [0, 1] {
        let turns = world.turns().await;
        let before = world.log.reads.load(Ordering::SeqCst);
        let mut client = world.connect().await;
        let params = json!({ "since": 0, "limit": 10, "wait_ms": wait_ms });
        client.write(list(1, &params).as_bytes()).await;
        client.assert_well().await;
        assert_eq!(world.log.reads.load(Ordering::SeqCst), before);
        drop(turns);
        let answer = in_time(client.read()).await;
        assert_eq!(answer["result"]["events"].as_array().unwrap().len(), 3, "{answer}");
    }
}

#[tokio::test]
async fn who_waits_for_news_has_no_turn_and_reads_them_in_turn() {
    let mut world = world();
    world.log.publish("message.state", &json!({}));
    let mut client = world.connect().await;
    let count = RPC_PAGES_AT_ONCE as u64 + 1;
    for id in 0..count {
        let params = json!({ "since": 1, "limit": 10, "wait_ms": 60_000 });
        client.write(list(id, &params).as_bytes()).await;
        assert_eq!(in_time(world.words.recv()).await, Some(Word::Waiting));
    }
    let turns = world.turns().await;
    world.log.publish("message.state", &json!({}));
    world.slow.notify_waiters();
    client.assert_well().await;
    drop(turns);
    for _ in 0..count {
        let answer = in_time(client.read()).await;
        assert_eq!(answer["result"]["events"][0]["seq"], 2, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_news_in_vain_is_told_so_in_time() {
    let world = world();
    let mut client = world.connect().await;
    let params = json!({ "since": 0, "limit": 1, "wait_ms": 60_000 });
    let answer = client.ask(list(1, &params).trim_end()).await;
    assert_eq!(answer["result"]["next"], 0, "{answer}");
}

#[tokio::test]
async fn between_large_answers_of_a_batch_others_go_on() {
    let world = world();
    let caller = Caller { uid: own_uid() };
    let exchange = Exchange::new(Arc::clone(&world.desk), caller, Role::Admin);
    let polls = async |text: &str| {
        let mut partial = Partial::at(&world.desk, caller.uid, RPC_LINE_BYTES_MAX);
        partial.extend(text.as_bytes()).unwrap();
        let mut answering = pin!(exchange.answer(partial.finish().unwrap()));
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            answering.as_mut().poll(cx)
        })
        .await;
        polls
    };
    let discover = request(1, "rpc.discover", &json!({}));
    let status = request(1, "node.status", &json!({}));
    assert_eq!(polls(&format!("[{status},{status}]")).await, 1);
    assert_eq!(polls(&format!("[{discover},{discover}]")).await, 3);
}
