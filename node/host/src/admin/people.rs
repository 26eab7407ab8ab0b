//! The people of the node: adding, narrowing, passwords, locks, removal.
//!
//! What it is not: dismissing a person, so that nothing they sign from now on is accepted
//! anywhere, is a revocation. Here only the login at this node ends.
//!
//! Passwords travel over the control socket, which only the owner of the data directory may open,
//! and never stand in a command's arguments, which everybody on the machine may read.

use std::fmt;

use cunlian_governance::library::catalogue::{self, Catalogue};
use cunlian_protocol::address::AddressCode;
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::id::Serial;
use cunlian_protocol::region::{Depth, Region};
use jiff::civil::Date;
use jiff::tz::Offset;
use rand::CryptoRng;
use rand::seq::IndexedRandom as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroize as _;

use super::naming::{category_names, one_line, parse_categories, parse_rights, rights_names};
use super::{AdminError, Administration};
use crate::operator::{Issuer, Narrowing, NewOperator, OperatorEntry, OperatorError, roles};
use crate::regions::own_region;

/// Days are days in the county: Asia/Shanghai, UTC+8 all year.
const SHANGHAI: Offset = Offset::constant(8);
/// What a password that people copy from paper is made of: no letter that looks like another.
const LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Letters of a one-time password, just under 5 bits each, in groups of four.
const LETTERS_COUNT: usize = 12;

/// A password on its way; never printed, and wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

/// What is done about a person. Each is answered with JSON, see the functions of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeopleAction {
    /// Makes a person an operator.
    Add(NewPerson),
    /// All operators.
    List,
    /// Gives a new key under a one-time password.
    Reset {
        /// Login name.
        name: String,
    },
    /// Changes a password that is known.
    Password {
        /// Login name.
        name: String,
        /// The password that holds.
        current: Password,
        /// The one that shall hold.
        new: Password,
    },
    /// Takes the locks of failed logins off.
    Unlock {
        /// Login name.
        name: String,
    },
    /// Says for which unit a person handles tickets.
    Unit {
        /// Login name.
        name: String,
        /// The unit as tickets name it; empty for none.
        unit: String,
    },
    /// Ends the login for good.
    Remove {
        /// Login name.
        name: String,
    },
}

/// A person to be made an operator, as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewPerson {
    /// Login name.
    pub name: String,
    /// Name shown to others.
    pub display_name: String,
    /// Key of a role.
    pub role: String,
    /// Address code, with `:exact` for this address alone.
    pub region: Option<String>,
    /// Names of categories; none for all that the role has.
    pub categories: Vec<String>,
    /// Names of rights.
    pub rights: Option<String>,
    /// Last day, `YYYY-MM-DD`.
    pub until: Option<String>,
    /// The unit whose tickets the person handles, as tickets name it.
    pub unit: Option<String>,
    /// Password; without one a one-time password is made and answered.
    pub password: Option<Password>,
}

/// Most characters in the name of a unit.
const UNIT_CHARACTERS_MAX: usize = 60;

impl Password {
    /// Wraps what was typed.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// A password to be handed over on paper and changed at the first login.
    pub fn one_time(rng: &mut impl CryptoRng) -> Self {
        let mut text = String::with_capacity(LETTERS_COUNT + LETTERS_COUNT / 4);
        for place in 0..LETTERS_COUNT {
            if place > 0 && place % 4 == 0 {
                text.push('-');
            }
            text.push(char::from(*LETTERS.choose(rng).expect("there are letters")));
        }
        Self(text)
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Password(…)")
    }
}

impl Administration {
    /// Does what is asked about a person.
    pub fn people(&self, action: &PeopleAction) -> Result<Value, AdminError> {
        match action {
            PeopleAction::Add(person) => self.operator_add(person),
            PeopleAction::List => self.operator_list(),
            PeopleAction::Reset { name } => self.operator_reset(name),
            PeopleAction::Password { name, current, new } => {
                self.operator_password(name, current, new)
            }
            PeopleAction::Unlock { name } => self.operator_unlock(name),
            PeopleAction::Unit { name, unit } => self.operator_unit(name, unit),
            PeopleAction::Remove { name } => self.operator_remove(name),
        }
    }

    /// Makes a person an operator, at once known to the running node: `{name, display_name, role,
    /// serial, not_after_ms, grants, password?}`.
    pub fn operator_add(&self, person: &NewPerson) -> Result<Value, AdminError> {
        let narrowing = self.narrowing(person)?;
        let display_name = one_line(&person.display_name)?;
        let mut rng = rand::rng();
        let given = person.password.clone();
        let password = given.clone().unwrap_or_else(|| Password::one_time(&mut rng));
        let new = NewOperator {
            name: &person.name,
            display_name: &display_name,
            role: &person.role,
            narrowing: Some(&narrowing),
            password: password.reveal(),
            must_change: given.is_none(),
        };
        let now_ms = (self.now_ms)();
        let added = self.operators.create(&self.issuer(), new, now_ms, &mut rng);
        let certificate = added.map_err(|error| self.explain(error))?;
        self.admit(&person.name, &certificate)?;
        tracing::info!(operator = person.name, role = person.role, "operator added");
        self.told(&person.name, given.is_none().then_some(&password))
    }

    /// Every operator: `{operators: [{name, display_name, role, serial, not_after_ms, valid,
    /// must_change, locked_ms?, unit?, earlier}]}`.
    pub fn operator_list(&self) -> Result<Value, AdminError> {
        let entries = self.operators.entries().map_err(AdminError::new)?;
        let operators: Vec<Value> = entries.iter().map(|entry| self.described(entry)).collect();
        Ok(json!({ "operators": operators }))
    }

    /// Gives `name` a new key under a one-time password, which is answered. What the person
    /// signed with the old key stays valid; running sessions end.
    pub fn operator_reset(&self, name: &str) -> Result<Value, AdminError> {
        let mut rng = rand::rng();
        let password = Password::one_time(&mut rng);
        let now_ms = (self.now_ms)();
        let (issuer, authority) = (self.issuer(), self.store.authority());
        let secret = password.reveal();
        let reset = self.operators.reset(&issuer, &authority, name, secret, now_ms, &mut rng);
        let certificate = reset.map_err(|error| self.explain(error))?;
        self.admit(name, &certificate)?;
        self.operators.attempts().unlock(name).map_err(AdminError::new)?;
        tracing::info!(operator = name, "operator reset");
        self.told(name, Some(&password))
    }

    /// Changes a password that is known; running sessions of the person end.
    pub fn operator_password(
        &self,
        name: &str,
        current: &Password,
        new: &Password,
    ) -> Result<Value, AdminError> {
        let (current, new) = (current.reveal(), new.reveal());
        let changed = self.operators.change_password(name, current, new, &mut rand::rng());
        changed.map_err(|error| self.explain(error))?;
        tracing::info!(operator = name, "password changed");
        self.told(name, None)
    }

    /// Takes the locks of failed logins off `name`.
    pub fn operator_unlock(&self, name: &str) -> Result<Value, AdminError> {
        self.existing(name)?;
        self.operators.attempts().unlock(name).map_err(AdminError::new)?;
        tracing::info!(operator = name, "operator unlocked");
        self.told(name, None)
    }

    /// Says for which unit `name` handles tickets, from the next request on; empty for none.
    pub fn operator_unit(&self, name: &str, unit: &str) -> Result<Value, AdminError> {
        let unit = parse_unit(unit)?;
        let set = self.operators.set_unit(name, unit.clone());
        set.map_err(|error| self.explain(error))?;
        tracing::info!(operator = name, unit, "unit of an operator set");
        self.told(name, None)
    }

    /// Deletes the sealed key of `name`: `{name, serial}`. The certificate stays valid until it
    /// is revoked or ends, but nobody has its key.
    pub fn operator_remove(&self, name: &str) -> Result<Value, AdminError> {
        let entry = self.existing(name)?;
        self.operators.remove(name).map_err(|error| self.explain(error))?;
        self.operators.attempts().forget(name).map_err(AdminError::new)?;
        tracing::info!(operator = name, "operator removed");
        Ok(json!({ "name": name, "serial": Serial::of(&entry.certificate).to_string() }))
    }

    fn issuer(&self) -> Issuer<'_> {
        Issuer { certificate: &self.identity.certificate, key: &self.identity.key }
    }

    /// Makes a certificate known to the store, so that what it signs is taken from now on.
    fn admit(&self, name: &str, certificate: &[u8]) -> Result<(), AdminError> {
        let refused = self.store.add_certificates(&[certificate.to_vec()])?;
        match refused.into_iter().next() {
            None => Ok(()),
            Some(reason) => {
                Err(AdminError::new(format!("the certificate of {name} was refused: {reason}"))
                    .hint("see whether this node's own certificate is valid: cunlian status"))
            }
        }
    }

    fn existing(&self, name: &str) -> Result<OperatorEntry, AdminError> {
        let entry = self.operators.entry(name).map_err(AdminError::new)?;
        entry.ok_or_else(|| self.explain(OperatorError::Missing { name: name.to_owned() }))
    }

    fn told(&self, name: &str, password: Option<&Password>) -> Result<Value, AdminError> {
        let mut told = self.described(&self.existing(name)?);
        if let (Some(object), Some(password)) = (told.as_object_mut(), password) {
            object.insert("password".to_owned(), password.reveal().into());
        }
        Ok(told)
    }

    fn described(&self, entry: &OperatorEntry) -> Value {
        let authority = self.store.authority();
        let now_ms = (self.now_ms)();
        let serial = Serial::of(&entry.certificate);
        let certificate = authority.get(&serial);
        let state = match certificate.map(|known| authority.valid_at(known, now_ms)) {
            Some(Ok(())) => "valid".to_owned(),
            Some(Err(refusal)) => refusal.to_string(),
            None => "unknown to the store".to_owned(),
        };
        let catalogue = self.catalogue();
        json!({
            "name": entry.name,
            "display_name": entry.display_name,
            "role": entry.role,
            "serial": serial.to_string(),
            "state": state,
            "not_after_ms": certificate.map(|known| known.body().not_after_ms),
            "grants": certificate.map(|known| grants_in_words(known, &catalogue)),
            "must_change": entry.must_change,
            "unit": entry.narrowing.unit,
            "locked_ms": self.operators.attempts().longest_wait_ms(&entry.name, now_ms),
            "earlier": entry.earlier.iter().map(|c| Serial::of(c).to_string()).collect::<Vec<_>>(),
        })
    }

    fn narrowing(&self, person: &NewPerson) -> Result<Narrowing, AdminError> {
        let catalogue = self.catalogue();
        let region = person.region.as_deref().map(parse_region).transpose()?;
        let categories = match person.categories.as_slice() {
            [] => None,
            names => Some(parse_categories(&names.join(","), &catalogue).map_err(AdminError::new)?),
        };
        let rights = person.rights.as_deref().map(parse_rights);
        let rights = rights.transpose().map_err(AdminError::new)?;
        let until_ms = person.until.as_deref().map(parse_last_day).transpose()?;
        let unit = person.unit.as_deref().map(parse_unit).transpose()?.flatten();
        Ok(Narrowing { region, categories, rights, until_ms, unit })
    }

    fn catalogue(&self) -> Catalogue {
        let region = own_region(&self.identity.certificate);
        let read = self.store.read(|connection| catalogue::at(connection, region));
        read.unwrap_or_else(|_| Catalogue::built_in())
    }

    fn explain(&self, error: OperatorError) -> AdminError {
        use crate::operator::NarrowingError;
        let known = || roles().iter().map(|role| role.key.as_str()).collect::<Vec<_>>().join(", ");
        let hint = match &error {
            OperatorError::Missing { .. } | OperatorError::Refused => {
                "see: cunlian operator list".to_owned()
            }
            OperatorError::Role(_) => {
                format!("the roles are {}; see: cunlian operator roles", known())
            }
            OperatorError::Exists { .. } => {
                "a forgotten password: cunlian operator reset NAME".to_owned()
            }
            OperatorError::Narrowing(NarrowingError::Categories { outside }) => {
                let names = category_names(outside, &self.catalogue()).join(", ");
                format!("leave out {names}, or choose another role")
            }
            OperatorError::Narrowing(_) => {
                "a person can get less than the role and this node have, not more".to_owned()
            }
            OperatorError::Revoked { .. } => {
                "cunlian operator reset NAME makes a new key".to_owned()
            }
            OperatorError::Password | OperatorError::SamePassword => {
                "choose another password".to_owned()
            }
            OperatorError::Name { .. } => "such as wang or li.qiang".to_owned(),
            OperatorError::Malformed { .. } | OperatorError::Io { .. } => {
                "see whether this user may read the file; a backup of the node holds a copy"
                    .to_owned()
            }
        };
        AdminError::new(error).hint(hint)
    }
}

/// What a certificate gives, a line for each grant: where, what, which kinds of data.
fn grants_in_words(certificate: &Certificate, catalogue: &Catalogue) -> Vec<Value> {
    let grants = certificate.body().grants.iter();
    let word = |grant: &cunlian_protocol::certificate::Grant| {
        json!({
            "region": grant.region.to_string(),
            "rights": rights_names(grant.rights),
            "categories": category_names(&grant.categories, catalogue),
        })
    };
    grants.map(word).collect()
}

/// `CODE` and everything below it, or `CODE:exact`.
fn parse_region(text: &str) -> Result<Region, AdminError> {
    let (code, depth) = match text.split_once(':') {
        None => (text, Depth::Subtree),
        Some((code, "exact")) => (code, Depth::Exact),
        Some((code, "subtree")) => (code, Depth::Subtree),
        Some((_, other)) => {
            return Err(AdminError::new(format!("{other:?} is not a depth"))
                .hint("write 370322102310 for all below it, 370322102310:exact for it alone"));
        }
    };
    let prefix = AddressCode::parse(code).map_err(|error| {
        AdminError::new(format!("{code:?} is not a region: {error}"))
            .hint("such as 370322102310, or 370322102310:exact")
    })?;
    Ok(Region { prefix, depth })
}

/// The first moment after a day, milliseconds.
fn parse_last_day(text: &str) -> Result<i64, AdminError> {
    let wrong = || {
        AdminError::new(format!("{text:?} is not a day")).hint("write the last day as 2027-06-30")
    };
    let day: Date = text.trim().parse().map_err(|_| wrong())?;
    let after = day.tomorrow().map_err(|_| wrong())?.at(0, 0, 0, 0);
    let after = SHANGHAI.to_timestamp(after).map_err(|_| wrong())?;
    Ok(after.as_millisecond())
}

/// A unit as it is kept; `None` for an empty text.
fn parse_unit(unit: &str) -> Result<Option<String>, AdminError> {
    let unit = one_line(unit)?;
    if unit.chars().count() > UNIT_CHARACTERS_MAX {
        return Err(AdminError::new(format!("the name {unit:?} is too long"))
            .hint(format!("write at most {UNIT_CHARACTERS_MAX} characters")));
    }
    Ok((!unit.is_empty()).then_some(unit))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    /// Shows that a password neither shows in a log nor is lost on its way.
    #[test]
    fn a_password_travels_unseen() {
        let action = PeopleAction::Password {
            name: "wang".to_owned(),
            current: Password::new("old-secret".to_owned()),
            new: Password::new("new-secret".to_owned()),
        };
        assert!(!format!("{action:?}").contains("secret"));
        let line = serde_json::to_string(&action).unwrap();
        assert_eq!(serde_json::from_str::<PeopleAction>(&line).unwrap(), action);
    }

    /// Shows that one-time passwords can be copied from paper, pass the rules and differ.
    #[test]
    fn one_time_passwords_can_be_copied() {
        let mut rng = StdRng::seed_from_u64(3);
        let (one, other) = (Password::one_time(&mut rng), Password::one_time(&mut rng));
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), 14);
        assert!(!one.reveal().contains(['0', 'o', '1', 'l', 'i']), "{}", one.reveal());
    }

    /// Shows that the last day is included, in local time, and that other texts are refused.
    #[test]
    fn the_last_day_is_included() {
        // 2027-07-01 00:00 in Shanghai is 2027-06-30 16:00 UTC.
        assert_eq!(parse_last_day("2027-06-30").unwrap(), 1_814_371_200_000);
        assert!(parse_last_day("30.6.2027").is_err() && parse_last_day("2027-02-30").is_err());
    }

    /// Shows both depths of a region.
    #[test]
    fn regions_have_a_depth() {
        assert_eq!(parse_region("370322102310").unwrap().to_string(), "370322102310*");
        assert_eq!(parse_region("370322102310:exact").unwrap().to_string(), "370322102310");
        assert!(parse_region("370322:deep").is_err() && parse_region("x").is_err());
    }
}
