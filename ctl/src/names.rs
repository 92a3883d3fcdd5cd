//! What people call the users whose ids they would otherwise read.

use std::collections::BTreeMap;
use std::time::Duration;

use bytchat_proto::id::UserId;
use serde_json::{Value, json};

use crate::client::Client;

/// The aliases in the address book, by user.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<String, String>);

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
        Self(contacts.iter().filter_map(pair).collect())
    }

    /// The alias of a user, or else the id.
    pub(crate) fn of(&self, id: UserId) -> String {
        let id = id.to_string();
        self.0.get(&id).cloned().unwrap_or(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_called_by_its_alias_and_others_by_their_id() {
        let ids = [UserId([0; 20]), UserId([1; 20])].map(|id| id.to_string());
        let names = Names::read(&json!({ "contacts": [
            { "id": ids[0], "alias": "bob@b.test" }, { "id": ids[1], "alias": null }, 7,
        ]}));
        assert_eq!(names.of(UserId([0; 20])), "bob@b.test");
        assert_eq!(names.of(UserId([1; 20])), ids[1]);
        assert_eq!(Names::read(&Value::Null).of(UserId([1; 20])), ids[1]);
    }
}
