//! Accounts and profiles: keys out and in, names and pictures for others.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use bytchat_tests::daemon::{Backbone, Daemon, Setup, cannot_run};
use data_encoding::{BASE32_NOPAD, BASE64};
use serde_json::json;
use sha2::{Digest, Sha512};

/// An account key of openssl, and the user id that openssl, head and base32 compute for it.
const ACCOUNT: &str = include_str!("keys/account.pem");
const ACCOUNT_ID: &str = "x5tel4g4l4fhvtnkf7tfrwbj74wd5gk2";
const SMALL: &str = include_str!("keys/small.pem");

/// The first 160 bits of the SHA-512 of the key's SubjectPublicKeyInfo.
fn user_id(spki: &[u8]) -> String {
    BASE32_NOPAD.encode(&Sha512::digest(spki)[..20]).to_lowercase()
}

fn der_of(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    BASE64.decode(body.as_bytes()).unwrap()
}

fn pem_of(daemon: &Daemon, account: &str, more: &[&str]) -> String {
    let args = [&["account", "export", "--account", account], more].concat();
    daemon.get(&args)["pem"].as_str().unwrap().to_owned()
}

/// Runs openssl; `None` if there is none here.
fn openssl(args: &[&str], dir: &Path) -> Option<Vec<u8>> {
    let ran = Command::new("openssl").args(args).current_dir(dir).stderr(Stdio::null()).output();
    let ran = ran.ok()?;
    assert!(ran.status.success(), "openssl {args:?}");
    Some(ran.stdout)
}

fn alone() -> Daemon {
    Daemon::start(&Setup { network: "alone".to_owned(), ..Setup::default() })
}

#[test]
fn an_account_is_made_listed_carried_away_and_taken_in_elsewhere() {
    let (here, there) = (alone(), alone());
    assert_eq!(here.get(&["account", "list"]), json!([]));
    assert_eq!(here.ctl(&["inbox"]).kind(5), "account.none");
    let made = here.get(&["account", "create", "--name", "first"]);
    let id = made["id"].as_str().unwrap();
    assert_eq!(made, json!({ "id": id, "name": "first", "aliases": [] }));
    assert_eq!(here.get(&["account", "list"]), json!([made]));
    assert_eq!(here.ctl(&["account", "create", "--name", "first"]).kind(8), "account.exists");
    here.account("second");
    assert_eq!(here.ctl(&["inbox"]).kind(2), "account.which");
    assert_eq!(here.get(&["inbox", "--account", "first"]), json!([]));

    let public = pem_of(&here, "first", &["--public"]);
    assert_eq!(user_id(&der_of(&public)), id);
    let secret = pem_of(&here, "first", &[]);
    let import = ["account", "import", "-", "--name", "carried"];
    let taken = there.ctl_reading(&import, secret.as_bytes()).json();
    assert_eq!((&taken["id"], &taken["name"]), (&json!(id), &json!("carried")));
    assert_eq!(here.ctl_reading(&import, secret.as_bytes()).kind(8), "account.exists");

    match openssl(&["version"], Path::new("/")) {
        None => cannot_run("the check of an exported key with openssl", "there is no openssl"),
        Some(_) => {
            fs::write(here.path("public.pem"), &public).unwrap();
            let args = ["pkey", "-pubin", "-in", "public.pem", "-outform", "DER"];
            let der = openssl(&args, &here.path("")).unwrap();
            assert_eq!(user_id(&der), id);
            fs::write(here.path("secret.pem"), &secret).unwrap();
            openssl(&["pkey", "-check", "-noout", "-in", "secret.pem"], &here.path("")).unwrap();
        }
    }
}

#[test]
fn keys_that_openssl_made_are_taken_in_either_form() {
    let daemon = alone();
    let fixture = daemon.ctl_reading(&["account", "import", "-"], ACCOUNT.as_bytes()).json();
    assert_eq!(fixture["id"], ACCOUNT_ID);
    let dir = daemon.path("");
    let make = "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out pkcs8.pem";
    if openssl(&make.split(' ').collect::<Vec<_>>(), &dir).is_none() {
        return cannot_run("the import of fresh keys of openssl", "there is no openssl");
    }
    let der = openssl(&["pkey", "-in", "pkcs8.pem", "-pubout", "-outform", "DER"], &dir).unwrap();
    openssl(&["pkey", "-in", "pkcs8.pem", "-traditional", "-out", "pkcs1.pem"], &dir).unwrap();
    let pkcs1 = fs::read_to_string(daemon.path("pkcs1.pem")).unwrap();
    assert!(pkcs1.starts_with("-----BEGIN RSA PRIVATE KEY-----"), "{pkcs1}");
    let other = alone();
    for (daemon, file) in [(&daemon, "pkcs8.pem"), (&other, "pkcs1.pem")] {
        let file = dir.join(file);
        let account = daemon.get(&["account", "import", file.to_str().unwrap()]);
        assert_eq!(account["id"], json!(user_id(&der)));
    }
}

#[test]
fn keys_that_cannot_be_used_are_refused_with_the_command_that_makes_a_good_one() {
    let daemon = alone();
    let hint = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072";
    let torn = &ACCOUNT[..ACCOUNT.len() / 2];
    let changed = ACCOUNT.replacen("MII", "MIA", 1);
    for bad in [SMALL, "", "rubbish", torn, &changed] {
        let ran = daemon.ctl_reading(&["account", "import", "-"], bad.as_bytes());
        assert_eq!(ran.kind(2), "account.bad_key", "{bad:?}");
        assert!(ran.err.contains(hint), "{}", ran.err);
    }
    let missing = daemon.ctl(&["account", "import", "/there/is/no/such/file"]);
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("/there/is/no/such/file"), "{}", missing.err);
    assert_eq!(daemon.get(&["account", "list"]), json!([]));
}

#[test]
fn others_see_the_newest_name_and_the_picture_as_it_was_given() {
    let backbone = Backbone::shared();
    let (alice, id) = backbone.user("painter@a.test");
    let (bob, _) = backbone.user("critic@b.test");
    assert_eq!(bob.ctl(&["profile", "show", &id]).kind(5), "not_found");
    let avatar: Vec<u8> = (0..16 * 1024_u32).map(|n| n.to_le_bytes()[0]).collect();
    fs::write(alice.path("avatar"), &avatar).unwrap();
    let avatar_path = alice.path("avatar");
    let avatar_path = avatar_path.to_str().unwrap();
    let set = alice.get(&["profile", "set", "--name", "Alice", "--avatar", avatar_path]);
    assert!(set["holders"].as_u64().unwrap() >= 3, "{set}");
    let seen = bob.get(&["profile", "show", "painter@a.test"]);
    assert_eq!((&seen["id"], &seen["name"]), (&json!(id), &json!("Alice")));
    assert_eq!(BASE64.decode(seen["avatar"].as_str().unwrap().as_bytes()).unwrap(), avatar);

    let newer = alice.get(&["account", "profile", "set", "--name", "Alice II"]);
    assert!(newer["sequence"].as_u64() > set["sequence"].as_u64());
    let seen = bob.get(&["profile", "show", &id]);
    let expected = json!([newer["sequence"], "Alice II", ""]);
    assert_eq!(json!([seen["sequence"], seen["name"], seen["avatar"]]), expected);

    fs::write(alice.path("avatar"), vec![0; 16 * 1024 + 1]).unwrap();
    let large = alice.ctl(&["profile", "set", "--name", "A", "--avatar", avatar_path]);
    assert_eq!(large.kind(2), "parameters.bad");
    let long = "x".repeat(129);
    assert_eq!(alice.ctl(&["profile", "set", "--name", &long]).kind(2), "parameters.bad");
}
