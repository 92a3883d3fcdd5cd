//! The two who write to each other, on nodes of which neither holds the mail of the reader.

use bytchat_core::crypto::account::{private_pem, run};
use bytchat_core::io::{JobResult, Task};
use bytchat_proto::limits::HOLDERS;
use bytchat_proto::point::Point;
use bytchat_proto::rpc::node::Status;
use bytchat_proto::rpc::{Call, Nothing, account, alias, contact};
use serde_json::Value;

use crate::world::{PODS, World};

/// The address of who writes.
pub(crate) const ALICE: &str = "alice@a.test";
/// The address of who reads.
pub(crate) const BOB: &str = "bob@b.test";

/// On which nodes the two are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) alice: usize,
    pub(crate) bob: usize,
}

/// Makes both accounts and their aliases, and lets the two know each other.
///
/// A node that is among the nearest to bob does not count as a holder when it is alice's or bob's
/// own, so both get nodes that are not: then five others can sign.
pub(crate) fn introduce(world: &World) -> Pair {
    let task = Task::GenerateAccount;
    let JobResult::Account { secret, key } = run(task) else { panic!("a key can be made") };
    let point = Point::of_user(key.user());
    let mut places: Vec<usize> = (0..world.count()).collect();
    places.sort_by_key(|place| {
        let status = world.node(*place).client().call::<Status>(&Call::NodeStatus(Nothing {}));
        Point::of_node(status.node_id).distance(point)
    });
    let mut far = places.into_iter().skip(HOLDERS).filter(|place| *place >= PODS.len());
    let mut next = || far.next().expect("there are more than twice as many nodes as holders");
    let pair = Pair { alice: next(), bob: next() };
    let import = account::Import {
        pem: private_pem(&secret).into(),
        name: None,
        client_id: None,
        dry_run: false,
    };
    world.node(pair.bob).client().call::<Value>(&Call::AccountImport(import));
    let create = account::Create::default();
    world.node(pair.alice).client().call::<Value>(&Call::AccountCreate(create));
    for (place, own) in [(pair.alice, ALICE), (pair.bob, BOB)] {
        let register = alias::Register { alias: own.to_owned(), ..Default::default() };
        world.node(place).client().call::<Value>(&Call::AliasRegister(register));
    }
    for (place, who) in [(pair.alice, BOB), (pair.bob, ALICE)] {
        let add = contact::Change { who: who.to_owned(), ..Default::default() };
        world.node(place).client().call::<Value>(&Call::ContactAdd(add));
    }
    pair
}
