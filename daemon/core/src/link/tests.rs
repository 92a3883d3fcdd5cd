//! Links against hand-made peers.
