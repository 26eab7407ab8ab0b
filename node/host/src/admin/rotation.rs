//! New keys: of this node, and of the federation's root.
//!
//! A node with a parent makes itself the next key; the parent certifies it in a session, and the
//! node then takes it over ([`crate::keystore`]). A founder certifies itself, with the root key at
//! hand. Those below know a node by the key in their configuration: a succession, signed by the
//! old and the new key, goes with every hello and tells them.
//!
//! A new root is named by the old one, with the certificates of the old one that go on; all that
//! was signed below them stands. The order on disk is: the next root key, the succession (store,
//! then keystore), the founder's certificate under the new root, and then the names of the files,
//! so that a power cut at any point leaves something that `rotate --root` can be asked for again.

use cunlian_protocol::authority::Authority;
use cunlian_protocol::certificate::{Certificate, CertificateBody};
use cunlian_protocol::id::{PublicKey, Serial};
use cunlian_protocol::signing::{SigningKey, public_key};
use cunlian_protocol::succession::SuccessionBody;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::renewal::{refuse_any, replace_signed_by, root_key};
use super::{AdminError, Administration};
use crate::keystore::{Keystore, KeystoreError, NEXT_KEY, ROOT_KEY};

/// File of the root key that is to follow.
const NEXT_ROOT_KEY: &str = "root.key.next";

/// Which key or certificate is to be followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotationAction {
    /// The key of this node.
    NodeKey,
    /// The root key of the federation, and with it the founder's certificate.
    RootKey,
    /// The founder's certificate only.
    Certificate,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// The new public key.
    pub key: PublicKey,
    /// Whether it is in use; otherwise the parent has still to certify it, in the next session.
    pub done: bool,
    /// Where the old root key is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_file: Option<String>,
}

impl Administration {
    /// Does it.
    pub fn rotate(&self, action: RotationAction) -> Result<Value, AdminError> {
        let rotated = match action {
            RotationAction::NodeKey => self.rotate_node_key()?,
            RotationAction::RootKey => self.rotate_root_key()?,
            RotationAction::Certificate => return self.renew_founder(),
        };
        self.restart.ask();
        Ok(serde_json::to_value(rotated).expect("a result has only JSON types"))
    }

    fn rotate_node_key(&self) -> Result<Rotated, AdminError> {
        let keystore = Keystore::new(&self.data_dir);
        // Asked for twice, the first is gone on with.
        let next = match keystore.next_key().map_err(AdminError::new)? {
            Some(next) => next,
            None => keystore.create_key(NEXT_KEY, &mut rand::rng()).map_err(AdminError::new)?,
        };
        let (key, old) = (public_key(&next), &self.identity.certificate);
        if old.body().issuer.is_some() {
            return Ok(Rotated { key, done: false, old_file: None });
        }
        let root = root_key(&keystore)?;
        let chain = self.founder_chain(&root, key);
        refuse_any(self.store.add_certificates(&chain)?)?;
        let authority = self.store.authority();
        let new = chain.first().and_then(|bytes| authority.get(&Serial::of(bytes)));
        let new = new.ok_or_else(|| AdminError::new("the new certificate is not known"))?;
        replace_signed_by(&self.store, &root, old, new)?;
        keystore.renew(&chain).map_err(AdminError::new)?;
        Ok(Rotated { key, done: true, old_file: None })
    }

    fn rotate_root_key(&self) -> Result<Rotated, AdminError> {
        if self.identity.certificate.body().issuer.is_some() {
            return Err(AdminError::new("this node did not found the federation")
                .hint("the root key is changed at the node that was made with init --found"));
        }
        let keystore = Keystore::new(&self.data_dir);
        let known = self.store.authority();
        if let (Err(KeystoreError::Missing { .. }), Ok(next)) =
            (keystore.key(ROOT_KEY), keystore.key(NEXT_ROOT_KEY))
            && public_key(&next) == known.current_root()
        {
            // The power went between the two last steps.
            keystore.rename(NEXT_ROOT_KEY, ROOT_KEY).map_err(AdminError::new)?;
            return Ok(Rotated { key: public_key(&next), done: true, old_file: None });
        }
        let old = root_key(&keystore)?;
        let new = match keystore.key(NEXT_ROOT_KEY) {
            Err(KeystoreError::Missing { .. }) => {
                keystore.create_key(NEXT_ROOT_KEY, &mut rand::rng()).map_err(AdminError::new)?
            }
            known => known.map_err(AdminError::new)?,
        };
        let key = public_key(&new);
        if known.current_root() != key {
            if known.current_root() != public_key(&old) {
                return Err(AdminError::new("root.key is not the root key that signs now"));
            }
            let stands = stands(&known, public_key(&old));
            let body = SuccessionBody { old: public_key(&old), new: key, stands };
            refuse_any(self.store.add_successions(&[body.sign(&old, &new)])?)?;
        }
        let authority = self.store.authority();
        if authority.current_root() != key {
            return Err(AdminError::new("the root key was changed too often, or changes already"));
        }
        let successions = authority.successions().iter().map(|s| s.bytes().to_vec());
        keystore.add_successions(&successions.collect::<Vec<_>>()).map_err(AdminError::new)?;
        let chain = self.founder_chain(&new, self.identity.certificate.body().subject);
        refuse_any(self.store.add_certificates(&chain)?)?;
        keystore.renew(&chain).map_err(AdminError::new)?;
        let start: String = public_key(&old).to_string().chars().take(8).collect();
        let old_file = format!("{ROOT_KEY}.old-{start}");
        keystore.rename(ROOT_KEY, &old_file).map_err(AdminError::new)?;
        keystore.rename(NEXT_ROOT_KEY, ROOT_KEY).map_err(AdminError::new)?;
        Ok(Rotated { key, done: true, old_file: Some(old_file) })
    }

    /// The founder's certificate as it is, from now on for as long as before, for `subject`.
    pub(super) fn founder_chain(&self, root: &SigningKey, subject: PublicKey) -> Vec<Vec<u8>> {
        let own = self.identity.certificate.body();
        let now_ms = (self.now_ms)();
        let life_ms = own.not_after_ms.saturating_sub(own.issued_at_ms);
        let body = CertificateBody {
            subject,
            issued_at_ms: now_ms,
            not_after_ms: now_ms.saturating_add(life_ms),
            ..own.clone()
        };
        vec![Certificate::issue(&body, root)]
    }
}

/// What the old root has signed and not revoked; what it signs later stands no more.
fn stands(authority: &Authority, root: PublicKey) -> Vec<Serial> {
    let signed = authority
        .certificates()
        .filter(|certificate| certificate.body().issuer.is_none() && certificate.root() == root);
    signed.map(Certificate::serial).collect()
}
