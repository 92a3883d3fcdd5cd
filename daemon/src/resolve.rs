//! Finds pods by their host names: first what is written down, then DNS.
//!
//! In DNS a pod is an SRV record `_bytchat._udp.<host>` and perhaps a TXT record of the same name
//! with `node=<node id>`. Without SRV the host's own addresses count, at the usual port.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytchat_core::io::PodAddress;
use bytchat_proto::alias::Host;
use bytchat_proto::id::NodeId;
use bytchat_proto::limits::{ADDRESSES_PER_HOST_MAX, PORT_DEFAULT, RESOLVE_TIMEOUT_MS};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::rdata::{SRV, TXT};
use hickory_resolver::proto::rr::{Name, RData};
use tokio::time::timeout;

/// Why nobody knows where a pod is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// There is no such name.
    #[error("DNS knows no {0}")]
    Unknown(Host),
    /// The name says that it is no pod.
    #[error("{0} says in DNS that it is no pod")]
    NoPod(Host),
    /// Nobody answered in time.
    #[error("DNS did not answer for {0} within {1} ms")]
    Timeout(Host, u64),
    /// DNS did not work.
    #[error("DNS does not work for {host}: {reason}")]
    Failed {
        /// The name that was asked for.
        host: Host,
        /// What the resolver said.
        reason: String,
    },
}

/// Finds pods; clones share what is written down.
#[derive(Clone, Debug)]
pub struct Resolver {
    known: Arc<BTreeMap<Host, Vec<PodAddress>>>,
    servers: Arc<[SocketAddr]>,
}

impl Resolver {
    /// A resolver that knows some pods and asks these servers, or the system's if there are none.
    pub fn new(known: BTreeMap<Host, Vec<PodAddress>>, servers: &[SocketAddr]) -> Self {
        Self { known: Arc::new(known), servers: servers.into() }
    }

    /// Finds the addresses of a pod, the preferred ones first.
    pub async fn resolve(&self, host: &Host) -> Result<Vec<PodAddress>, ResolveError> {
        if let Some(known) = self.known.get(host) {
            return Ok(known.clone());
        }
        if let Ok(ip) = host.as_str().parse::<IpAddr>() {
            let address = SocketAddr::new(ip, PORT_DEFAULT);
            return Ok(vec![PodAddress { address, node: None, trusted: false }]);
        }
        let limit = Duration::from_millis(RESOLVE_TIMEOUT_MS);
        timeout(limit, self.ask(host))
            .await
            .unwrap_or_else(|_| Err(ResolveError::Timeout(host.clone(), RESOLVE_TIMEOUT_MS)))
    }

    async fn ask(&self, host: &Host) -> Result<Vec<PodAddress>, ResolveError> {
        let failed = |error| failure(host, &error);
        let dns = self.client().map_err(failed)?;
        let service = name(&format!("_bytchat._udp.{host}.")).map_err(failed)?;
        let (services, texts) =
            tokio::join!(dns.srv_lookup(service.clone()), dns.txt_lookup(service.clone()));
        let texts = if_any(texts).map_err(failed)?;
        let node = texts.as_ref().and_then(node_of);
        let places = match if_any(services).map_err(failed)? {
            Some(services) => places(&services),
            None => vec![(name(&format!("{host}.")).map_err(failed)?, PORT_DEFAULT)],
        };
        if places.is_empty() {
            return Err(ResolveError::NoPod(host.clone()));
        }
        let mut found = Vec::new();
        let mut problem = ResolveError::Unknown(host.clone());
        for (target, port) in places {
            match dns.lookup_ip(target).await {
                Ok(ips) => found.extend(ips.iter().map(|ip| {
                    let address = SocketAddr::new(ip, port);
                    PodAddress { address, node, trusted: false }
                })),
                Err(error) => problem = failed(error),
            }
        }
        found.truncate(ADDRESSES_PER_HOST_MAX);
        if found.is_empty() {
            return Err(problem);
        }
        Ok(found)
    }

    // Made anew for each question: the system's servers change as a laptop moves.
    fn client(&self) -> Result<TokioResolver, NetError> {
        if self.servers.is_empty() {
            return TokioResolver::builder_tokio()?.build();
        }
        let servers = self.servers.iter().map(|server| {
            let mut ways = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for way in &mut ways {
                way.port = server.port();
            }
            NameServerConfig::new(server.ip(), true, ways)
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build()
    }
}

fn failure(host: &Host, error: &NetError) -> ResolveError {
    let host = host.clone();
    if matches!(error, NetError::Timeout) {
        return ResolveError::Timeout(host, RESOLVE_TIMEOUT_MS);
    }
    if error.is_no_records_found() {
        return ResolveError::Unknown(host);
    }
    let reason = error.to_string();
    ResolveError::Failed { host, reason }
}

fn name(text: &str) -> Result<Name, NetError> {
    Name::from_ascii(text).map_err(NetError::from)
}

fn if_any(answer: Result<Lookup, NetError>) -> Result<Option<Lookup>, NetError> {
    match answer {
        Ok(lookup) => Ok(Some(lookup)),
        Err(error) if error.is_no_records_found() => Ok(None),
        Err(error) => Err(error),
    }
}

// RFC 2782: the lowest priority first; the target "." says that there is no such service.
fn places(services: &Lookup) -> Vec<(Name, u16)> {
    let mut services: Vec<&SRV> = services.answers().iter().filter_map(srv).collect();
    services.retain(|service| !service.target.is_root());
    services.sort_by_key(|service| (service.priority, u16::MAX - service.weight));
    services.truncate(ADDRESSES_PER_HOST_MAX);
    let place = |service: &SRV| (service.target.clone(), service.port);
    services.into_iter().map(place).collect()
}

// Several node ids would leave open which address is whose.
fn node_of(texts: &Lookup) -> Option<NodeId> {
    let mut nodes = texts.answers().iter().filter_map(txt).flat_map(|text| {
        let lines = text.txt_data.iter();
        lines.filter_map(|line| std::str::from_utf8(line).ok()?.strip_prefix("node="))
    });
    let node = nodes.next()?;
    match (node.parse(), nodes.next()) {
        (Ok(node), None) => Some(node),
        (Ok(_) | Err(_), _) => {
            tracing::debug!("TXT record of a pod names no one node id");
            None
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "DNS has dozens of record types")]
fn srv(record: &hickory_resolver::proto::rr::Record) -> Option<&SRV> {
    match &record.data {
        RData::SRV(service) => Some(service),
        _ => None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "DNS has dozens of record types")]
fn txt(record: &hickory_resolver::proto::rr::Record) -> Option<&TXT> {
    match &record.data {
        RData::TXT(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::op::{Message, ResponseCode};
    use hickory_resolver::proto::rr::Record;
    use hickory_resolver::proto::rr::rdata::{A, AAAA};
    use proptest::prelude::*;
    use tokio::net::UdpSocket;
    use tokio::task::JoinSet;

    use super::*;

    type Zone = Vec<(&'static str, RData)>;

    fn address(text: &str) -> RData {
        match text.parse().unwrap() {
            IpAddr::V4(ip) => RData::A(A(ip)),
            IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
        }
    }

    fn service(priority: u16, weight: u16, port: u16, target: &str) -> RData {
        let target = Name::from_ascii(target).unwrap();
        RData::SRV(SRV::new(priority, weight, port, target))
    }

    fn text(line: String) -> RData {
        RData::TXT(TXT::new(vec![line]))
    }

    fn answer(zone: &Zone, packet: &[u8]) -> Vec<u8> {
        let mut message = Message::from_vec(packet).unwrap().into_response();
        let query = message.queries[0].clone();
        let at_name = |(name, _): &&(&str, RData)| {
            Name::from_ascii(name).unwrap().to_lowercase() == query.name().to_lowercase()
        };
        if !zone.iter().any(|row| at_name(&row)) {
            message.metadata.response_code = ResponseCode::NXDomain;
        }
        for (_, data) in zone.iter().filter(at_name) {
            if data.record_type() == query.query_type() {
                message.add_answer(Record::from_rdata(query.name().clone(), 60, data.clone()));
            }
        }
        message.to_vec().unwrap()
    }

    /// A small DNS server; it lives as long as the set.
    async fn serve(zone: Zone) -> (Resolver, JoinSet<()>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = socket.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut packet = [0; 1500];
            loop {
                let (length, from) = socket.recv_from(&mut packet).await.unwrap();
                let reply = answer(&zone, &packet[..length]);
                socket.send_to(&reply, from).await.unwrap();
            }
        });
        (Resolver::new(BTreeMap::new(), &[server]), tasks)
    }

    async fn found(zone: Zone, host: &str) -> Result<Vec<PodAddress>, ResolveError> {
        let (resolver, _server) = serve(zone).await;
        resolver.resolve(&host.parse().unwrap()).await
    }

    fn at(address: &str, node: Option<NodeId>) -> PodAddress {
        PodAddress { address: address.parse().unwrap(), node, trusted: false }
    }

    #[tokio::test]
    async fn a_pod_is_found_by_its_service_record_and_its_node_by_its_text() {
        let node = NodeId([3; 20]);
        let zone = vec![
            ("_bytchat._udp.pod.test.", service(20, 1, 5001, "far.pod.test.")),
            ("_bytchat._udp.pod.test.", service(10, 1, 5000, "near.pod.test.")),
            ("_bytchat._udp.pod.test.", text(format!("node={node}"))),
            ("_bytchat._udp.pod.test.", text("v=1".into())),
            ("near.pod.test.", address("192.0.2.1")),
            ("near.pod.test.", address("2001:db8::1")),
            ("far.pod.test.", address("192.0.2.2")),
        ];
        let mut pods = found(zone, "pod.test").await.unwrap();
        assert_eq!(pods.pop(), Some(at("192.0.2.2:5001", Some(node))));
        pods.sort_by_key(|pod| pod.address);
        let near = [at("192.0.2.1:5000", Some(node)), at("[2001:db8::1]:5000", Some(node))];
        assert_eq!(pods, near);
    }

    #[tokio::test]
    async fn without_a_service_record_the_host_itself_is_the_pod() {
        let zone = vec![("pod.test.", address("192.0.2.1"))];
        let pods = found(zone, "pod.test").await.unwrap();
        assert_eq!(pods, [at("192.0.2.1:4848", None)]);
    }

    #[tokio::test]
    async fn two_node_ids_leave_it_open_who_is_there() {
        let zone = vec![
            ("_bytchat._udp.pod.test.", text(format!("node={}", NodeId([1; 20])))),
            ("_bytchat._udp.pod.test.", text(format!("node={}", NodeId([2; 20])))),
            ("pod.test.", address("192.0.2.1")),
        ];
        let pods = found(zone, "pod.test").await.unwrap();
        assert_eq!(pods, [at("192.0.2.1:4848", None)]);
    }

    #[tokio::test]
    async fn an_unknown_host_and_one_that_is_no_pod_have_their_sentences() {
        let error = found(Vec::new(), "pod.test").await.unwrap_err();
        assert_eq!(error.to_string(), "DNS knows no pod.test");
        let zone = vec![
            ("_bytchat._udp.pod.test.", service(0, 0, 0, ".")),
            ("pod.test.", address("192.0.2.1")),
        ];
        let error = found(zone, "pod.test").await.unwrap_err();
        assert_eq!(error, ResolveError::NoPod("pod.test".parse().unwrap()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_not_waited_for_longer_than_the_limit() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = silent.local_addr().unwrap();
        let resolver = Resolver::new(BTreeMap::new(), &[server]);
        let error = resolver.resolve(&"pod.test".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.to_string(), "DNS did not answer for pod.test within 5000 ms");
    }

    #[tokio::test]
    async fn what_is_written_down_needs_no_dns() {
        let host: Host = "pod.test".parse().unwrap();
        let written = PodAddress { trusted: true, ..at("192.0.2.9:1", None) };
        let known = BTreeMap::from([(host.clone(), vec![written])]);
        let resolver = Resolver::new(known, &[]);
        let pods = resolver.resolve(&host).await.unwrap();
        assert_eq!(pods, [written]);
        let literal = resolver.resolve(&"192.0.2.7".parse().unwrap()).await;
        assert_eq!(literal.unwrap(), [at("192.0.2.7:4848", None)]);
    }

    fn line() -> impl Strategy<Value = Vec<u8>> {
        let bytes = prop::collection::vec(any::<u8>(), 0..255);
        let texts = "node=[a-z2-7]{31,33}".prop_map(String::into_bytes);
        prop_oneof![bytes, texts]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn no_text_stops_a_resolver(lines in prop::collection::vec(line(), 1..4)) {
            let all = lines.iter().map(Vec::as_slice).collect();
            let zone = vec![
                ("_bytchat._udp.pod.test.", RData::TXT(TXT::from_bytes(all))),
                ("pod.test.", address("192.0.2.1")),
            ];
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let pods = runtime.unwrap().block_on(found(zone, "pod.test")).unwrap();
            let [pod] = &pods[..] else { panic!("{pods:?}") };
            let named = |node: NodeId| {
                let line = format!("node={node}").into_bytes();
                lines.contains(&line)
            };
            prop_assert!(pod.node.is_none_or(named));
        }
    }
}
