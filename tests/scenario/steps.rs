//! The twelve steps by which the notes describe mail, with real daemons, one after the other.

use std::fs;
use std::path::Path;

use bytchat_tests::daemon::{Backbone, Daemon, Setup, until};
use data_encoding::{BASE32_NOPAD, BASE64};
use memchr::memmem;
use serde_json::{Value, json};
use sha2::{Digest, Sha512};

const TEXT: &str = "plain words that only Bob may ever see";

/// The user id that belongs to a daemon's account, computed from its key by hand.
fn id_of_key(daemon: &Daemon) -> String {
    let exported = daemon.get(&["account", "export", "--public"]);
    let pem = exported["pem"].as_str().unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let digest = Sha512::digest(BASE64.decode(body.as_bytes()).unwrap());
    BASE32_NOPAD.encode(&digest[..20]).to_lowercase()
}

fn peers(daemon: &Daemon) -> Vec<Value> {
    let peers = daemon.get(&["node", "peers"]);
    peers.as_array().unwrap().iter().map(|peer| peer["node_id"].clone()).collect()
}

fn status(daemon: &Daemon) -> Value {
    daemon.get(&["node", "status"])
}

fn steps(daemon: &Daemon, id: &str) -> Vec<String> {
    let trace = daemon.get(&["message", "trace", id]);
    let steps = trace["steps"].as_array().unwrap();
    steps.iter().map(|step| step["step"].as_str().unwrap().to_owned()).collect()
}

/// Whether some file below a folder holds these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return holds(&path, bytes);
        }
        // The index removes files of its own while it is looked at.
        fs::read(&path).is_ok_and(|text| memmem::find(&text, bytes).is_some())
    })
}

/// Steps 1 and 2: a daemon of nobody, which knows a pod's address and nothing else.
fn newcomer(backbone: &Backbone) -> Daemon {
    let pod = backbone.pods[0].address();
    let setup = Setup { bootstrap: vec![pod], pods: Vec::new(), ..backbone.setup.clone() };
    let daemon = Daemon::start(&setup);
    daemon.meets(5);
    assert_eq!(daemon.get(&["account", "list"]), json!([]));
    let told = peers(&daemon);
    assert!(backbone.others.iter().any(|other| told.contains(&status(other)["node_id"])));

    // What it was told is on its disk: it finds them without the pod.
    daemon.stop();
    daemon.configure(&Setup { bootstrap: Vec::new(), ..setup });
    daemon.run();
    daemon.meets(5);
    assert!(told.iter().any(|node| peers(&daemon).contains(node)));
    daemon.stop();
    daemon.configure(&backbone.setup);
    daemon.run();
    daemon
}

#[test]
fn real_daemons_take_the_twelve_steps_of_the_notes() {
    let backbone = Backbone::new();
    let [pod_a, pod_b] = &backbone.pods;
    // 1. An unidentified node asks a pod for the nodes near it. 2. It builds its table of them.
    let alice = newcomer(&backbone);

    // 3. It identifies itself: whoever cannot prove an account's key gets no alias.
    assert_eq!(alice.ctl(&["alias", "register", "alice@a.test"]).kind(5), "account.none");
    let alice_id = alice.account("alice");
    assert_eq!(alice_id, id_of_key(&alice));
    // 4. It registers an alias, and it alone has it.
    let binding = json!({ "alias": "alice@a.test", "id": alice_id });
    assert_eq!(alice.get(&["alias", "register", "alice@a.test"]), binding);
    let (bob, bob_id) = backbone.user("bob@b.test");
    assert_eq!(bob.ctl(&["alias", "register", "alice@a.test"]).kind(8), "alias.taken");

    // 5. What is addressed to Alice is pushed to her; she asks for nothing.
    let args = ["send", "alice@a.test", "for alice", "--wait", "delivered", "--timeout", "90"];
    let sent = bob.get(&args);
    assert_eq!(alice.arrival(sent["id"].as_str().unwrap())["from"], json!(bob_id));

    // 6. Alice asks whose bob@b.test is; another pod than hers answers, and the key proves it.
    let whose = alice.get(&["alias", "resolve", "bob@b.test"]);
    assert_eq!(whose["id"], json!(id_of_key(&bob)));

    // 7. She signs and encrypts; the message is on her disk. Bob is away.
    bob.stop();
    let sent = alice.get(&["send", "bob@b.test", TEXT]);
    let id = sent["id"].as_str().unwrap();
    assert!(steps(&alice, id)[0].starts_with("queued"));

    // 8. It is stored with the nodes near Bob, who have signed for it and cannot read it.
    alice.get(&["message", "wait", id, "--state", "stored", "--timeout", "90"]);
    let nodes: Vec<&Daemon> = backbone.pods.iter().chain(&backbone.others).collect();
    let holders: Vec<&&Daemon> = nodes
        .iter()
        .filter(|node| steps(&alice, id).iter().any(|step| is_receipt(step, node)))
        .collect();
    assert!(holders.len() >= 3, "{:#?}", steps(&alice, id));
    for node in &nodes {
        assert!(!holds(&node.path("data"), TEXT.as_bytes()), "a holder can read it");
    }

    // 9. Bob's pod knows that mail is there: it has signed for the copy that it keeps.
    until("the pod's copy", || steps(&alice, id).iter().find(|step| is_copy(step, pod_b)).cloned());
    assert!(status(pod_b)["envelopes"].as_u64().unwrap() >= 1);

    // 10. Bob comes back and is told by his pod. 11. He gets it, though two holders are gone.
    for holder in holders.iter().filter(|holder| is_other(&backbone, holder)).take(2) {
        holder.kill();
    }
    bob.run();
    let arrived = bob.arrival(id);
    // 12. He has decrypted it and knows who wrote it; his signed receipt tells Alice.
    assert_eq!((&arrived["text"], &arrived["from"]), (&json!(TEXT), &json!(alice_id)));
    alice.get(&["message", "wait", id, "--state", "delivered", "--timeout", "90"]);
    assert_eq!(bob.times(TEXT), (1, 1));
    assert!(pod_a.get(&["account", "list"]).as_array().unwrap().is_empty());
}

fn is_receipt(step: &str, node: &Daemon) -> bool {
    step.starts_with("stored ") && names(step, node)
}

fn is_copy(step: &str, node: &Daemon) -> bool {
    let kept = ["a fast copy is kept", "stored "];
    kept.iter().any(|words| step.starts_with(words)) && names(step, node)
}

fn names(step: &str, node: &Daemon) -> bool {
    step.contains(status(node)["node_id"].as_str().unwrap())
}

fn is_other(backbone: &Backbone, node: &Daemon) -> bool {
    backbone.others.iter().any(|other| std::ptr::eq(other, node))
}
