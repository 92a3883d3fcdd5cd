//! The store against a map, for any sequence of commits, scans and restarts.

use std::collections::BTreeMap;
use std::fs;

use bytchat_core::persist::{Query, Table, Write};
use proptest::prelude::*;

use super::{assert_whole, small};
use crate::store::Store;

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Write>),
    Scan(Query),
    Restart { index: bool },
}

const TABLES: [Table; 3] = [Table::Node, Table::Message, Table::Trace];

fn table() -> impl Strategy<Value = Table> {
    (0..TABLES.len()).prop_map(|n| TABLES[n])
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0_u8, 1, 127, 255]), 0..4)
}

fn write() -> impl Strategy<Value = Write> {
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        prop::collection::vec(any::<u8>(), 60..900),
    ];
    prop_oneof![
        3 => (table(), key(), value)
            .prop_map(|(table, key, value)| Write::Put { table, key, value }),
        1 => (table(), key()).prop_map(|(table, key)| Write::Remove { table, key }),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let bounds = (key(), prop::option::of(key()));
    let most = prop_oneof![Just(usize::MAX), 0..1_000_usize];
    (table(), bounds, 0..20_usize, any::<bool>(), most).prop_map(
        |(table, (from, to), limit, reverse, bytes)| {
            let follow = None;
            Query { table, from, to, limit, reverse, follow, bytes }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => prop::collection::vec(write(), 0..8).prop_map(Step::Commit),
        6 => query().prop_map(Step::Scan),
        1 => any::<bool>().prop_map(|index| Step::Restart { index }),
    ]
}

type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

fn scan_model(model: &Model, query: &Query) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows: Vec<_> = model
        .iter()
        .filter(|((table, key), _)| *table == query.table && *key >= query.from)
        .filter(|((_, key), _)| query.to.as_ref().is_none_or(|to| key < to))
        .map(|((_, key), value)| (key.clone(), value.clone()))
        .collect();
    if query.reverse {
        rows.reverse();
    }
    rows.truncate(query.limit);
    let mut goes_on = query.meter();
    let read = rows.iter().position(|(_, value)| !goes_on(value.len()));
    rows.truncate(read.map_or(query.limit, |last| last + 1));
    rows
}

fn change(model: &mut Model, write: Write) {
    match write {
        Write::Put { table, key, value } => model.insert((table, key), value),
        Write::Remove { table, key } => model.remove(&(table, key)),
    };
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_store_answers_as_a_map_would(steps in prop::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), small()).unwrap();
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Commit(writes) => {
                    store.commit(writes.clone()).unwrap();
                    writes.into_iter().for_each(|write| change(&mut model, write));
                }
                Step::Scan(query) => {
                    prop_assert_eq!(store.scan(&query).unwrap(), scan_model(&model, &query));
                }
                Step::Restart { index } => {
                    drop(store);
                    if !index {
                        fs::remove_dir_all(dir.path().join("index")).unwrap();
                    }
                    store = Store::open(dir.path(), small()).unwrap();
                }
            }
        }
        for ((table, key), value) in &model {
            let found = store.get(*table, key).unwrap();
            prop_assert_eq!(found.as_ref(), Some(value));
        }
        assert_whole(&store);
    }
}
