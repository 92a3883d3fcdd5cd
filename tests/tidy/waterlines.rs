//! The two waterlines: purity above the core, secrecy above the protocol; and one owner for each
//! library that touches the world.

use crate::source::{Source, Violation, has_word};

struct Rule {
    below: &'static [&'static str],
    except: &'static [&'static str],
    words: &'static [&'static str],
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        below: &["proto/src/", "daemon/core/src/"],
        except: &[],
        words: &[
            "tokio",
            "quinn",
            "sled",
            "jsonrpsee",
            "std::time",
            "std::fs",
            "std::env",
            "std::thread",
            "std::process",
            "Instant",
            "SystemTime",
            "UdpSocket",
            "TcpStream",
            "TcpListener",
            "UnixStream",
            "UnixListener",
        ],
        why: "is above the purity line",
    },
    Rule {
        below: &["proto/src/", "daemon/core/src/"],
        // Libraries of ratchets and keys offer no other source; there and nowhere else.
        except: &["daemon/core/src/crypto/"],
        words: &["OsRng", "SystemRandom", "getrandom", "ThreadRng", "thread_rng"],
        why: "draws chance from the system, above the purity line",
    },
    Rule {
        below: &["proto/src/", "daemon/core/src/"],
        except: &[],
        words: &["HashMap", "HashSet"],
        why: "has no order: use BTreeMap or BTreeSet, so that runs can be replayed",
    },
    Rule {
        below: &["proto/src/"],
        except: &[],
        words: &[
            "RsaPrivateKey",
            "DecodePrivateKey",
            "EncodePrivateKey",
            "DecodeRsaPrivateKey",
            "PrivateKeyParts",
            "SigningKey",
            "Ed25519KeyPair",
            "RsaKeyPair",
            "KeyPair",
            "StaticSecret",
            "SecretKey",
            "EphemeralPrivateKey",
            "PrivateDecryptingKey",
        ],
        why: "holds a private key, above the secrecy line",
    },
    Rule {
        below: &["daemon/", "ctl/", "tests/harness/"],
        except: &[],
        words: &["BlindedSigningKey", "sign_with_rng", "Pkcs1v15Encrypt", "Oaep"],
        why: "is a private operation of `rsa` (RUSTSEC-2023-0071): sign with aws-lc-rs",
    },
    Rule {
        below: &[
            "ctl/src/tui/model/",
            "ctl/src/tui/update/",
            "ctl/src/tui/layout/",
            "ctl/src/tui/view/",
        ],
        except: &[],
        words: &["Client", "crossterm", "thread", "Instant", "SystemTime", "std::io", "std::fs"],
        why: "touches the world: that is for link, keys and screen",
    },
    Rule {
        below: &["proto/", "daemon/", "ctl/", "tests/harness/"],
        except: &["daemon/src/store/"],
        words: &["sled"],
        why: "belongs to daemon/src/store alone",
    },
    Rule {
        below: &["proto/", "daemon/", "ctl/", "tests/harness/"],
        except: &["daemon/src/net/"],
        words: &["quinn"],
        why: "belongs to daemon/src/net alone",
    },
];

/// Lists what stands below a line and belongs above it.
pub(crate) fn check(source: &Source) -> Vec<Violation> {
    let within = |folders: &[&str]| folders.iter().any(|folder| source.path.starts_with(folder));
    let rules = RULES.iter().filter(|rule| source.is_rust() && within(rule.below));
    rules.filter(|rule| !within(rule.except)).flat_map(|rule| broken(source, rule)).collect()
}

fn broken(source: &Source, rule: &Rule) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, line) in source.shipped_code() {
        for word in rule.words.iter().filter(|word| has_word(line, word)) {
            violations.push(source.violation(number, format!("`{word}` {}", rule.why)));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught(path: &str, text: &str) -> usize {
        check(&Source::new(path, text)).len()
    }

    #[test]
    fn a_clock_in_the_core_is_caught() {
        let text = "use std::time::Duration;";
        assert_eq!(caught("daemon/core/src/dht/mod.rs", text), 1);
        assert_eq!(caught("daemon/src/clock.rs", text), 0);
    }

    #[test]
    fn a_private_key_in_the_protocol_is_caught() {
        assert_eq!(caught("proto/src/key.rs", "use rsa::RsaPrivateKey;"), 1);
        assert_eq!(caught("daemon/core/src/crypto/a.rs", "use rsa::RsaPrivateKey;"), 0);
    }

    #[test]
    fn chance_from_the_system_is_caught_outside_crypto() {
        assert_eq!(caught("daemon/core/src/dht/mod.rs", "OsRng.fill()"), 1);
        assert_eq!(caught("daemon/core/src/crypto/a.rs", "OsRng.fill()"), 0);
    }

    #[test]
    fn a_socket_in_the_model_of_the_terminal_front_end_is_caught() {
        let text = "use crate::client::Client;";
        assert_eq!(caught("ctl/src/tui/update/news.rs", text), 1);
        assert_eq!(caught("ctl/src/tui/link.rs", text), 0);
    }

    #[test]
    fn sled_outside_the_store_is_caught_but_not_in_its_tests() {
        assert_eq!(caught("daemon/src/engine/mod.rs", "let db = sled::open(p);"), 1);
        let test = "//! x\n#[cfg(test)]\nmod tests {\n use sled::Db;\n}";
        assert_eq!(caught("daemon/src/engine/mod.rs", test), 0);
    }
}
