//! `dht.lookup`: who holds what lies at a point, and how one comes there.

use bytchat_proto::limits::{HOLDERS, LOOKUPS_SHOWN_MAX};
use bytchat_proto::point::Point;
use bytchat_proto::record::NodeRecord;
use bytchat_proto::rpc::dht::{Found, Holder, Lookup as Params};
use bytchat_proto::rpc::{ErrorKind, RpcError, to_result};

use crate::dht::LookupId;
use crate::io::CallId;
use crate::node::Node;
use crate::node::search::Lookup;
use crate::time::Now;

impl Node {
    // SPEC 8.22: lookups take places that mail needs, so that few are shown at once.
    /// Begins a lookup whose hops are shown; the answer follows when it is over.
    pub(in crate::node) fn dht_lookup(
        &mut self,
        call: CallId,
        with: &Params,
        now: Now,
    ) -> Result<(), RpcError> {
        if !self.dht.may_show() {
            return Err(ErrorKind::Busy
                .because(format!("{LOOKUPS_SHOWN_MAX} lookups are shown already; try again")));
        }
        let begun = self.dht.find(with.target, None, now, &mut self.out);
        let lookup = begun.map_err(|busy| ErrorKind::Busy.because(busy.to_string()))?;
        self.dht.show(lookup, with.target);
        self.lookups.insert(lookup, Lookup::Shown { call });
        Ok(())
    }

    pub(in crate::node) fn handle_shown(
        &mut self,
        call: CallId,
        lookup: LookupId,
        mut nodes: Vec<NodeRecord>,
        answered: usize,
    ) {
        let Some(shown) = self.dht.take_shown(lookup) else {
            return;
        };
        let target = shown.target;
        self.add_self(target, &mut nodes);
        let holder = |record: &NodeRecord| Holder {
            node_id: record.node(),
            address: record.addresses.first().copied(),
            near_bits: Point::of_node(record.node()).distance(target).leading_zeros(),
            own: record.node() == self.id,
        };
        let found = Found {
            target,
            holders: nodes.iter().take(HOLDERS).map(holder).collect(),
            hops: shown.hops,
            answered,
            duration_ms: shown.duration_ms,
        };
        self.reply(call, Ok(to_result(&found)));
    }
}
