//! The stamp of this node: made at the first start in a network that asks for work, and kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytchat_core::crypto::NetworkKey;
use bytchat_core::persist::{Table, Write};
use bytchat_core::stamp::{Stamps, Terms, make};
use bytchat_proto::id::NetworkId;
use bytchat_proto::key::NodeKey;
use bytchat_proto::record::NodeRecord;
use tokio::task::{JoinSet, spawn_blocking};

use super::{BootError, Config};
use crate::entropy;
use crate::store::Store;

/// The row of the stamp: the network that it is for, then the stamp.
const ROW: &[u8] = b"stamp";

/// Has the stamp read or made beside the signals; `None` if one came before it was done.
pub(super) async fn stamp(
    store: &Store,
    terms: Terms,
    key: NodeKey,
    signals: &mut JoinSet<()>,
) -> Result<Option<Vec<u8>>, BootError> {
    let stop = Arc::new(AtomicBool::new(false));
    let (store, told) = (store.clone(), Arc::clone(&stop));
    let mut making = spawn_blocking(move || load(&store, terms, key, &told));
    let stopped = tokio::select! {
        made = &mut making => return made.expect("a stamp is made or it is said why not"),
        _ = signals.join_next() => stop,
    };
    stopped.store(true, Ordering::Relaxed);
    making.await.expect("a stamp is made or it is said why not").map(|_| None)
}

fn load(
    store: &Store,
    terms: Terms,
    key: NodeKey,
    stop: &Arc<AtomicBool>,
) -> Result<Option<Vec<u8>>, BootError> {
    let row = store.get(Table::Node, ROW)?.unwrap_or_default();
    let kept = row.strip_prefix(&terms.network.0).unwrap_or_default();
    if Stamps::new(terms).check(&named(terms, key, kept)).is_ok() {
        return Ok(Some(kept.to_vec()));
    }
    tracing::info!(bits = terms.work, "it makes the proof of work that its network asks for");
    let [a, b, c, d, e, f, g, h, ..] = *entropy::seed()?;
    let first = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let Some(stamp) = make(terms, key, first, || !stop.load(Ordering::Relaxed)) else {
        return Ok(None);
    };
    let value = [terms.network.0.as_slice(), &stamp].concat();
    store.commit(vec![Write::Put { table: Table::Node, key: ROW.to_vec(), value }])?;
    Ok(Some(stamp))
}

fn named(terms: Terms, key: NodeKey, stamp: &[u8]) -> NodeRecord {
    NodeRecord {
        network: terms.network,
        key,
        stamp: stamp.to_vec().into(),
        addresses: Vec::new(),
        pod: None,
        sequence: 0,
    }
}

/// The network of a configuration, with the work that it asks for.
pub(super) fn terms(config: &Config, key: Option<&NetworkKey>) -> Terms {
    let (name, work) = (&config.network, config.work);
    let network = key.map_or_else(|| NetworkId::of(name, work), |key| key.network(name, work));
    Terms { network, work }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::store::Options;

    fn terms(name: &str, work: u8) -> Terms {
        Terms { network: NetworkId::of(name, work), work }
    }

    #[test]
    fn a_stamp_is_made_once_for_each_network_and_key() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store"), Options::default()).unwrap();
        let (runs, stops) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        let key = NodeKey([1; 32]);
        let some = |terms, key, stop| load(&store, terms, key, stop).unwrap();
        assert_eq!(some(terms("free", 0), key, &stops), Some(Vec::new()));
        assert_eq!(some(terms("home", 4), key, &stops), None);
        let made = some(terms("home", 4), key, &runs).unwrap();
        assert_eq!(made.len(), 8);
        // It is there: nothing has to be made.
        assert_eq!(some(terms("home", 4), key, &stops), Some(made));
        assert_eq!(some(terms("other", 4), key, &stops), None);
        assert_eq!(some(terms("home", 20), key, &stops), None);
    }
}
