//! A node that breaks the rules: real keys, a real QUIC connection, and messages that no honest
//! node would send.
//!
//! It is built on the wire format alone, without the session of the product, so that it can say
//! anything at any time. It keeps everything it hears, unpacked, so that a test can look for what
//! it must not have heard.
//!
//! [`forgery`] has what such a node sends, [`snooping`] what it asks for; [`attempt`] is the record
//! of both, to be compared with logs, quarantine and figures of the node it was done to.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cunlian_host::keystore::Keystore;
use cunlian_host::network::tls;
use cunlian_host::{clock, preset};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{Certificate, CertificateBody, Tier};
use cunlian_protocol::change::SignedChange;
use cunlian_protocol::id::{ChangeId, PublicKey, Serial, Signature};
use cunlian_protocol::receipt::Receipt;
use cunlian_protocol::session::{Channel, Identity};
use cunlian_protocol::signing::{self, Context, SigningKey, public_key};
use cunlian_protocol::wire::{
    self, Bounded, FaultCode, Frame, Hello, LineageToken, Message, VERSIONS,
};
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use tokio::time::timeout;

pub mod attempt;
pub mod forgery;
pub mod scene;
pub mod snooping;

/// How long an answer may take on a machine that is busy with other builds.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often a node that does not answer is dialled.
const DIALS: usize = 5;

/// Who the hostile node is, or says it is. Clones are one machine: they have one lineage token.
#[derive(Clone)]
pub struct Hostile {
    /// Key of its TLS certificate and of its signatures.
    pub key: SigningKey,
    /// Certificates it shows.
    pub chain: Vec<Vec<u8>>,
    token: Arc<Mutex<LineageToken>>,
}

/// A hostile machine and its certificate.
#[derive(Clone)]
pub struct Stolen {
    /// Key and certificates.
    pub hostile: Hostile,
    /// The certificate itself.
    pub certificate: Certificate,
    /// Root key of its federation.
    pub root: PublicKey,
}

impl Stolen {
    /// With a chain that verifies up to `root`.
    ///
    /// # Panics
    /// When it does not.
    pub fn new(hostile: Hostile, root: PublicKey) -> Self {
        let certificate = Authority::new(root).verify_chain(&hostile.chain);
        Self { hostile, certificate: certificate.expect("the chain verifies"), root }
    }
}

/// One connection of the hostile node.
pub struct Line {
    _endpoint: Endpoint,
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    channel: Channel,
    who: Hostile,
    /// Everything heard, batches unpacked.
    pub heard: Vec<u8>,
    /// Every change heard.
    pub changes: Vec<Vec<u8>>,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Why, as a number.
    pub code: FaultCode,
    /// Why, in words.
    pub reason: String,
}

impl Hostile {
    /// With this key, showing these certificates; it never connected before.
    pub fn new(key: SigningKey, chain: Vec<Vec<u8>>) -> Self {
        Self { key, chain, token: Arc::default() }
    }

    /// A machine that the node of a data directory certified with the grants of a tier there: an
    /// insider, who is what he says and wants what is not his.
    pub fn insider(issuer: &Path, seed: u8, tier: Tier, region: AddressCode) -> Stolen {
        Self::insider_with(issuer, [seed; 32], tier, region)
    }

    /// The same, whose key is made of more than one number.
    pub fn insider_with(issuer: &Path, seed: [u8; 32], tier: Tier, region: AddressCode) -> Stolen {
        let Identity { certificate, chain, key, .. } = identity(issuer);
        let own = certificate.body();
        let subject_key = SigningKey::from_bytes(&seed);
        let [first, ..] = seed;
        let body = CertificateBody {
            subject: public_key(&subject_key),
            name: format!("insider {first}"),
            tier,
            grants: preset::grants(tier, region),
            issuer: Some(certificate.serial()),
            ..own.clone()
        };
        let chain = [chain, vec![Certificate::issue(&body, &key)]].concat();
        Stolen::new(Self::new(subject_key, chain), root(issuer))
    }

    /// Its own certificate, which it shows last.
    pub fn serial(&self) -> Serial {
        Serial::of(self.chain.last().expect("a chain has an end"))
    }

    /// With the node key and certificates of a data directory, as a thief of the machine has them.
    pub fn thief_of(data_dir: &Path) -> Self {
        stolen(data_dir).hostile
    }

    /// Connects; nothing is said yet.
    pub async fn dial(&self, address: SocketAddr) -> Line {
        let (client, _) = tls::configure(&self.key).expect("TLS takes an Ed25519 key");
        let mut endpoint =
            Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a free UDP port");
        endpoint.set_default_client_config(client);
        let mut dials = 0;
        let connection = loop {
            dials += 1;
            let connecting = endpoint.connect(address, tls::SERVER_NAME).expect("a sound address");
            match timeout(PATIENCE, connecting).await.expect("the node answers") {
                // A busy machine loses datagrams; nodes dial again too.
                Err(quinn::ConnectionError::TimedOut) if dials < DIALS => {}
                connection => break connection.expect("TLS takes any key"),
            }
        };
        let (send, receive) = connection.open_bi().await.expect("one stream is allowed");
        let channel = tls::channel(&connection).expect("the node has an Ed25519 key");
        Line {
            _endpoint: endpoint,
            connection,
            send,
            receive,
            channel,
            who: self.clone(),
            heard: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Connects and says a hello as it should be; the node must welcome it.
    pub async fn enter(&self, address: SocketAddr) -> Line {
        self.knock(address).await.unwrap_or_else(|ending| panic!("not a welcome: {ending:?}"))
    }

    /// The same when the node may turn it away.
    pub async fn knock(&self, address: SocketAddr) -> Result<Line, Ending> {
        let mut line = self.dial(address).await;
        let hello = self.hello(&line);
        line.say(&Message::Hello(hello)).await;
        match line.hear().await {
            Ok(Frame::Message(Message::Welcome(_))) => Ok(line),
            Ok(Frame::Message(Message::Goodbye { code, reason })) => {
                let reason = String::from_utf8_lossy(&reason.0).into_owned();
                Err(Ending { code: FaultCode::from_number(code), reason })
            }
            other => panic!("neither a welcome nor a goodbye: {other:?}"),
        }
    }

    /// The hello an honest node with this key and chain would say on this connection.
    pub fn hello(&self, line: &Line) -> Hello {
        self.greeting(&line.channel, clock::now_ms())
    }

    /// The same on any connection, at any time.
    pub fn greeting(&self, channel: &Channel, clock_ms: i64) -> Hello {
        let hello = Hello {
            versions: Bounded(VERSIONS.to_vec()),
            chain: Bounded(self.chain.iter().cloned().map(Bounded).collect()),
            clock_ms,
            revocations: [0; 32],
            successions: Bounded(Vec::new()),
            lineage: *self.token.lock().unwrap_or_else(PoisonError::into_inner),
            renewing: false,
            software: wire::bounded_text("hostile"),
            more: Bounded(Vec::new()),
            signature: Signature([0; 64]),
        };
        self.sign(hello, channel)
    }

    /// What it answers to the hello of who has dialled it: it says which keys came after which.
    pub fn welcome(&self, channel: &Channel, clock_ms: i64, successions: Vec<Vec<u8>>) -> Hello {
        let successions = Bounded(successions.into_iter().map(Bounded).collect());
        let hello = Hello { successions, ..self.greeting(channel, clock_ms) };
        self.sign_as(hello, channel, false)
    }

    /// Keeps the lineage token that it was given, to present it the next time.
    pub fn keep(&self, line: LineageToken) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    /// Signs a hello for a connection, whatever it says.
    pub fn sign(&self, hello: Hello, channel: &Channel) -> Hello {
        self.sign_as(hello, channel, true)
    }

    fn sign_as(&self, hello: Hello, channel: &Channel, dials: bool) -> Hello {
        let unsigned = Hello { signature: Signature([0; 64]), ..hello };
        let mut signed = channel.exporter.to_vec();
        signed.push(u8::from(dials));
        signed.extend(postcard::to_allocvec(&unsigned).expect("a hello is encodable"));
        let signature = signing::sign(&self.key, Context::Hello, &signed);
        Hello { signature, ..unsigned }
    }
}

/// Key and certificates of a data directory.
pub fn stolen(data_dir: &Path) -> Stolen {
    let Identity { chain, key, .. } = identity(data_dir);
    Stolen::new(Hostile::new(key, chain), root(data_dir))
}

fn root(data_dir: &Path) -> PublicKey {
    Keystore::new(data_dir).root().expect("the directory has a root key")
}

fn identity(data_dir: &Path) -> Identity {
    Keystore::new(data_dir).identity().expect("the directory has an identity")
}

impl Line {
    /// What TLS tells about the connection.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Sends a message.
    pub async fn say(&mut self, message: &Message) {
        self.send(&wire::encode(message)).await;
    }

    /// Sends bytes, whatever they are. A node that has closed already does not get them.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.send.write_all(bytes).await;
    }

    /// The next frame; or how the connection ended, when it has.
    pub async fn hear(&mut self) -> Result<Frame, String> {
        let read = timeout(PATIENCE, self.read()).await;
        read.expect("the node answers or closes")
    }

    /// The next frame; a batch is acknowledged as by an honest node, so that more may come.
    pub async fn take(&mut self) -> Result<Frame, String> {
        let frame = self.hear().await;
        if let Ok(Frame::Batch { batch, changes }) = &frame {
            let ids = changes.iter().filter_map(|c| SignedChange::decode(c.bytes.clone()).ok());
            let ids: Vec<ChangeId> = ids.map(|change| change.id()).collect();
            let receipt = Receipt::new(self.who.serial(), clock::now_ms(), ids.iter());
            let receipt = Bounded(receipt.sign(&self.who.key));
            let refused = Bounded(Vec::new());
            let (postponed, until) = (Bounded(Vec::new()), Bounded(Vec::new()));
            let batch = *batch;
            self.say(&Message::Ack { batch, refused, postponed, until, receipt }).await;
        }
        frame
    }

    /// Listens until the node says goodbye.
    pub async fn ending(&mut self) -> Ending {
        loop {
            match self.hear().await {
                Ok(Frame::Message(Message::Goodbye { code, reason })) => {
                    let reason = String::from_utf8_lossy(&reason.0).into_owned();
                    return Ending { code: FaultCode::from_number(code), reason };
                }
                Ok(_) => {}
                Err(reason) => panic!("the connection ended without a goodbye: {reason}"),
            }
        }
    }

    /// Waits until the node has closed the connection, without listening to what it says; gives
    /// the code it closed with.
    pub async fn closed(&self) -> u64 {
        let ended = timeout(PATIENCE, self.connection.closed()).await;
        let ended = ended.expect("the node closes the connection");
        let quinn::ConnectionError::ApplicationClosed(close) = ended else {
            panic!("the connection was not closed by the node: {ended}")
        };
        close.error_code.into_inner()
    }

    /// Listens until a message comes that `pick` takes.
    pub async fn until<T>(&mut self, pick: impl Fn(Message) -> Option<T>) -> T {
        loop {
            match self.hear().await {
                Ok(Frame::Message(Message::Goodbye { code, reason })) => {
                    panic!("goodbye {code}: {}", String::from_utf8_lossy(&reason.0))
                }
                Ok(Frame::Message(message)) => {
                    if let Some(picked) = pick(message) {
                        return picked;
                    }
                }
                Ok(Frame::Batch { .. }) => {}
                Err(reason) => panic!("what was waited for did not come: {reason}"),
            }
        }
    }

    /// Listens until a batch of this number is acknowledged; gives what was refused, and why.
    pub async fn acknowledged(&mut self, number: u64) -> Vec<(u32, String)> {
        loop {
            match self.hear().await {
                Ok(Frame::Message(Message::Ack { batch, refused, .. })) if batch == number => {
                    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                    return refused.0.into_iter().map(|(at, why)| (at, text(why.0))).collect();
                }
                Ok(_) => {}
                Err(reason) => panic!("the batch was not acknowledged: {reason}"),
            }
        }
    }

    async fn read(&mut self) -> Result<Frame, String> {
        let mut header = [0; 4];
        self.receive.read_exact(&mut header).await.map_err(|error| error.to_string())?;
        let length = wire::frame_length(header).map_err(|error| error.to_string())?;
        let mut bytes = vec![0; length];
        self.receive.read_exact(&mut bytes).await.map_err(|error| error.to_string())?;
        let frame = wire::decode(&bytes).map_err(|error| error.to_string())?;
        match &frame {
            Frame::Message(message) => {
                if let Message::Welcome(hello) = message {
                    *self.who.token.lock().unwrap_or_else(PoisonError::into_inner) = hello.lineage;
                }
                self.heard.extend_from_slice(&bytes);
            }
            Frame::Batch { changes, .. } => {
                for change in changes {
                    self.heard.extend_from_slice(&change.bytes);
                    self.changes.push(change.bytes.clone());
                }
            }
        }
        Ok(frame)
    }
}
