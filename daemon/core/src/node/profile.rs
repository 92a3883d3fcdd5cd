//! `profile.*`: names and pictures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytchat_proto::id::UserId;
use bytchat_proto::limits::{AVATAR_BYTES_MAX, NAME_BYTES_MAX};
use bytchat_proto::point::Point;
use bytchat_proto::record::{ProfileBody, RecordBody, RecordKind};
use bytchat_proto::rpc::{ErrorKind, RpcError, profile as rpc, to_result};
use bytchat_proto::unverified::{Unverified, Verified};
use serde_bytes::ByteBuf;

use super::Node;
use super::accounts::Working;
use super::people::check_rev;
use super::search::{Lookup, Put};
use crate::account::profile_body;
use crate::io::{CallId, Caller};
use crate::time::Now;

impl Node {
    /// Has the account sign a newer profile.
    pub(super) fn profile_set(
        &mut self,
        call: CallId,
        caller: Caller,
        with: &rpc::Set,
        now: Now,
    ) -> Result<(), RpcError> {
        let account = self.accounts.pick(caller, with.account.as_deref())?;
        if with.name.len() > NAME_BYTES_MAX {
            return Err(ErrorKind::BadParameters.because(format!(
                "name has {} bytes, allowed are {NAME_BYTES_MAX}",
                with.name.len()
            )));
        }
        let avatar =
            STANDARD.decode(with.avatar.as_deref().unwrap_or_default()).map_err(|error| {
                ErrorKind::BadParameters.because(format!("avatar is no base64: {error}"))
            })?;
        if avatar.len() > AVATAR_BYTES_MAX {
            return Err(ErrorKind::BadParameters.because(format!(
                "avatar has {} bytes, allowed are {AVATAR_BYTES_MAX}",
                avatar.len()
            )));
        }
        let user = account.user();
        let known = account.profile.as_ref().and_then(profile_body);
        let expect_rev = with.expect_rev;
        check_rev("the profile", expect_rev, known.as_ref().map_or(0, |(_, rev)| *rev))?;
        let (more, last) = known.map_or_else(Default::default, |(body, seq)| (body.more, seq));
        let avatar = ByteBuf::from(avatar);
        let body = ProfileBody { uid: user, name: with.name.clone(), avatar, more };
        let sequence = now.wall.0.max(last.saturating_add(1));
        if self.kept.is_dry(call) {
            self.reply(call, Ok(to_result(&view(body, sequence, 0))));
            return Ok(());
        }
        let record = account.profile_record(self.config.network, &body, sequence, now.wall);
        let (bytes, digest) = Unverified::prepare(&record);
        self.sign(user, digest, Working::Profile { user, call, bytes, expect_rev });
        Ok(())
    }

    pub(super) fn finish_profile(
        &mut self,
        (user, call): (UserId, CallId),
        record: Unverified<RecordBody>,
        expect_rev: Option<u64>,
        now: Now,
    ) {
        let Some(account) = self.accounts.get_mut(user) else {
            return self.reply(call, Err(ErrorKind::NotFound.because("the account is gone")));
        };
        // Another one may have been signed meanwhile.
        let known = account.profile.as_ref().and_then(profile_body);
        let rev = known.map_or(0, |(_, rev)| rev);
        if let Err(error) = check_rev("the profile", expect_rev, rev) {
            return self.reply(call, Err(error));
        }
        account.profile = Some(record.clone());
        account.save(&self.vault, &mut self.out);
        // SPEC 8.50: in one commit with the profile, though nobody has it yet.
        if let Some((body, sequence)) = profile_body(&record) {
            self.kept.keep(call, &to_result(&view(body, sequence, 0)), &mut self.out);
        }
        if !self.publish(&record, Some(Put::Profile { user, call }), now) {
            self.handle_profile_stored(user, call, 0, false, None);
        }
    }

    /// The holders have it: answer the front end that waits.
    pub(super) fn handle_profile_stored(
        &mut self,
        user: UserId,
        call: CallId,
        holders: usize,
        ok: bool,
        stale: Option<u64>,
    ) {
        let profile = self.accounts.get(user).and_then(|account| account.profile.clone());
        let known = profile.as_ref().and_then(profile_body);
        let answer = match (known, stale) {
            (_, Some(sequence)) => Err(ErrorKind::Conflict.because(format!(
                "another device has published profile {sequence}, which is newer; set it again"
            ))),
            (Some((body, sequence)), None) => {
                if !ok {
                    tracing::info!(%user, holders, "the profile waits for more holders");
                }
                Ok(to_result(&view(body, sequence, holders)))
            }
            (None, None) => Err(ErrorKind::NotFound.because("the account is gone")),
        };
        self.reply(call, answer);
    }

    /// Looks somebody's profile up.
    pub(super) fn profile_show(&mut self, call: CallId, user: UserId, now: Now) {
        let point = Point::of_profile(user);
        if !self.look(point, Some(RecordKind::Profile), Lookup::Profile { user, call }, now) {
            let error = ErrorKind::Busy.because("too many lookups are under way");
            self.reply(call, Err(error));
        }
    }

    pub(super) fn handle_profile_found(
        &mut self,
        user: UserId,
        call: CallId,
        records: &[Verified<RecordBody>],
        answered: usize,
    ) {
        let newest = records.iter().max_by_key(|record| record.sequence);
        let found = newest.and_then(|record| profile_body(record.source()));
        let own = self.accounts.get(user).and_then(|account| account.profile.as_ref());
        let answer = match found.or_else(|| own.and_then(profile_body)) {
            Some((body, sequence)) => Ok(to_result(&view(body, sequence, answered))),
            None => Err(ErrorKind::NotFound.because(format!("{user} has published no profile"))),
        };
        self.reply(call, answer);
    }
}

fn view(body: ProfileBody, sequence: u64, holders: usize) -> rpc::Profile {
    rpc::Profile {
        id: body.uid,
        name: body.name,
        avatar: STANDARD.encode(&body.avatar),
        sequence,
        more: body.more,
        holders,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::at;
    use crate::node::fixture::Machine;

    #[test]
    fn a_profile_of_an_account_that_is_gone_is_answered() {
        let mut machine = Machine::new();
        let (gone, record) = (UserId([9; 20]), Unverified::assemble(Vec::new(), Vec::new()));
        machine.node.finish_profile((gone, CallId(7)), record, None, at(1));
        machine.drain();
        assert_eq!(machine.replies.remove(0).unwrap_err().kind, ErrorKind::NotFound);
    }
}
