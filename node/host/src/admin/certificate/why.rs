//! One question of permission, answered grant by grant.

use cunlian_protocol::address::AddressCode;
use cunlian_protocol::category::{Category, CategorySet};
use cunlian_protocol::certificate::{AuthorKind, Certificate, Grant};
use cunlian_protocol::id::DocumentId;
use cunlian_protocol::rights::Rights;
use serde::{Deserialize, Serialize};

use super::card::Obstacle;
use super::find::read_address;
use super::grant::{GrantWords, Lack, address_lack, covered};
use super::{AdminError, Desk, Named};
use crate::admin::naming::{category_name, category_names, parse_category, rights_names};
use crate::local_time::time_words;

/// What somebody may or may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Receive and see.
    Read,
    /// Create and change.
    Write,
    /// Assign cases.
    Assign,
    /// Sign off joint cases.
    SignOff,
    /// Erase payloads.
    Erase,
    /// Issue certificates for others.
    Issue,
}

/// Who may do what, where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Name, serial or login.
    pub who: String,
    /// What.
    pub verb: Verb,
    /// Where: an address code, with or without its check character.
    pub address: String,
    /// Name of a category; if absent, the answer says for which it holds.
    pub category: Option<String>,
    /// One document.
    pub document: Option<DocumentId>,
    /// When, milliseconds since 1970-01-01 UTC; now if absent.
    pub at_ms: Option<i64>,
}

/// The answer, and all that leads to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Yes or no.
    pub allowed: bool,
    /// Whom it is about.
    pub who: Named,
    /// What.
    pub verb: Verb,
    /// Where.
    pub address: AddressCode,
    /// The names of the address, if the register knows it.
    pub place: Option<String>,
    /// Name of the category asked for.
    pub category: Option<String>,
    /// The document asked for.
    pub document: Option<DocumentId>,
    /// When, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// Why the certificate cannot be used at all.
    pub obstacles: Vec<Obstacle>,
    /// Each grant, and what it lacks.
    pub grants: Vec<Considered>,
    /// Names of the categories that are covered, within what was asked for.
    pub covered: Vec<String>,
    /// The answer in sentences, the first one saying yes or no.
    pub words: Vec<String>,
}

/// One grant, held against a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// The grant.
    pub grant: GrantWords,
    /// What it lacks; empty if it covers what is asked.
    pub lacks: Vec<Lack>,
}

/// A question whose words have been understood.
struct WhyRequest {
    verb: Verb,
    address: AddressCode,
    category: Option<Category>,
    document: Option<DocumentId>,
}

impl Verb {
    /// As it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Assign => "assign",
            Self::SignOff => "sign-off",
            Self::Erase => "erase",
            Self::Issue => "issue",
        }
    }

    /// The right it needs; `None` for issuing, which needs something to pass on.
    const fn right(self) -> Option<Rights> {
        match self {
            Self::Read => Some(Rights::READ),
            Self::Write => Some(Rights::WRITE),
            Self::Assign => Some(Rights::ASSIGN),
            Self::SignOff => Some(Rights::SIGN_OFF),
            Self::Erase => Some(Rights::ERASE),
            Self::Issue => None,
        }
    }
}

impl Desk<'_> {
    /// Whether somebody may do something, and why.
    pub(crate) fn why(&self, question: &Question) -> Result<Answer, AdminError> {
        let certificate = self.find(&question.who)?;
        let category = question.category.as_deref().map(|name| {
            parse_category(name, &self.catalogue)
                .map_err(|error| AdminError::new(error).hint("ask about one category at a time"))
        });
        let asked = WhyRequest {
            verb: question.verb,
            address: read_address(&question.address)?,
            category: category.transpose()?,
            document: question.document,
        };
        let at_ms = question.at_ms.unwrap_or(self.now_ms);
        Ok(self.answer(certificate, &asked, at_ms))
    }

    fn answer(&self, certificate: &Certificate, asked: &WhyRequest, at_ms: i64) -> Answer {
        let body = certificate.body();
        let mut obstacles = self.obstacles(certificate, at_ms);
        if asked.verb == Verb::Issue && body.kind != AuthorKind::Node {
            obstacles.push(Obstacle::NotANode { kind: body.kind });
        }
        let held: Vec<_> =
            body.grants.iter().map(|grant| (grant, self.lacks(grant, asked))).collect();
        let covering = held.iter().filter(|(_, lacks)| lacks.is_empty());
        let set = covering.fold(CategorySet::none(), |set, (grant, _)| {
            set.union(&covered(grant, asked.category))
        });
        let numbered = held.into_iter().zip(1..);
        let grants = numbered.map(|((grant, lacks), number)| Considered {
            grant: self.grant_words(number, grant),
            lacks,
        });
        let mut answer = Answer {
            allowed: obstacles.is_empty() && !set.is_empty(),
            who: self.named(&certificate.serial()),
            verb: asked.verb,
            address: asked.address,
            place: self.place(&asked.address),
            category: asked.category.map(|category| category_name(category, &self.catalogue)),
            document: asked.document,
            at_ms,
            obstacles,
            grants: grants.collect(),
            covered: category_names(&set, &self.catalogue),
            words: Vec::new(),
        };
        answer.words = answer.sentences(&self.place_words(&asked.address));
        answer
    }

    /// What one grant lacks; empty if and only if the authority lets it count.
    fn lacks(&self, grant: &Grant, asked: &WhyRequest) -> Vec<Lack> {
        let mut lacks: Vec<Lack> =
            address_lack(&grant.region, &asked.address).into_iter().collect();
        if let Some(category) = asked.category.filter(|c| !grant.categories.contains(*c)) {
            lacks.push(Lack::Categories { names: vec![category_name(category, &self.catalogue)] });
        }
        match asked.verb.right() {
            Some(right) if !grant.rights.contains(right) => {
                let names = rights_names(right).into_iter().map(str::to_owned).collect();
                lacks.push(Lack::Rights { names });
            }
            None if grant.delegable == Rights::NONE => {
                lacks.push(Lack::Delegable { names: Vec::new() });
            }
            Some(_) | None => {}
        }
        if let Some(only) = grant.document.filter(|_| grant.document != asked.document) {
            lacks.push(Lack::OtherDocument { only });
        }
        lacks
    }
}

impl Answer {
    fn sentences(&self, place: &str) -> Vec<String> {
        let what = match (&self.category, self.document) {
            (Some(category), Some(document)) => format!("document {document} of {category}"),
            (Some(category), None) => category.clone(),
            (None, Some(document)) => format!("document {document}"),
            (None, None) if self.allowed => self.covered.join(", "),
            (None, None) => "anything".to_owned(),
        };
        let verb = match self.verb {
            Verb::SignOff => "sign off",
            Verb::Issue => "issue certificates for",
            other @ (Verb::Read | Verb::Write | Verb::Assign | Verb::Erase) => other.name(),
        };
        let may = if self.allowed { "may" } else { "may not" };
        let name = &self.who.name;
        let when = time_words(self.at_ms);
        let mut words = vec![format!("{name} {may} {verb} {what} at {place} (as of {when})")];
        words.extend(self.obstacles.iter().map(Obstacle::words));
        if self.grants.is_empty() {
            words.push("the certificate has no grants".to_owned());
        }
        for Considered { grant, lacks } in &self.grants {
            let said = format!("grant {}, {}", grant.number, grant.words());
            if lacks.is_empty() {
                words.push(format!("{said}: covers it"));
            } else if !self.allowed || self.grants.len() == 1 {
                let lacks: Vec<String> = lacks.iter().map(Lack::words).collect();
                words.push(format!("{said}: no, {}", lacks.join("; ")));
            }
        }
        words
    }
}
