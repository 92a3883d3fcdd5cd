//! Every limit of the system in one place, each with its reason.

use std::ops::RangeInclusive;

/// Protocol version spoken in `Hello` (SPEC 2.2).
pub const PROTOCOL_VERSION: u16 = 1;
/// The one cryptographic suite of this version; a new one is a new number.
pub const SUITE: u8 = 1;

/// A frame above this travels on a stream of its own, so that small ones do not wait behind it.
pub const FRAME_INLINE_BYTES_MAX: usize = 16 * 1024;
/// No frame is longer: the largest envelope with room for its wrapping.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;
/// Nesting of any decoded value; our deepest type needs twelve.
pub const DECODE_DEPTH_MAX: usize = 32;

/// A link to a node of another network stays for so long, so that both ends hear why it ends.
pub const STRANGER_LINGER_MS: u64 = 1_000;

/// Contacts in a bucket (measured: 8 costs 24 % on reads, 32 gains 4 %).
pub const BUCKET_CONTACTS_MAX: usize = 20;
/// Contacts that wait behind a full bucket.
pub const BUCKET_REPLACEMENTS_MAX: usize = 8;
/// Contacts in one answer: a bucket's worth.
pub const CONTACTS_PER_ANSWER_MAX: usize = 20;
/// Contacts that a lookup keeps in its short list: as many for each of its paths as hold at most.
pub const LOOKUP_CANDIDATES_MAX: usize = LOOKUP_PATHS * HOLDERS_MAX;
/// Paths of a lookup that share no node, where it matters who is found (simulated: with a fifth of
/// the nodes lying 99.8 % of lookups succeed, and 96.6 % with one path).
pub const LOOKUP_PATHS: usize = 4;
/// The nearest nodes of each path that must have answered.
pub const LOOKUP_PATH_WIDTH: usize = 2;
/// Requests of one lookup in flight: two for each path (simulated: a fifth off the median of five
/// in flight for a fifth more requests; twelve gain little more).
pub const LOOKUP_PARALLEL: usize = 8;
/// Lookups at once; more wait for their turn.
pub const LOOKUPS_MAX: usize = 64;
/// Lookups that wait for their turn; more are refused.
pub const LOOKUPS_WAITING_MAX: usize = 1024;
/// Lookups of `dht.lookup` at once: they take places that mail needs.
pub const LOOKUPS_SHOWN_MAX: usize = 4;
/// Hops that one of them shows: a lookup asks some dozens of nodes.
pub const LOOKUP_HOPS_MAX: usize = 256;
/// Nodes of a lookup of which it is known how many led to them.
pub const LOOKUP_DEPTHS_MAX: usize = 512;
/// Mailboxes whose surroundings are watched: a few accounts on each of many daemons' machines.
pub const MAILBOXES_WATCHED_MAX: usize = 1_024;
/// The nodes nearest to a mailbox lie so many times as dense as the whole network at least before
/// it counts as crowded: by chance that happens to one mailbox in ten thousand.
pub const CROWDED_DENSITY: u64 = 16;
/// Nodes that hold a record or a mailbox.
pub const HOLDERS: usize = 5;
/// Nodes that hold it at most, where many are as near as a holder usually is: 20 bought places and
/// the honest nodes behind them.
pub const HOLDERS_MAX: usize = 32;
/// A node as near as the eighth usually is holds too (simulated: five bought places hide a point
/// from none in 2 500, and 8.4 nodes hold what nobody attacks).
pub const REGION_NODES: u64 = 8;
/// So many nodes where eight are expected are no chance (one in four thousand; a few in a thousand
/// where the estimate is a fifth too low).
pub const CROWDED_NODES: usize = 20;
/// Crowded points that are remembered.
pub const CROWDS_MAX: usize = 64;
/// A crowded point is told of again after so long.
pub const CROWD_KEEP_MS: u64 = HOUR_MS;
/// Nodes that were caught lying and are left alone.
pub const QUARANTINE_MAX: usize = 1024;
/// And for so long: somebody may have brought an honest machine to it.
pub const QUARANTINE_MS: u64 = HOUR_MS;
/// Lookups of random points that say how dense the network is.
pub const DENSITY_SAMPLES_MAX: usize = 32;
/// With fewer nothing is said: one lookup is off by half, the median of eight by a fifth.
pub const DENSITY_SAMPLES_MIN: usize = 8;
/// So many at first and a minute later; then one with each look at the own neighbourhood.
pub const DENSITY_SAMPLES_FIRST: usize = 12;
/// Holders that must have answered before a put counts.
pub const WRITE_QUORUM: usize = 3;
/// Times that one node is asked the same before it counts as gone: for a record that it should
/// take, and by a lookup where the link went down each time.
pub const ASK_TRIES_MAX: u8 = 3;
/// Puts at once; each keeps a record in memory.
pub const PUTS_MAX: usize = 256;
/// Failures in a row after which a contact leaves the routing table.
pub const CONTACT_FAILURES_MAX: u8 = 2;
/// Contacts of one /24 or /48 in a bucket: one subnet must not fill it.
pub const PREFIX_PER_BUCKET_MAX: usize = 3;
/// Contacts of one /24 or /48 in the whole routing table: four subnets take a fourth of the table
/// of a network of some hundred nodes.
pub const PREFIX_PER_TABLE_MAX: usize = 10;
/// Contacts that are known from hearsay and wait to be tested.
pub const UNTESTED_MAX: usize = 512;
/// Tests of such contacts in flight.
pub const UNTESTED_PINGS_MAX: usize = 8;
/// Contacts whose signature was checked and need not be checked again.
pub const CONTACTS_CHECKED_MAX: usize = 4096;
/// Bytes of a contact.
pub const CONTACT_BYTES_MAX: usize = 1024;
/// Bytes of records in one answer, so that the frame has room for contacts.
pub const RECORDS_PER_ANSWER_BYTES_MAX: usize = FRAME_BYTES_MAX - 32 * 1024;
/// Our own records that are published again and again: a few per account.
pub const OWN_RECORDS_MAX: usize = 512;
/// Repairs in flight: 160 a second at 100 ms are more than a full node needs.
pub const REPAIRS_MAX: usize = 16;
/// Repairs that wait for their turn; what does not fit waits for the next sweep.
pub const REPAIRS_WAITING_MAX: usize = 512;
/// Lookups of the routing table's upkeep at once.
pub const UPKEEP_LOOKUPS_MAX: usize = 3;
/// Below so many live contacts a node looks for more without waiting for its regular turn.
pub const CONTACTS_MIN: usize = 8;
/// The own neighbourhood is looked up so often, more or less a fifth.
pub const SELF_LOOKUP_MS: u64 = 10 * MINUTE_MS;
/// First pause between two lookups of a node that knows too few others; doubles.
pub const SELF_LOOKUP_FIRST_MS: u64 = 1_000;
/// A bucket that no lookup has touched is refreshed so often, more or less a fifth.
pub const BUCKET_REFRESH_MS: u64 = HOUR_MS;
/// The contact that was silent longest is asked so often.
pub const LIVENESS_PING_MS: u64 = 30_000;
/// The same while a contact is suspect.
pub const SUSPECT_PING_MS: u64 = 10_000;
/// One of the closest contacts that was silent for so long is asked out of turn.
pub const NEIGHBOUR_SILENCE_MS: u64 = 2 * MINUTE_MS;
/// A row of the routing table is not written more often.
pub const PEER_ROW_MS: u64 = 60_000;
/// Owners put their records again so often, and at start.
pub const REPUBLISH_MS: u64 = 12 * HOUR_MS;
/// First pause before a put that failed is tried again; doubles up to ten minutes.
pub const REPUBLISH_RETRY_MS: u64 = 10_000;
/// Holders see to it so often that the others still hold a record, more or less a fifth.
pub const SWEEP_MS: u64 = HOUR_MS;
/// A lost holder gets so long to come back before it is replaced.
pub const REPAIR_LOST_MS: u64 = 60_000;
/// And up to so long more, so that not everything is repaired at once.
pub const REPAIR_LOST_JITTER_MS: u64 = 180_000;
/// A closer node gets a record after so long.
pub const REPAIR_JOINED_MS: u64 = 2_000;
/// And up to so long more.
pub const REPAIR_JOINED_JITTER_MS: u64 = 8_000;
/// Each holder waits so much longer than the next closer one, which then has done the work.
pub const REPAIR_RANK_MS: u64 = 60_000;
/// Addresses in a node record: two families, two networks, and room.
pub const ADDRESSES_PER_NODE_MAX: usize = 8;
/// Bytes of a proof-of-work stamp; empty means none.
pub const STAMP_BYTES_MAX: usize = 32;
/// Bytes of the stamp where a network asks for work: a number that was found by trying.
pub const STAMP_BYTES: usize = 8;
/// Memory of one try: little enough that a check stays well below a millisecond, and enough that
/// who tries on many cores at once has to feed them all from slow memory.
pub const STAMP_MEMORY_KIB: u32 = 512;
/// Leading zero bits that the public network asks for: 16 384 tries, some seconds of one core once
/// for each node, and as much for each id that somebody tries to bring near a point.
pub const WORK_BITS_PUBLIC: u8 = 14;
/// Named networks are among friends, and ask for nothing unless they say so.
pub const WORK_BITS_NAMED: u8 = 0;
/// The most that a network may ask for: an hour or two.
pub const WORK_BITS_MAX: u8 = 24;
/// The same as a choice.
pub const WORK_BITS_CHOICE: RangeInclusive<u64> = 0..=WORK_BITS_MAX as u64;
/// Ids whose stamp was checked and need not be checked again.
pub const STAMPS_CHECKED_MAX: usize = 8192;
/// Stamps from the hearsay of one node that are checked in a second: news come slowly.
pub const STAMP_TOKENS_PER_SECOND_PER_NODE: u64 = 4;
/// Checks that one node can save: two answers in which nobody is known.
pub const STAMP_TOKENS_MAX_PER_NODE: u64 = 2 * CONTACTS_PER_ANSWER_MAX as u64;
/// The same from all nodes: a twentieth of a core.
pub const STAMP_TOKENS_PER_SECOND: u64 = 125;
/// Checks that all together can save: what a fresh node hears of in its first seconds.
pub const STAMP_TOKENS_MAX: u64 = 2_000;
/// Nodes whose checks are counted.
pub const STAMPS_SOURCES_MAX: usize = 1024;

/// First wait for an answer, before a round trip was measured.
pub const REQUEST_SOFT_TIMEOUT_MS: u64 = 300;
/// A soft timeout never falls below this: an eager one costs recall.
pub const REQUEST_SOFT_TIMEOUT_MIN_MS: u64 = 150;
/// Last wait for an answer of a DHT request.
pub const REQUEST_TIMEOUT_MS: u64 = 1_500;
/// Last wait for an answer that needs the other side's disk.
pub const DEPOSIT_TIMEOUT_MS: u64 = 10_000;
/// A link that is not up by then is given up.
pub const DIAL_TIMEOUT_MS: u64 = 5_000;
/// Above so many links those without a keeper are closed when they rest.
pub const LINKS_AT_REST: usize = 128;
/// A link rests when nothing was asked over it for so long.
pub const LINK_IDLE_MS: u64 = 120_000;
/// Attempts to open a link at once.
pub const DIALS_MAX: usize = 128;
/// Attempts at one address that others name, at once: one message is tried eight times in its
/// first ten minutes, and others may wait for the same node.
pub const DIALS_BURST_PER_ADDRESS: u64 = 16;
/// Then one attempt in so long: a node that comes back is not missed for more than that.
pub const DIALS_EVERY_MS_PER_ADDRESS: u64 = 30_000;
/// Attempts at one public address, whatever the port: a few nodes behind one translator.
pub const DIALS_BURST_PER_IP: u64 = 48;
/// Then one attempt in so long.
pub const DIALS_EVERY_MS_PER_IP: u64 = 10_000;
/// Attempts at one public /24 or /48: a subnet with many nodes.
pub const DIALS_BURST_PER_PREFIX: u64 = 128;
/// Then one attempt in so long: some kilobytes a second, which nobody notices as a flood.
pub const DIALS_EVERY_MS_PER_PREFIX: u64 = 3_000;
/// Addresses and prefixes whose attempts are counted.
pub const DIAL_TARGETS_MAX: usize = 4_096;
/// Addresses that are dialled freely because a node has proven itself there.
pub const DIAL_PROVEN_MAX: usize = 4_096;
/// And for so long since it last did; addresses get other owners.
pub const DIAL_PROVEN_MS: u64 = DAY_MS;
/// Links at once: 512 idle links cost 20 MB at 38 kB each.
pub const LINKS_MAX: usize = 512;
/// Requests in flight on one link.
pub const REQUESTS_PER_LINK_MAX: usize = 256;
/// Tokens that a link gains in a second; one pays for one request. Repair brings 160 records a
/// second at most, and a burst of mail some hundred envelopes.
pub const REQUEST_TOKENS_PER_SECOND: u64 = 500;
/// Tokens that a link can save: four seconds.
pub const REQUEST_TOKENS_MAX: u64 = 4 * REQUEST_TOKENS_PER_SECOND;
/// Envelopes that are remembered not to open, so that copies from other holders are not tried: as
/// many as the holders of all devices here bring in some seconds.
pub const FAILED_ENVELOPES_MAX: usize = 4_096;
/// Tokens for a request that reads an envelope from the disk.
pub const REQUEST_COST_DISK: u64 = 2;
/// Tokens for a request that makes us check an RSA signature.
pub const REQUEST_COST_HEAVY: u64 = 4;
/// Bytes of an answer for one token more: a link carries some 4 MB of them in a second.
pub const REQUEST_ANSWER_BYTES_PER_TOKEN: usize = 8 * 1024;
/// One-time keys for one token more: each is a signature to check.
pub const REQUEST_KEYS_PER_TOKEN: usize = 4;
/// Bytes of a removal for one token more: sixty ids, each of them looked for in three tables.
pub const REQUEST_REMOVAL_BYTES_PER_TOKEN: usize = 2 * 1024;
/// Nodes whose tokens are remembered, whether their links are up or were lately: four per link.
pub const REQUEST_BUDGETS_MAX: usize = 4 * LINKS_MAX;
/// Tokens of a holder for each envelope, or of those for notices for each notice, that it pushes.
pub const DELIVERY_COST: u64 = 1;
/// Tokens for deliveries that a holder gains in a second: opening costs a decapsulation and a
/// ratchet, some tenths of a millisecond, so that a bad holder takes a tenth of a core at most.
pub const DELIVERY_TOKENS_PER_SECOND: u64 = 250;
/// Tokens for deliveries that a holder can save: two full mailboxes at once.
pub const DELIVERY_TOKENS_MAX: u64 = 1_000;
/// Tokens that a holder gains in a second for notices: each may make us ask all holders.
pub const NOTICE_TOKENS_PER_SECOND: u64 = 8;
/// Tokens for notices that a holder can save: two full mailboxes of them take two minutes.
pub const NOTICE_TOKENS_MAX: u64 = 64;
/// Envelopes that are done with, whose copies neither cost nor wait: no more than are remembered
/// not to open, or such a copy could be tried for nothing.
pub const ENVELOPES_DONE_MAX: usize = FAILED_ENVELOPES_MAX;
/// Envelopes of which one holder has told and that are looked for: those of a minute would be 544,
/// and none is looked for that long if holders answer.
pub const NOTICED_PER_LINK_MAX: usize = 256;
/// What notices tell of is gathered for so long, so that one request asks for many.
pub const NOTICE_GATHER_MS: u64 = 250;
/// A holder gets so long to bring it before the next is asked.
pub const NOTICE_NEXT_MS: u64 = 2_000;
/// What was looked for is not looked for again in so long.
pub const NOTICE_AGAIN_MS: u64 = MINUTE_MS;
/// Ids in one request for what notices tell of: each costs a token there, of which a second has
/// `REQUEST_TOKENS_PER_SECOND`.
pub const NOTICED_PER_FETCH_MAX: usize = 64;
/// Deliveries of one holder that wait for tokens: eight devices' worth of `PUSHES_IN_FLIGHT_MAX`.
/// Who serves more devices here may bring that much for each.
pub const DELIVERIES_WAITING_PER_NODE_MAX: usize = 256;
/// Bytes of the deliveries of all holders that wait for tokens: 512 of the largest.
pub const DELIVERIES_WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Tokens that a node gains in a second for mail that it brings straight to a device here and that
/// no contact wrote. To see that costs a decapsulation, 0.4 ms: a third of a percent of a core.
pub const GARBAGE_TOKENS_PER_SECOND_PER_NODE: u64 = 8;
/// Tokens that a node can save for that: more than the messages of one stranger that are kept.
pub const GARBAGE_TOKENS_PER_NODE_MAX: u64 = 64;
/// Tokens that one public /24 or /48 gains in a second for that: a fourth of all.
pub const GARBAGE_TOKENS_PER_SECOND_PER_PREFIX: u64 = 32;
/// Tokens that one public /24 or /48 can save for that: two nodes' worth.
pub const GARBAGE_TOKENS_PER_PREFIX_MAX: u64 = 128;
/// Tokens that all nodes together gain in a second for that: a twentieth of a core.
pub const GARBAGE_TOKENS_PER_SECOND: u64 = 125;
/// Tokens that all nodes together can save for that: a tenth of a second's work.
pub const GARBAGE_TOKENS_MAX: u64 = 250;
/// Nodes, and prefixes, whose tokens for that are remembered.
pub const GARBAGE_SOURCES_MAX: usize = 4 * LINKS_MAX;
/// Tokens that a node which has brought a letter of a contact gains in a second for itself: the
/// garbage of others does not hold it up.
pub const KNOWN_TOKENS_PER_SECOND: u64 = 1;
/// Tokens that such a node can save.
pub const KNOWN_TOKENS_MAX: u64 = 16;
/// Such nodes that are remembered: all of them gone bad take a tenth of a core.
pub const KNOWN_NODES_MAX: usize = 256;
/// Such nodes by one contact: its devices. So sixteen contacts gone bad are needed to use them up.
pub const KNOWN_NODES_PER_CONTACT_MAX: usize = DEVICES_PER_USER_MAX;
/// Those among them that have brought nothing yet: anybody can name any node as its own.
pub const KNOWN_NODES_NAMED_PER_CONTACT_MAX: usize = KNOWN_NODES_PER_CONTACT_MAX / 4;
/// Frames with a readable head and an unknown body that a link survives: a newer peer may say what
/// we do not know.
pub const FRAMES_FORGIVEN_MAX: u32 = 16;
/// Frames that wait for a link to come up.
pub const FRAMES_WAITING_PER_NODE_MAX: usize = 64;

/// Shortest life of a stored record (the notes ask for three to seven days).
pub const RECORD_TTL_MIN_MS: u64 = 3 * DAY_MS;
/// Longest life of a stored record, and the default.
pub const RECORD_TTL_MAX_MS: u64 = 7 * DAY_MS;
/// Life of a location: minutes, because addresses change.
pub const LOCATION_TTL_MS: u64 = 30 * MINUTE_MS;
/// Clocks may differ by so much.
pub const CLOCK_SKEW_MS: u64 = 5 * MINUTE_MS;
/// A clock that runs ahead of the steady one by so much has jumped.
pub const CLOCK_JUMP_MS: u64 = HOUR_MS;
/// After a jump nothing ends early for so long: time for the clock to be set right.
pub const CLOCK_JUMP_HOLD_MS: u64 = HOUR_MS;
/// A daemon whose clock says that it was away for so long is asked whether its clock is ahead:
/// few are switched off for a month, and clocks without a battery start anywhere.
pub const CLOCK_AWAY_MS: u64 = 30 * DAY_MS;
/// Places in the network whose word is kept about the time.
pub const CLOCK_WORDS_MAX: usize = 32;
/// Words that must be there before they say anything about our clock: one may be a liar's.
pub const CLOCK_WORDS_MIN: usize = 3;
/// The word of a place about the time counts for so long.
pub const CLOCK_WORD_KEEP_MS: u64 = DAY_MS;
/// When the wall's clock and the steady one part by so much, words from before say nothing: the
/// machine has slept, or its clock was set.
pub const CLOCK_STEP_MS: u64 = 30_000;
/// Peers whose word is kept about the address at which they see us.
pub const OBSERVED_MAX: usize = 32;
/// Addresses at which others see us that are told to others.
pub const OBSERVED_BELIEVED_MAX: usize = 4;
/// The word of a peer about our address counts for so long.
pub const OBSERVED_KEEP_MS: u64 = 7 * DAY_MS;
/// Bytes of a record's body by its kind: user records hold the device certificates.
pub const USER_BODY_BYTES_MAX: usize = 32 * 1024;
/// Profiles hold a name and a small picture.
pub const PROFILE_BODY_BYTES_MAX: usize = 24 * 1024;
/// Prekey records hold one KEM key and one fallback key.
pub const PREKEY_BODY_BYTES_MAX: usize = 4 * 1024;
/// Location records hold one node record.
pub const LOCATION_BODY_BYTES_MAX: usize = 2 * 1024;
/// A whole record on the wire, wrapping and keys included.
pub const RECORD_BYTES_MAX: usize = 40 * 1024;
/// Records that a node holds for others.
pub const RECORDS_MAX: usize = 20_000;
/// Bytes of all records that a node holds for others.
pub const RECORDS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Records at one point: one user or profile, and two per device.
pub const RECORDS_PER_POINT_MAX: usize = 40;

/// Devices of one account.
pub const DEVICES_PER_USER_MAX: usize = 16;
/// Revoked devices that a user record names: those of years.
pub const REVOKED_PER_USER_MAX: usize = 256;
/// Pods that a user names.
pub const PODS_PER_USER_MAX: usize = 4;
/// Bytes of a profile's name.
pub const NAME_BYTES_MAX: usize = 128;
/// Bytes of an avatar.
pub const AVATAR_BYTES_MAX: usize = 16 * 1024;
/// Characters of an alias before the `@`.
pub const ALIAS_LOCAL_MAX: usize = 64;
/// Characters of a host name (RFC 1035).
pub const HOST_MAX: usize = 253;
/// Aliases that one account may register at one pod.
pub const ALIASES_PER_USER_MAX: usize = 4;
/// Aliases that one pod registers.
pub const ALIASES_PER_POD_MAX: usize = 100_000;
/// An older claim is not registered: it may be somebody's leftover.
pub const ALIAS_CLAIM_AGE_MAX_MS: u64 = DAY_MS;

/// The smallest sealed size; then 4096 and its multiples (SPEC 6.3).
pub const ENVELOPE_CLASS_MIN: usize = 2048;
/// The step of the larger size classes.
pub const ENVELOPE_CLASS_STEP: usize = 4096;
/// The largest sealed size; what is larger is an attachment.
pub const ENVELOPE_CLASS_MAX: usize = 64 * 1024;
/// Bytes of text in one message: fits the largest class with its wrapping.
pub const TEXT_BYTES_MAX: usize = 48 * 1024;
/// Bytes of the content type of one message (RFC 6838 has 127 for each half; nobody needs them).
pub const CONTENT_TYPE_BYTES_MAX: usize = 128;
/// Envelopes that one holder keeps for one user.
pub const ENVELOPES_PER_USER_MAX: usize = 500;
/// Bytes that one holder keeps for one user.
pub const ENVELOPE_BYTES_PER_USER_MAX: usize = 8 * 1024 * 1024;
/// Envelopes that one holder keeps for everybody.
pub const ENVELOPES_MAX: usize = 50_000;
/// Bytes that one holder keeps for everybody: ten kilobytes for each envelope, and a part of a
/// small disk that nobody misses.
pub const ENVELOPES_BYTES_MAX: usize = 512 * 1024 * 1024;
/// A node brings more for one user only while it holds less than this part of what is still free
/// there: 124 envelopes at first, and twenty-two nodes are needed to leave nothing.
pub const MAILBOX_SHARE_NODE_PERCENT: usize = 33;
/// The same for all nodes of one /24 or /48: 166 envelopes at first; fifteen are needed.
pub const MAILBOX_SHARE_PREFIX_PERCENT: usize = 50;
/// The same for the room of everybody: 5 357 envelopes at first, many users of one busy node.
pub const SHELF_SHARE_NODE_PERCENT: usize = 12;
/// The same for all nodes of one /24 or /48: 10 000 envelopes at first.
pub const SHELF_SHARE_PREFIX_PERCENT: usize = 25;
/// A node that is near the user itself hands on the mail of many senders when holders change: its
/// share is so many times as large, seven tenths of an empty mailbox.
pub const NEIGHBOUR_SHARE_FACTOR: usize = 8;
/// The same in the room of everybody, where many users make up for each other: a fifth of an empty
/// holder, and a third for all such nodes of one /24 or /48.
pub const SHELF_NEIGHBOUR_SHARE_FACTOR: usize = 2;
/// What all such nodes hand on together leaves a quarter of the room to senders: node ids are free,
/// and whoever likes can be near somebody.
pub const NEIGHBOURS_SHARE_PERCENT: usize = 300;
/// Removed envelopes that are remembered.
pub const TOMBSTONES_MAX: usize = 200_000;
/// Removals of envelopes that a holder never saw, remembered for one user: nobody fills the table
/// alone.
pub const TOMBSTONES_UNSEEN_PER_USER_MAX: usize = 10_000;
/// Notices that one node keeps for one user: as many as envelopes.
pub const NOTICES_PER_USER_MAX: usize = 500;
/// Notices that one node keeps for everybody.
pub const NOTICES_MAX: usize = 50_000;
/// A notice is kept for so long after its device was told: time to fetch, and to come back if the
/// link broke. What was never true must not stay for a week.
pub const NOTICE_TOLD_MS: u64 = 10 * MINUTE_MS;
/// Notices that are told over one link in one page: as many as a device takes from one holder.
pub const NOTICES_PER_PAGE_MAX: usize = 8;
/// A page of notices lasts so long.
pub const NOTICE_PAGE_MS: u64 = 1_000;
/// Holders of one envelope that have confirmed it and are remembered: as many again as there are,
/// because each of them may know of others.
pub const HOLDERS_CONFIRMED_MAX: usize = 2 * HOLDERS_MAX;
/// So long the word of another holder counts that it has an envelope.
pub const COMPARE_MS: u64 = HOUR_MS;
/// Holders compare what they keep so often, more or less a fifth: whoever is new gets all of it in
/// ten minutes, also if it was not seen to come.
pub const COMPARE_WALK_MS: u64 = 5 * MINUTE_MS;
/// When the nodes around a holder change it waits so long for more of them to do so.
pub const COMPARE_SOON_MS: u64 = 10_000;
/// And up to so long more: who comes first sends what is lacking, and the others find it there.
pub const COMPARE_SOON_JITTER_MS: u64 = MINUTE_MS;
/// Envelopes that wait to be sent to holders that lack them; the next walk finds the rest.
pub const OFFERS_WAITING_MAX: usize = 4_096;
/// Envelopes on their way to other holders: 160 a second at 100 ms.
pub const OFFERS_MAX: usize = 16;
/// Marks for one token more: each is looked for in two tables.
pub const REQUEST_MARKS_PER_TOKEN: usize = 128;
/// A later end of a held envelope is written down only if it gains so much.
pub const EXTEND_MIN_MS: u64 = HOUR_MS;
/// Rows read together for one attached device: half a megabyte at most.
pub const PUSHES_PER_LOAD_MAX: usize = 8;
/// Questions of the mailbox to the disk in flight: bounds its memory to some megabytes.
pub const MAILBOX_LOADS_MAX: usize = 32;
/// What the disk could not answer the mailbox is asked again after so long: a machine that has no
/// file to spare is not pressed.
pub const MAILBOX_LOAD_RETRY_MS: u64 = 1_000;
/// Rows that one sweep removes, so that no sweep is long.
pub const SWEEP_ROWS_MAX: usize = 256;
/// The clock of the wall may jump: what expires is looked at this often at least.
pub const SWEEP_MS_MAX: u64 = HOUR_MS;
/// Ids in one request that removes or fetches.
pub const IDS_PER_REQUEST_MAX: usize = 256;
/// Envelopes pushed on one attached link before their removal comes back.
pub const PUSHES_IN_FLIGHT_MAX: usize = 32;
/// What was pushed and is not removed is pushed again after so long: the push or its removal was
/// lost, where a disk was full or too much waited. Twice the time in which an answer is given up.
pub const PUSH_AGAIN_MS: u64 = MINUTE_MS;
/// It doubles up to so long while nothing of the device is removed.
pub const PUSH_AGAIN_MAX_MS: u64 = 10 * MINUTE_MS;
/// And of one device only `PUSHES_PER_LOAD_MAX` in so long: half a megabyte.
pub const PUSH_AGAIN_PACE_MS: u64 = 10_000;
/// Removals that a device owes to one holder: two full mailboxes. What is beyond is brought again.
pub const REMOVALS_OWED_MAX: usize = 2 * ENVELOPES_PER_USER_MAX;
/// Requests to remove that are in flight to one holder: more than one, so that no round trip is
/// waited for.
pub const REMOVALS_IN_FLIGHT_MAX: usize = 8;
/// A holder that did not take removals is asked again after so long, at first.
pub const REMOVAL_RETRY_MIN_MS: u64 = 1_000;
/// The same at last: as often as it pushes again.
pub const REMOVAL_RETRY_MAX_MS: u64 = MINUTE_MS;
/// Copies of one envelope make one removal in so long at the holder that brings them: no longer
/// than `PUSH_AGAIN_MS`, so that what is pushed again is removed again.
pub const REMOVAL_AGAIN_MS: u64 = PUSH_AGAIN_MS;
/// Removals that one holder has taken, remembered for that.
pub const REMOVALS_TAKEN_MAX: usize = 1_024;
/// Users attached to one node.
pub const ATTACHED_MAX: usize = 1_000;
/// The record of a user with attached devices is looked up so often where it is not held.
pub const ATTACH_CHECK_MS: u64 = HOUR_MS;
/// And not more often, whoever attaches: a lookup asks a dozen nodes.
pub const ATTACH_CHECK_MIN_MS: u64 = 10 * MINUTE_MS;
/// Users for whom that is remembered: twice as many as may be attached.
pub const ATTACH_CHECKS_MAX: usize = 2 * ATTACHED_MAX;
/// Pods whose place is known at once.
pub const HOSTS_MAX: usize = 1_024;
/// Pods whose node key one Unix user of the machine has pinned.
pub const HOST_PINS_PER_OWNER_MAX: usize = 1_024;
/// Pods whose node key is pinned, by all Unix users together: as many as have accounts.
pub const HOST_PINS_MAX: usize = ACCOUNTS_MAX * HOST_PINS_PER_OWNER_MAX;
/// Requests that wait for one pod to be found.
pub const HOST_WAITING_MAX: usize = 256;
/// A pod that was not found is looked for again after so long.
pub const HOST_RETRY_MS: u64 = 3_000;
/// A binding that was pinned is asked for again after so long.
pub const BINDING_CHECK_MS: u64 = MINUTE_MS;
/// Between two tries to attach to one holder, at first.
pub const ATTACH_RETRY_MIN_MS: u64 = 1_000;
/// A device that comes back takes nothing directly until most holders have given what waited, or
/// for so long: what is newer must not overtake more than a ratchet can read.
pub const CATCH_UP_MS: u64 = 10_000;
/// Between two tries to attach to one holder, at last.
pub const ATTACH_RETRY_MAX_MS: u64 = 5 * MINUTE_MS;
/// The holders of our own mail are looked for again after so long.
pub const HOLDERS_REFRESH_MS: u64 = 5 * MINUTE_MS;
/// A challenge is good for so long.
pub const CHALLENGE_MS: u64 = 30_000;

/// One-time keys in the batch for one holder: five holders make a hundred live keys.
pub const ONE_TIME_KEYS_PER_BATCH: usize = 20;
/// One-time keys that a holder keeps for everybody.
pub const ONE_TIME_KEYS_MAX: usize = 50_000;
/// Handed-out keys that a holder remembers, so that none is taken in a second time.
pub const ONE_TIME_KEYS_SPENT_MAX: usize = 50_000;
/// Requests for keys on one link in a minute: nobody drains a user's keys at once.
pub const KEY_TAKES_PER_MINUTE_MAX: u32 = 30;
/// Below this a device tops its batch up.
pub const ONE_TIME_KEYS_LOW: usize = 5;
/// Life of an unused one-time key.
pub const ONE_TIME_KEY_TTL_MS: u64 = 14 * DAY_MS;
/// Secrets of handed-out one-time keys that a device keeps: five batches for each of five holders.
pub const ONE_TIME_SECRETS_MAX: usize = 500;
/// A one-time secret stays as long as mail that used it in its last hour may lie somewhere.
pub const ONE_TIME_SECRET_KEEP_MS: u64 = ONE_TIME_KEY_TTL_MS + RECORD_TTL_MAX_MS + DAY_MS;
/// A device's KEM and fallback keys rotate daily.
pub const KEM_ROTATE_MS: u64 = DAY_MS;
/// The old secret stays as long as mail sealed to it may lie somewhere, and a day.
pub const KEM_KEEP_MS: u64 = RECORD_TTL_MAX_MS + DAY_MS;
/// KEM secrets that a device keeps.
pub const KEM_KEYS_MAX: usize = 16;
/// Ratchet sessions kept for one pair of devices.
pub const SESSIONS_PER_PAIR_MAX: usize = 4;
/// Sessions opened by one peer device that are gone but remembered, so that no replay reopens one.
pub const SESSIONS_PAST_MAX: usize = 64;
/// Ratchet sessions kept by one node.
pub const SESSIONS_MAX: usize = 10_000;

/// What is known of a recipient is looked up again after so long.
pub const ROUTE_FRESH_MS: u64 = 10 * MINUTE_MS;
/// Places of one recipient that are tried directly.
pub const PLACES_MAX: usize = 4;
/// Bytes of sealed envelopes on their way out of one node.
pub const OUTBOX_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Removals and receipts are gathered for so long, so that a burst makes one frame.
pub const GATHER_MS: u64 = 5;
/// Stored mail is put again after so long, until it is delivered.
pub const MAIL_REPUBLISH_MS: u64 = 12 * HOUR_MS;
/// Holders of stored mail are asked so often to show that they still have it.
pub const KEPT_CHALLENGE_MS: u64 = 10 * MINUTE_MS;
/// Messages whose holders are asked in one round.
pub const KEPT_CHALLENGES_MAX: usize = 64;
/// Holders of one envelope that are remembered; over the weeks they may be others.
pub const HOLDERS_SIGNED_MAX: usize = 64;
/// Holders of one envelope that lost it and are not asked again; the first is forgotten.
pub const HOLDERS_LOST_MAX: usize = 64;
/// Bytes of the chance in a challenge to show an envelope.
pub const KEPT_NONCE_BYTES: usize = 32;
/// Letters under way to one recipient: a ratchet keeps the keys of 40 that it has not seen.
pub const OUTBOX_WINDOW: usize = 32;
/// A device is asked to send again at most once in this time.
pub const RESEND_MS: u64 = MINUTE_MS;
/// A receipt that is stored is kept for so long, to be sealed anew if it cannot be read: some times
/// what its recipient waits before it asks.
pub const LETTER_KEPT_MS: u64 = 10 * RESEND_MS;
/// Stored receipts that are kept for one recipient; the oldest go first.
pub const LETTERS_KEPT_PER_USER_MAX: usize = 2 * OUTBOX_WINDOW;
/// Stored receipts that are kept in all.
pub const LETTERS_KEPT_MAX: usize = 1_024;
/// Devices that are asked again in that time, and that ask.
pub const ASKED_AGAIN_MAX: usize = 1_000;
/// Devices with letters that could not be read and are not asked for yet.
pub const UNREAD_DEVICES_MAX: usize = 256;
/// Letters that one request to send again names.
pub const RESEND_IDS_MAX: usize = 256;
/// What one Unix user takes of a room that all users of a daemon share (accounts, messages on their
/// way) is less than so many times what is still free: three quarters of it if nobody else takes
/// any, and each further user three quarters of the rest, so that nobody shuts the others out.
pub const USER_SHARE_FACTOR: usize = 3;
/// Messages on their way out of one node.
pub const OUTBOX_MAX: usize = 10_000;
/// Receipts and requests to send again on their way out of one node: who writes makes us answer.
pub const OUTBOX_ANSWERS_MAX: usize = OUTBOX_MAX;
/// Those to one contact: a burst of messages makes one for some of them.
pub const OUTBOX_ANSWERS_PER_CONTACT_MAX: usize = 1_000;
/// Those to one stranger: one for each message of it that is kept.
pub const OUTBOX_ANSWERS_PER_STRANGER_MAX: usize = 50;
/// A message that nobody took by then is `expired`.
pub const OUTBOX_TTL_MS: u64 = 30 * DAY_MS;
/// Between two tries of one message, at first.
pub const RETRY_MIN_MS: u64 = 2_000;
/// Between two tries of one message, at last.
pub const RETRY_MAX_MS: u64 = 10 * MINUTE_MS;
/// Steps kept in the trace of one message.
pub const TRACE_STEPS_MAX: usize = 64;
/// Opened envelopes that are remembered: the time that mail can live, and a week.
pub const SEEN_TTL_MS: u64 = RECORD_TTL_MAX_MS + 7 * DAY_MS;
/// Opened envelopes that are remembered, by number.
pub const SEEN_MAX: usize = 200_000;
/// An opened envelope that comes back so much later is no copy of the first days' holders: its
/// sender has no receipt. Half of what a sender waits before it deposits again.
pub const RECEIPT_AGAIN_MS: u64 = MAIL_REPUBLISH_MS / 2;
/// Receipts that are sent again in that time: a holder that replays old mail costs no more.
pub const RECEIPTS_AGAIN_MAX: usize = 1_000;
/// Messages that one receipt names.
pub const RECEIPT_BLOCKS_MAX: usize = 256;
/// Heads of a round's log named as parents of one block.
pub const PARENTS_MAX: usize = 16;
/// Gaps in the chains of a round that may still be filled. Letters that overtake each other make
/// half as many as `OUTBOX_WINDOW`, and the row, which is written with each message, stays within
/// a few kilobytes.
pub const BLOCK_GAPS_MAX: usize = 32;

/// Bytes of an account key in PEM; 4096 bits take 3.3 kB.
pub const PEM_BYTES_MAX: usize = 8 * 1024;
/// Accounts on one node.
pub const ACCOUNTS_MAX: usize = 64;
/// Entries of the address book.
pub const CONTACTS_MAX: usize = 10_000;
/// Keys of aliases, and of users, that one Unix user of the machine has pinned.
pub const PINS_PER_OWNER_MAX: usize = CONTACTS_MAX;
/// Pinned keys of each kind by all Unix users together: 32 MB at 100 bytes each.
pub const PINS_MAX: usize = 32 * PINS_PER_OWNER_MAX;
/// Strangers whose messages one account keeps until it accepts or blocks them.
pub const REQUESTS_MAX: usize = 100;
/// Messages of one stranger that are kept until it is accepted.
pub const REQUEST_MESSAGES_MAX: u32 = 50;
/// Events kept in the durable log of one Unix user.
pub const EVENTS_MAX: u64 = 100_000;
/// Bytes of the events that are kept for one Unix user.
pub const EVENTS_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Older events are not kept: a front end that was away longer reads the history anew.
pub const EVENTS_AGE_MAX_MS: u64 = 90 * DAY_MS;
/// How many events the configuration may ask for: a chunk at least, and no more than a scan of the
/// log stands in seconds.
pub const EVENTS_CHOICE: RangeInclusive<u64> = 1_000..=10_000_000;
/// How many MiB of them: one large message at least, and what a small disk can bear.
pub const EVENTS_MIB_CHOICE: RangeInclusive<u64> = 1..=65_536;
/// For how many days.
pub const EVENTS_DAYS_CHOICE: RangeInclusive<u64> = 1..=3_650;
/// So many times as much is kept while a named position has not passed it.
pub const EVENTS_HELD_FACTOR: u64 = 2;
/// Events leave the log so many at once, so that their sizes need not be remembered one by one.
pub const EVENTS_PER_CHUNK: u64 = 256;
/// Events read from the disk at once: one may have 300 kB.
pub const EVENTS_PER_LOAD: usize = 128;
/// Bytes of events in one answer and in one question to the disk, with one event more.
pub const EVENTS_PER_ANSWER_BYTES_MAX: usize = PAGE_BYTES_MAX;
/// Bytes of events that are read for one answer, with one question to the disk more: a question for
/// what is rare reads no whole log at once, and is asked on.
pub const EVENTS_READ_BYTES_MAX: usize = 4 * EVENTS_PER_ANSWER_BYTES_MAX;
/// Types of events that one question names.
pub const EVENT_TYPES_MAX: usize = 16;
/// Named positions of one Unix user in the log of events.
pub const CURSORS_PER_USER_MAX: usize = 64;
/// Named positions of all Unix users: each takes some hundred bytes of memory.
pub const CURSORS_MAX: usize = 4_096;
/// Bytes of the name of a position.
pub const CURSOR_NAME_BYTES_MAX: usize = 64;
/// Bytes of a front end's own id for a call: a message's id with the name of who answers it fits.
pub const CLIENT_ID_BYTES_MAX: usize = 128;
/// The answer to a call with a client id is kept for so long: who was away over a holiday may
/// still repeat it.
pub const ANSWERS_KEPT_MS: u64 = 7 * DAY_MS;
/// Answers kept for one Unix user: more than one call a second, all the time.
pub const ANSWERS_PER_USER_MAX: u64 = 700_000;
/// Bytes of those answers: as many as their number allows, at some 380 bytes each.
pub const ANSWERS_BYTES_PER_USER_MAX: u64 = 256 * 1024 * 1024;
/// Answers forgotten at once: as many as come in a second are, and the engine has other work.
pub const ANSWERS_FORGOTTEN_AT_ONCE: usize = 512;
/// Recent events of one Unix user kept in memory for its subscribers: a second at full speed.
pub const EVENT_RING_MAX: usize = 4_096;
/// Bytes of those events.
pub const EVENT_RING_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Events that a subscriber reads from the log at once.
pub const EVENT_REPLAY_PAGE: usize = 256;
/// Bytes of events that are kept for a subscriber until it has read them, with one event more: a
/// user's share holds hundreds of subscribers that do not read.
pub const EVENT_REPLAY_BYTES_MAX: usize = 64 * 1024;
/// Subscribers that read from the log at once: the others wait, and the disk has other work too.
pub const EVENT_REPLAYS_AT_ONCE: usize = 8;
/// Those of one Unix user: no user takes all turns.
pub const EVENT_REPLAYS_PER_USER_AT_ONCE: usize = EVENT_REPLAYS_AT_ONCE / 2;
/// A subscription that has nothing to say for so long says that it is alive.
pub const EVENT_HEARTBEAT_MS: u64 = 30_000;
/// After so long a subscription tries again to read a log that cannot be read for the moment.
pub const EVENT_REPLAY_RETRY_MS: u64 = 1_000;
/// Rows in one answer of the RPC.
pub const PAGE_MAX: usize = 500;
/// Rows in one answer of the RPC when the caller names no number.
pub const PAGE_DEFAULT: usize = 50;
/// Bytes of the rows in one answer of the RPC, with one row more: enough for a screen of the
/// longest texts, and six times as many when all of them must be escaped.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of one RPC line.
pub const RPC_LINE_BYTES_MAX: usize = 1024 * 1024;
/// Front ends connected at once: some 16 kB each.
pub const RPC_CLIENTS_MAX: usize = 4_096;
/// Calls of one front end in flight.
pub const RPC_CALLS_PER_CLIENT_MAX: usize = 64;
/// Longest wait of a call that waits.
pub const RPC_WAIT_MS_MAX: u64 = 10 * MINUTE_MS;
/// Calls that wait at once.
pub const RPC_WAITS_MAX: usize = 1_024;
/// Calls in one batch of the RPC: they run one after the other and are answered together.
pub const RPC_BATCH_MAX: usize = 64;
/// Bytes of one answer of the RPC: the whole address book, or a page of texts that must all be
/// escaped, with room.
pub const RPC_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes that the daemon holds for the front ends of one Unix user: requests that are read or
/// run, answers and events that wait to be read. Two of the largest answers.
pub const RPC_BYTES_PER_USER_MAX: usize = 2 * RPC_ANSWER_BYTES_MAX;
/// Those of all Unix users: four may be at their limit before others are told to wait. What the
/// daemon takes besides leaves room below `MemoryHigh=` of its unit.
pub const RPC_BYTES_MAX: usize = 4 * RPC_BYTES_PER_USER_MAX;
/// A request or an answer of so many bytes is not counted: its place among the calls bounds it,
/// and a user who is at the limit still learns how things stand.
pub const RPC_FREE_BYTES: usize = 4 * 1024;
/// Calls at once whose answers may be a page: more wait, so that few pages are in memory before
/// they are counted.
pub const RPC_PAGES_AT_ONCE: usize = 16;
/// Those of one Unix user: the turns of the others go on, whatever one waits for.
pub const RPC_PAGES_PER_USER_AT_ONCE: usize = RPC_PAGES_AT_ONCE / 4;
/// Answers that wait for one front end to read them; calls then wait to be answered.
pub const RPC_ANSWERS_WAITING_MAX: usize = 16;
/// A front end that reads nothing for so long, while an answer waits, is cut off.
pub const RPC_WRITE_TIMEOUT_MS: u64 = 30_000;
/// A front end that has not read a whole answer by then is cut off, however it goes on: one that
/// reads a byte now and then would keep it in memory for years.
pub const RPC_ANSWER_MS: u64 = 2 * MINUTE_MS;
/// When the daemon stops, calls in flight have so long to end by themselves.
pub const RPC_STOP_GRACE_MS: u64 = 250;
/// Between two looks whether a front end that no longer writes is gone altogether.
pub const RPC_GONE_CHECK_MS: u64 = 1_000;
/// Front ends of one Unix user connected at once: no user takes all places.
pub const RPC_CLIENTS_PER_USER_MAX: usize = 1_500;
/// Front ends that are being turned away in their own dialect; more are cut off with a line.
pub const RPC_TURNED_AWAY_MAX: usize = 256;
/// A front end that is turned away has so long to show its dialect.
pub const RPC_TURN_AWAY_MS: u64 = 500;
/// A front end that has sent nothing for so long after it connected is told so and cut off.
pub const RPC_FIRST_BYTE_MS: u64 = 60_000;
/// A request that has begun and is not whole by then is given up, with its connection.
pub const RPC_HALF_REQUEST_MS: u64 = 60_000;
/// Bytes of the head of an HTTP request.
pub const RPC_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Header fields of an HTTP request.
pub const RPC_HEADERS_MAX: usize = 64;
/// The engine has so long to prove that it lives when its health is asked for.
pub const RPC_HEALTH_MS: u64 = 5_000;
/// Subscriptions of one front end.
pub const RPC_SUBSCRIPTIONS_PER_CLIENT_MAX: usize = 64;
/// Subscriptions of one Unix user: no user takes all places.
pub const RPC_SUBSCRIPTIONS_PER_USER_MAX: usize = 2_048;
/// Subscriptions of all front ends: some kB each.
pub const RPC_SUBSCRIPTIONS_MAX: usize = 8_192;
/// Calls of one Unix user in flight: fewer than may wait in all.
pub const RPC_CALLS_PER_USER_MAX: usize = RPC_WAITS_MAX / 2;
/// Tokens of one Unix user.
pub const TOKENS_PER_USER_MAX: usize = 64;
/// Tokens of all Unix users: each takes some hundred bytes of memory, or some kB with long lists.
pub const TOKENS_MAX: usize = 1_024;
/// Methods that a token or a narrowing names.
pub const TOKEN_METHODS_MAX: usize = 64;
/// Tokens that one connection presents, one after the other: each can end it.
pub const RPC_TOKENS_PER_CLIENT_MAX: usize = 8;
/// Between two looks at the wall's clock while a session waits for its end: the steady clock stands
/// still while a machine sleeps.
pub const SESSION_END_CHECK_MS: u64 = 30_000;
/// Rules of the configuration that give roles.
pub const ROLE_RULES_MAX: usize = 64;
/// Callers whose role is remembered, and as many who have none; when there are more of a kind, all
/// of that kind are looked up anew.
pub const ROLES_KNOWN_MAX: usize = 1_024;
/// A role is looked up again after so long: who was put into a group, or out of it, need not wait.
/// Until that is done, and for so long at most, the old one counts.
pub const ROLES_KEPT_MS: u64 = 10_000;
/// Roles looked up at once: the system may ask a directory in the network for groups. As many
/// again are for users who had a role before.
pub const ROLE_LOOKUPS_AT_ONCE: usize = 4;
/// Who is not found by then is told that it took too long.
pub const ROLE_LOOKUP_MS: u64 = 5_000;
/// Front ends that wait until their role is known. As many again are for users who had one before:
/// a stranger may have 65 536 uids (`/etc/subuid`).
pub const RPC_KNOCKS_MAX: usize = 256;
/// Front ends of one Unix user among them.
pub const RPC_KNOCKS_PER_USER_MAX: usize = 32;
/// Answers are written together up to so many bytes.
pub const RPC_WRITE_BYTES_TARGET: usize = 64 * 1024;

/// Calls of all front ends that the daemon has taken and not answered: those that wait, and as
/// many that do not.
pub const CALLS_MAX: usize = 2 * RPC_WAITS_MAX;
/// Calls on their way to the engine; more make their front end wait.
pub const CALLS_QUEUED_MAX: usize = 256;
/// Inputs decided before the next commit: enough that a commit's sync is shared by many.
pub const INPUTS_PER_COMMIT_MAX: usize = 256;
/// Bytes written by the inputs of one commit, after which no further input is taken into it.
pub const COMMIT_BYTES_TARGET: usize = 1024 * 1024;
/// Questions to the disk at once: more readers than cores only wait for each other.
pub const LOADS_AT_ONCE: usize = 4;
/// Questions to the disk that wait; above it no call and no frame is taken.
pub const LOADS_WAITING_MAX: usize = 1_024;
/// Pieces of slow cryptography at once, so that a small machine can still answer.
pub const JOBS_AT_ONCE: usize = 2;
/// Pieces of slow cryptography that wait; more fail at once.
pub const JOBS_WAITING_MAX: usize = 64;
/// Host names looked up at once.
pub const RESOLVES_AT_ONCE: usize = 16;
/// Host names that wait to be looked up; more fail at once.
pub const RESOLVES_WAITING_MAX: usize = 256;
/// A host name that is not found by then is not found.
pub const RESOLVE_TIMEOUT_MS: u64 = 5_000;
/// Addresses taken from DNS for one host.
pub const ADDRESSES_PER_HOST_MAX: usize = 16;
/// Between two tries to commit on a full disk.
pub const DISK_FULL_RETRY_MS: u64 = 1_000;
/// Between two reports of the store's size.
pub const STORE_SIZE_EVERY_MS: u64 = MINUTE_MS;
/// What systemd is asked to wait longer while a large store is opened after a crash; asked again
/// at half of it, so that a start is not ended because it has much to do.
pub const START_PATIENCE_MS: u64 = MINUTE_MS;
/// How the node stands is asked of the engine again after so long, though nothing has changed: the
/// clock goes on, and a health check is to notice an engine that is stuck.
pub const STATUS_FRESH_MS: u64 = 1_000;
/// Between two words to systemd about how the daemon stands.
pub const STATUS_EVERY_MS: u64 = 5_000;
/// Sockets that a daemon takes over from systemd: one for front ends, and one for nodes for each
/// address of a machine with many.
pub const SOCKETS_PASSED_MAX: usize = 16;
/// Bytes of one value in the journal; a datagram takes about 200 KiB, and nobody reads more.
pub const JOURNAL_VALUE_BYTES_MAX: usize = 8 * 1024;
/// A journal that does not take an entry by then goes without it: the log must not stop the node.
pub const JOURNAL_TIMEOUT_MS: u64 = 200;
/// A configuration that is not read again by then stays as it was.
pub const RELOAD_TIMEOUT_MS: u64 = 5_000;
/// A daemon that is told to stop is gone by then.
pub const STOP_MS: u64 = 5_000;
/// The UDP port where nodes listen unless they are told otherwise; the console of an application
/// server has it in TCP, nothing common in UDP.
pub const PORT_DEFAULT: u16 = 4848;

/// A minute.
pub const MINUTE_MS: u64 = 60_000;
/// An hour.
pub const HOUR_MS: u64 = 60 * MINUTE_MS;
/// A day.
pub const DAY_MS: u64 = 24 * HOUR_MS;

/// 2^20 bytes.
pub const MIB: u64 = 1024 * 1024;
