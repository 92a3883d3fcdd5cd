//! A node of rust-libp2p: Kademlia over QUIC with identify, as its examples put them together.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use futures_util::StreamExt;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, GetRecordOk, QueryId, QueryResult, Quorum, Record, RecordKey};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, Swarm, SwarmBuilder, identify};
use tokio::io::{AsyncBufReadExt, BufReader};

/// As many nodes as have to take a record of ours.
const QUORUM: usize = 3;

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
}

/// Runs a node until its input ends; `first` is the port of the one that it knows.
pub(crate) fn run(port: u16, first: Option<&str>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(serve(port, first));
}

fn address(port: &str) -> Multiaddr {
    format!("/ip4/127.0.0.1/udp/{port}/quic-v1").parse().expect("an address is one")
}

async fn serve(port: u16, first: Option<&str>) {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_quic()
        .with_behaviour(|key| {
            let own = key.public().to_peer_id();
            let identify = identify::Config::new("/bench/1".to_owned(), key.public());
            let mut kad = kad::Behaviour::new(own, MemoryStore::new(own));
            kad.set_mode(Some(kad::Mode::Server));
            Behaviour { identify: identify::Behaviour::new(identify), kad }
        })
        .expect("a behaviour can be made")
        .build();
    swarm.listen_on(address(&port.to_string())).expect("the port is free");
    if let Some(first) = first {
        swarm.dial(address(first)).expect("an address can be dialled");
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut asked = BTreeMap::new();
    loop {
        tokio::select! {
            line = lines.next_line() => match line {
                Ok(Some(line)) => ask(&mut swarm, &line, &mut asked),
                Ok(None) | Err(_) => return,
            },
            event = swarm.select_next_some() => heed(&mut swarm, event, &mut asked),
        }
    }
}

fn ask(swarm: &mut Swarm<Behaviour>, line: &str, asked: &mut BTreeMap<QueryId, ()>) {
    let kad = &mut swarm.behaviour_mut().kad;
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["put", key, value] => {
            let record = Record::new(key.as_bytes().to_vec(), value.as_bytes().to_vec());
            let quorum = Quorum::N(NonZeroUsize::new(QUORUM).expect("three is not zero"));
            asked.insert(kad.put_record(record, quorum).expect("there is room"), ());
        }
        ["get", key] => {
            asked.insert(kad.get_record(RecordKey::new(key)), ());
        }
        _ => panic!("unknown: {line}"),
    }
}

fn heed(
    swarm: &mut Swarm<Behaviour>,
    event: SwarmEvent<BehaviourEvent>,
    asked: &mut BTreeMap<QueryId, ()>,
) {
    match event {
        SwarmEvent::NewListenAddr { .. } => println!("ready"),
        SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
            peer_id,
            info,
            ..
        })) => {
            for address in info.listen_addrs {
                swarm.behaviour_mut().kad.add_address(&peer_id, address);
            }
        }
        SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
            id,
            result,
            step,
            ..
        })) => {
            let said = match result {
                QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => {
                    Some(format!("got {}", String::from_utf8_lossy(&found.record.value)))
                }
                QueryResult::GetRecord(_) if step.last => Some("none".to_owned()),
                QueryResult::PutRecord(Ok(_)) => Some("put".to_owned()),
                QueryResult::PutRecord(Err(error)) => Some(format!("not put: {error}")),
                _ => None,
            };
            if let Some(said) = said
                && asked.remove(&id).is_some()
            {
                println!("{said}");
                if let Some(mut query) = swarm.behaviour_mut().kad.query_mut(&id) {
                    query.finish();
                }
            }
        }
        _ => {}
    }
}
