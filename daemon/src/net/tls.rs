//! TLS 1.3 with raw public keys on both sides (RFC 7250) and a post-quantum key exchange only.

use std::sync::Arc;

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group, sign::any_eddsa_type};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::UnixTime;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::{
    DigitallySignedStruct, DistinguishedName, OtherError, PeerIncompatible, SignatureScheme,
};
use thiserror::Error;

use super::key::{KeyError, KeyText, NodeKey, decode_spki, encode_spki};

/// The protocol that both ends must name (RFC 7301).
pub(crate) const ALPN: &[u8] = b"bytchat/1";

/// The library asks for a server name; it is never sent and means nothing.
pub(crate) const SERVER_NAME: &str = "bytchat";

/// The TLS side of a node: makes configurations for accepting and for each dial.
#[derive(Debug)]
pub(crate) struct Identity {
    provider: Arc<CryptoProvider>,
    certified: Arc<CertifiedKey>,
    own: [u8; 32],
}

impl Identity {
    pub(crate) fn new(key: &NodeKey) -> Result<Self, TlsError> {
        let mut provider = default_provider();
        provider.kx_groups = vec![kx_group::X25519MLKEM768];
        let signer = any_eddsa_type(&PrivatePkcs8KeyDer::from(key.to_pkcs8().as_slice()))?;
        let spki = CertificateDer::from(encode_spki(&key.public()).to_vec());
        let certified = Arc::new(CertifiedKey::new(vec![spki], signer));
        Ok(Self { provider: Arc::new(provider), certified, own: key.public() })
    }

    pub(crate) fn server(&self) -> Result<Arc<QuicServerConfig>, TlsError> {
        let verifier = Arc::new(self.verifier(None));
        let resolver = AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&self.certified));
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Arc::new(QuicServerConfig::try_from(Arc::new(config))?))
    }

    /// Makes the configuration of one dial, which may expect one certain key.
    pub(crate) fn client(
        &self,
        expected: Option<[u8; 32]>,
    ) -> Result<Arc<QuicClientConfig>, TlsError> {
        let verifier = Arc::new(self.verifier(expected));
        let resolver = AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&self.certified));
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        config.enable_sni = false;
        Ok(Arc::new(QuicClientConfig::try_from(Arc::new(config))?))
    }

    fn verifier(&self, expected: Option<[u8; 32]>) -> RawKeyVerifier {
        let algorithms = self.provider.signature_verification_algorithms;
        RawKeyVerifier { algorithms, own: self.own, expected }
    }
}

/// Reads the authenticated key of the other end.
pub(crate) fn peer_key(connection: &quinn::Connection) -> Result<[u8; 32], KeyError> {
    let identity = connection.peer_identity();
    let chain = identity.and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    match chain.as_deref().map(Vec::as_slice) {
        Some([key]) => decode_spki(key),
        Some(chain) => Err(KeyError::Chain { got: chain.len() }),
        None => Err(KeyError::Chain { got: 0 }),
    }
}

/// Accepts every node that proves its Ed25519 key, or only the expected one, but never ourselves.
#[derive(Debug)]
struct RawKeyVerifier {
    algorithms: WebPkiSupportedAlgorithms,
    own: [u8; 32],
    expected: Option<[u8; 32]>,
}

impl RawKeyVerifier {
    fn verify_key(&self, spki: &[u8], rest: usize) -> Result<(), KeyError> {
        if rest != 0 {
            return Err(KeyError::Chain { got: rest + 1 });
        }
        let key = decode_spki(spki)?;
        if key == self.own {
            return Err(KeyError::Ourselves);
        }
        match self.expected {
            Some(expected) if expected != key => Err(KeyError::Unexpected {
                got: KeyText(&key).to_string(),
                expected: KeyText(&expected).to_string(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn verify_proof(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if signed.scheme != SignatureScheme::ED25519 {
            return Err(PeerIncompatible::NoSignatureSchemesInCommon.into());
        }
        let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
        verify_tls13_signature_with_raw_key(message, &spki, signed, &self.algorithms)
    }
}

impl From<KeyError> for rustls::Error {
    fn from(error: KeyError) -> Self {
        Self::Other(OtherError(Arc::new(error)))
    }
}

impl ServerCertVerifier for RawKeyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify_key(end_entity, intermediates.len())?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_proof(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for RawKeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.verify_key(end_entity, intermediates.len())?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_proof(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The library refuses the key or the protocol version.
    #[error("tls is not possible: {0}")]
    Rustls(#[from] rustls::Error),
    /// The provider lacks the cipher suite of QUIC's first packets.
    #[error("tls is not possible: {0}")]
    Suite(#[from] NoInitialCipherSuite),
}
