"""A typed client of bytchatd 0.1.0: a method for each method of the RPC.

Written by generate.py from the daemon's OpenRPC document: change that, not this.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from .connection import Connection, RpcError

# The daemon says every 30 seconds that it is there: three times nothing is a dead connection.
SILENCE_SECONDS = 90.0


class Account(TypedDict):
    """One account; result of `account.create` and `account.import`."""

    # The aliases that it registered from here.
    aliases: list[Alias]
    # Its rows on disk cannot be read: it is kept as it is and not served. Absent if not so.
    damaged: NotRequired[bool]
    # The user id.
    id: UserId
    # The local name.
    name: str


class Accounts(TypedDict):
    """Result of `account.list`."""

    # The caller's accounts, by id.
    accounts: list[Account]
    # There are more: pass it as `after` to go on. Absent at the end.
    next: NotRequired[UserId | None]


# A human name of a user at its pod: name@pod.example.
Alias: TypeAlias = "str"


class Asks(TypedDict):
    """Requests to other nodes."""

    # Those that were answered.
    answered_total: int
    # Those that had no answer: the node cannot be reached, or was silent.
    lost_total: int
    # Those whose answer was none.
    malformed_total: int
    # Those that the other node refused.
    refused_total: int
    # Milliseconds until the answer.
    round_trip_ms: Histogram
    # Those that took longer than is usual for the node; they count elsewhere too.
    slow_total: int


class Binding(TypedDict):
    """An alias and whose it is; result of `alias.register` and `alias.resolve`."""

    # The alias.
    alias: Alias
    # The user.
    id: UserId


class Bindings(TypedDict):
    """Result of `alias.list`."""

    # The aliases, in their order.
    aliases: list[Binding]
    # There are more: pass it as `after` to go on. Absent at the end.
    next: NotRequired[Alias | None]


# A block of a round's log: SHA-256 of its bytes (SPEC 7.2). A message's id is its block's.
BlockId: TypeAlias = "str"


# Why a message waits.
Cause: TypeAlias = Literal[
    "under_way",
    "no_network",
    "recipient_not_found",
    "no_holder",
    "few_holders",
    "earlier",
    "key_changed",
    "pin_damaged",
    "recipient_away",
]


class ChangedAccount(TypedDict):
    """The result of a call that changes something."""

    # The aliases that it registered from here.
    aliases: list[Alias]
    # Its rows on disk cannot be read: it is kept as it is and not served. Absent if not so.
    damaged: NotRequired[bool]
    # Nothing was changed: it is what would be. Absent if not so.
    dry_run: NotRequired[bool]
    # The user id.
    id: UserId
    # The local name.
    name: str
    # It was done before: this is the first answer again. Absent if not so.
    replayed: NotRequired[bool]


class ChangedBinding(TypedDict):
    """The result of a call that changes something."""

    # The alias.
    alias: Alias
    # Nothing was changed: it is what would be. Absent if not so.
    dry_run: NotRequired[bool]
    # The user.
    id: UserId
    # It was done before: this is the first answer again. Absent if not so.
    replayed: NotRequired[bool]


class ChangedContact(TypedDict):
    """The result of a call that changes something."""

    # The alias under which the user is known here.
    alias: Alias | None
    # Nothing was changed: it is what would be. Absent if not so.
    dry_run: NotRequired[bool]
    # The user.
    id: UserId
    # It was done before: this is the first answer again. Absent if not so.
    replayed: NotRequired[bool]
    # Grows whenever alias or standing change.
    rev: int
    # How the user stands.
    standing: Standing


class ChangedCursor(TypedDict):
    """The result of a call that changes something."""

    # When it was set.
    at: Timestamp
    # How many events are still to be read.
    behind: int
    # Nothing was changed: it is what would be. Absent if not so.
    dry_run: NotRequired[bool]
    # The name.
    name: str
    # It was done before: this is the first answer again. Absent if not so.
    replayed: NotRequired[bool]
    # All events up to this number are done with.
    seq: int


class ChangedDone(TypedDict):
    """The result of a call that changes something."""

    # Nothing was changed: it is what would be. Absent if not so.
    dry_run: NotRequired[bool]
    # It was done before: this is the first answer again. Absent if not so.
    replayed: NotRequired[bool]


class ChangedProfile(TypedDict):
    """The result of a call that changes something."""

    # The picture's bytes in base64; empty for none.
    avatar: str
    # Nothing was changed: it is what would be. Absent if not so.
    dry_run: NotRequired[bool]
    # How many holders took it (`profile.set`) or gave it (`profile.show`).
    holders: int
    # Whose it is.
    id: UserId
    # Further fields of front ends.
    more: dict[str, str]
    # The name.
    name: str
    # It was done before: this is the first answer again. Absent if not so.
    replayed: NotRequired[bool]
    # A newer profile has a higher number; it is the profile's `rev`.
    sequence: int


class ChangedSent(TypedDict):
    """The result of a call that changes something."""

    # Nothing was changed: it is what would be. Absent if not so.
    dry_run: NotRequired[bool]
    # The message.
    id: BlockId
    # It was done before: this is the first answer again. Absent if not so.
    replayed: NotRequired[bool]
    # How far it has come.
    state: State
    # The recipient.
    to: UserId


# How the clock of the daemon's machine stands.
Clock: TypeAlias = Literal["ok", "behind", "ahead"]


class Config(TypedDict):
    """Result of `node.config`: the configuration in effect."""

    # The file that was read, if there is one.
    file: str | None
    # Every key, in the order of the manual.
    values: list[Setting]


class Contact(TypedDict):
    """One entry."""

    # The alias under which the user is known here.
    alias: Alias | None
    # The user.
    id: UserId
    # Grows whenever alias or standing change.
    rev: int
    # How the user stands.
    standing: Standing


class Contacts(TypedDict):
    """Result of `contact.list`."""

    # The entries, by user.
    contacts: list[Contact]
    # There are more: pass it as `after` to go on. Absent at the end.
    next: NotRequired[UserId | None]


class Created(TypedDict):
    """Result of `token.create`."""

    # The only accounts.
    accounts: list[UserId] | None
    # Its id, which is no secret.
    id: str
    # When it was made.
    made_at: Timestamp
    # The only methods.
    methods: list[str] | None
    # What people call it; may be empty.
    name: str
    # The highest role of who presents it.
    role: Role | None
    # The secret, which is told this once.
    token: SecretText
    # When it ends.
    until: Timestamp | None


class Cursor(TypedDict):
    """One named position."""

    # When it was set.
    at: Timestamp
    # How many events are still to be read.
    behind: int
    # The name.
    name: str
    # All events up to this number are done with.
    seq: int


class Cursors(TypedDict):
    """Result of `cursor.list`."""

    # The positions, by name.
    cursors: list[Cursor]
    # The log that they belong to.
    epoch: str
    # The log begins after this number.
    first: int
    # The number of the last event.
    head: int
    # There are more: pass it as `after` to go on. Absent at the end.
    next: NotRequired[str | None]


# Which way a message went.
Direction: TypeAlias = Literal["in", "out"]


# The answer to a call that has nothing to say.
Done: TypeAlias = "dict[str, Any]"


# What went wrong, as programs see it.
ErrorKind: TypeAlias = Literal[
    "request.malformed",
    "method.unknown",
    "parameters.bad",
    "internal",
    "not_permitted",
    "shutting_down",
    "busy",
    "timeout",
    "not_found",
    "conflict",
    "rev_conflict",
    "method.deprecated",
    "quota",
    "account.none",
    "account.which",
    "account.exists",
    "account.bad_key",
    "contact.key_changed",
    "address.unknown",
    "address.bad",
    "contact.blocked",
    "alias.taken",
    "pod.unreachable",
    "message.too_large",
    "network.no_links",
    "store.full",
    "store.failed",
    "event.no_stream",
    "event.other_epoch",
    "token.bad",
    "daemon.unreachable",
]


# One event.
Event: TypeAlias = "EventMessageReceived | EventMessageState | EventContactKeyChanged"


class EventContactKeyChanged(TypedDict):
    """The key behind a name has changed; sending has stopped."""

    # The account that it concerns.
    account: UserId
    # When it was written.
    at: Timestamp
    # Its number among the events of its Unix user: one more than the one before.
    seq: int
    data: EventContactKeyChangedData
    type: Literal["contact.key_changed"]


class EventContactKeyChangedData(TypedDict):
    """A part of another type."""

    # Who it is about.
    id: UserId


class EventMessageReceived(TypedDict):
    """A message came in."""

    # The account that it concerns.
    account: UserId
    # When it was written.
    at: Timestamp
    # Its number among the events of its Unix user: one more than the one before.
    seq: int
    data: Message
    type: Literal["message.received"]


class EventMessageState(TypedDict):
    """A message of ours reached another state."""

    # The account that it concerns.
    account: UserId
    # When it was written.
    at: Timestamp
    # Its number among the events of its Unix user: one more than the one before.
    seq: int
    data: Message
    type: Literal["message.state"]


class Events(TypedDict):
    """Result of `event.list`."""

    # The log: another store has another epoch, and its numbers begin anew.
    epoch: str
    # The events, oldest first.
    events: list[Event]
    # The log begins after this number: a lower `since` has a gap.
    first: int
    # What of the question is not to be had.
    gap: NotRequired[Gap | None]
    # The number of the last event.
    head: int
    # The number to ask on from.
    next: int


class Exported(TypedDict):
    """Result of `account.export`."""

    # The key in PEM: PKCS#8, or SubjectPublicKeyInfo for the public key.
    pem: SecretText


class Found(TypedDict):
    """Result of `dht.lookup`."""

    # How many nodes answered.
    answered: int
    # Milliseconds from the first request to the end.
    duration_ms: int
    # The nodes nearest to it that have not failed, nearest first: they hold what lies there.
    holders: list[Holder]
    # What was asked and came back, in the order of the answers; what is missing is there if the
    # list is as long as it may be.
    hops: list[Hop]
    # The point.
    target: Point


# Events that are not to be had: reading was to go on after `from` and goes on after `to`.
Gap = TypedDict(
    "Gap",
    {
        # The position that was asked for.
        "from": "int",
        # Why.
        "reason": "GapReason",
        # The position from which the log is read instead.
        "to": "int",
    },
)


# Why events are not to be had.
GapReason: TypeAlias = Literal["retention", "epoch"]


class Histogram(TypedDict):
    """Values, counted in buckets that are fixed."""

    # The greatest value of each bucket, ascending.
    bounds: list[int]
    # How many values fell into each bucket and into none before it; one more than there are bounds:
    # the last is for what is greater.
    counts: list[int]
    # All values together.
    sum: int


class Holder(TypedDict):
    """One of the nodes nearest to a point."""

    # Where it is, as it says itself.
    address: str | None
    # How many bits its id has in common with the point, from the front.
    near_bits: int
    # The node.
    node_id: NodeId
    # It is this node itself.
    own: bool


class Hop(TypedDict):
    """One request of a lookup, and what came of it."""

    # Where it is, as it says itself.
    address: str | None
    # Milliseconds from the start of the lookup to the answer, or to when it was given up.
    at_ms: int
    # How many contacts the answer had.
    contacts: int
    # How many nodes led to it, one after the other, itself included: 1 if it was known before.
    hop: int
    # How many bits its id has in common with the point, from the front.
    near_bits: int
    # The node that was asked.
    node_id: NodeId
    # How it ended.
    outcome: Outcome
    # Milliseconds from the request to the answer, if there was one.
    round_trip_ms: int | None


# A pod's DNS name in lowercase ASCII.
Host: TypeAlias = "str"


class Keyspace(TypedDict):
    """How the nodes known lie in the keyspace. Nodes that somebody made in order to stand around a
    point lie closer together than chance would have it.
    """

    # How many times as dense the densest is; 0 if nothing is known.
    density_max: int
    # Accounts of this daemon whose holders were looked up since the start.
    mailboxes: int
    # Those of them around which nodes lie far denser than the estimate says.
    mailboxes_crowded: int
    # Those of them most of whose holders have addresses of one network (/24 or /48).
    mailboxes_one_prefix: int
    # How many nodes the network has, judged by those nearest to this one; null if too few are
    # known.
    nodes_estimate: int | None


class Links(TypedDict):
    """Links to other nodes."""

    # Those that others opened.
    accepted_total: int
    # Those that ended because the other end broke a rule.
    banned_total: int
    # Attempts at an address that failed.
    dials_failed_total: int
    # Those that this node opened.
    opened_total: int
    # Those that ended because the other end belongs to another network.
    strangers_total: int


class Lookups(TypedDict):
    """Searches for the nodes near a point."""

    # Those that ended with an answer of at least one node.
    answered_total: int
    # Milliseconds from the first request to the end.
    duration_ms: Histogram
    # How many nodes, one after the other, led to the nearest.
    hops: Histogram
    # Those that began.
    started_total: int
    # Those that found no place because too many waited.
    turned_away_total: int
    # Those that ended without: nobody was known, or nobody answered.
    unanswered_total: int


# One message.
Message = TypedDict(
    "Message",
    {
        # MIME type of the body.
        "content_type": "str",
        # Which way it went.
        "direction": "Direction",
        # Who wrote it.
        "from": "UserId",
        # An earlier message of its author is missing.
        "gap": "bool",
        # The id: the hash of its block.
        "id": "BlockId",
        # When it was written here.
        "received_at": "Timestamp",
        # The sender was not accepted when it came.
        "request": "bool",
        # When, by the sender's clock.
        "sent_at": "Timestamp",
        # Its place in this account's history; only grows.
        "seq": "int",
        # How far it has come.
        "state": "State",
        # The body, for text types.
        "text": "str",
        # To whom.
        "to": "UserId",
    },
)


class Messages(TypedDict):
    """Result of `message.inbox` and `message.history`."""

    # The messages, oldest first.
    messages: list[Message]
    # There are older ones: pass it as `before` to go on. Absent at the end.
    next: NotRequired[int | None]


# A network: SHA-256 of its name; nodes of two networks never talk (SPEC 3.5).
NetworkId: TypeAlias = "str"


# A node: 160 bits over network, TLS key and stamp (SPEC 3.4).
NodeId: TypeAlias = "str"


# What a subscription says of itself between events; it has no number and is never replayed.
Note: TypeAlias = (
    "NoteStreamCaughtUp"
    " | NoteStreamGap"
    " | NoteStreamLagged"
    " | NoteStreamHeartbeat"
    " | NoteStreamFailed"
)


class NoteStreamCaughtUp(TypedDict):
    """Everything up to `next` was sent; what follows is told as it happens."""

    data: Place
    type: Literal["stream.caught_up"]


class NoteStreamFailed(TypedDict):
    """The subscription has ended: the log cannot be read, the session is over or may no longer
    subscribe, or there was no room for the next event for long.
    """

    data: NoteStreamFailedData
    type: Literal["stream.failed"]


class NoteStreamFailedData(TypedDict):
    """A part of another type."""

    # Why, for programs.
    kind: ErrorKind
    # Why, for people.
    message: str


class NoteStreamGap(TypedDict):
    """Events that were asked for are not to be had."""

    data: Gap
    type: Literal["stream.gap"]


class NoteStreamHeartbeat(TypedDict):
    """Nothing has happened for a while."""

    data: Place
    type: Literal["stream.heartbeat"]


class NoteStreamLagged(TypedDict):
    """The reader was too slow and is served from the log again: nothing is lost."""

    data: Place
    type: Literal["stream.lagged"]


class OnItsWay(TypedDict):
    """A message on its way."""

    # The alias under which the recipient was addressed.
    alias: Alias | None
    # Why it waits.
    cause: Cause
    # Holders that have signed for it, for the device for which fewest have.
    holders: int
    # The message.
    id: BlockId
    # Milliseconds until the next try.
    next_try_ms: int
    # Since when.
    since: Timestamp
    # How far it has come.
    state: State
    # To whom.
    to: UserId
    # Tries since the last progress.
    tries: int


# What sets a key of the configuration.
Origin: TypeAlias = Literal["file", "flag", "environment", "default"]


# How a request of a lookup ended.
Outcome: TypeAlias = Literal["answered", "refused", "malformed", "silent", "unreachable"]


class Peer(TypedDict):
    """One neighbour."""

    # Where it is.
    address: str
    # Whether a link is up.
    linked: bool
    # The node.
    node_id: NodeId
    # The pod that it is.
    pod: Host | None
    # Round trip in milliseconds, as measured.
    rtt_ms: int | None


class Peers(TypedDict):
    """Result of `node.peers`."""

    # The neighbours.
    peers: list[Peer]


class Place(TypedDict):
    """How far a subscription is."""

    # The number of the last event.
    head: int
    # The number to ask on from: all up to it was sent or was not asked for.
    next: int


# A place in the keyspace.
Point: TypeAlias = "str"


class Profile(TypedDict):
    """A profile; result of both."""

    # The picture's bytes in base64; empty for none.
    avatar: str
    # How many holders took it (`profile.set`) or gave it (`profile.show`).
    holders: int
    # Whose it is.
    id: UserId
    # Further fields of front ends.
    more: dict[str, str]
    # The name.
    name: str
    # A newer profile has a higher number; it is the profile's `rev`.
    sequence: int


class Puts(TypedDict):
    """Records that were brought to their holders."""

    # How many holders took each.
    holders: Histogram
    # Those that too few took.
    short_total: int
    # Those where a holder said that it has a newer record.
    stale_total: int
    # Those that enough holders took.
    stored_total: int


class Refusals(TypedDict):
    """Requests of others that were refused."""

    # Why, in the word of the protocol.
    reason: str
    # How many.
    refused_total: int


class Repair(TypedDict):
    """What was handed on because holders changed."""

    # Envelopes that a holder did not take.
    envelopes_lost_total: int
    # Envelopes that a holder took, or had.
    envelopes_total: int
    # Records that did not reach a holder.
    records_lost_total: int
    # Records that a holder took, or had.
    records_total: int
    # Records that wait for their turn now.
    records_waiting: int


# What a caller may do; each role includes those before it.
Role: TypeAlias = Literal["observe", "read", "send", "admin"]


class RpcDiscoverResult(TypedDict):
    """A part of another type."""

    info: dict[str, Any]
    methods: list[dict[str, Any]]
    openrpc: str


class RpcMethodsResult(TypedDict):
    """A part of another type."""

    # Those on their way out: since when, and what to call instead.
    deprecated: dict[str, RpcMethodsResultDeprecated]
    methods: list[str]


class RpcMethodsResultDeprecated(TypedDict):
    """A part of another type."""

    instead: str
    since: str


# A secret: keep it out of logs, and forget it when it has been used.
SecretText: TypeAlias = "str"


class Session(TypedDict):
    """Result of `session.show` and `session.restrict`."""

    # The only accounts that there are for it; absent for all of the user's.
    accounts: NotRequired[list[UserId] | None]
    # The only methods that it may call; absent for all that the role allows.
    methods: NotRequired[list[str] | None]
    # Whether it gave up anything.
    narrowed: bool
    # What it may.
    role: Role
    # The Unix user who calls, as the kernel says.
    uid: int
    # When it ends.
    until: NotRequired[Timestamp | None]


class Setting(TypedDict):
    """A key of the configuration."""

    # Its name.
    key: str
    # What set it.
    origin: Origin
    # Where: `file:line`, the flag, or the variable.
    place: str | None
    # The value in effect, in the form that it has in the file; null if it is not set.
    value: Any
    # Whether another value is written down and waits for the next start.
    waits: bool


class Settings(TypedDict):
    """Result of `session.set`: what holds from now on."""

    # Whether methods that are on their way out are served.
    deprecated: bool


# How somebody stands to an account.
Standing: TypeAlias = Literal["request", "accepted", "blocked"]


# How far a message has come; it only moves forward (SPEC 6.11).
State: TypeAlias = Literal["queued", "stored", "delivered", "read", "expired"]


class Stats(TypedDict):
    """Result of `node.stats`: what was counted since the start. Counters end at the greatest number
    and never go back.
    """

    # Requests to other nodes, on behalf of lookups, puts, repair and upkeep.
    asks: Asks
    # How the nodes known lie in the keyspace.
    keyspace: Keyspace
    # Links to other nodes.
    links: Links
    # Searches for the nodes near a point.
    lookups: Lookups
    # Records that were brought to their holders.
    puts: Puts
    # Requests of others that were refused, by reason; reasons without any are left out.
    refusals: list[Refusals]
    # What was handed on because holders changed.
    repair: Repair
    # Milliseconds since the start.
    uptime_ms: int


class Status(TypedDict):
    """Result of `node.status`."""

    # How its clock stands.
    clock: Clock
    # By how many milliseconds it is behind or ahead, as far as it is known.
    clock_offset_ms: int
    # Accounts whose rows on disk cannot be read; they are kept as they are.
    damaged_accounts: int
    # Envelopes held.
    envelopes: int
    # Links that are up.
    links: int
    # Where it listens.
    listen: list[str]
    # The network.
    network: NetworkId
    # This node.
    node_id: NodeId
    # Addresses at which others see it.
    observed: list[str]
    # Messages on their way out.
    outbox: int
    # Nodes in the routing table.
    peers: int
    # The host name under which it is a pod.
    pod: Host | None
    # Records held.
    records: int
    # Bytes on disk.
    store_bytes: int
    # Milliseconds since the start.
    uptime_ms: int
    # The daemon's version.
    version: str


class Step(TypedDict):
    """One step on a message's way."""

    # When.
    at: Timestamp
    # What happened, with its evidence.
    step: str


class Subscribed(TypedDict):
    """Result of `event.subscribe`."""

    # The log: another store has another epoch, and its numbers begin anew.
    epoch: str
    # The log begins after this number.
    first: int
    # The number of the last event.
    head: int
    # The subscription, named so on this connection only.
    subscription: str


# Milliseconds since 1970-01-01 UTC.
Timestamp: TypeAlias = "int"


class Token(TypedDict):
    """A token without its secret."""

    # The only accounts.
    accounts: list[UserId] | None
    # Its id, which is no secret.
    id: str
    # When it was made.
    made_at: Timestamp
    # The only methods.
    methods: list[str] | None
    # What people call it; may be empty.
    name: str
    # The highest role of who presents it.
    role: Role | None
    # When it ends.
    until: Timestamp | None


class Tokens(TypedDict):
    """Result of `token.list`."""

    # The tokens.
    tokens: list[Token]


class Trace(TypedDict):
    """Result of `message.trace`."""

    # The message.
    id: BlockId
    # How far it has come.
    state: State
    # The steps in order.
    steps: list[Step]
    # Holders that signed for it, at most five a device.
    stored: int


# A user: the first 160 bits of SHA-512 over the account key's SPKI (SPEC 3.1).
UserId: TypeAlias = "str"


class Waits(TypedDict):
    """Result of `message.waiting`."""

    # The messages, in the order of their ids.
    messages: list[OnItsWay]
    # There are more: pass it as `after` to go on. Absent at the end.
    next: NotRequired[BlockId | None]


class AccountBadKey(RpcError):
    """The key cannot be used as an account.

    Number 1110. Hint: make one with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072`.
    """


class AccountExists(RpcError):
    """The account exists already.

    Number 1108. Hint: `bytctl account list` shows it.
    """


class AccountNone(RpcError):
    """The caller has no account yet.

    Number 1107. Hint: `bytctl account create` makes one.
    """


class AccountWhich(RpcError):
    """The caller has several accounts.

    Number 1109. Hint: name one with --account.
    """


class AddressBad(RpcError):
    """The address is malformed.

    Number 1105. Hint: write name@pod.example, or a user id of 32 characters.
    """


class AddressUnknown(RpcError):
    """The address names nobody.

    Number 1104. Hint: check the spelling of the alias or user id.
    """


class AliasTaken(RpcError):
    """The alias belongs to somebody else.

    Number 1111. Hint: choose another name.
    """


class Busy(RpcError):
    """Too much at once.

    Number 1005. Hint: wait a moment and try again.
    """


class Conflict(RpcError):
    """The same client id came with another body.

    Number 1008. Hint: use a new client id for a new call.
    """


class ContactBlocked(RpcError):
    """The recipient is blocked here.

    Number 1106. Hint: `bytctl contact accept` ends the block.
    """


class ContactKeyChanged(RpcError):
    """The key behind a name has changed.

    Number 1101. Hint: ask the person in another way whether the key is new, then `bytctl contact
    add`.
    """


class DaemonUnreachable(RpcError):
    """The daemon cannot be reached.

    Number 1601. Hint: start it with `systemctl start bytchatd`.
    """


class EventNoStream(RpcError):
    """This connection cannot carry notifications.

    Number 1801. Hint: subscribe over WebSocket or JSON lines, or poll `event.list` with `wait_ms`.
    """


class EventOtherEpoch(RpcError):
    """A position belongs to another log of events.

    Number 1802. Hint: read the log from its beginning: the daemon's store is another one than it
    was.
    """


class Internal(RpcError):
    """A fault of ours.

    Number -32603. Hint: look into the daemon's log and report it.
    """


class MessageTooLarge(RpcError):
    """The message is too long.

    Number 1203. Hint: split the message.
    """


class MethodDeprecated(RpcError):
    """The method is on its way out, and the caller wants none of those.

    Number 1014. Hint: call what stands for it now.
    """


class MethodUnknown(RpcError):
    """There is no such method.

    Number -32601. Hint: `bytctl rpc --list` shows all methods.
    """


class NetworkNoLinks(RpcError):
    """No node answers.

    Number 1401. Hint: check the network and the bootstrap addresses; `bytctl node status` shows
    them.
    """


class NotFound(RpcError):
    """There is no such thing, or it is not the caller's.

    Number 1007. Hint: check the id.
    """


class NotPermitted(RpcError):
    """The caller may not.

    Number 1001. Hint: `bytctl doctor` shows your role; who runs the daemon can give you another.
    """


class ParametersBad(RpcError):
    """A parameter is missing, unknown or of the wrong type.

    Number -32602. Hint: correct the parameter that is named.
    """


class PodUnreachable(RpcError):
    """The pod does not answer.

    Number 1201. Hint: check the host name and that the pod is up; one without DNS goes into
    [[pods]] of bytchatd.toml, and then `systemctl reload bytchatd`; a user id works without its
    pod.
    """


class Quota(RpcError):
    """A limit is reached.

    Number 1010. Hint: remove something first.
    """


class RequestMalformed(RpcError):
    """The line is no JSON-RPC.

    Number -32600. Hint: send one JSON-RPC 2.0 object per line.
    """


class RevConflict(RpcError):
    """What was to be changed is no longer as the caller saw it.

    Number 1009. Hint: read it again, then decide by its new `rev`.
    """


class ShuttingDown(RpcError):
    """The daemon is about to stop.

    Number 1004. Hint: try again when the daemon is up.
    """


class StoreFailed(RpcError):
    """The store has failed.

    Number 1502. Hint: the disk reports errors; look into the daemon's log, then restart it.
    """


class StoreFull(RpcError):
    """The disk is full.

    Number 1501. Hint: make room on the disk; nothing that was taken is lost.
    """


class Timeout(RpcError):
    """The state was not reached in time.

    Number 1006. Hint: the message stays queued; `bytctl message trace` shows why.
    """


class TokenBad(RpcError):
    """A token is unknown, over, or another user's.

    Number 1701. Hint: make a new one with `bytctl token create`.
    """


RpcError.kinds.update(
    {
        "account.bad_key": AccountBadKey,
        "account.exists": AccountExists,
        "account.none": AccountNone,
        "account.which": AccountWhich,
        "address.bad": AddressBad,
        "address.unknown": AddressUnknown,
        "alias.taken": AliasTaken,
        "busy": Busy,
        "conflict": Conflict,
        "contact.blocked": ContactBlocked,
        "contact.key_changed": ContactKeyChanged,
        "daemon.unreachable": DaemonUnreachable,
        "event.no_stream": EventNoStream,
        "event.other_epoch": EventOtherEpoch,
        "internal": Internal,
        "message.too_large": MessageTooLarge,
        "method.deprecated": MethodDeprecated,
        "method.unknown": MethodUnknown,
        "network.no_links": NetworkNoLinks,
        "not_found": NotFound,
        "not_permitted": NotPermitted,
        "parameters.bad": ParametersBad,
        "pod.unreachable": PodUnreachable,
        "quota": Quota,
        "request.malformed": RequestMalformed,
        "rev_conflict": RevConflict,
        "shutting_down": ShuttingDown,
        "store.failed": StoreFailed,
        "store.full": StoreFull,
        "timeout": Timeout,
        "token.bad": TokenBad,
    }
)


class Client:
    """Calls the daemon; connects when it has to, and anew after the daemon was lost.

    Each method raises an error of this module if the daemon answers with one, and
    `connection.Away` if it cannot be reached or was lost before it answered.
    """

    def __init__(self, connection: Connection | None = None) -> None:
        self.connection = connection or Connection()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def node_status(self) -> Status:
        """What this node is and how it stands.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, StoreFailed, TokenBad.
        """
        result: Status = self.connection.call("node.status")
        return result

    def node_peers(self) -> Peers:
        """The nodes that it has links to.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, StoreFailed, TokenBad.
        """
        result: Peers = self.connection.call("node.peers")
        return result

    def node_stats(self) -> Stats:
        """What it has counted since its start.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, StoreFailed, TokenBad.
        """
        result: Stats = self.connection.call("node.stats")
        return result

    def node_config(self) -> Config:
        """Shows the configuration in effect and where each value comes from.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, StoreFull, StoreFailed,
        TokenBad.
        """
        result: Config = self.connection.call("node.config")
        return result

    def dht_lookup(self, *, target: Point) -> Found:
        """Looks for the nodes that hold what lies at a point, and shows every hop.

        `target`: Around which point: a user id, a node id, or any other point in their form.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, StoreFull, StoreFailed,
        TokenBad.
        """
        params: dict[str, object] = {
            "target": target,
        }
        result: Found = self.connection.call("dht.lookup", params)
        return result

    def session_set(self, *, deprecated: bool | None = None) -> Settings:
        """Says how this connection is to be served.

        `deprecated`: Whether methods that are on their way out are served; at first they are.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "deprecated": deprecated,
        }
        result: Settings = self.connection.call("session.set", params)
        return result

    def session_show(self) -> Session:
        """Says who the caller is to the daemon, and what it may.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, StoreFailed, TokenBad.
        """
        result: Session = self.connection.call("session.show")
        return result

    def session_restrict(
        self,
        *,
        accounts: list[str] | None = None,
        methods: list[str] | None = None,
        role: Role | None = None,
        token: SecretText | None = None,
        until: Timestamp | None = None,
    ) -> Session:
        """Gives up rights for the rest of the connection, or of an HTTP request.

        `accounts`: Only these accounts: name, alias or user id.

        `methods`: Only these methods, such as `message.send` or `message.*`.

        `role`: At most this role.

        `token`: As this token says; it comes alone.

        `until`: Only until then.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, Quota,
        AccountNone, AccountWhich, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "accounts": accounts,
            "methods": methods,
            "role": role,
            "token": token,
            "until": until,
        }
        result: Session = self.connection.call("session.restrict", params)
        return result

    def token_create(
        self,
        *,
        accounts: list[str] | None = None,
        methods: list[str] | None = None,
        name: str | None = None,
        role: Role | None = None,
        until: Timestamp | None = None,
    ) -> Created:
        """Makes a token, by which a front end gets less than the user may.

        `accounts`: Only these accounts: name, alias or user id.

        `methods`: Only these methods, such as `message.send` or `message.*`.

        `name`: What people call it.

        `role`: At most this role.

        `until`: Only until then.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, Quota,
        AccountNone, AccountWhich, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "accounts": accounts,
            "methods": methods,
            "name": name,
            "role": role,
            "until": until,
        }
        result: Created = self.connection.call("token.create", params)
        return result

    def token_list(self) -> Tokens:
        """Lists the caller's tokens, without their secrets.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, StoreFull, StoreFailed,
        TokenBad.
        """
        result: Tokens = self.connection.call("token.list")
        return result

    def token_delete(self, *, id: str) -> Done:
        """Removes a token, and ends what goes on by it.

        `id`: The token's id, as `token.list` shows it.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, StoreFull,
        StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "id": id,
        }
        result: Done = self.connection.call("token.delete", params)
        return result

    def account_create(
        self,
        *,
        client_id: str | None = None,
        dry_run: bool | None = None,
        name: str | None = None,
    ) -> ChangedAccount:
        """Makes an account.

        `client_id`: Repeating the call with the same id gives the first answer again.

        `dry_run`: Only says what would happen.

        `name`: A local name for the account.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, Conflict, Quota,
        AccountExists, AccountBadKey, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "client_id": client_id,
            "dry_run": dry_run,
            "name": name,
        }
        result: ChangedAccount = self.connection.call("account.create", params)
        return result

    def account_import(
        self,
        *,
        pem: SecretText,
        client_id: str | None = None,
        dry_run: bool | None = None,
        name: str | None = None,
    ) -> ChangedAccount:
        """Takes an account's key from elsewhere.

        `pem`: The private key in PEM: PKCS#8 or PKCS#1.

        `client_id`: Repeating the call with the same id gives the first answer again.

        `dry_run`: Only says what would happen.

        `name`: A local name for the account.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, Conflict, Quota,
        AccountExists, AccountBadKey, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "pem": pem,
            "client_id": client_id,
            "dry_run": dry_run,
            "name": name,
        }
        result: ChangedAccount = self.connection.call("account.import", params)
        return result

    def account_export(self, *, account: str | None = None, public: bool | None = None) -> Exported:
        """Gives an account's key out.

        `account`: Which account: name, alias or user id; the only one if absent.

        `public`: Only the public key.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, Quota,
        AccountNone, AccountWhich, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "account": account,
            "public": public,
        }
        result: Exported = self.connection.call("account.export", params)
        return result

    def account_list(self, *, after: UserId | None = None, limit: int | None = None) -> Accounts:
        """Lists the caller's accounts.

        `after`: Only those after this one: the `next` of the page before.

        `limit`: At most so many; all if absent.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, StoreFull, StoreFailed,
        TokenBad.
        """
        params: dict[str, object] = {
            "after": after,
            "limit": limit,
        }
        result: Accounts = self.connection.call("account.list", params)
        return result

    def profile_set(
        self,
        *,
        name: str,
        account: str | None = None,
        avatar: str | None = None,
        client_id: str | None = None,
        dry_run: bool | None = None,
        expect_rev: int | None = None,
    ) -> ChangedProfile:
        """Sets name and picture of an account.

        `name`: The name that others see.

        `account`: Which account; the only one if absent.

        `avatar`: The picture's bytes in base64; absent for none.

        `client_id`: Repeating the call with the same id gives the first answer again.

        `dry_run`: Only says what would happen.

        `expect_rev`: Only if the profile still has this `sequence`; 0 stands for none.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, Conflict,
        RevConflict, Quota, AccountNone, AccountWhich, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "name": name,
            "account": account,
            "avatar": avatar,
            "client_id": client_id,
            "dry_run": dry_run,
            "expect_rev": expect_rev,
        }
        result: ChangedProfile = self.connection.call("profile.set", params)
        return result

    def profile_show(self, *, who: str) -> Profile:
        """Reads somebody's name and picture.

        `who`: Whose: alias or user id.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound,
        ContactKeyChanged, AddressUnknown, AddressBad, PodUnreachable, StoreFull, StoreFailed,
        TokenBad.
        """
        params: dict[str, object] = {
            "who": who,
        }
        result: Profile = self.connection.call("profile.show", params)
        return result

    def alias_register(
        self,
        *,
        alias: str,
        account: str | None = None,
        client_id: str | None = None,
        dry_run: bool | None = None,
    ) -> ChangedBinding:
        """Registers an alias at its pod.

        `alias`: The alias, `name@pod.example`.

        `account`: Which account; the only one if absent.

        `client_id`: Repeating the call with the same id gives the first answer again.

        `dry_run`: Only says what would happen.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, Conflict, Quota,
        AccountNone, AccountWhich, ContactKeyChanged, AddressUnknown, AddressBad, AliasTaken,
        PodUnreachable, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "alias": alias,
            "account": account,
            "client_id": client_id,
            "dry_run": dry_run,
        }
        result: ChangedBinding = self.connection.call("alias.register", params)
        return result

    def alias_resolve(self, *, alias: str) -> Binding:
        """Asks whose an alias is.

        `alias`: The alias.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, ContactKeyChanged,
        AddressUnknown, AddressBad, PodUnreachable, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "alias": alias,
        }
        result: Binding = self.connection.call("alias.resolve", params)
        return result

    def alias_list(
        self,
        *,
        account: str | None = None,
        after: Alias | None = None,
        limit: int | None = None,
    ) -> Bindings:
        """Lists the aliases of the caller's accounts.

        `account`: Which account; all if absent.

        `after`: Only those after this one: the `next` of the page before.

        `limit`: At most so many; all if absent.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, AccountNone,
        AccountWhich, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "account": account,
            "after": after,
            "limit": limit,
        }
        result: Bindings = self.connection.call("alias.list", params)
        return result

    def message_send(
        self,
        *,
        text: str,
        to: str,
        account: str | None = None,
        client_id: str | None = None,
        dry_run: bool | None = None,
    ) -> ChangedSent:
        """Sends a message; answers when it is on disk.

        `text`: The text.

        `to`: To whom: alias or user id.

        `account`: Which account; the only one if absent.

        `client_id`: Repeating the call with the same id gives the first answer again.

        `dry_run`: Only says what would happen.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, Conflict, Quota,
        AccountNone, AccountWhich, ContactKeyChanged, AddressUnknown, AddressBad, ContactBlocked,
        PodUnreachable, MessageTooLarge, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "text": text,
            "to": to,
            "account": account,
            "client_id": client_id,
            "dry_run": dry_run,
        }
        result: ChangedSent = self.connection.call("message.send", params)
        return result

    def message_show(self, *, id: BlockId) -> Message:
        """Reads one message.

        `id`: The message.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, StoreFull,
        StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "id": id,
        }
        result: Message = self.connection.call("message.show", params)
        return result

    def message_trace(self, *, id: BlockId) -> Trace:
        """Lists the steps of a message with their evidence.

        `id`: The message.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, StoreFull,
        StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "id": id,
        }
        result: Trace = self.connection.call("message.trace", params)
        return result

    def message_waiting(
        self,
        *,
        account: str | None = None,
        after: BlockId | None = None,
        limit: int | None = None,
    ) -> Waits:
        """Lists the messages of an account that wait for something, and why.

        `account`: Which account; the only one if absent.

        `after`: Only messages after this one: the `next` of the page before.

        `limit`: At most so many.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, AccountNone,
        AccountWhich, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "account": account,
            "after": after,
            "limit": limit,
        }
        result: Waits = self.connection.call("message.waiting", params)
        return result

    def message_wait(self, *, id: BlockId, state: State, timeout_ms: int | None = None) -> Message:
        """Waits until a message reaches a state.

        `id`: The message.

        `state`: The state that is waited for, or a later one.

        `timeout_ms`: For so long.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, Timeout, NotFound,
        StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "id": id,
            "state": state,
            "timeout_ms": timeout_ms,
        }
        result: Message = self.connection.call("message.wait", params)
        return result

    def message_inbox(
        self,
        *,
        account: str | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> Messages:
        """Lists what others wrote, newest last.

        `account`: Which account; the only one if absent.

        `before`: Only messages before this `seq`: the `next` of the page before.

        `limit`: At most so many, the newest.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, AccountNone,
        AccountWhich, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "account": account,
            "before": before,
            "limit": limit,
        }
        result: Messages = self.connection.call("message.inbox", params)
        return result

    def message_history(
        self,
        *,
        who: str,
        account: str | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> Messages:
        """Lists the conversation with somebody, newest last.

        `who`: With whom: alias or user id.

        `account`: Which account; the only one if absent.

        `before`: Only messages before this `seq`: the `next` of the page before.

        `limit`: At most so many, the newest.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, AccountNone,
        AccountWhich, ContactKeyChanged, AddressUnknown, AddressBad, PodUnreachable, StoreFull,
        StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "who": who,
            "account": account,
            "before": before,
            "limit": limit,
        }
        result: Messages = self.connection.call("message.history", params)
        return result

    def message_read(
        self,
        *,
        ids: list[BlockId],
        client_id: str | None = None,
        dry_run: bool | None = None,
    ) -> ChangedDone:
        """Marks messages as read and says so to their senders.

        `ids`: The messages.

        `client_id`: Repeating the call with the same id gives the first answer again.

        `dry_run`: Only says what would happen.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, Conflict, Quota,
        StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "ids": ids,
            "client_id": client_id,
            "dry_run": dry_run,
        }
        result: ChangedDone = self.connection.call("message.read", params)
        return result

    def contact_list(
        self,
        *,
        account: str | None = None,
        after: UserId | None = None,
        limit: int | None = None,
    ) -> Contacts:
        """Lists the address book.

        `account`: Which account; the only one if absent.

        `after`: Only those after this one: the `next` of the page before.

        `limit`: At most so many; all if absent.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, AccountNone,
        AccountWhich, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "account": account,
            "after": after,
            "limit": limit,
        }
        result: Contacts = self.connection.call("contact.list", params)
        return result

    def contact_add(
        self,
        *,
        who: str,
        account: str | None = None,
        client_id: str | None = None,
        dry_run: bool | None = None,
        expect_rev: int | None = None,
    ) -> ChangedContact:
        """Puts somebody into the address book.

        `who`: Whom: alias or user id.

        `account`: Which account; the only one if absent.

        `client_id`: Repeating the call with the same id gives the first answer again.

        `dry_run`: Only says what would happen.

        `expect_rev`: Only if the entry still has this `rev`; 0 stands for none.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, Conflict,
        RevConflict, Quota, AccountNone, AccountWhich, ContactKeyChanged, AddressUnknown,
        AddressBad, PodUnreachable, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "who": who,
            "account": account,
            "client_id": client_id,
            "dry_run": dry_run,
            "expect_rev": expect_rev,
        }
        result: ChangedContact = self.connection.call("contact.add", params)
        return result

    def contact_accept(
        self,
        *,
        who: str,
        account: str | None = None,
        client_id: str | None = None,
        dry_run: bool | None = None,
        expect_rev: int | None = None,
    ) -> ChangedContact:
        """Accepts somebody who wrote first.

        `who`: Whom: alias or user id.

        `account`: Which account; the only one if absent.

        `client_id`: Repeating the call with the same id gives the first answer again.

        `dry_run`: Only says what would happen.

        `expect_rev`: Only if the entry still has this `rev`; 0 stands for none.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, Conflict,
        RevConflict, Quota, AccountNone, AccountWhich, ContactKeyChanged, AddressUnknown,
        AddressBad, PodUnreachable, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "who": who,
            "account": account,
            "client_id": client_id,
            "dry_run": dry_run,
            "expect_rev": expect_rev,
        }
        result: ChangedContact = self.connection.call("contact.accept", params)
        return result

    def contact_block(
        self,
        *,
        who: str,
        account: str | None = None,
        client_id: str | None = None,
        dry_run: bool | None = None,
        expect_rev: int | None = None,
    ) -> ChangedContact:
        """Refuses to hear from somebody, silently.

        `who`: Whom: alias or user id.

        `account`: Which account; the only one if absent.

        `client_id`: Repeating the call with the same id gives the first answer again.

        `dry_run`: Only says what would happen.

        `expect_rev`: Only if the entry still has this `rev`; 0 stands for none.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, Conflict,
        RevConflict, Quota, AccountNone, AccountWhich, ContactKeyChanged, AddressUnknown,
        AddressBad, PodUnreachable, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "who": who,
            "account": account,
            "client_id": client_id,
            "dry_run": dry_run,
            "expect_rev": expect_rev,
        }
        result: ChangedContact = self.connection.call("contact.block", params)
        return result

    def event_list(
        self,
        *,
        cursor: str | None = None,
        epoch: str | None = None,
        limit: int | None = None,
        since: int | None = None,
        types: list[str] | None = None,
        wait_ms: int | None = None,
    ) -> Events:
        """Reads the durable log of events, waiting for new ones if asked to.

        `cursor`: Start at this named position; `since` counts only while there is none of that
        name.

        `epoch`: The log that `since` belongs to; in another one reading starts at the beginning.

        `limit`: At most so many.

        `since`: Only events with a higher number; absent starts at the end of the log.

        `types`: Only these types, such as `message.received` or `message.*`; absent gives all.

        `wait_ms`: Wait so long if there is none yet.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, StoreFull,
        StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "cursor": cursor,
            "epoch": epoch,
            "limit": limit,
            "since": since,
            "types": types,
            "wait_ms": wait_ms,
        }
        result: Events = self.connection.call("event.list", params)
        return result

    def event_subscribe(
        self,
        *,
        cursor: str | None = None,
        epoch: str | None = None,
        since: int | None = None,
        types: list[str] | None = None,
    ) -> Subscribed:
        """Follows the log of events: notifications on this connection, from a position on.

        `cursor`: Start at this named position; `since` counts only while there is none of that
        name.

        `epoch`: The log that `since` belongs to; in another one reading starts at the beginning.

        `since`: First all events with a higher number; absent starts with the next event.

        `types`: Only these types, such as `message.received` or `message.*`; absent gives all.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, Quota,
        StoreFull, StoreFailed, EventNoStream, TokenBad.
        """
        params: dict[str, object] = {
            "cursor": cursor,
            "epoch": epoch,
            "since": since,
            "types": types,
        }
        result: Subscribed = self.connection.call("event.subscribe", params)
        return result

    def event_unsubscribe(self, *, subscription: str) -> Done:
        """Ends a subscription of this connection.

        `subscription`: The subscription.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, StoreFull,
        StoreFailed, EventNoStream, TokenBad.
        """
        params: dict[str, object] = {
            "subscription": subscription,
        }
        result: Done = self.connection.call("event.unsubscribe", params)
        return result

    def cursor_set(
        self,
        *,
        name: str,
        seq: int,
        client_id: str | None = None,
        dry_run: bool | None = None,
        epoch: str | None = None,
        expect_rev: int | None = None,
    ) -> ChangedCursor:
        """Sets a named position in the log of events.

        `name`: The name: up to 64 letters, digits and `.`, `_`, `-`, `:`.

        `seq`: All events up to this number are done with.

        `client_id`: Repeating the call with the same id gives the first answer again.

        `dry_run`: Only says what would happen.

        `epoch`: The log that the number belongs to; another one is an error.

        `expect_rev`: Only if the position is still at this number; 0 stands for none.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, Conflict, RevConflict,
        Quota, StoreFull, StoreFailed, EventOtherEpoch, TokenBad.
        """
        params: dict[str, object] = {
            "name": name,
            "seq": seq,
            "client_id": client_id,
            "dry_run": dry_run,
            "epoch": epoch,
            "expect_rev": expect_rev,
        }
        result: ChangedCursor = self.connection.call("cursor.set", params)
        return result

    # Deprecated: it will go.
    def cursor_get(self, *, name: str) -> Cursor:
        """Reads a named position.

        `name`: The name.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound,
        MethodDeprecated, StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "name": name,
        }
        result: Cursor = self.connection.call("cursor.get", params)
        return result

    def cursor_list(
        self,
        *,
        after: str | None = None,
        limit: int | None = None,
        name: str | None = None,
    ) -> Cursors:
        """Lists the named positions.

        `after`: Only those after this one: the `next` of the page before.

        `limit`: At most so many; all if absent.

        `name`: Only the one of this name.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, StoreFull, StoreFailed,
        TokenBad.
        """
        params: dict[str, object] = {
            "after": after,
            "limit": limit,
            "name": name,
        }
        result: Cursors = self.connection.call("cursor.list", params)
        return result

    def cursor_delete(
        self,
        *,
        name: str,
        client_id: str | None = None,
        dry_run: bool | None = None,
    ) -> ChangedDone:
        """Removes a named position.

        `name`: The name.

        `client_id`: Repeating the call with the same id gives the first answer again.

        `dry_run`: Only says what would happen.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, NotFound, Conflict, Quota,
        StoreFull, StoreFailed, TokenBad.
        """
        params: dict[str, object] = {
            "name": name,
            "client_id": client_id,
            "dry_run": dry_run,
        }
        result: ChangedDone = self.connection.call("cursor.delete", params)
        return result

    def rpc_methods(self) -> RpcMethodsResult:
        """Lists the names of the methods.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, StoreFailed, TokenBad.
        """
        result: RpcMethodsResult = self.connection.call("rpc.methods")
        return result

    def rpc_discover(self) -> RpcDiscoverResult:
        """Gives the OpenRPC document: every method with its parameters, result and errors.

        Raises ParametersBad, Internal, NotPermitted, ShuttingDown, Busy, StoreFailed, TokenBad.
        """
        result: RpcDiscoverResult = self.connection.call("rpc.discover")
        return result

    def events(
        self,
        *,
        cursor: str | None = None,
        epoch: str | None = None,
        since: int | None = None,
        types: list[str] | None = None,
    ) -> Iterator[Event | Note]:
        """What a subscription tells: an event, or a note of the subscription itself. Without end:
        an event has a `seq`, a note has none.

        Of this connection alone: when it breaks, `connection.Away` is raised, and who has kept
        `seq` and `epoch` goes on from there.
        """
        self.event_subscribe(cursor=cursor, epoch=epoch, since=since, types=types)
        while True:
            told: Any = self.connection.told(SILENCE_SECONDS)
            yield told
