//! A machine that speaks the protocol of enrolment by itself, well or badly.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use cunlian_host::network::tls;
use cunlian_protocol::enrolment::{self, JoinReply, JoinRequest, RefusalCode, Token};
use cunlian_protocol::session::Channel;
use cunlian_protocol::signing::SigningKey;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use rand::Rng as _;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

/// A key nobody knows.
pub(crate) struct Stranger {
    pub(crate) key: SigningKey,
}

/// A connection to a parent.
pub(crate) struct Line {
    pub(crate) channel: Channel,
    pub(crate) connection: Connection,
    key: SigningKey,
    send: SendStream,
    receive: RecvStream,
    _endpoint: Endpoint,
}

impl Stranger {
    pub(crate) fn new() -> Self {
        let mut seed = [0; 32];
        rand::rng().fill_bytes(&mut seed);
        Self::with(SigningKey::from_bytes(&seed))
    }

    pub(crate) fn with(key: SigningKey) -> Self {
        Self { key }
    }

    pub(crate) async fn dial(&self, address: SocketAddr) -> Line {
        let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        endpoint.set_default_client_config(tls::configure_enrolment(&self.key).unwrap());
        let connecting = endpoint.connect(address, tls::SERVER_NAME).unwrap();
        let connection = timeout(PATIENCE, connecting).await.unwrap().unwrap();
        let (send, receive) = connection.open_bi().await.unwrap();
        let channel = tls::channel(&connection).unwrap();
        let key = self.key.clone();
        Line { channel, connection, key, send, receive, _endpoint: endpoint }
    }

    /// What comes of one request.
    pub(crate) async fn ask(&self, address: SocketAddr, token: &Token) -> RefusalCode {
        let mut line = self.dial(address).await;
        line.request(token).await;
        line.refusal().await
    }
}

impl Line {
    /// Sends the request an honest machine would send, and waits until it is there.
    pub(crate) async fn request(&mut self, token: &Token) {
        let request = JoinRequest::new(&self.key, token, &self.channel, 0, "stranger");
        self.say(&enrolment::encode(&request)).await;
        let _ = self.send.finish();
        let _ = timeout(PATIENCE, self.send.stopped()).await.unwrap();
    }

    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        // A node that has closed already does not get it.
        let _ = self.send.write_all(bytes).await;
    }

    pub(crate) async fn reply(&mut self) -> Result<JoinReply, String> {
        let read = async {
            let mut header = [0; 4];
            self.receive.read_exact(&mut header).await.map_err(|error| error.to_string())?;
            let mut bytes = vec![0; enrolment::frame_length(header).unwrap()];
            self.receive.read_exact(&mut bytes).await.map_err(|error| error.to_string())?;
            Ok(enrolment::decode(&bytes).unwrap())
        };
        timeout(PATIENCE, read).await.unwrap()
    }

    pub(crate) async fn refusal(&mut self) -> RefusalCode {
        match self.reply().await.unwrap() {
            JoinReply::Refused { code, .. } => RefusalCode::from_number(code).unwrap(),
            JoinReply::Issued { .. } => panic!("a certificate was issued"),
        }
    }
}
