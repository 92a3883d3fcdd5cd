//! Peers made by hand, to break the rules with.

use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, ResolvesClientCert};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group, sign::any_eddsa_type};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::super::key::{NodeKey, encode_spki};
use super::super::tls::{ALPN, SERVER_NAME};
use super::LOCAL;

/// What a peer made by hand presents.
pub(super) struct Peer {
    pub(super) groups: Vec<&'static dyn SupportedKxGroup>,
    pub(super) alpn: Vec<u8>,
    pub(super) identity: Identity,
}

pub(super) enum Identity {
    None,
    RawKey(Arc<CertifiedKey>),
    X509(Arc<CertifiedKey>),
}

impl Peer {
    /// A peer that keeps all rules.
    pub(super) fn good() -> Self {
        let key = NodeKey::generate().unwrap();
        let identity = Identity::RawKey(certified(&encode_spki(&key.public()), &key));
        Self { groups: vec![kx_group::X25519MLKEM768], alpn: ALPN.to_vec(), identity }
    }

    fn provider(&self) -> Arc<CryptoProvider> {
        Arc::new(CryptoProvider { kx_groups: self.groups.clone(), ..default_provider() })
    }

    pub(super) fn client(&self) -> ClientConfig {
        let builder = rustls::ClientConfig::builder_with_provider(self.provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(BelievesAll));
        let resolver: Arc<dyn ResolvesClientCert> = match &self.identity {
            Identity::RawKey(key) => {
                Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(key)))
            }
            Identity::X509(key) => Arc::new(SingleCertAndKey::from(Arc::clone(key))),
            Identity::None => Arc::new(NoIdentity),
        };
        let mut config = builder.with_client_cert_resolver(resolver);
        config.alpn_protocols = vec![self.alpn.clone()];
        ClientConfig::new(Arc::new(QuicClientConfig::try_from(Arc::new(config)).unwrap()))
    }

    pub(super) fn server(&self) -> ServerConfig {
        let Identity::RawKey(key) = &self.identity else { panic!("a server has a raw key") };
        let mut config = rustls::ServerConfig::builder_with_provider(self.provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::new(BelievesAll))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(key))));
        config.alpn_protocols = vec![self.alpn.clone()];
        ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(Arc::new(config)).unwrap()))
    }

    pub(super) fn listen(&self) -> Endpoint {
        Endpoint::server(self.server(), LOCAL).unwrap()
    }

    /// Connects to a node; the endpoint must be kept as long as the connection.
    pub(super) async fn connect(
        &self,
        to: std::net::SocketAddr,
    ) -> Result<(Endpoint, Connection), quinn::ConnectionError> {
        let endpoint = Endpoint::client(LOCAL).unwrap();
        let connection = endpoint.connect_with(self.client(), to, SERVER_NAME).unwrap().await?;
        Ok((endpoint, connection))
    }
}

/// Puts an identity together with the secret of `signer`, which may be another's.
pub(super) fn certified(identity: &[u8], signer: &NodeKey) -> Arc<CertifiedKey> {
    let signer = any_eddsa_type(&PrivatePkcs8KeyDer::from(signer.to_pkcs8().as_slice())).unwrap();
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(identity.to_vec())], signer))
}

#[derive(Debug)]
struct NoIdentity;

impl ResolvesClientCert for NoIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct BelievesAll;

impl ServerCertVerifier for BelievesAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl rustls::server::danger::ClientCertVerifier for BelievesAll {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<rustls::server::danger::ClientCertVerified, Error> {
        Ok(rustls::server::danger::ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
