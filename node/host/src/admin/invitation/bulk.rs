//! Many invitations at once, from a list.

use cunlian_protocol::address::AddressCode;
use serde::{Deserialize, Serialize};

use super::{Draft, InvitationRequest, Invited, table, tier_of};
use crate::admin::{AdminError, Administration};

/// Most rows of one list.
const ROWS: usize = 5_000;

/// One row of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkRow {
    /// Its line in the file, from 1.
    pub line: u64,
    /// Address code as typed.
    pub code: String,
    /// Name; from the register of divisions when absent.
    pub name: Option<String>,
    /// How long the invitation is valid, milliseconds; as for the others when absent.
    pub valid_ms: Option<i64>,
}

/// A list of nodes to invite. Tiers follow from the codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkInvitationRequest {
    /// The rows.
    pub rows: Vec<BulkRow>,
    /// How long invitations are valid, milliseconds.
    pub valid_ms: i64,
    /// How long the certificates will be valid, milliseconds.
    pub lifetime_ms: i64,
    /// Where the new nodes reach this one; the node's own addresses when empty.
    pub addresses: Vec<String>,
}

/// What came of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Invitations {
    /// Invitations made.
    pub invited: Vec<Invited>,
    /// Rows that could not be used.
    pub rejected: Vec<Rejected>,
}

/// A row that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Its line in the file, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

impl Administration {
    /// Invites all nodes of a list, in one transaction; rows that cannot be used are given back
    /// and do not hold up the others.
    pub fn invite_bulk(&self, wish: &BulkInvitationRequest) -> Result<Invitations, AdminError> {
        if wish.rows.len() > ROWS {
            let got = wish.rows.len();
            return Err(AdminError::new(format!("{got} rows are too many for one list"))
                .hint(format!("divide it into lists of at most {ROWS} rows")));
        }
        let mut outcome = Invitations::default();
        let mut made = Vec::new();
        let mut seen = std::collections::BTreeMap::new();
        for row in &wish.rows {
            match self.draft_row(wish, row, &mut seen) {
                Ok(Draft { invited, row }) => {
                    outcome.invited.push(invited);
                    made.push(row);
                }
                Err(error) => {
                    let reason = error.message;
                    outcome.rejected.push(Rejected { line: row.line, reason });
                }
            }
        }
        self.store.write_reference(move |connection| {
            table::schema(connection)?;
            made.iter().try_for_each(|row| table::insert(connection, row))
        })?;
        Ok(outcome)
    }

    fn draft_row(
        &self,
        wish: &BulkInvitationRequest,
        row: &BulkRow,
        seen: &mut std::collections::BTreeMap<AddressCode, u64>,
    ) -> Result<Draft, AdminError> {
        let region = AddressCode::parse(row.code.trim()).map_err(AdminError::new)?;
        let no_node = || AdminError::new(format!("no node stands for {region}"));
        let draft = self.draft(&InvitationRequest {
            tier: tier_of(region.level()).ok_or_else(no_node)?,
            region,
            name: row.name.clone().filter(|name| !name.trim().is_empty()),
            valid_ms: row.valid_ms.unwrap_or(wish.valid_ms),
            lifetime_ms: wish.lifetime_ms,
            addresses: wish.addresses.clone(),
        })?;
        if let Some(line) = seen.insert(region, row.line) {
            return Err(AdminError::new(format!("{region} is in line {line} already")));
        }
        Ok(draft)
    }
}
