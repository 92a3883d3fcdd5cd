//! The OpenRPC document: its form, its examples told to a real daemon, and the client made of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use bytchat_proto::rpc::openrpc::{
    BOB, DISCOVER, Example, METHODS, PEM, document, examples, methods,
};
use bytchat_tests::daemon::{Backbone, Daemon, Ran, Setup, Socket, programs, until};
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use crate::clients::{command, example, has, npm};

/// The account that the story takes in.
const ACCOUNT: &str = include_str!("keys/account.pem");
/// Names by which a later example means what an earlier one gave.
const NAMED: [&str; 3] = ["id", "epoch", "subscription"];

/// The rules of a schema of the document.
fn rules(document: &Value, schema: &Value) -> Validator {
    // Beside `allOf`, so that references find the named ones.
    let whole = json!({ "components": document["components"], "allOf": [schema] });
    jsonschema::options().with_draft(Draft::Draft7).build(&whole).unwrap()
}

fn assert_fits(rules: &Validator, what: &str, value: &Value) {
    let faults: Vec<_> = rules
        .iter_errors(value)
        .map(|fault| format!("{fault} at {}", fault.instance_path))
        .collect();
    assert!(faults.is_empty(), "{what}: {faults:#?}\n{value:#}");
}

fn method<'a>(document: &'a Value, name: &str) -> &'a Value {
    let methods = document["methods"].as_array().unwrap();
    methods.iter().find(|method| method["name"] == name).unwrap()
}

/// The schema of all parameters of a method as one object.
fn params_of(method: &Value) -> Value {
    let params = method["params"].as_array().unwrap();
    let pairs = params.iter().map(|param| (param["name"].as_str().unwrap(), &param["schema"]));
    let required = params.iter().filter(|param| param["required"] == true);
    json!({
        "type": "object",
        "properties": pairs.collect::<BTreeMap<_, _>>(),
        "required": required.map(|param| &param["name"]).collect::<Vec<_>>(),
        "additionalProperties": false,
    })
}

#[test]
fn every_example_fits_the_schemas_of_its_method() {
    let document = document();
    for Example { method: name, params, result, .. } in examples() {
        let method = method(&document, name);
        assert_fits(&rules(&document, &params_of(method)), name, &params);
        assert_fits(&rules(&document, &method["result"]["schema"]), name, &result);
    }
}

#[test]
fn a_schema_refuses_what_the_daemon_refuses() {
    let document = document();
    let rules = rules(&document, &params_of(method(&document, "message.wait")));
    let id = "mztgmztgmztgmztgmztgmztgmztgmztgmztgmztgmztgmztgmzta";
    assert!(rules.is_valid(&json!({ "id": id, "state": "read" })));
    for bad in [
        json!({ "id": id }),
        json!({ "id": id, "state": "lost" }),
        json!({ "id": "x", "state": "read" }),
        json!({ "id": id, "state": "read", "timeout": 1 }),
        json!({ "id": id, "state": "read", "timeout_ms": -1 }),
    ] {
        assert!(!rules.is_valid(&bad), "{bad}");
    }
}

#[test]
fn the_document_obeys_the_schema_of_openrpc() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenario/metaschema");
    let Some(folder) = npm("the schema of OpenRPC", &source, "metaschema") else { return };
    let print = "const load = name => require(name + '/meta-schema');
        const [open, json] = [load('@open-rpc'), load('@json-schema-tools')];
        console.log(JSON.stringify([open.openrpcDocument, json.jsonSchema]))";
    let ran = Command::new("node").args(["-e", print]).current_dir(folder).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let mut schemas: [Value; 2] = serde_json::from_slice(&ran.stdout).unwrap();
    for schema in &mut schemas {
        // Its own name for draft 7.
        schema.as_object_mut().unwrap().remove("$schema");
    }
    let [open, json] = schemas;
    // Some references name it without the last stroke.
    let places = ["https://meta.json-schema.tools/", "https://meta.json-schema.tools"];
    let json = places.map(|place| (place, Draft::Draft7.create_resource(json.clone())));
    let rules = jsonschema::options()
        .with_draft(Draft::Draft7)
        .with_resources(json.into_iter())
        .build(&open)
        .unwrap();
    let mut document = document();
    assert_fits(&rules, "the document", &document);
    document["methods"][0]["result"] = json!({ "nothing": true });
    assert!(!rules.is_valid(&document));
}

/// The story while it is told: what stands in an example, and what it is here.
struct Story {
    document: Value,
    /// The schema of what a subscription tells.
    told: Value,
    here: BTreeMap<String, String>,
    socket: Socket,
    heard: usize,
}

impl Story {
    fn tell(&mut self, told: &Example) {
        let schema = method(&self.document, told.method)["result"]["schema"].clone();
        let params = self.put(&told.params);
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": told.method, "params": params });
        assert!(self.socket.send(format!("{call}\n").as_bytes()));
        let answer = self.hear(|line| line["method"].is_null());
        let result = &answer["result"];
        assert!(answer["error"].is_null(), "{} {params}: {answer}", told.method);
        assert_fits(&rules(&self.document, &schema), told.method, result);
        self.learn(told.method, &told.result, result);
        if told.method == "event.subscribe" {
            self.hear(|line| line["params"]["result"]["type"] == "stream.caught_up");
        }
    }

    /// The next line of a kind; what is told before it must be as the document says.
    fn hear(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.socket.line().unwrap();
            if !line["method"].is_null() {
                assert_fits(&rules(&self.document, &self.told), "a notification", &line["params"]);
                self.heard += 1;
            }
            if wanted(&line) {
                return line;
            }
        }
    }

    /// The same with what it is here.
    fn put(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => json!(self.here.get(text).unwrap_or(text)),
            Value::Array(items) => items.iter().map(|item| self.put(item)).collect(),
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, field)| (name.clone(), self.put(field)));
                Value::Object(fields.collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// Compares what an example shows with what came, and remembers the names in it.
    fn learn(&mut self, place: &str, shown: &Value, came: &Value) {
        if let (Some(shown), Some(came)) = (shown.as_array(), came.as_array()) {
            let some = shown.iter().any(Value::is_object);
            assert!(!some || !came.is_empty(), "{place} shows more than there is");
            for (shown, by_place) in shown.iter().zip(came) {
                // Here the ids are others, and so is their order.
                let known = shown["id"].as_str().and_then(|id| self.here.get(id));
                let same = came.iter().find(|came| known.is_some_and(|id| came["id"] == *id));
                self.learn(place, shown, same.unwrap_or(by_place));
            }
        }
        for (name, shown) in shown.as_object().into_iter().flatten() {
            let place = format!("{place}.{name}");
            let came = came.get(name).unwrap_or_else(|| panic!("{place} does not come"));
            self.learn(&place, shown, came);
            if let (true, Some(shown), Some(came)) =
                (NAMED.contains(&name.as_str()), shown.as_str(), came.as_str())
            {
                let known = self.here.entry(shown.to_owned()).or_insert_with(|| came.to_owned());
                assert_eq!(known, came, "{place}");
            }
        }
    }
}

#[test]
fn every_example_comes_true_at_a_real_daemon() {
    let backbone = Backbone::shared();
    let alice = backbone.join();
    let (bob, bob_id) = backbone.user("bob-of-openrpc@b.test");
    let names = [
        ("alice@pod.example", "alice-of-openrpc@a.test"),
        ("bob@pod.example", "bob-of-openrpc@b.test"),
        (BOB, &bob_id),
        (PEM, ACCOUNT),
    ];
    let here = names.map(|(shown, here)| (shown.to_owned(), here.to_owned()));
    let document = alice.call(DISCOVER, &json!({}));
    assert_eq!(document, self::document());
    let told = params_of(&document["x-notifications"][0]);
    let socket = alice.socket();
    let mut story = Story { document, told, here: here.into(), socket, heard: 0 };
    for told in examples() {
        if told.method == "message.inbox" {
            let to = &story.here["alice@pod.example"];
            let sent = bob.get(&["send", to, "See you there."]);
            alice.arrival(sent["id"].as_str().unwrap());
        }
        story.tell(&told);
    }
    // A dry run leaves out what it cannot know.
    for (name, result) in [("account.create", "id"), ("profile.set", "nothing")] {
        let params = json!({ "account": "home", "name": "Alice", "dry_run": true });
        let params = if name == "account.create" { json!({ "dry_run": true }) } else { params };
        let tried = alice.call(name, &params);
        assert!(tried[result].is_null(), "{tried}");
        let schema = &method(&story.document, name)["result"]["schema"];
        assert_fits(&rules(&story.document, schema), name, &tried);
        assert!(!rules(&story.document, schema).is_valid(&json!({})));
    }
    assert!(story.heard >= 3, "{} notifications", story.heard);
}

#[test]
fn a_daemon_gives_its_document_in_three_ways() {
    let daemon = Daemon::start(&Setup { network: "alone".to_owned(), ..Setup::default() });
    let called = daemon.call(DISCOVER, &json!({}));
    let ran = Command::new(&programs().bytchatd).arg("--openrpc").output().unwrap();
    let printed: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(printed, called);
    let mut socket = daemon.socket();
    let ask = "GET /openrpc.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(socket.send(ask.as_bytes()));
    let answer = socket.rest();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("application/json"), "{head}");
    assert_eq!(serde_json::from_str::<Value>(body).unwrap(), called);
    let listed = daemon.call(METHODS, &json!({}));
    let names: Vec<_> =
        called["methods"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(listed["methods"], json!(names));
    assert_eq!(daemon.socket().call(DISCOVER, &json!({ "x": 1 }))["error"]["code"], -32602);
}

/// Text of a file of the tree.
fn read(place: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(place)).unwrap()
}

#[test]
fn the_client_in_python_is_what_its_generator_writes() {
    if !has("python3", "the generator of the client in Python") {
        return;
    }
    let document = read("proto/tests/golden/openrpc.json");
    let mut generator = Command::new("python3");
    let ran = Ran::of(generator.arg(example("python/generate.py")), document.as_bytes());
    let client = example("python/bytchat/client.py");
    if std::env::var_os("BYTCHAT_BLESS").is_some() {
        fs::write(&client, ran.ok()).unwrap();
    }
    let known = fs::read_to_string(client).unwrap();
    for (number, (known, now)) in known.lines().zip(ran.ok().lines()).enumerate() {
        assert_eq!(known, now, "client.py:{}", number + 1);
    }
    assert_eq!(known, ran.out);
    for method in methods() {
        let name = method.name.replace('.', "_");
        assert!(known.contains(&format!("    def {name}(")), "{name}");
    }
}

#[test]
fn the_client_in_python_has_no_fault_of_types() {
    if !has("mypy", "the types of the client in Python") {
        return;
    }
    let mut mypy = Command::new("mypy");
    let cache = tempfile::tempdir().unwrap();
    mypy.args(["--strict", "--python-version", "3.11", "--cache-dir"]).arg(cache.path());
    mypy.current_dir(example("python")).args([
        "generate.py",
        "send.py",
        "follow.py",
        "echo_bot.py",
    ]);
    Ran::of(mypy.arg("bytchat"), b"").ok();
}

#[test]
fn a_program_in_python_sends_and_sees_errors_by_their_kind() {
    if !has("python3", "the client in Python") {
        return;
    }
    let backbone = Backbone::shared();
    let (alice, _) = backbone.user("python-sends@a.test");
    let (bob, bob_id) = backbone.user("python-reads@b.test");
    let script = example("python/send.py");
    let run = |to: &str| {
        let mut command = command(&alice, "python3", &script);
        Ran::of(command.args([to, "from python"]), b"")
    };
    let ran = run("python-reads@b.test");
    let states: Vec<_> = ran.ok().lines().collect();
    assert_eq!((states.first(), states.last()), (Some(&"queued"), Some(&"delivered")));
    until("the message", || (bob.times("from python").0 == 1).then_some(()));
    let ran = run("nobody-of-this-name@b.test");
    assert_eq!((ran.code, ran.err.contains("nobody is called nobody-of")), (1, true), "{ran:?}");
    alice.get(&["contact", "block", &bob_id]);
    let ran = run(&bob_id);
    assert!(ran.code == 1 && ran.err.contains("contact.blocked"), "{ran:?}");
}
