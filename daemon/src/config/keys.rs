//! Every key of the configuration file, told once: the parser, its errors, the example and the
//! manual page read this table.

/// A table of the file and the keys that it may have.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name; empty for the keys that stand before all tables.
    pub(super) name: &'static str,
    /// The line that opens it, as TOML.
    pub(super) opens: &'static str,
    /// What would do, to end the sentence "`pod` is …".
    pub(super) expected: &'static str,
    /// What it is for.
    pub(super) doc: &'static str,
    /// Its keys, in the order in which people read them.
    pub(super) keys: &'static [Key],
}

/// A key and all that there is to say of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// What would do, to end the sentence "`listen` is …".
    pub(super) expected: &'static str,
    /// What holds without it.
    pub(super) default: &'static str,
    /// A value that would do, as TOML.
    pub(super) example: &'static str,
    /// What it is for.
    pub(super) doc: &'static str,
}

const ADDRESS: &str = "an address with a port such as \"192.0.2.1:4848\"";
const ADDRESSES: &str = "a list of addresses with ports such as [\"192.0.2.1:4848\"]";
const HOST: &str = "a DNS name such as \"pod.example\"";
const PATH: &str = "an absolute path such as \"/var/lib/bytchat\"";

pub(super) const LISTEN: Key = Key {
    name: "listen",
    expected: ADDRESSES,
    default: "port 4848 of all addresses; if it is taken any free port, but for a pod",
    example: "[\"[::]:4848\", \"0.0.0.0:4848\"]",
    doc: "The UDP addresses on which other nodes reach this one. A firewall must let them in for \
          at least one side of every link.",
};

pub(super) const BOOTSTRAP: Key = Key {
    name: "bootstrap",
    expected: ADDRESSES,
    default: "none; the nodes that were known before are asked",
    example: "[\"192.0.2.7:4848\"]",
    doc: "Nodes to ask when no neighbour is known, as at the first start. One that answers is \
          enough.",
};

pub(super) const NETWORK: Key = Key {
    name: "network",
    expected: "a name",
    default: "the public network, which has the empty name",
    example: "\"our house\"",
    doc: "The private network to join. Nodes of networks with different names do not talk to \
          each other. The name is no secret and no protection.",
};

pub(super) const NETWORK_KEY: Key = Key {
    name: "network_key",
    expected: "an absolute path such as \"/etc/bytchat/network.key\"",
    default: "the credential bytchatd.network, if systemd passes one; else there is no key",
    example: "\"/etc/bytchat/network.key\"",
    doc: "The file with the key of the private network: 32 random bytes, or 64 hex or 44 base64 \
          characters, mode 600, as `openssl rand -hex 32` makes them. All nodes of the network \
          have the same one, and who lacks it is refused before anything is said. Whoever has it \
          is in: a new key is a new network.",
};

pub(super) const WORK: Key = Key {
    name: "work",
    expected: "a number of bits from 0 to 24",
    default: "14 in the public network, 0 in a network with a name",
    example: "14",
    doc: "How much work a node id of this network costs: each bit doubles it, 14 are some seconds \
          of one core, once, at the first start. It makes it dear to have many nodes, or nodes at \
          chosen places. All nodes of a network must say the same: with another number it is \
          another network.",
};

pub(super) const DATA_DIR: Key = Key {
    name: "data_dir",
    expected: PATH,
    default: "the unit's state directory, /var/lib/bytchat; for a user ~/.local/share/bytchat",
    example: "\"/var/lib/bytchat\"",
    doc: "Where keys and messages are kept. The keys of accounts are people's identities: make \
          backups of this folder, and keep it out of other people's reach. The sandbox of the \
          system's unit lets the daemon write to its state directory only.",
};

pub(super) const SOCKET: Key = Key {
    name: "socket",
    expected: PATH,
    default: "bytchatd.sock in /run/bytchat; for a user in $XDG_RUNTIME_DIR/bytchat",
    example: "\"/run/bytchat/bytchatd.sock\"",
    doc: "The Unix socket on which front ends call. One that systemd hands over comes before it.",
};

pub(super) const DNS: Key = Key {
    name: "dns",
    expected: ADDRESSES,
    default: "those of the system, from /etc/resolv.conf",
    example: "[\"192.0.2.53:53\"]",
    doc: "DNS servers to ask for the hosts of pods.",
};

pub(super) const LOG: Key = Key {
    name: "log",
    expected: "a filter such as \"info\" or \"info,bytchatd::net=debug\"",
    default: "info",
    example: "\"info,bytchatd::net=debug\"",
    doc: "What is logged: a level, and others for parts of the daemon. BYTCHAT_LOG in the \
          environment comes before it.",
};

pub(super) const POD_HOST: Key = Key {
    name: "host",
    expected: HOST,
    default: "none, it is needed in this table",
    example: "\"pod.example\"",
    doc: "The DNS name that leads to this machine: it stands behind the @ of the aliases.",
};

pub(super) const PODS_HOST: Key = Key {
    name: "host",
    expected: HOST,
    default: "none, it is needed in this table",
    example: "\"pod.example\"",
    doc: "The host name that stands in the aliases of the pod.",
};

pub(super) const PODS_ADDRESS: Key = Key {
    name: "address",
    expected: ADDRESS,
    default: "none, it is needed in this table",
    example: "\"192.0.2.7:4848\"",
    doc: "The UDP address of the pod.",
};

pub(super) const PODS_NODE: Key = Key {
    name: "node_id",
    expected: "a node id of 32 characters, as `bytctl node status` shows it",
    default: "none; the node that answers first is believed",
    example: "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
    doc: "The node id of the pod; with it no other node can pass for the pod.",
};

pub(super) const ALLOW: Key = Key {
    name: "allow",
    expected: "a list of at most 64 such as [{ group = \"bytchat\", role = \"send\" }], each with \
               `user` or `group`, and with `role`: \"observe\", \"read\", \"send\" or \"admin\"",
    default: "root and the group bytchat-admin are admin, bytchat may send, bytchat-read may read",
    example: "[{ group = \"bytchat\", role = \"send\" }, { user = \"ann\", role = \"admin\" }]",
    doc: "Who may use the socket, and for what. Each role includes those before it: observe sees \
          how the node stands, read reads its own accounts, send writes in their names, admin \
          sees the configuration and the metrics. Nobody sees accounts of other Unix users. The \
          highest role that matches counts; users and groups have names or numbers. Root and the \
          daemon's own user are always admin. The socket's permissions come first, which are \
          those of its unit. A reload is for who connects afterwards.",
};

pub(super) const EVENTS_DAYS: Key = Key {
    name: "days",
    expected: "a number of days from 1 to 3650",
    default: "90",
    example: "365",
    doc: "Events that are older leave the log.",
};

pub(super) const EVENTS_COUNT: Key = Key {
    name: "count",
    expected: "a number from 1000 to 10000000",
    default: "100000",
    example: "1000000",
    doc: "When there are more, the oldest leave the log.",
};

pub(super) const EVENTS_MIB: Key = Key {
    name: "mib",
    expected: "a number of MiB from 1 to 65536",
    default: "128",
    example: "1024",
    doc: "When they take more room, the oldest leave the log.",
};

pub(super) const ROOT: Table = Table {
    name: "",
    opens: "",
    expected: "a TOML file",
    doc: "",
    keys: &[LISTEN, BOOTSTRAP, NETWORK, NETWORK_KEY, WORK, DATA_DIR, SOCKET, DNS, LOG],
};

pub(super) const API: Table = Table {
    name: "api",
    opens: "[api]",
    expected: "a table [api] with the key `allow`",
    doc: "What front ends may do.",
    keys: &[ALLOW],
};

/// An entry of `allow`; it stands in no section of its own.
pub(super) const ALLOW_ENTRY: Table = Table {
    name: "api.allow",
    opens: "",
    expected: ALLOW.expected,
    doc: "",
    keys: &[USER, GROUP, ROLE],
};

pub(super) const USER: Key = entry("user", "the name or number of a Unix user");
pub(super) const GROUP: Key = entry("group", "the name or number of a group");
pub(super) const ROLE: Key = entry("role", "\"observe\", \"read\", \"send\" or \"admin\"");

const fn entry(name: &'static str, expected: &'static str) -> Key {
    Key { name, expected, default: "", example: "", doc: "" }
}

pub(super) const POD: Table = Table {
    name: "pod",
    opens: "[pod]",
    expected: "a table [pod] with the key `host`",
    doc: "Be a pod: a node that gives aliases, such as alice@pod.example, to whoever asks first.",
    keys: &[POD_HOST],
};

pub(super) const PODS: Table = Table {
    name: "pods",
    opens: "[[pods]]",
    expected: "tables [[pods]] with the keys `host`, `address` and perhaps `node_id`",
    doc: "A pod whose place is written down here, so that no DNS is asked for it. The table may \
          be given several times.",
    keys: &[PODS_HOST, PODS_ADDRESS, PODS_NODE],
};

pub(super) const EVENTS: Table = Table {
    name: "events",
    opens: "[events]",
    expected: "a table [events] with some of the keys `days`, `count` and `mib`",
    doc: "How much of the log of events is kept for each Unix user. A front end that was away for \
          longer reads its messages anew; what a named cursor has not passed yet is kept up to \
          twice as much. Messages themselves are kept in any case.",
    keys: &[EVENTS_DAYS, EVENTS_COUNT, EVENTS_MIB],
};

/// The tables in the order in which they stand in a file; the keys before all tables come first.
pub(super) const TABLES: &[Table] = &[ROOT, API, POD, PODS, EVENTS];

impl Table {
    /// The names that have a meaning in it: its keys and, before all tables, the tables.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let keys = self.keys.iter().map(|key| key.name);
        let root = self.name.is_empty();
        let tables = TABLES.iter().filter(|table| root && !table.name.is_empty());
        keys.chain(tables.map(|table| table.name)).collect()
    }
}
