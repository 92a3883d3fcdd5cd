//! Aliases at pods: the account's claim and the pod's countersignature.

use serde::{Deserialize, Serialize};

use crate::alias::Alias;
use crate::id::{Fingerprint, UserId};
use crate::key::{AccountKey, NodeKey};
use crate::record::RecordError;
use crate::timestamp::Timestamp;
use crate::unverified::{Signable, Unverified, Verified};

/// What an account claims (SPEC 5.2): a pod cannot bind an alias to a key that did not ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasClaim {
    /// The alias.
    pub alias: Alias,
    /// The account's public key.
    pub account: AccountKey,
    /// A newer claim has a higher number.
    pub sequence: u64,
    /// When it was made.
    pub created: Timestamp,
}

impl Signable for AliasClaim {
    const LABEL: &'static str = "bytchat/alias-claim/1";
}

/// The pod's word that the claim is registered (SPEC 5.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasBinding {
    /// The account's signed claim.
    pub claim: Unverified<AliasClaim>,
    /// When the pod registered it.
    pub registered: Timestamp,
}

impl Signable for AliasBinding {
    const LABEL: &'static str = "bytchat/alias-binding/1";
}

/// A binding whose both signatures were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The alias.
    pub alias: Alias,
    /// The user.
    pub user: UserId,
    /// The user's whole key hash.
    pub fingerprint: Fingerprint,
    /// The user's key.
    pub account: AccountKey,
}

/// Checks an account's claim by its own key.
pub fn verify_claim(claim: &Unverified<AliasClaim>) -> Result<Verified<AliasClaim>, RecordError> {
    let account = claim.peek()?.account;
    Ok(claim.verify(&account)?)
}

/// Checks a binding: the pod's signature, then the claim inside, then that it is the alias asked
/// for (SPEC 5.4).
pub fn verify_binding(
    binding: &Unverified<AliasBinding>,
    pod: NodeKey,
    alias: &Alias,
) -> Result<Resolved, RecordError> {
    let claim = verify_claim(&binding.verify(&pod)?.claim)?.into_value();
    if &claim.alias != alias {
        return Err(RecordError::Limit("binding is for another alias"));
    }
    Ok(Resolved {
        alias: claim.alias,
        user: claim.account.user(),
        fingerprint: claim.account.fingerprint(),
        account: claim.account,
    })
}
