//! Invitations: who may join below this node, until when, and who did.
//!
//! An invitation is made by an administrator, travels as a token on paper, and is redeemed once by
//! a machine that proves its secret (`redeem`). Only a hash of the secret is kept: neither the
//! list nor the store shows it again.
//!
//! The table is in the node's store, not in a file beside it: binding an invitation to the first
//! key that asks must be atomic against other requests and durable before the certificate leaves,
//! and the store's one writer thread, with its power-cut proof transactions, gives both. It is
//! neither log nor projection and never replicated.
//!
//! What it is not: the network side is [`crate::network::enrol`], the printed page
//! `cunlian_web::sheet`.

use cunlian_governance::divisions;
use cunlian_protocol::address::{AddressCode, Level};
use cunlian_protocol::certificate::Tier;
use cunlian_protocol::enrolment::{InvitationId, Secret, Token, TokenError};
use cunlian_protocol::signing::public_key;
use rand::Rng as _;
use serde::{Deserialize, Serialize};

use super::issuing::{Applicant, LIFETIME_MS, certify};
use super::{AdminError, Administration};
use crate::keystore::Keystore;

mod bulk;
mod place;
mod redeem;
mod table;

pub use bulk::{BulkInvitationRequest, BulkRow, Invitations, Rejected};
pub use place::reachable_addresses;
pub use redeem::{Redeemed, Refusal};

/// Wrong secrets after which an invitation is locked.
pub const WRONG_SECRETS: u32 = 10;
/// How long an invitation is valid unless something else is said: three days.
pub const VALID_MS: i64 = 72 * 3_600_000;
/// Longest validity of an invitation: 90 days.
pub const VALID_MAX_MS: i64 = 90 * 86_400_000;

/// What an administrator wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationRequest {
    /// Tier of the new node.
    pub tier: Tier,
    /// The address it will stand for.
    pub region: AddressCode,
    /// Its name; from the register of divisions when absent.
    pub name: Option<String>,
    /// How long the invitation is valid, milliseconds.
    pub valid_ms: i64,
    /// How long the certificate will be valid, milliseconds.
    pub lifetime_ms: i64,
    /// Where the new node reaches this one, `host:port`, at most four; the node's own when empty.
    pub addresses: Vec<String>,
}

impl InvitationRequest {
    /// An invitation with the usual times, name and addresses.
    pub fn new(tier: Tier, region: AddressCode) -> Self {
        let addresses = Vec::new();
        Self { tier, region, name: None, valid_ms: VALID_MS, lifetime_ms: LIFETIME_MS, addresses }
    }
}

/// An invitation that was made, with its token; the token is not shown again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invited {
    /// Id of the invitation, 16 hexadecimal digits.
    pub id: String,
    /// Text of the token.
    pub token: String,
    /// Tier of the new node.
    pub tier: Tier,
    /// Its address.
    pub region: AddressCode,
    /// Its name.
    pub name: String,
    /// Name of the node that invites.
    pub parent: String,
    /// Where the new node will look for this one.
    pub addresses: Vec<String>,
    /// End of the invitation, milliseconds since 1970-01-01 UTC.
    pub expires_at_ms: i64,
}

/// What has become of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It may be used.
    Open,
    /// A machine has used it.
    Used,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Cancelled,
    /// Too many wrong secrets were tried.
    Locked,
}

impl State {
    /// The state's name, as in JSON and in the keys of texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Locked => "locked",
        }
    }
}

/// One line of the list of invitations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Id of the invitation, 16 hexadecimal digits.
    pub id: String,
    /// What has become of it.
    pub state: State,
    /// Tier of the new node.
    pub tier: Tier,
    /// Its address.
    pub region: AddressCode,
    /// Its name.
    pub name: String,
    /// When it was made, milliseconds since 1970-01-01 UTC.
    pub created_at_ms: i64,
    /// When it ends.
    pub expires_at_ms: i64,
    /// Key of the machine that used it.
    pub used_by: Option<String>,
    /// When it was used.
    pub used_at_ms: Option<i64>,
    /// Wrong secrets tried.
    pub attempts: u32,
}

impl Administration {
    /// Invites one node. Nothing is written when this node could not certify it.
    pub fn invite(&self, wish: &InvitationRequest) -> Result<Invited, AdminError> {
        let draft = self.draft(wish)?;
        let (invited, row) = (draft.invited, draft.row);
        self.store.write_reference(move |connection| {
            table::schema(connection)?;
            table::insert(connection, &row)
        })?;
        Ok(invited)
    }

    /// All invitations, the newest first.
    pub fn invitations(&self) -> Result<Vec<Listed>, AdminError> {
        let now_ms = (self.now_ms)();
        self.store.write_reference(table::schema)?;
        let rows = self.store.read(table::all)?;
        Ok(rows.into_iter().map(|row| row.listed(now_ms)).collect())
    }

    /// Takes an invitation back.
    pub fn cancel_invitation(&self, id: &str) -> Result<Listed, AdminError> {
        let list = || "cunlian invite list shows the invitations";
        let id: InvitationId =
            id.trim().parse().map_err(|error| AdminError::new(error).hint(list()))?;
        let now_ms = (self.now_ms)();
        let row = self.store.write_reference(move |connection| {
            table::schema(connection)?;
            table::cancel(connection, id, now_ms)?;
            table::find(connection, id)
        })?;
        let row = row
            .ok_or_else(|| AdminError::new(format!("there is no invitation {id}")).hint(list()))?;
        let listed = row.listed(now_ms);
        if listed.state == State::Used {
            return Err(AdminError::new(format!("{} has already joined with it", listed.name))
                .hint("to take its certificate away: cunlian revoke"));
        }
        Ok(listed)
    }

    fn draft(&self, wish: &InvitationRequest) -> Result<Draft, AdminError> {
        self.may_issue()?;
        check_wish(wish)?;
        let now_ms = (self.now_ms)();
        let name = match &wish.name {
            Some(name) => name.trim().to_owned(),
            None => self.name_of(&wish.region)?,
        };
        if name.is_empty() {
            return Err(AdminError::new("the new node needs a name").hint("--name 苑兴村"));
        }
        // Any key will do to see whether the certificate could be issued.
        let (key, tier, region) = (public_key(&self.identity.key), wish.tier, wish.region);
        let applicant = Applicant { key, tier, region, name };
        certify(&self.identity, &applicant, now_ms, wish.lifetime_ms)?;
        let addresses = match wish.addresses.as_slice() {
            [] => place::own_addresses(&self.data_dir)?,
            given => given.to_vec(),
        };
        addresses.iter().try_for_each(|address| place::check(address))?;
        let token = self.token(now_ms.saturating_add(wish.valid_ms), addresses)?;
        let row = table::Row {
            id: token.invitation,
            secret_hash: token.secret.hash(token.invitation),
            tier,
            region,
            name: applicant.name.clone(),
            created_at_ms: now_ms,
            expires_at_ms: token.expires_at_ms,
            lifetime_ms: wish.lifetime_ms,
            attempts: 0,
            cancelled_at_ms: None,
            subject: None,
            used_at_ms: None,
            certificate: None,
        };
        let invited = Invited {
            id: token.invitation.to_string(),
            token: token.to_string(),
            tier,
            region,
            name: applicant.name,
            parent: self.identity.certificate.body().name.clone(),
            addresses: token.addresses,
            expires_at_ms: token.expires_at_ms,
        };
        Ok(Draft { invited, row })
    }

    fn token(&self, expires_at_ms: i64, addresses: Vec<String>) -> Result<Token, AdminError> {
        let (mut invitation, mut secret) = ([0; 8], [0; 16]);
        rand::rng().fill_bytes(&mut invitation);
        rand::rng().fill_bytes(&mut secret);
        let token = Token {
            invitation: InvitationId(invitation),
            secret: Secret(secret),
            root: Keystore::new(&self.data_dir).root().map_err(AdminError::new)?,
            parent: public_key(&self.identity.key),
            expires_at_ms,
            addresses,
        };
        let bounded = |error: TokenError| AdminError::new(error).hint("--address HOST:PORT");
        token.check().map_err(bounded)?;
        Ok(token)
    }

    /// The name in the register of divisions.
    fn name_of(&self, region: &AddressCode) -> Result<String, AdminError> {
        let found = self.store.read(|connection| {
            // A node without a register has no such table.
            Ok(divisions::find(connection, region).ok().flatten())
        })?;
        let division = found.ok_or_else(|| {
            AdminError::new(format!("the register of divisions has no name for {region}"))
                .hint("--name 苑兴村, or first: cunlian import divisions FILE")
        })?;
        Ok(divisions::spoken_name(&division.name))
    }
}

struct Draft {
    invited: Invited,
    row: table::Row,
}

fn check_wish(wish: &InvitationRequest) -> Result<(), AdminError> {
    if !(1..=VALID_MAX_MS).contains(&wish.valid_ms) {
        return Err(
            AdminError::new("an invitation is valid for at most 90 days").hint("--valid 72h")
        );
    }
    let (tier, region) = (wish.tier.name(), wish.region);
    if tier_of(region.level()) != Some(wish.tier) {
        return Err(AdminError::new(format!("{region} is not the code of a {tier}")).hint(
            "a county has 6 digits, a town 9, a village 12, a grid 15; --tier must fit --region",
        ));
    }
    Ok(())
}

/// The tier of nodes at an address of this level.
pub fn tier_of(level: Level) -> Option<Tier> {
    match level {
        Level::Province => Some(Tier::Province),
        Level::City => Some(Tier::City),
        Level::County => Some(Tier::County),
        Level::Town => Some(Tier::Town),
        Level::Village => Some(Tier::Village),
        Level::Grid => Some(Tier::Grid),
        Level::Country | Level::Building | Level::Unit | Level::Room => None,
    }
}

#[cfg(test)]
mod tests;
