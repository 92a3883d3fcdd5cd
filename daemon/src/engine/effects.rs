//! The engine's way out: commit, then perform; hold back while the disk is full.

use bytchat_core::crypto::account;
use bytchat_core::io::{CallId, Input, JobId, JobResult, LoadId, Output, Task};
use bytchat_core::persist::Query;
use bytchat_proto::alias::Host;
use bytchat_proto::limits::{DISK_FULL_RETRY_MS, JOBS_WAITING_MAX, RESOLVES_WAITING_MAX};
use std::time::Duration;
use tokio::task::spawn_blocking;

use super::batch::Batch;
use super::outside::{Decide, Disk, Links};
use super::{CallResult, Engine, EngineError, answer, calls};
use crate::store::StoreError;

impl<N: Decide, D: Disk, L: Links> Engine<N, D, L> {
    /// Commits what the node wrote and performs what it said, or holds it back.
    pub(super) async fn settle(&mut self) -> Result<(), EngineError> {
        let batch = std::mem::take(&mut self.batch);
        if self.is_full() {
            self.hold(batch);
            return Ok(());
        }
        if self.commit(&batch).await? {
            self.perform(batch);
            return Ok(());
        }
        let now = self.surface.clock.instant(self.surface.clock.now().mono);
        self.ticks.retry = now + Duration::from_millis(DISK_FULL_RETRY_MS);
        tracing::warn!("the disk is full: nothing is sent or taken until there is room");
        self.hold(batch);
        self.tell_status();
        Ok(())
    }

    /// Tries again to commit what is held back.
    pub(super) async fn retry(&mut self) -> Result<(), EngineError> {
        while let Some(batch) = self.held.pop_front() {
            if !self.commit(&batch).await? {
                self.held.push_front(batch);
                return Ok(());
            }
            self.perform(batch);
            if self.held.is_empty() {
                tracing::info!("there is room on the disk again");
                self.tell_status();
            }
        }
        Ok(())
    }

    /// Commits the writes of a drain; `false` if the disk is full.
    async fn commit(&self, batch: &Batch) -> Result<bool, EngineError> {
        if batch.writes.is_empty() {
            return Ok(true);
        }
        let (disk, writes) = (self.surface.disk.clone(), batch.writes.clone());
        let result = spawn_blocking(move || disk.commit(writes)).await;
        match result.expect("the store answers and does not panic") {
            Ok(()) => Ok(true),
            Err(StoreError::Full { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Holds a drain back, but for what tells nobody of anything that is not on disk.
    fn hold(&mut self, mut batch: Batch) {
        for effect in std::mem::take(&mut batch.effects) {
            match effect {
                Output::Reply { call, result } => self.reply_while_full(call, result),
                Output::Load { load, query } if self.reading.contains(&load) => {
                    self.load(load, query);
                }
                Output::Persist(_)
                | Output::Transmit { .. }
                | Output::Dial { .. }
                | Output::Close { .. }
                | Output::Event { .. }
                | Output::Load { .. }
                | Output::Job { .. }
                | Output::Resolve { .. } => batch.effects.push(effect),
            }
        }
        if !batch.is_empty() {
            self.held.push_back(batch);
        }
    }

    fn reply_while_full(&mut self, call: CallId, result: CallResult) {
        let Some(waiting) = self.waiting.remove(&call) else {
            return;
        };
        let result = match result {
            Ok(_) if !waiting.reads_only => Err(calls::disk_full_later()),
            result => result,
        };
        answer(waiting.reply, result);
    }

    fn perform(&mut self, batch: Batch) {
        for effect in batch.effects {
            match effect {
                Output::Persist(_) => unreachable!("a batch keeps writes apart"),
                Output::Transmit { link, bytes } => self.surface.links.send(link, bytes),
                Output::Dial { dial, address, key } => {
                    self.surface.links.dial(dial, address, key);
                }
                Output::Close { link, reason } => self.surface.links.close(link, &reason),
                Output::Reply { call, result } => {
                    if let Some(waiting) = self.waiting.remove(&call) {
                        answer(waiting.reply, result);
                    }
                }
                Output::Event { uid, seq, account, name, json } => {
                    self.surface.calls.hub.publish((uid, account), seq, name, json);
                }
                Output::Load { load, query } => self.load(load, query),
                Output::Job { job, task } => self.job(job, task),
                Output::Resolve { host } => self.resolve(host),
            }
        }
    }

    fn load(&mut self, load: LoadId, query: Query) {
        let disk = self.surface.disk.clone();
        self.loads.push(async move {
            let rows = spawn_blocking(move || disk.scan(&query)).await;
            match rows.expect("the store answers and does not panic") {
                Ok(rows) => Ok(Input::Loaded { load, rows }),
                // One damaged place must not take down what has nothing to do with it.
                Err(error @ (StoreError::Corrupt { .. } | StoreError::Io { .. })) => {
                    Ok(Input::LoadFailed { load, reason: error.to_string() })
                }
                Err(error) => Err(error),
            }
        });
    }

    /// Asks the disk how large the store is.
    pub(super) fn measure(&mut self) {
        let disk = self.surface.disk.clone();
        self.loads.push(async move {
            let bytes = spawn_blocking(move || disk.bytes()).await;
            let bytes = bytes.expect("the store answers and does not panic");
            Ok(Input::StoreSize { bytes })
        });
    }

    fn job(&mut self, job: JobId, task: Task) {
        if self.jobs.waiting() >= JOBS_WAITING_MAX {
            let result = JobResult::Failed("too much is to be signed at once, try again".into());
            self.ready.push_back(Input::Done { job, result });
            return;
        }
        self.jobs.push(async move {
            let result = spawn_blocking(move || account::run(task)).await;
            let result = result.unwrap_or_else(|error| JobResult::Failed(error.to_string()));
            Input::Done { job, result }
        });
    }

    fn resolve(&mut self, host: Host) {
        if self.resolves.waiting() >= RESOLVES_WAITING_MAX {
            let result = Err("too many names are to be looked up at once, try again".into());
            self.ready.push_back(Input::Resolved { host, result });
            return;
        }
        let resolver = self.surface.resolver.clone();
        self.resolves.push(async move {
            let result = resolver.resolve(&host).await;
            let result = result.map_err(|error| error.to_string());
            Input::Resolved { host, result }
        });
    }

    /// Remembers a question to the disk that only serves a call that reads.
    pub(super) fn note_reading(&mut self, output: &Output) {
        if let Output::Load { load, .. } = output {
            self.reading.insert(*load);
        }
    }

    /// Answers everybody who still waits: the daemon stops.
    pub(super) fn dismiss(&mut self, error: Option<&EngineError>) {
        self.surface.calls.queue.close();
        let result = match error {
            Some(EngineError::Store(error)) => calls::store_failed(&error.to_string()),
            Some(EngineError::NetGone | EngineError::StoppedFull { .. }) | None => {
                calls::unanswered()
            }
        };
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            answer(waiting.reply, Err(result.clone()));
        }
        while let Ok(asked) = self.surface.calls.queue.try_recv() {
            answer(asked.reply, Err(calls::not_taken()));
        }
    }
}
