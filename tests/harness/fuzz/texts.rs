//! What people and front ends write: names, ids, times, and calls.

use std::fmt::Display;
use std::str::FromStr;

use bytchat_proto::alias::{Alias, Host};
use bytchat_proto::id::{BlockId, EnvelopeId, Fingerprint, NetworkId, NodeId, UserId};
use bytchat_proto::key::{DeviceKey, NodeKey};
use bytchat_proto::rpc::message::State;
use bytchat_proto::rpc::{Call, ErrorKind, Role};

use super::golden;

/// A text is a name of each kind, or none.
pub(super) fn feed(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    name::<Alias>(&text);
    name::<Host>(&text);
    name::<UserId>(&text);
    name::<NodeId>(&text);
    name::<EnvelopeId>(&text);
    name::<BlockId>(&text);
    name::<NetworkId>(&text);
    name::<Fingerprint>(&text);
    name::<DeviceKey>(&text);
    name::<NodeKey>(&text);
    if let Ok(state) = text.parse::<State>() {
        assert_eq!(state.as_str(), text);
    }
    if let Ok(role) = text.parse::<Role>() {
        assert_eq!(role.as_str(), text);
    }
}

fn name<T>(text: &str)
where
    T: FromStr<Err: Display> + PartialEq + Display,
{
    match text.parse::<T>() {
        Ok(name) => {
            let shown = name.to_string();
            assert!(shown.len() <= text.len(), "{text:?} became longer: {shown:?}");
            assert!(shown.parse::<T>().is_ok_and(|again| again == name), "{shown:?}");
        }
        Err(error) => {
            let why = error.to_string();
            assert!(why.len() <= 1024, "an error of {} bytes", why.len());
        }
    }
}

/// The first line is a method, the rest its parameters; as a text and as a tree they are the same.
pub(super) fn feed_call(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (method, params) = text.split_once('\n').unwrap_or((&text, ""));
    let read = Call::read(method, (!params.is_empty()).then_some(params));
    match &read {
        Ok(call) => {
            assert_eq!(call.method(), method);
            let again = Call::parse(method, call.params());
            assert_eq!(again.as_ref(), Ok(call), "a call does not come back");
            assert_eq!(Call::read(method, Some(&call.params().to_string())), read);
        }
        Err(error) => {
            let kinds = [ErrorKind::BadParameters, ErrorKind::UnknownMethod];
            assert!(kinds.contains(&error.kind), "{error:?}");
        }
    }
    if let Ok(tree) = serde_json::from_str(params) {
        // A tree keeps the last of two fields of one name; a text is refused.
        let parsed = Call::parse(method, tree);
        assert!(read.is_err() || parsed.is_ok(), "{read:?} but {parsed:?}");
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let id = UserId([7; 20]).to_string();
    let key = DeviceKey([9; 32]).to_string();
    let fingerprint = Fingerprint([3; 64]).to_string();
    let names = ["alice@pod.example", "Pod.Example.", "xn--bcher-kva.example", "queued", "admin"];
    let names = names.into_iter().chain([&*id, &*key, &*fingerprint]);
    names.map(|name| name.as_bytes().to_vec()).collect()
}

pub(super) fn calls() -> Vec<Vec<u8>> {
    let calls = golden::calls().into_iter();
    calls.map(|(method, params)| format!("{method}\n{params}").into_bytes()).collect()
}
