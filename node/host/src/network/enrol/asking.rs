//! The new machine's side of the exchange: finds the parent, makes sure that it is the parent, and
//! asks for a certificate.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{Certificate, CertificateError};
use cunlian_protocol::enrolment::{self, JoinReply, JoinRequest, RefusalCode, Token};
use cunlian_protocol::id::PublicKey;
use cunlian_protocol::signing::{SigningKey, public_key};
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint};
use rand::Rng as _;
use tokio::time::{sleep, timeout};

use super::DONE;
use crate::address::NodeAddress;
use crate::network::tls::{self, TlsError};

/// How long an address may take to answer the handshake.
const HANDSHAKE: Duration = Duration::from_secs(6);
/// How long the answer may take; a little more than the parent gives itself.
const ANSWER: Duration = Duration::from_secs(12);
/// How often a parent that has too much to do is asked again.
const BUSY_TRIES: u32 = 12;
/// Wait before it is asked again, to which as much again is added at random.
const BUSY_WAIT: Duration = Duration::from_millis(500);
/// How much later than the parent's time a certificate may have been issued.
const SKEW_MS: i64 = 300_000;
/// Alert `no_application_protocol` of TLS as an error code of QUIC, RFC 9001 section 4.8.
const NO_ALPN: u64 = 0x178;

/// What the parent gave, checked.
#[derive(Debug, Clone)]
pub struct Granted {
    /// Certificates from the root side down to the new one.
    pub chain: Vec<Vec<u8>>,
    /// Successions of the root.
    pub successions: Vec<Vec<u8>>,
    /// The new certificate.
    pub certificate: Certificate,
    /// Name of the parent, from its certificate.
    pub parent_name: String,
    /// Where the parent answered, as the token says it.
    pub address: NodeAddress,
    /// The parent's time, milliseconds since 1970-01-01 UTC.
    pub clock_ms: i64,
}

/// Why no certificate was obtained.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody answered at any address.
    #[error("no answer from {}", tried.join(", "))]
    NoAnswer {
        /// Addresses tried, with what happened.
        tried: Vec<String>,
    },
    /// Somebody else answered.
    #[error("{address} is not the node that sent the invitation: its key is {got}")]
    WrongKey {
        /// Where.
        address: SocketAddr,
        /// Its key.
        got: String,
    },
    /// The parent does not know invitations.
    #[error("the node at {address} does not take invitations: its version is too old")]
    TooOld {
        /// Where.
        address: SocketAddr,
    },
    /// The parent refused.
    #[error("{parent} refused: {words}", parent = address)]
    Refused {
        /// Where.
        address: SocketAddr,
        /// Which refusal, if this version knows it.
        code: Option<RefusalCode>,
        /// Its words.
        words: String,
    },
    /// What the parent sent does not hold.
    #[error("the certificate that {address} sent does not hold: {reason}")]
    Unsound {
        /// Where.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// No socket or no TLS.
    #[error("the network cannot be used: {0}")]
    Local(String),
}

impl From<TlsError> for AskError {
    fn from(error: TlsError) -> Self {
        Self::Local(error.to_string())
    }
}

/// Asks the parent of a token to certify `key`, at each of its addresses in turn until one of them
/// is the parent.
pub async fn ask(key: &SigningKey, token: &Token, clock_ms: i64) -> Result<Granted, AskError> {
    let client = tls::configure_enrolment(key)?;
    let mut tried = Vec::new();
    let mut worst = None;
    for text in &token.addresses {
        let addresses = match timeout(HANDSHAKE, tokio::net::lookup_host(text.as_str())).await {
            Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
            Ok(Err(error)) => {
                tried.push(format!("{text} ({error})"));
                continue;
            }
            Err(_) => Vec::new(),
        };
        if addresses.is_empty() {
            tried.push(format!("{text} (the name was not found)"));
        }
        for address in addresses {
            match ask_patiently(&client, key, token, address, clock_ms).await {
                Ok(granted) => {
                    // A name stays a name: the parent may have another address tomorrow.
                    let address = text.parse().unwrap_or(granted.address);
                    return Ok(Granted { address, ..granted });
                }
                // The parent has spoken: other ways to it would not change its mind.
                Err(Missed::Final(
                    error @ (AskError::Refused { .. } | AskError::Unsound { .. }),
                )) => {
                    return Err(error);
                }
                Err(Missed::Final(error)) => worst = Some(error),
                Err(Missed::Silent(reason)) => tried.push(format!("{address} ({reason})")),
            }
        }
    }
    Err(worst.unwrap_or(AskError::NoAnswer { tried }))
}

/// Why one address came to nothing.
enum Missed {
    /// Nobody there, or the line was cut.
    Silent(String),
    /// Somebody there, and it is no use to ask again.
    Final(AskError),
}

async fn ask_patiently(
    client: &ClientConfig,
    key: &SigningKey,
    token: &Token,
    address: SocketAddr,
    clock_ms: i64,
) -> Result<Granted, Missed> {
    let mut tries = 1;
    loop {
        let asked = ask_once(client, key, token, address, clock_ms).await;
        match &asked {
            Err(Missed::Final(AskError::Refused { code: Some(RefusalCode::Busy), .. }))
                if tries < BUSY_TRIES =>
            {
                tries += 1;
                let wait = u64::try_from(BUSY_WAIT.as_millis()).unwrap_or(500);
                let more = rand::rng().next_u64() % wait.max(1);
                sleep(BUSY_WAIT + Duration::from_millis(more)).await;
            }
            _ => return asked,
        }
    }
}

async fn ask_once(
    client: &ClientConfig,
    key: &SigningKey,
    token: &Token,
    address: SocketAddr,
    clock_ms: i64,
) -> Result<Granted, Missed> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let local = |reason: String| Missed::Final(AskError::Local(reason));
    let mut endpoint = Endpoint::client(any).map_err(|error| local(error.to_string()))?;
    endpoint.set_default_client_config(client.clone());
    let connecting =
        endpoint.connect(address, tls::SERVER_NAME).map_err(|error| local(error.to_string()))?;
    let connection = match timeout(HANDSHAKE, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) if is_too_old(&error) => {
            return Err(Missed::Final(AskError::TooOld { address }));
        }
        Ok(Err(error)) => return Err(Missed::Silent(error.to_string())),
        Err(_) => return Err(Missed::Silent("nobody answers".to_owned())),
    };
    let silent = |reason| Missed::Silent(reason);
    let answered = timeout(ANSWER, exchange(&connection, key, token, address, clock_ms)).await;
    let reply = answered.unwrap_or_else(|_| Err(silent("the answer takes too long".to_owned())));
    connection.close(DONE, b"");
    // The parent should hear that it was heard; one that does not answer is not waited for.
    let _ = timeout(super::FAREWELL, endpoint.wait_idle()).await;
    match reply? {
        JoinReply::Issued { chain, successions, clock_ms } => {
            let chain = chain.0.into_iter().map(|bytes| bytes.0).collect();
            let successions = successions.0.into_iter().map(|bytes| bytes.0).collect();
            check(key, token, address, (chain, successions), clock_ms)
                .map_err(|reason| Missed::Final(AskError::Unsound { address, reason }))
        }
        JoinReply::Refused { code, words } => Err(Missed::Final(AskError::Refused {
            address,
            code: RefusalCode::from_number(code),
            words: String::from_utf8_lossy(&words.0).into_owned(),
        })),
    }
}

async fn exchange(
    connection: &Connection,
    key: &SigningKey,
    token: &Token,
    address: SocketAddr,
    clock_ms: i64,
) -> Result<JoinReply, Missed> {
    let got = |key: Option<PublicKey>| key.map_or_else(|| "none".to_owned(), |key| key.to_string());
    let channel = tls::channel(connection);
    // Before anything is said: the secret is for the parent alone.
    let channel = match channel {
        Some(channel) if channel.peer_key == token.parent => channel,
        other => {
            let got = got(other.map(|channel| channel.peer_key));
            return Err(Missed::Final(AskError::WrongKey { address, got }));
        }
    };
    let software = concat!("cunlian ", env!("CARGO_PKG_VERSION"));
    let request = JoinRequest::new(key, token, &channel, clock_ms, software);
    let failed = |error: &dyn std::error::Error| Missed::Silent(error.to_string());
    let (mut send, mut receive) = connection.open_bi().await.map_err(|error| failed(&error))?;
    send.write_all(&enrolment::encode(&request)).await.map_err(|error| failed(&error))?;
    let _ = send.finish();
    let mut header = [0; 4];
    receive.read_exact(&mut header).await.map_err(|error| failed(&error))?;
    let length = enrolment::frame_length(header).map_err(|error| failed(&error))?;
    let mut bytes = vec![0; length];
    receive.read_exact(&mut bytes).await.map_err(|error| failed(&error))?;
    enrolment::decode(&bytes).map_err(|error| failed(&error))
}

/// Checks what the parent sent by the keys in the token and the parent's own clock: this machine's
/// may be at 1970.
fn check(
    key: &SigningKey,
    token: &Token,
    address: SocketAddr,
    (chain, successions): (Vec<Vec<u8>>, Vec<Vec<u8>>),
    clock_ms: i64,
) -> Result<Granted, String> {
    let mut authority = Authority::new(token.root);
    for succession in &successions {
        authority.succeed(succession).map_err(|error| error.to_string())?;
    }
    let words = |error: CertificateError| error.to_string();
    let certificate = authority.verify_chain(&chain).map_err(words)?;
    let above = chain.split_last().map(|(_, above)| above).unwrap_or_default();
    let parent = authority.verify_chain(above).map_err(words)?;
    if certificate.body().subject != public_key(key) {
        return Err("it is for another machine".to_owned());
    }
    if parent.body().subject != token.parent {
        return Err("it was issued by another node than the one that invited".to_owned());
    }
    let body = certificate.body();
    if clock_ms < body.issued_at_ms.saturating_sub(SKEW_MS) || clock_ms >= body.not_after_ms {
        return Err("it is not valid at the time of the node that issued it".to_owned());
    }
    let parent_name = parent.body().name.clone();
    let address = address.into();
    Ok(Granted { chain, successions, certificate, parent_name, address, clock_ms })
}

/// Whether the other side speaks no protocol for joining.
fn is_too_old(error: &ConnectionError) -> bool {
    match error {
        ConnectionError::ConnectionClosed(close) => u64::from(close.error_code) == NO_ALPN,
        ConnectionError::TransportError(error) => u64::from(error.code) == NO_ALPN,
        ConnectionError::VersionMismatch
        | ConnectionError::ApplicationClosed(_)
        | ConnectionError::Reset
        | ConnectionError::TimedOut
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => false,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use cunlian_protocol::certificate::{AuthorKind, CertificateBody, Tier};
    use cunlian_protocol::enrolment::{InvitationId, Secret};
    use cunlian_protocol::wire::ALPN;

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn token(address: SocketAddr) -> Token {
        Token {
            invitation: InvitationId([1; 8]),
            secret: Secret([2; 16]),
            root: public_key(&key(1)),
            parent: public_key(&key(2)),
            expires_at_ms: 0,
            addresses: vec![address.to_string()],
        }
    }

    /// Shows that a parent of before there were invitations is told as such, and not as silence.
    #[tokio::test]
    async fn a_parent_that_is_too_old_is_told_as_such() {
        let server = tls::server(&key(2), &[ALPN]).unwrap();
        let parent = Endpoint::server(server, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let token = token(parent.local_addr().unwrap());
        let answering = tokio::spawn(async move {
            while let Some(incoming) = parent.accept().await {
                assert!(incoming.await.is_err(), "there is no protocol in common");
            }
        });
        let error = ask(&key(3), &token, 0).await.unwrap_err();
        assert!(matches!(error, AskError::TooOld { .. }), "{error}");
        answering.abort();
    }

    fn certificate(subject: u8, issuer: Option<&Certificate>, by: u8, name: &str) -> Vec<u8> {
        let body = CertificateBody {
            subject: public_key(&key(subject)),
            name: name.to_owned(),
            kind: AuthorKind::Node,
            tier: Tier::Town,
            grants: Vec::new(),
            issued_at_ms: 1_000_000,
            not_after_ms: 2_000_000,
            issuer: issuer.map(Certificate::serial),
        };
        Certificate::issue(&body, &key(by))
    }

    /// Shows what a new machine accepts from its parent and nothing else: a chain up to the root
    /// of the token, for its own key, by the node that invited, valid at the parent's time.
    #[test]
    fn only_what_the_token_promises_is_accepted() {
        let address = (Ipv4Addr::LOCALHOST, 1).into();
        let token = token(address);
        let authority = Authority::new(token.root);
        let above = |key, by| {
            let bytes = certificate(key, None, by, "parent");
            let certificate = Authority::new(public_key(&self::key(by)))
                .verify_chain(std::slice::from_ref(&bytes))
                .unwrap();
            (bytes, certificate)
        };
        let (parent, issuer) = above(2, 1);
        let own = certificate(3, Some(&issuer), 2, "own");
        let sound = vec![parent.clone(), own];
        assert!(authority.verify_chain(&sound).is_ok());
        let accepted = |chain: &[Vec<u8>], clock_ms| {
            check(&key(3), &token, address, (chain.to_vec(), Vec::new()), clock_ms).is_ok()
        };
        assert!(accepted(&sound, 1_500_000));
        assert!(!accepted(&sound, 2_000_000), "it has expired");
        assert!(!accepted(&sound, 1_000_000 - SKEW_MS - 1), "it is not valid yet");
        let other = certificate(4, Some(&issuer), 2, "other");
        assert!(!accepted(&[parent.clone(), other], 1_500_000), "for another machine");
        let (neighbour, issuer) = above(5, 1);
        let own = certificate(3, Some(&issuer), 5, "own");
        assert!(!accepted(&[neighbour, own], 1_500_000), "by another node");
        let (foreign, issuer) = above(2, 9);
        let own = certificate(3, Some(&issuer), 2, "own");
        assert!(!accepted(&[foreign, own], 1_500_000), "under another root");
        assert!(!accepted(&[parent], 1_500_000) && !accepted(&[], 1_500_000));
    }
}
