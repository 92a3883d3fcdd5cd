//! Subscriptions: replay, live, gaps, slow readers, and many of them.

use bytchat_proto::limits::{
    EVENT_REPLAY_PAGE, EVENT_RING_BYTES_MAX, RPC_SUBSCRIPTIONS_PER_CLIENT_MAX,
};

use super::*;

const STATE: &str = "message.state";
const CHANGED: &str = "contact.key_changed";

async fn subscribe(client: &mut Client, params: &Value) -> String {
    let answer = client.ask(&request(1, "event.subscribe", params)).await;
    let id = answer["result"]["subscription"].as_str();
    id.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

impl Client {
    /// The next event or note.
    async fn told(&mut self) -> Value {
        let mut told = self.read().await;
        assert_eq!(told["method"], "event", "{told}");
        told["params"]["result"].take()
    }

    async fn assert_told(&mut self, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            let told = self.told().await;
            assert_eq!(told["seq"], seq, "{told}");
        }
    }

    async fn assert_note(&mut self, name: &str, data: &Value) {
        let told = self.told().await;
        assert_eq!((&told["type"], &told["data"]), (&json!(name), data), "{told}");
    }
}

fn publish(world: &World, count: usize) {
    for _ in 0..count {
        world.log.publish(STATE, &json!({}));
    }
}

#[tokio::test]
async fn a_subscription_replays_and_goes_on() {
    let world = world();
    publish(&world, 2 * EVENT_REPLAY_PAGE + 5);
    let head = 2 * EVENT_REPLAY_PAGE as u64 + 5;
    let mut client = world.connect().await;
    let answer = client.ask(&request(1, "event.subscribe", &json!({ "since": 3 }))).await;
    let subscribed = json!({ "subscription": "s1", "epoch": "e", "first": 0, "head": head });
    assert_eq!(answer["result"], subscribed);
    client.assert_told(4..=head).await;
    client.assert_note("stream.caught_up", &json!({ "next": head, "head": head })).await;
    publish(&world, 3);
    client.assert_told(head + 1..=head + 3).await;
}

#[tokio::test]
async fn without_a_position_only_what_comes_is_told() {
    let world = world();
    publish(&world, 5);
    let mut client = world.connect().await;
    subscribe(&mut client, &json!({})).await;
    client.assert_note("stream.caught_up", &json!({ "next": 5, "head": 5 })).await;
    publish(&world, 1);
    client.assert_told([6]).await;
}

#[tokio::test]
async fn only_the_types_that_are_wanted_are_told() {
    let world = world();
    publish(&world, 2);
    world.log.publish(CHANGED, &json!({}));
    let mut client = world.connect().await;
    subscribe(&mut client, &json!({ "since": 0, "types": ["contact.*"] })).await;
    client.assert_told([3]).await;
    client.assert_note("stream.caught_up", &json!({ "next": 3, "head": 3 })).await;
    publish(&world, 2);
    world.log.publish(CHANGED, &json!({}));
    client.assert_told([6]).await;
}

#[tokio::test]
async fn a_gap_is_told_before_what_is_left() {
    let world = world();
    publish(&world, 10);
    world.log.first.store(6, Ordering::SeqCst);
    let mut client = world.connect().await;
    subscribe(&mut client, &json!({ "since": 2 })).await;
    let gap = json!({ "from": 2, "to": 6, "reason": "retention" });
    client.assert_note("stream.gap", &gap).await;
    client.assert_told(7..=10).await;
}

#[tokio::test]
async fn silence_is_broken_by_heartbeats() {
    let heartbeat = Duration::from_millis(10);
    let world = world_within(Bounds { heartbeat, ..bounds() });
    publish(&world, 2);
    let mut client = world.connect().await;
    subscribe(&mut client, &json!({})).await;
    client.assert_note("stream.caught_up", &json!({ "next": 2, "head": 2 })).await;
    for _ in 0..3 {
        client.assert_note("stream.heartbeat", &json!({ "next": 2, "head": 2 })).await;
    }
}

#[tokio::test]
async fn what_is_unsubscribed_is_silent_and_unknown() {
    let world = world();
    let mut client = world.connect().await;
    let id = subscribe(&mut client, &json!({})).await;
    client.assert_note("stream.caught_up", &json!({ "next": 0, "head": 0 })).await;
    let with = json!({ "subscription": id });
    let answer = client.ask(&request(2, "event.unsubscribe", &with)).await;
    assert_eq!(answer["result"], json!({}));
    publish(&world, 1);
    client.assert_well().await;
    let answer = client.ask(&request(3, "event.unsubscribe", &with)).await;
    assert_eq!(answer["error"]["data"]["kind"], "not_found");
    // Another connection has subscriptions of its own.
    let mut other = world.connect().await;
    let answer =
        other.ask(&request(4, "event.unsubscribe", &json!({ "subscription": "s1" }))).await;
    assert_eq!(answer["error"]["data"]["kind"], "not_found");
    let answer = client.ask(&request(5, "event.subscribe", &json!({ "sinse": 1 }))).await;
    assert!(answer["error"]["message"].to_string().contains("`sinse`"), "{answer}");
}

#[tokio::test]
async fn subscriptions_are_limited_a_connection_and_a_user() {
    let max = RPC_SUBSCRIPTIONS_PER_CLIENT_MAX;
    let world = world_within(Bounds { subscriptions_per_user: max + 1, ..bounds() });
    let ask = request(1, "event.subscribe", &json!({}));
    let mut client = world.connect().await;
    let batch = format!("[{}]", vec![ask.clone(); max].join(","));
    let answers = client.ask(&batch).await;
    assert!(answers.as_array().unwrap().iter().all(|answer| answer["result"].is_object()));
    for _ in 0..max {
        client.assert_note("stream.caught_up", &json!({ "next": 0, "head": 0 })).await;
    }
    assert_eq!(client.ask(&ask).await["error"]["data"]["kind"], "quota");
    let mut other = world.connect().await;
    subscribe(&mut other, &json!({})).await;
    let mut third = world.connect().await;
    assert_eq!(third.ask(&ask).await["error"]["data"]["kind"], "busy");
    drop(client);
    while third.ask(&ask).await["error"].is_object() {}
}

#[tokio::test]
async fn who_stops_reading_hurts_nobody_and_loses_nothing() {
    let world = world();
    let mut slow = world.connect().await;
    subscribe(&mut slow, &json!({})).await;
    slow.assert_note("stream.caught_up", &json!({ "next": 0, "head": 0 })).await;
    let mut quick = world.connect().await;
    subscribe(&mut quick, &json!({})).await;
    quick.assert_note("stream.caught_up", &json!({ "next": 0, "head": 0 })).await;
    // More than sockets, queues and the memory for recent events hold.
    let large = "x".repeat(64 * 1024);
    let count = 3 * (EVENT_RING_BYTES_MAX / large.len()) as u64;
    for seq in 1..=count {
        world.log.publish(STATE, &json!({ "text": large }));
        quick.assert_told([seq]).await;
    }
    let mut next = 1;
    let mut lagged = 0;
    while next <= count {
        let told = slow.told().await;
        match told["type"].as_str().unwrap() {
            "stream.lagged" => {
                assert_eq!(told["data"]["next"], next - 1, "{told}");
                lagged += 1;
            }
            STATE => {
                assert_eq!(told["seq"], next);
                next += 1;
            }
            other => panic!("unexpected {other}"),
        }
    }
    assert_eq!(lagged, 1);
    let end = json!({ "next": count, "head": count });
    slow.assert_note("stream.caught_up", &end).await;
}

#[tokio::test]
async fn who_stops_reading_keeps_no_event_in_memory() {
    let world = world();
    let mut slow = world.connect().await;
    subscribe(&mut slow, &json!({})).await;
    slow.assert_note("stream.caught_up", &json!({ "next": 0, "head": 0 })).await;
    let large = "x".repeat(64 * 1024);
    let in_ring = EVENT_RING_BYTES_MAX / large.len();
    let told = || world.desk.counts.events.load(Ordering::Relaxed);
    for _ in 0..in_ring - 1 {
        world.log.publish(STATE, &json!({ "text": large }));
    }
    // It tells what goes into the socket and the queue, and then waits for room.
    let mut before = 0;
    until("it has begun and waits", || {
        let same = told() > 2 && told() == before;
        before = told();
        same
    })
    .await;
    for _ in 0..2 * in_ring {
        world.log.publish(STATE, &json!({ "text": large }));
    }
    let log = world.log.events.lock().unwrap();
    let kept = log.iter().filter(|(_, json)| Arc::strong_count(json) > 1).count();
    assert!(kept <= in_ring + 1, "{kept} of {}", log.len());
}

#[tokio::test]
async fn a_subscription_without_room_ends_in_time_and_says_so() {
    let (answer, replay_retry) = (Duration::from_millis(100), Duration::from_millis(1));
    let world = world_within(Bounds { answer, replay_retry, ..bounds() });
    let mut client = world.connect().await;
    subscribe(&mut client, &json!({})).await;
    client.assert_note("stream.caught_up", &json!({ "next": 0, "head": 0 })).await;
    let mut full = world.desk.bytes.none(own_uid());
    full.resize(world.desk.bounds.bytes_per_user).unwrap();
    publish(&world, 1);
    let told = tokio::time::timeout(Duration::from_secs(30), client.told()).await.unwrap();
    assert_eq!((&told["type"], &told["data"]["kind"]), (&json!("stream.failed"), &json!("busy")));
    until("it has ended", || world.desk.subscriptions.taken() == 0).await;
    drop(full);
    subscribe(&mut client, &json!({ "since": 0 })).await;
    client.assert_told([1]).await;
}

#[tokio::test]
async fn a_thousand_subscribers_get_everything_and_the_log_is_not_read_for_it() {
    let world = world();
    let mut clients = Vec::new();
    for _ in 0..1_000 {
        let mut client = world.connect().await;
        subscribe(&mut client, &json!({ "since": 0 })).await;
        client.assert_note("stream.caught_up", &json!({ "next": 0, "head": 0 })).await;
        clients.push(client);
    }
    let reads = world.log.reads.load(Ordering::SeqCst);
    publish(&world, 20);
    for client in &mut clients {
        client.assert_told(1..=20).await;
    }
    assert_eq!(world.log.reads.load(Ordering::SeqCst), reads);
}

#[tokio::test]
async fn a_subscription_goes_on_after_the_client_has_closed_its_half() {
    let world = world();
    let mut client = world.connect().await;
    subscribe(&mut client, &json!({})).await;
    client.output.shutdown().await.unwrap();
    client.assert_note("stream.caught_up", &json!({ "next": 0, "head": 0 })).await;
    publish(&world, 1);
    client.assert_told([1]).await;
    world.stop.send(true).unwrap();
    let mut rest = String::new();
    client.input.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "");
}
