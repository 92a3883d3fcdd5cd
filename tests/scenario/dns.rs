//! Pods that are found by their names in DNS, by a real server that the configuration names.

use bytchat_tests::daemon::{Backbone, Daemon, Dns, Ran, Setup, free_address, until};
use serde_json::json;

fn node_id(daemon: &Daemon) -> String {
    daemon.get(&["node", "status"])["node_id"].as_str().unwrap().to_owned()
}

/// A pod of this network that nobody's configuration names.
fn pod(backbone: &Backbone, host: &str) -> Daemon {
    let (host, listen) = (Some(host.to_owned()), Some(free_address()));
    let pod = Daemon::start(&Setup { host, listen, ..backbone.setup.clone() });
    pod.meets(5);
    pod
}

/// How a daemon joins that asks this server.
fn asking(backbone: &Backbone, dns: &Dns) -> Setup {
    Setup { dns: vec![dns.address()], ..backbone.setup.clone() }
}

fn resolve(daemon: &Daemon, alias: &str) -> Ran {
    daemon.ctl(&["alias", "resolve", alias])
}

#[test]
fn a_pod_is_found_by_dns_and_mail_goes_by_the_alias() {
    let (backbone, dns) = (Backbone::shared(), Dns::start());
    let pod = pod(&backbone, "named.test");
    dns.put_pod("named.test", pod.address(), &node_id(&pod));
    let setup = asking(&backbone, &dns);
    let (alice, alice_id) = backbone.user_with(&setup, "alice@named.test");
    assert!(dns.was_asked("named.test"));
    let (bob, bob_id) = backbone.user_with(&setup, "named@b.test");
    let args = ["send", "alice@named.test", "hi", "--wait", "delivered", "--timeout", "90"];
    let sent = bob.get(&args);
    assert_eq!(sent["to"], json!(alice_id));
    let arrived = alice.arrival(sent["id"].as_str().unwrap());
    assert_eq!((&arrived["text"], &arrived["from"]), (&json!("hi"), &json!(bob_id)));
    assert_eq!(alice.times("hi"), (1, 1));
}

#[test]
fn names_that_lead_to_no_pod_are_told_apart() {
    let (backbone, dns) = (Backbone::shared(), Dns::start());
    dns.put_no_pod("none.test");
    let daemon = Daemon::start(&asking(&backbone, &dns));
    daemon.account("asker");
    for (host, why) in [
        ("unknown.test", "DNS knows no unknown.test"),
        ("none.test", "none.test says in DNS that it is no pod"),
    ] {
        let alias = format!("alice@{host}");
        let sent = daemon.ctl(&["send", &alias, "x"]);
        for ran in [resolve(&daemon, &alias), sent] {
            assert_eq!(ran.kind(5), "pod.unreachable");
            assert!(ran.err.contains(why), "{}", ran.err);
            assert!(ran.err.contains("check the host name"), "{}", ran.err);
        }
    }
    assert_eq!(daemon.get(&["inbox"]), json!([]));
}

#[test]
fn a_pod_whose_name_tells_of_another_node_is_not_used() {
    let (backbone, dns) = (Backbone::shared(), Dns::start());
    let pod = pod(&backbone, "odd.test");
    let other = node_id(&backbone.others[0]);
    dns.put_pod("odd.test", pod.address(), &other);
    let daemon = Daemon::start(&asking(&backbone, &dns));
    daemon.meets(5);
    daemon.account("careful");
    let register = ["alias", "register", "careful@odd.test"];
    for ran in [resolve(&daemon, "alice@odd.test"), daemon.ctl(&register)] {
        assert_eq!(ran.kind(5), "pod.unreachable");
        assert!(ran.err.contains("the node at its address is another"), "{}", ran.err);
    }
    // Once the name tells the truth, the same daemon uses it.
    dns.put_pod("odd.test", pod.address(), &node_id(&pod));
    until("that the name is asked for again", || (daemon.ctl(&register).code == 0).then_some(()));
}

#[test]
fn dns_alone_does_not_move_a_pod_that_was_pinned() {
    let (backbone, dns) = (Backbone::shared(), Dns::start());
    let first = pod(&backbone, "moved.test");
    dns.put_pod("moved.test", first.address(), &node_id(&first));
    let setup = asking(&backbone, &dns);
    let (_alice, _) = backbone.user_with(&setup, "alice@moved.test");
    let (carol, _) = backbone.user_with(&setup, "carol@b.test");
    assert_eq!(resolve(&carol, "alice@moved.test").code, 0);

    first.kill();
    let second = pod(&backbone, "moved.test");
    dns.put_pod("moved.test", second.address(), &node_id(&second));
    let (_thief, _) = backbone.user_with(&setup, "alice@moved.test");
    let refused = until("that the change is seen", || {
        let ran = resolve(&carol, "alice@moved.test");
        (ran.code == 4).then_some(ran)
    });
    assert_eq!(refused.kind(4), "contact.key_changed");
    let told = format!("is node {} now, pinned is ", node_id(&second));
    assert!(refused.err.contains(&told), "{}", refused.err);
    assert_eq!(carol.ctl(&["send", "alice@moved.test", "x"]).kind(4), "contact.key_changed");
}
