//! What people call the users whose ids they would otherwise read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytchat_proto::id::UserId;
use serde_json::{Value, json};

use crate::client::Client;

/// The aliases in the address book, by user, and who in it was accepted.
#[derive(Debug, Default)]
pub(crate) struct Names {
    aliases: BTreeMap<String, String>,
    accepted: BTreeSet<String>,
}

impl Names {
    /// Asks for them. Who cannot be asked for is called by the id.
    pub(crate) fn ask(client: &mut Client, account: Option<&str>) -> Self {
        let params = account.map_or_else(|| json!({}), |account| json!({ "account": account }));
        let answer = client.call_raw("contact.list", &params, Duration::ZERO);
        Self::read(&answer.unwrap_or_default())
    }

    fn read(answer: &Value) -> Self {
        let contacts = answer["contacts"].as_array().map_or(&[][..], Vec::as_slice);
        let pair = |contact: &Value| {
            let text = |name: &str| contact[name].as_str().map(ToOwned::to_owned);
            text("id").zip(text("alias"))
        };
        let accepted = contacts.iter().filter(|contact| contact["standing"] == "accepted");
        let id = |contact: &Value| contact["id"].as_str().map(ToOwned::to_owned);
        Self {
            aliases: contacts.iter().filter_map(pair).collect(),
            accepted: accepted.filter_map(id).collect(),
        }
    }

    /// The alias of a user, or else the id.
    pub(crate) fn of(&self, id: UserId) -> String {
        let id = id.to_string();
        self.aliases.get(&id).cloned().unwrap_or(id)
    }

    /// Whether a user was accepted, be it after a message had come as a request.
    pub(crate) fn accepted(&self, id: UserId) -> bool {
        self.accepted.contains(&id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_called_by_its_alias_and_others_by_their_id() {
        let ids = [UserId([0; 20]), UserId([1; 20])].map(|id| id.to_string());
        let names = Names::read(&json!({ "contacts": [
            { "id": ids[0], "alias": "bob@b.test", "standing": "accepted" },
            { "id": ids[1], "alias": null, "standing": "request" }, 7,
        ]}));
        assert_eq!(names.of(UserId([0; 20])), "bob@b.test");
        assert_eq!(names.of(UserId([1; 20])), ids[1]);
        assert!(names.accepted(UserId([0; 20])) && !names.accepted(UserId([1; 20])));
        assert_eq!(Names::read(&Value::Null).of(UserId([1; 20])), ids[1]);
    }
}
