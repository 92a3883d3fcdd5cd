//! `account.*`: making, taking, giving and listing accounts, and what they say of themselves.

use bytchat_proto::binding::AliasClaim;
use bytchat_proto::id::UserId;
use bytchat_proto::key::AccountKey;
use bytchat_proto::limits::NAME_BYTES_MAX;
use bytchat_proto::record::DeviceCertificate;
use bytchat_proto::rpc::{ErrorKind, RpcError, account as rpc, to_result};
use bytchat_proto::unverified::Unverified;
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use super::Node;
use crate::account::Account;
use crate::crypto::DeviceSecret;
use crate::io::{CallId, Caller, JobId, JobResult, Output, Task};
use crate::time::Now;

/// What slow cryptography is under way for.
pub(super) enum Working {
    /// A key for a new account.
    Account(Wish),
    /// The account's word for its first device here.
    Device { draft: Box<Draft>, bytes: Vec<u8> },
    /// The user record.
    Record { user: UserId, bytes: Vec<u8> },
    /// The profile.
    Profile { user: UserId, call: CallId, bytes: Vec<u8>, expect_rev: Option<u64> },
    /// A claim on an alias.
    Claim { call: CallId, user: UserId, bytes: Vec<u8> },
}

/// Who wants an account, and how it is to be called.
pub(super) struct Wish {
    call: CallId,
    caller: Caller,
    name: Option<String>,
}

/// An account that is being made.
pub(super) struct Draft {
    call: CallId,
    caller: Caller,
    name: String,
    key: AccountKey,
    secret: Zeroizing<Vec<u8>>,
    device: DeviceSecret,
}

impl Node {
    pub(super) fn account_create(
        &mut self,
        call: CallId,
        caller: Caller,
        with: rpc::Create,
    ) -> Result<(), RpcError> {
        self.check_name(caller, with.name.as_deref())?;
        if self.kept.is_dry(call) {
            // The id follows from a key that is made only when it is wanted.
            self.reply(call, Ok(to_result(&with)));
            return Ok(());
        }
        let working = Working::Account(Wish { call, caller, name: with.name });
        self.job(Task::GenerateAccount, working);
        Ok(())
    }

    pub(super) fn account_import(
        &mut self,
        call: CallId,
        caller: Caller,
        with: rpc::Import,
    ) -> Result<(), RpcError> {
        self.check_name(caller, with.name.as_deref())?;
        let working = Working::Account(Wish { call, caller, name: with.name });
        self.job(Task::ReadAccount { pem: with.pem.into_inner() }, working);
        Ok(())
    }

    fn check_name(&self, caller: Caller, name: Option<&str>) -> Result<(), RpcError> {
        self.accounts.room(caller)?;
        let Some(name) = name else { return Ok(()) };
        let good = !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains('@');
        if !good || name.chars().any(char::is_control) {
            return Err(ErrorKind::BadParameters.because(format!(
                "an account's name has 1 to {NAME_BYTES_MAX} bytes and no '@', got {name:?}"
            )));
        }
        if name.parse::<UserId>().is_ok() {
            let error = "an account is not called like the id of one";
            return Err(ErrorKind::BadParameters.because(error));
        }
        match self.accounts.of(caller).find(|account| account.name == name) {
            Some(_) => Err(ErrorKind::AccountExists
                .because(format!("there is an account called {name:?} already"))),
            None => Ok(()),
        }
    }

    pub(super) fn job(&mut self, task: Task, working: Working) {
        let job = JobId(self.out.fresh());
        self.jobs.insert(job, working);
        self.out.push(Output::Job { job, task });
    }

    /// Has an account sign a digest.
    pub(super) fn sign(&mut self, user: UserId, digest: [u8; 64], working: Working) {
        let secret = self.accounts.get(user).map(|account| account.secret.clone());
        if let Some(secret) = secret {
            self.job(Task::Sign { secret, digest }, working);
        }
    }

    pub(super) fn handle_done(&mut self, job: JobId, result: JobResult, now: Now) {
        let Some(working) = self.jobs.remove(&job) else {
            return;
        };
        match (working, result) {
            (Working::Account(wish), JobResult::Account { secret, key }) => {
                self.begin_device(wish, key, secret, now);
            }
            (Working::Device { draft, bytes }, JobResult::Signature(signature)) => {
                self.finish_account(*draft, Unverified::assemble(bytes, signature), now);
            }
            (Working::Record { user, bytes }, JobResult::Signature(signature)) => {
                self.finish_record(user, Unverified::assemble(bytes, signature), now);
            }
            (Working::Profile { user, call, bytes, expect_rev }, JobResult::Signature(it)) => {
                let record = Unverified::assemble(bytes, it);
                self.finish_profile((user, call), record, expect_rev, now);
            }
            (Working::Claim { call, user, bytes }, JobResult::Signature(signature)) => {
                let claim: Unverified<AliasClaim> = Unverified::assemble(bytes, signature);
                self.claim(call, user, claim, now);
            }
            (working, JobResult::Failed(why)) => self.job_failed(working, &why),
            (working, JobResult::Account { .. } | JobResult::Signature(_)) => {
                self.job_failed(working, "the job gave another kind of result");
            }
        }
    }

    fn job_failed(&mut self, working: Working, why: &str) {
        let (call, kind) = match working {
            Working::Account(wish) => (wish.call, ErrorKind::BadKey),
            Working::Device { draft, .. } => (draft.call, ErrorKind::Internal),
            Working::Profile { call, .. } | Working::Claim { call, .. } => {
                (call, ErrorKind::Internal)
            }
            Working::Record { user, .. } => {
                return tracing::error!(%user, why, "the user record could not be signed");
            }
        };
        self.reply(call, Err(kind.because(why)));
    }

    fn begin_device(&mut self, wish: Wish, key: AccountKey, secret: Zeroizing<Vec<u8>>, now: Now) {
        let Wish { call, caller, name } = wish;
        let user = key.user();
        if let Some(account) = self.accounts.get(user) {
            // Whether somebody else has the account here is nobody's business.
            let error = if account.owner == caller {
                ErrorKind::AccountExists.because(format!("account {user} is here already"))
            } else {
                ErrorKind::NotPermitted.because("this key cannot be used here")
            };
            return self.reply(call, Err(error));
        }
        if self.accounts.is_damaged(user) {
            let error = ErrorKind::AccountExists.because(format!(
                "account {user} is damaged on disk and is kept as it is; see the daemon's log"
            ));
            return self.reply(call, Err(error));
        }
        let name = name.unwrap_or_else(|| user.to_string().chars().take(8).collect());
        if self.kept.is_dry(call) {
            let account = rpc::Account { id: user, name, aliases: Vec::new(), damaged: false };
            return self.reply(call, Ok(to_result(&account)));
        }
        let device = DeviceSecret::generate(now.wall, self.out.random());
        let certificate = DeviceCertificate {
            user,
            device: device.device(),
            identity: ByteBuf::from(device.identity().to_vec()),
            label: name.clone(),
            added: now.wall,
        };
        let (bytes, digest) = Unverified::prepare(&certificate);
        let task = Task::Sign { secret: secret.clone(), digest };
        let draft = Box::new(Draft { call, caller, name, key, secret, device });
        self.job(task, Working::Device { draft, bytes });
    }

    fn finish_account(
        &mut self,
        draft: Draft,
        certificate: Unverified<DeviceCertificate>,
        now: Now,
    ) {
        let user = draft.key.user();
        let here = self
            .accounts
            .get(user)
            .map(|_| ErrorKind::AccountExists.because(format!("account {user} is here already")));
        if let Some(error) = here.or_else(|| self.accounts.room(draft.caller).err()) {
            return self.reply(draft.call, Err(error));
        }
        let account = Account {
            key: draft.key,
            secret: draft.secret,
            owner: draft.caller,
            name: draft.name,
            aliases: Vec::new(),
            device: draft.device,
            certificate,
            record: None,
            record_sequence: 0,
            profile: None,
            next_message: 1,
        };
        account.save(&self.vault, &mut self.out);
        account.save_device(&self.vault, &mut self.out);
        let view = account.view();
        tracing::info!(%user, "an account was added");
        self.accounts.insert(account);
        self.reply(draft.call, Ok(to_result(&view)));
        self.upkeep.publish_soon(user, now);
        self.upkeep.attach_soon(user, now);
    }

    pub(super) fn account_export(
        &self,
        caller: Caller,
        with: &rpc::Export,
    ) -> Result<rpc::Exported, RpcError> {
        let account = self.accounts.pick(caller, with.account.as_deref())?;
        let pem = if with.public {
            crate::crypto::account::public_pem(&account.key).into()
        } else {
            crate::crypto::account::private_pem(&account.secret).into()
        };
        Ok(rpc::Exported { pem })
    }
}
