//! What a world notices by itself: errors in the log, plaintext in frames, who answered whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytchat_core::io::LinkId;
use bytchat_proto::id::NodeId;
use bytchat_proto::point::Point;
use bytchat_proto::wire::{Body, Frame, Request, Response};
use memchr::memmem::Finder;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

/// Every text that people write in a simulation contains this, and no frame may.
pub(super) const MARK: &[u8] = b"PLAINTEXT";

/// Collects what is logged as error on this thread.
pub(super) struct Errors {
    told: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl Errors {
    pub(super) fn listen() -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let guard = tracing::subscriber::set_default(Listener(told.clone()));
        Self { told, _guard: guard }
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

struct Listener(Arc<Mutex<Vec<String>>>);

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::ERROR)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut words = Words(event.metadata().target().to_owned());
        event.record(&mut words);
        self.0.lock().unwrap().push(words.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }
}

/// A frame that went from one machine to another.
#[derive(Clone, Debug)]
pub struct Overheard {
    /// Who said it.
    pub from: usize,
    /// Who heard it.
    pub to: usize,
    /// What was said.
    pub body: Body,
}

impl Overheard {
    /// What was asked, if it was a question.
    pub fn request(&self) -> Option<&Request> {
        if let Body::Request(request) = &self.body { Some(request) } else { None }
    }
}

/// Looks at every frame that is sent.
pub(super) struct Witness {
    /// All that is said, while somebody listens.
    pub(super) overheard: Option<Vec<Overheard>>,
    mark: Finder<'static>,
    /// What was asked over a link about a watched point, and how far from the asker.
    asked: BTreeMap<(LinkId, u64), (Point, usize)>,
    watched: BTreeMap<Point, Watched>,
}

/// What came of the questions about one point.
#[derive(Default)]
pub(super) struct Watched {
    /// Who has answered.
    pub(super) answered: BTreeSet<NodeId>,
    /// How many questions there were.
    pub(super) requests: usize,
    /// How many named each other until a node was asked; 1 for those that the asker knew.
    pub(super) depths: BTreeMap<NodeId, usize>,
}

impl Witness {
    pub(super) fn new() -> Self {
        Self {
            overheard: None,
            mark: Finder::new(MARK),
            asked: BTreeMap::new(),
            watched: BTreeMap::new(),
        }
    }

    /// Notes from now on who is asked about a point, and who answers.
    pub(super) fn watch(&mut self, point: Point) {
        self.watched.insert(point, Watched::default());
    }

    /// What came of the questions about a point.
    pub(super) fn unwatch(&mut self, point: Point) -> Watched {
        self.asked.retain(|_, (asked, _)| *asked != point);
        self.watched.remove(&point).unwrap_or_default()
    }

    /// Whether bytes hold what nobody may read.
    pub(super) fn is_plain(&self, bytes: &[u8]) -> bool {
        self.mark.find(bytes).is_some()
    }

    /// A frame goes over a link of the sender, to a node.
    pub(super) fn sent(
        &mut self,
        link: LinkId,
        (from, to): (usize, usize),
        node: NodeId,
        bytes: &[u8],
    ) {
        if self.watched.is_empty() && self.overheard.is_none() {
            return;
        }
        let Ok(frame) = Frame::decode(bytes) else { return };
        if let Some(overheard) = &mut self.overheard {
            overheard.push(Overheard { from, to, body: frame.body.clone() });
        }
        if let Body::Request(Request::FindRecord { target, .. }) = frame.body
            && let Some(watched) = self.watched.get_mut(&target)
        {
            watched.requests += 1;
            let depth = *watched.depths.entry(node).or_insert(1);
            self.asked.insert((link, frame.id), (target, depth));
        }
    }

    /// A frame of a node comes to a link of the receiver.
    pub(super) fn arrived(&mut self, link: LinkId, from: NodeId, bytes: &[u8]) {
        if self.asked.is_empty() {
            return;
        }
        let Ok(frame) = Frame::decode(bytes) else { return };
        let contacts = match frame.body {
            Body::Response(Response::Nodes(nodes)) => nodes.contacts,
            Body::Response(Response::Records { contacts, .. }) => contacts,
            Body::NetworkProof(_)
            | Body::Hello(_)
            | Body::Request(_)
            | Body::Response(_)
            | Body::Routing(_)
            | Body::Delivery(_)
            | Body::Notice(_) => return,
        };
        if let Some((point, depth)) = self.asked.remove(&(link, frame.id))
            && let Some(watched) = self.watched.get_mut(&point)
        {
            watched.answered.insert(from);
            for contact in contacts.iter().filter_map(|contact| contact.peek().ok()) {
                watched.depths.entry(contact.node()).or_insert(depth + 1);
            }
        }
    }
}
