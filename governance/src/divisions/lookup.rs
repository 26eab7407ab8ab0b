//! Questions to the register.

use std::collections::{BTreeSet, VecDeque};

use cunlian_protocol::address::{AddressCode, AddressError, Level};
use rusqlite::{Connection, OptionalExtension, Row};

use super::limits::RESOLVE_CODES_MAX;
use super::list::MissingSuccessor;
use super::{Division, Status, StatusError};

/// Why the register gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The table cannot be read, or does not exist.
    #[error("the register of divisions cannot be read")]
    Register(#[from] rusqlite::Error),
    /// A stored code is damaged.
    #[error("the register holds a damaged code: {0}")]
    Code(#[from] AddressError),
    /// A stored status is damaged.
    #[error("the register is damaged: {0}")]
    Status(#[from] StatusError),
    /// Following the successors of a code leads to too many others.
    #[error("the successors of {code} lead to more than {limit} codes")]
    TooManySuccessors {
        /// The code asked for.
        code: AddressCode,
        /// The bound, [`RESOLVE_CODES_MAX`].
        limit: usize,
    },
}

/// What an address code stands for today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The code is in use.
    Active(Division),
    /// The code was merged, split or revoked and these active codes took its place, at least one,
    /// nearest first.
    Succeeded {
        /// The entry of the old code.
        from: Division,
        /// The active entries it leads to.
        to: Vec<Division>,
    },
    /// The code was given out once and nothing active took its place.
    Ended(Division),
    /// The register does not know the code.
    Unknown,
}

/// The entry of `code`.
pub fn find(connection: &Connection, code: &AddressCode) -> Result<Option<Division>, LookupError> {
    let mut statement = connection.prepare_cached(
        "SELECT code, name, parent, status, successors FROM division_register WHERE code = ?1",
    )?;
    let stored = statement.query_row([code.as_str()], Stored::read).optional()?;
    stored.map(Stored::decode).transpose()
}

/// The entry of `code` in the documents homed at `home`.
pub(super) fn published(
    connection: &Connection,
    home: &AddressCode,
    code: &AddressCode,
) -> Result<Option<Division>, LookupError> {
    let mut statement = connection.prepare_cached(
        "SELECT code, name, parent, status, successors FROM division_published
         WHERE code = ?1 AND address = ?2 ORDER BY document",
    )?;
    let stored = statement.query_row([code.as_str(), home.as_str()], Stored::read).optional()?;
    stored.map(Stored::decode).transpose()
}

/// Entries of the register whose parent is not in it.
pub(super) fn missing_parents(connection: &Connection) -> rusqlite::Result<u64> {
    let query = "SELECT count(*) FROM division_register AS child WHERE child.parent <> ''
         AND NOT EXISTS (SELECT 1 FROM division_register AS above WHERE above.code = child.parent)";
    connection.query_row(query, [], |row| row.get(0)).map(i64::unsigned_abs)
}

/// Successors that the register names and does not know.
pub(super) fn missing_successors(
    connection: &Connection,
) -> rusqlite::Result<Vec<MissingSuccessor>> {
    let mut ended = connection.prepare(
        "SELECT code, name, successors FROM division_register WHERE status <> 'active'
         ORDER BY code",
    )?;
    let mut known = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM division_register WHERE code = ?1)")?;
    let rows = ended.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut missing = Vec::new();
    for row in rows {
        let (code, name, successors): (String, String, String) = row?;
        let Ok(code) = AddressCode::parse(&code) else { continue };
        for successor in successors.split_ascii_whitespace() {
            let is_known: bool = known.query_row([successor], |row| row.get(0))?;
            if let Some(successor) = AddressCode::parse(successor).ok().filter(|_| !is_known) {
                missing.push(MissingSuccessor { code, name: name.clone(), successor });
            }
        }
    }
    Ok(missing)
}

/// The entries whose published parent is `code`, in order of their codes, whatever their status.
pub fn children(connection: &Connection, code: &AddressCode) -> Result<Vec<Division>, LookupError> {
    let mut statement = connection.prepare_cached(
        "SELECT code, name, parent, status, successors FROM division_register
         WHERE parent = ?1 ORDER BY code",
    )?;
    let rows = statement.query_map([code.as_str()], Stored::read)?;
    rows.map(|stored| stored?.decode()).collect()
}

/// What `code` stands for today, following successors through any number of reforms.
///
/// A code below the village (grid, building, unit, room) that has no entry of its own resolves as
/// its village does: the numbers below a village are given anew when villages are joined, so no
/// guess is made about them.
pub fn resolve(connection: &Connection, code: &AddressCode) -> Result<Resolution, LookupError> {
    let mut from = None;
    for ancestor in code.ancestors() {
        if ancestor != *code && ancestor.level() < Level::Village {
            break;
        }
        from = find(connection, &ancestor)?;
        if from.is_some() {
            break;
        }
    }
    let Some(from) = from else { return Ok(Resolution::Unknown) };
    if from.status == Status::Active {
        return Ok(Resolution::Active(from));
    }
    let to = active_successors(connection, &from)?;
    Ok(if to.is_empty() { Resolution::Ended(from) } else { Resolution::Succeeded { from, to } })
}

/// The one code that has taken the place of `code`; `None` while it is in use, when it was split,
/// or when the register says nothing of it. A damaged register says nothing.
pub fn successor(connection: &Connection, code: &AddressCode) -> Option<AddressCode> {
    match resolve(connection, code) {
        Ok(Resolution::Succeeded { to, .. }) => match to.as_slice() {
            [one] => Some(one.code),
            _ => None,
        },
        Ok(Resolution::Active(_) | Resolution::Ended(_) | Resolution::Unknown) | Err(_) => None,
    }
}

/// The entries that name `code` as a successor, in order of their codes.
pub fn predecessors(
    connection: &Connection,
    code: &AddressCode,
) -> Result<Vec<Division>, LookupError> {
    let mut statement = connection.prepare_cached(
        "SELECT code, name, parent, status, successors FROM division_register
         WHERE status <> 'active' AND instr(' ' || successors || ' ', ' ' || ?1 || ' ') > 0
         ORDER BY code",
    )?;
    let rows = statement.query_map([code.as_str()], Stored::read)?;
    rows.map(|stored| stored?.decode()).collect()
}

/// All codes under which there may be records of what `code` stands for: the active codes that
/// took its place, or itself, then every code that was joined to one of them, through any number
/// of reforms. Where the register says nothing, `code` alone.
pub fn family(connection: &Connection, code: &AddressCode) -> Vec<AddressCode> {
    let mut codes = match resolve(connection, code) {
        Ok(Resolution::Succeeded { to, .. }) => to.into_iter().map(|to| to.code).collect(),
        Ok(Resolution::Active(_) | Resolution::Ended(_) | Resolution::Unknown) | Err(_) => {
            vec![*code]
        }
    };
    let mut next = 0;
    while let Some(code) = codes.get(next).filter(|_| codes.len() < RESOLVE_CODES_MAX).copied() {
        let joined = predecessors(connection, &code).unwrap_or_default();
        for division in joined {
            if !codes.contains(&division.code) {
                codes.push(division.code);
            }
        }
        next += 1;
    }
    if !codes.contains(code) {
        codes.push(*code);
    }
    codes
}

/// The names on the way from the province down to `code`, as far as the register knows them.
///
/// With the lists of towns and villages alone: county, town, village.
pub fn name_path(connection: &Connection, code: &AddressCode) -> Result<Vec<String>, LookupError> {
    let mut names = Vec::new();
    for ancestor in code.ancestors() {
        if let Some(division) = find(connection, &ancestor)? {
            names.push(division.name);
        }
    }
    names.reverse();
    Ok(names)
}

/// Walks successors breadth first; a code seen before is not walked again, so cycles end.
fn active_successors(
    connection: &Connection,
    from: &Division,
) -> Result<Vec<Division>, LookupError> {
    let mut seen = BTreeSet::from([from.code]);
    let mut waiting: VecDeque<_> = from.successors.iter().copied().collect();
    let mut active = Vec::new();
    while let Some(code) = waiting.pop_front() {
        if !seen.insert(code) {
            continue;
        }
        if seen.len() > RESOLVE_CODES_MAX {
            let limit = RESOLVE_CODES_MAX;
            return Err(LookupError::TooManySuccessors { code: from.code, limit });
        }
        match find(connection, &code)? {
            Some(division) if division.status == Status::Active => active.push(division),
            Some(division) => waiting.extend(division.successors),
            None => {}
        }
    }
    Ok(active)
}

/// A row as it is stored.
struct Stored {
    code: String,
    name: String,
    parent: String,
    status: String,
    successors: String,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            code: row.get(0)?,
            name: row.get(1)?,
            parent: row.get(2)?,
            status: row.get(3)?,
            successors: row.get(4)?,
        })
    }

    fn decode(self) -> Result<Division, LookupError> {
        let parent = match self.parent.as_str() {
            "" => None,
            parent => Some(AddressCode::parse(parent)?),
        };
        let successors = self.successors.split_ascii_whitespace().map(AddressCode::parse);
        Ok(Division {
            code: AddressCode::parse(&self.code)?,
            name: self.name,
            parent,
            status: self.status.parse()?,
            successors: successors.collect::<Result<_, _>>()?,
        })
    }
}
