//! The rows that the node is started with: damage of one row is no reason to stop for all.

use bytchat_core::node::Node;
use bytchat_core::persist::{Row, Table};

use super::BootError;
use crate::store::{Store, StoreError};

/// Reads the hot tables. A row that is damaged on disk is reported and handed over without its
/// value, as the node expects it; the node's own counters have to be whole.
pub(super) fn rows(store: &Store) -> Result<Vec<(Table, Row)>, BootError> {
    let mut rows = Vec::new();
    for table in Node::HOT.iter().copied() {
        let mut damaged = 0_usize;
        let mut first = None;
        for (key, value) in store.scan_each(table)? {
            let value = match value {
                Ok(value) => value,
                Err(error @ StoreError::Corrupt { .. }) if table == Table::Node => {
                    return Err(BootError::Counters(error));
                }
                Err(error @ StoreError::Corrupt { .. }) => {
                    damaged += 1;
                    first.get_or_insert(error);
                    Vec::new()
                }
                Err(error) => return Err(error.into()),
            };
            rows.push((table, (key, value)));
        }
        if let Some(error) = first {
            tracing::error!(?table, rows = damaged, %error, "rows are damaged on disk");
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use bytchat_core::persist::Write;

    use super::*;
    use crate::store::Options;

    /// A store with two long rows of a table, of which the first is damaged in its segment.
    fn damaged(dir: &Path, table: Table) -> Store {
        let options = Options { segment_bytes_max: 4096, inline_bytes_max: 64, reserve_bytes: 0 };
        let store = Store::open(dir, options.clone()).unwrap();
        for number in 0..4_u8 {
            let value = vec![number; 4000];
            store.commit(vec![Write::Put { table, key: vec![number], value }]).unwrap();
        }
        store.close();
        let mut logs: Vec<_> =
            fs::read_dir(dir.join("log")).unwrap().map(|item| item.unwrap().path()).collect();
        logs.sort();
        let mut bytes = fs::read(&logs[1]).unwrap();
        bytes[2000] ^= 1;
        fs::write(&logs[1], bytes).unwrap();
        Store::open(dir, options).unwrap()
    }

    #[test]
    fn one_damaged_row_leaves_the_others_readable() {
        for table in [Table::Account, Table::Session, Table::Envelope, Table::Pin] {
            let dir = tempfile::tempdir().unwrap();
            let store = damaged(dir.path(), table);
            let rows = rows(&store).unwrap();
            let (lost, whole): (Vec<_>, Vec<_>) =
                rows.iter().partition(|(_, (_, value))| value.is_empty());
            assert_eq!((lost.len(), whole.len()), (1, 3), "{table:?}");
            assert!(whole.iter().all(|(_, (key, value))| *value == vec![key[0]; 4000]));
        }
    }

    #[test]
    fn damaged_counters_stop_the_start_and_say_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let store = damaged(dir.path(), Table::Node);
        let error = rows(&store).unwrap_err();
        assert!(matches!(error, BootError::Counters(_)), "{error}");
        assert!(error.to_string().contains("backup"), "{error}");
    }
}
