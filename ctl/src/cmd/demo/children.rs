//! The daemons as processes: none outlives us unless it is asked to.

use std::collections::BTreeMap;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Between two looks whether a process has ended.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// All processes, shared with the thread that waits for Ctrl-C.
#[derive(Clone, Debug, Default)]
pub(super) struct Children(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    running: BTreeMap<usize, Child>,
    interrupted: bool,
}

impl Drop for State {
    fn drop(&mut self) {
        self.kill();
    }
}

impl State {
    fn kill(&mut self) {
        for child in self.running.values_mut() {
            // It may have ended by itself, which is as good.
            drop(child.kill());
        }
        for (_, mut child) in std::mem::take(&mut self.running) {
            drop(child.wait());
        }
    }
}

impl Children {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the list of processes as true as before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a process under a number; gives its process id.
    pub(super) fn start(&self, number: usize, command: &mut Command) -> io::Result<u32> {
        let mut state = self.state();
        if state.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let child = command.spawn()?;
        let pid = child.id();
        state.running.insert(number, child);
        Ok(pid)
    }

    /// How the process ended, if it has; it is forgotten then.
    pub(super) fn ended(&self, number: usize) -> io::Result<Option<ExitStatus>> {
        let mut state = self.state();
        let Some(child) = state.running.get_mut(&number) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let status = child.try_wait()?;
        if status.is_some() {
            state.running.remove(&number);
        }
        Ok(status)
    }

    /// Asks a process to end and waits for it; one that does not is killed, which is an error.
    pub(super) fn stop(&self, number: usize, patience: Duration) -> io::Result<()> {
        if let Some(child) = self.state().running.get(&number) {
            kill_process(Pid::from_child(child), Signal::TERM)?;
        }
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if self.ended(number)?.is_some() {
                return Ok(());
            }
            thread::sleep(LOOK_PAUSE);
        }
        if let Some(mut child) = self.state().running.remove(&number) {
            child.kill()?;
            child.wait()?;
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Kills all and lets none start any more.
    pub(super) fn interrupt(&self) {
        let mut state = self.state();
        state.interrupted = true;
        state.kill();
    }

    /// Whether somebody pressed Ctrl-C.
    pub(super) fn interrupted(&self) -> bool {
        self.state().interrupted
    }

    /// Lets all go on without us.
    pub(super) fn release(&self) {
        self.state().running.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("3600");
        command
    }

    fn alive(pid: u32) -> bool {
        std::path::Path::new(&format!("/proc/{pid}")).exists()
    }

    #[test]
    fn no_child_outlives_its_keeper() {
        let children = Children::default();
        let pid = children.start(1, &mut sleeper()).unwrap();
        assert!(alive(pid));
        drop(children);
        assert!(!alive(pid));
    }

    #[test]
    fn after_an_interrupt_nothing_runs_and_nothing_starts() {
        let children = Children::default();
        let pid = children.start(1, &mut sleeper()).unwrap();
        children.interrupt();
        assert!(!alive(pid));
        assert!(children.interrupted());
        assert!(children.start(2, &mut sleeper()).is_err());
    }

    #[test]
    fn a_child_is_asked_to_end() {
        let children = Children::default();
        let pid = children.start(1, &mut sleeper()).unwrap();
        children.stop(1, Duration::from_secs(60)).unwrap();
        assert!(!alive(pid));
        assert!(children.ended(1).is_err());
    }

    #[test]
    fn a_released_child_goes_on() {
        let children = Children::default();
        let pid = children.start(1, &mut sleeper()).unwrap();
        children.release();
        drop(children);
        assert!(alive(pid));
        let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }
}
