//! TLS 1.3 with keys instead of names.
//!
//! Both sides present a self-signed Ed25519 X.509 certificate made from the node key. The
//! verifiers accept any such certificate whose owner proves the key in the handshake; who the key
//! belongs to is decided by the hello of `cunlian_protocol::session`, which is signed over the
//! exporter of the connection. No 0-RTT, no tickets: every connection says hello afresh.

use std::sync::Arc;
use std::time::Duration;

use cunlian_protocol::enrolment;
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::session::Channel;
use cunlian_protocol::signing::SigningKey;
use cunlian_protocol::wire::ALPN;
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use webpki::EndEntityCert;

/// Name asked for and ignored: keys are what counts.
pub const SERVER_NAME: &str = "cunlian.invalid";
const EXPORTER_LABEL: &[u8] = b"EXPORTER-cunlian-hello-1";
/// DER of an Ed25519 private key of version 1 up to the seed, RFC 8410 section 7.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// Inside of DER of an Ed25519 public key up to the key, RFC 8410 section 4.
const SPKI_PREFIX: [u8; 10] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// A peer that is silent for so long is gone; a line with 5 s of delay still answers within it.
const IDLE: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Bytes that whoever accepts a connection takes in advance: there may be hundreds of children,
/// each with so much in memory that the node has no time for.
const ACCEPTED_WINDOW: u32 = 256 << 10;
/// Bytes that whoever dials takes in advance; it dials few.
const DIALLED_WINDOW: u32 = 2 << 20;
/// Bytes written and not acknowledged by the machine of the peer. What is written later waits behind
/// them, an alert too: on a line of 1 Mbit/s for two seconds.
const SEND_WINDOW: u64 = 256 << 10;

/// TLS could not be set up from the node key.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up from the node key: {reason}")]
pub struct TlsError {
    reason: String,
}

impl TlsError {
    fn new(reason: &dyn std::error::Error) -> Self {
        let reason = reason.to_string();
        Self { reason }
    }
}

/// Client and server configuration of a node with this key.
pub fn configure(key: &SigningKey) -> Result<(ClientConfig, ServerConfig), TlsError> {
    Ok((client(key, ALPN)?, server(key, &[ALPN, enrolment::ALPN])?))
}

/// Server configuration that speaks these protocols.
pub(super) fn server(key: &SigningKey, protocols: &[&[u8]]) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (certificate, private) = self_signed(key)?;
    let verifier = Arc::new(AnyKey { algorithms: provider.signature_verification_algorithms });
    let server = rustls::ServerConfig::builder_with_provider(provider as Arc<CryptoProvider>)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| TlsError::new(&error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], private);
    let mut server = server.map_err(|error| TlsError::new(&error))?;
    server.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    server.max_early_data_size = 0;
    server.send_tls13_tickets = 0;
    let server = QuicServerConfig::try_from(server).map_err(|error| TlsError::new(&error))?;
    let mut server = ServerConfig::with_crypto(Arc::new(server));
    server.transport_config(Arc::new(transport(ACCEPTED_WINDOW)?));
    Ok(server)
}

/// Client configuration of a machine with this key that wants to join.
pub fn configure_enrolment(key: &SigningKey) -> Result<ClientConfig, TlsError> {
    client(key, enrolment::ALPN)
}

/// Whether the other side of an established connection wants to join, and says nothing else.
pub fn is_enrolment(connection: &quinn::Connection) -> bool {
    let data = connection.handshake_data();
    let data = data.and_then(|data| data.downcast::<HandshakeData>().ok());
    data.and_then(|data| data.protocol).as_deref() == Some(enrolment::ALPN)
}

fn client(key: &SigningKey, protocol: &[u8]) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (certificate, private) = self_signed(key)?;
    let verifier = Arc::new(AnyKey { algorithms: provider.signature_verification_algorithms });
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| TlsError::new(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier as Arc<dyn ServerCertVerifier>)
        .with_client_auth_cert(vec![certificate], private);
    let mut client = client.map_err(|error| TlsError::new(&error))?;
    client.alpn_protocols = vec![protocol.to_vec()];
    client.enable_early_data = false;
    client.resumption = rustls::client::Resumption::disabled();
    let client = QuicClientConfig::try_from(client).map_err(|error| TlsError::new(&error))?;
    let mut client = ClientConfig::new(Arc::new(client));
    client.transport_config(Arc::new(transport(DIALLED_WINDOW)?));
    Ok(client)
}

/// What TLS tells about an established connection.
pub fn channel(connection: &quinn::Connection) -> Option<Channel> {
    let identity = connection.peer_identity()?;
    let certificates = identity.downcast_ref::<Vec<CertificateDer<'static>>>()?;
    let [certificate] = certificates.as_slice() else { return None };
    let mut exporter = [0; 32];
    connection.export_keying_material(&mut exporter, EXPORTER_LABEL, b"").ok()?;
    Some(Channel { exporter, peer_key: public_key(certificate)? })
}

fn transport(window: u32) -> Result<TransportConfig, TlsError> {
    let mut transport = TransportConfig::default();
    let idle = IdleTimeout::try_from(IDLE).map_err(|error| TlsError::new(&error))?;
    transport
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .send_window(SEND_WINDOW)
        .stream_receive_window(VarInt::from_u32(window))
        .receive_window(VarInt::from_u32(window));
    Ok(transport)
}

fn self_signed(
    key: &SigningKey,
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), TlsError> {
    let der = [PKCS8_PREFIX.as_slice(), &key.to_bytes()].concat();
    let private = PrivatePkcs8KeyDer::from(der);
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&private, &rcgen::PKCS_ED25519)
        .map_err(|error| TlsError::new(&error))?;
    let certificate = rcgen::CertificateParams::new([SERVER_NAME.to_owned()])
        .and_then(|parameters| parameters.self_signed(&pair))
        .map_err(|error| TlsError::new(&error))?;
    Ok((certificate.der().clone(), PrivateKeyDer::Pkcs8(private)))
}

/// The Ed25519 key in a certificate; `None` when it has another kind of key.
fn public_key(certificate: &CertificateDer<'_>) -> Option<PublicKey> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let spki = certificate.subject_public_key_info();
    // The outer SEQUENCE header is two bytes for a key of this size.
    let inner = spki.as_ref().get(2..)?;
    PublicKey::from_slice(inner.strip_prefix(SPKI_PREFIX.as_slice())?)
}

/// Accepts every Ed25519 certificate whose key signs the handshake.
#[derive(Debug)]
struct AnyKey {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyKey {
    fn check_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }
}

fn check(certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
    match public_key(certificate) {
        Some(_) => Ok(()),
        None => Err(rustls::Error::General("the certificate has no Ed25519 key".to_owned())),
    }
}

fn no_tls12() -> rustls::Error {
    rustls::Error::General("TLS 1.2 is not spoken".to_owned())
}

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
