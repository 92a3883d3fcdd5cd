//! A configuration that is read again: what a daemon that runs takes on, and what has to wait.

use super::Config;

/// The keys that have another value than before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Those that are taken on at once.
    pub at_once: Vec<&'static str>,
    /// Those that wait for the next start.
    pub at_start: Vec<&'static str>,
}

impl Difference {
    /// Tells whether everything is as it was.
    pub fn is_empty(&self) -> bool {
        self.at_once.is_empty() && self.at_start.is_empty()
    }
}

impl Config {
    /// Takes on what can change while the daemon runs; the rest stays, and is told as well.
    pub fn take(&mut self, other: Self) -> Difference {
        let Self {
            // Without `..`: a new key must say to which side it belongs.
            listen,
            bootstrap,
            network,
            network_key,
            work,
            data_dir,
            socket,
            api,
            pod,
            pods,
            dns,
            log,
            events,
        } = other;
        let at_start = [
            ("listen", self.listen != listen),
            ("network", self.network != network),
            ("network_key", self.network_key != network_key),
            ("work", self.work != work),
            ("data_dir", self.data_dir != data_dir),
            ("socket", self.socket != socket),
            ("pod", self.pod != pod),
            ("events", self.events != events),
        ];
        let at_once = [
            ("api", replaced(&mut self.api, api)),
            ("bootstrap", replaced(&mut self.bootstrap, bootstrap)),
            ("dns", replaced(&mut self.dns, dns)),
            ("log", replaced(&mut self.log, log)),
            ("pods", replaced(&mut self.pods, pods)),
        ];
        Difference { at_once: changed(&at_once), at_start: changed(&at_start) }
    }
}

fn replaced<T: PartialEq>(old: &mut T, new: T) -> bool {
    let differs = *old != new;
    *old = new;
    differs
}

fn changed(keys: &[(&'static str, bool)]) -> Vec<&'static str> {
    keys.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).collect()
}
