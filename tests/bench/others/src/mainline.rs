//! A node of the BitTorrent network by the crate `mainline`, with signed items (BEP 44).

use std::io::BufRead;
use std::net::Ipv4Addr;

use mainline::{Dht, MutableItem, SigningKey};

/// Runs a node until its input ends; `first` is the port of the one that it knows.
pub(crate) fn run(port: u16, first: Option<&str>) {
    let mut builder = Dht::builder();
    builder.server_mode().bind_address(Ipv4Addr::LOCALHOST).port(port);
    match first {
        Some(first) => builder.bootstrap(&[format!("127.0.0.1:{first}")]),
        None => builder.no_bootstrap(),
    };
    let node = builder.build().expect("a node starts");
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("input is text");
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["put", key, value] => {
                let item = MutableItem::new(signer(key), value.as_bytes(), 1, None);
                match node.put_mutable(item, None) {
                    Ok(_) => println!("put"),
                    Err(error) => println!("not put: {error}"),
                }
            }
            ["get", key] => {
                let public = signer(key).verifying_key().to_bytes();
                match node.get_mutable(&public, None, None).next() {
                    Some(item) => println!("got {}", String::from_utf8_lossy(item.value())),
                    None => println!("none"),
                }
            }
            _ => panic!("unknown: {line}"),
        }
    }
}

/// The key that signs what lies at a name: forty signs of which the first 32 are its seed.
fn signer(name: &str) -> SigningKey {
    let mut seed = [0; 32];
    seed.copy_from_slice(&name.as_bytes()[..32]);
    SigningKey::from_bytes(&seed)
}
