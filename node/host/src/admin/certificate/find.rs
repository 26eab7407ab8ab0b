//! Who is meant, and where.

use cunlian_protocol::address::{AddressCode, AddressError, Level};
use cunlian_protocol::certificate::Certificate;
use cunlian_protocol::id::Serial;

use super::{AdminError, Desk};

/// Fewest digits of a shortened serial.
const SERIAL_DIGITS_MIN: usize = 6;

impl Desk<'_> {
    /// The certificate that is meant by a login of this node, a serial or the beginning of one, or
    /// a name. Of several for one key the one issued last is meant.
    pub fn find(&self, who: &str) -> Result<&Certificate, AdminError> {
        let who = who.trim();
        if let Some(serial) = self.of_login(who)? {
            let certificate = self.authority.get(&serial);
            let found = certificate.ok_or_else(|| not_known(who))?;
            return Ok(self.newest_of_key(found));
        }
        let mut found: Vec<&Certificate> = self.by_serial(who);
        if found.is_empty() {
            found = self.authority.certificates().filter(|c| c.body().name == who).collect();
            found = found.into_iter().map(|c| self.newest_of_key(c)).collect();
        }
        found.sort_by_key(|certificate| certificate.serial());
        found.dedup_by_key(|certificate| certificate.serial());
        match found.as_slice() {
            [one] => Ok(one),
            [] => Err(not_known(who)),
            several => {
                let each = several.iter().map(|certificate| {
                    let issuer = certificate.body().issuer;
                    let issuer = issuer.map_or("the root".to_owned(), |s| self.authority.name(&s));
                    format!("{} by {issuer}", certificate.serial())
                });
                let list: Vec<String> = each.collect();
                Err(AdminError::new(format!("{who:?} may be several: {}", list.join("; ")))
                    .hint("give the serial instead of the name"))
            }
        }
    }

    /// The login under which the holder of a certificate works here.
    pub(crate) fn login_of(&self, certificate: &Certificate) -> Option<String> {
        let key = certificate.body().subject;
        self.logins().ok()?.into_iter().find_map(|(login, serial)| {
            let held = self.authority.get(&serial)?;
            (held.body().subject == key).then_some(login)
        })
    }

    /// Of the certificates for the key of this one, the one issued last.
    pub fn newest_of_key<'a>(&'a self, certificate: &'a Certificate) -> &'a Certificate {
        let body = certificate.body();
        self.authority
            .certificates()
            .filter(|other| other.body().subject == body.subject && other.body().kind == body.kind)
            .chain([certificate])
            .max_by_key(|other| (other.body().issued_at_ms, other.serial()))
            .unwrap_or(certificate)
    }

    fn by_serial(&self, text: &str) -> Vec<&Certificate> {
        let digits = text.to_ascii_lowercase();
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digits.len() < SERIAL_DIGITS_MIN || !hexadecimal {
            return Vec::new();
        }
        let fits = |c: &&Certificate| c.serial().to_string().starts_with(&digits);
        self.authority.certificates().filter(fits).collect()
    }

    fn of_login(&self, login: &str) -> Result<Option<Serial>, AdminError> {
        let mut logins = self.logins()?.into_iter();
        Ok(logins.find(|(name, _)| name == login).map(|(_, serial)| serial))
    }

    fn logins(&self) -> Result<Vec<(String, Serial)>, AdminError> {
        let entries = self.operators.entries().map_err(AdminError::new)?;
        Ok(entries.into_iter().map(|e| (e.name, Serial::of(&e.certificate))).collect())
    }
}

fn not_known(who: &str) -> AdminError {
    AdminError::new(format!("no certificate of {who:?} is known here"))
        .hint("see them all with: cunlian cert tree")
}

/// An address code as people write it: digits, or the printed form with its check character, or
/// `CN` for the country.
pub fn read_address(text: &str) -> Result<AddressCode, AdminError> {
    let text = text.trim();
    if text == "CN" {
        return Ok(AddressCode::COUNTRY);
    }
    // Digits alone are never taken for a code with a check digit: 33010 is not 3301 and a 0.
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    let read = if digits_only { AddressCode::parse(text) } else { AddressCode::parse_plate(text) };
    read.map_err(|error| {
        if let AddressError::Length { got } = error {
            return between_segments(text, got);
        }
        AdminError::new(format!("{text:?} is not an address: {error}"))
            .hint("an address is 370322102310, or as printed: 370322 102 310-V")
    })
}

/// What to say of digits that end inside of a segment.
fn between_segments(text: &str, got: usize) -> AdminError {
    let whole = Level::ALL.into_iter().rfind(|level| level.digits() <= got);
    let (Some(whole), true) = (whole, text.is_ascii()) else {
        return AdminError::new(format!("{text:?} is not an address"));
    };
    let (inside, rest) = text.split_at(whole.digits().min(text.len()));
    let Some(next) = whole.child() else {
        return AdminError::new(format!("{text} has {got} digits; the longest address is a room"))
            .hint(format!("a room has {} digits", whole.digits()));
    };
    let error = AdminError::new(format!(
        "{text} is not an address: after {} comes a {next} of {} digits, and there are {}",
        if inside.is_empty() { "the country" } else { inside },
        next.segment_digits(),
        rest.len(),
    ));
    let begins = if inside.is_empty() { "CN" } else { inside };
    error.hint(format!(
        "addresses are compared by whole segments, so {text} is neither {begins} nor inside of it"
    ))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that a code reads with and without its check character, and that digits which end
    /// inside of a segment are explained and never taken for a shorter code with a check digit.
    #[test]
    fn addresses_are_read_as_people_write_them() {
        let village = AddressCode::parse("370322102310").unwrap();
        for text in ["370322102310", "370322 102 310-V", " 370322102310v "] {
            assert_eq!(read_address(text), Ok(village), "{text}");
        }
        assert_eq!(read_address("CN"), Ok(AddressCode::COUNTRY));
        for tail in '0'..='9' {
            let text = format!("3301{tail}");
            let error = read_address(&text).unwrap_err();
            let expected = "is not an address: after 3301 comes a county of 2 digits, \
                            and there are 1";
            assert!(error.message.contains(expected), "{error}");
            assert!(error.hint.unwrap().contains("neither 3301 nor inside of it"));
        }
        assert!(read_address("370322 102 310-W").unwrap_err().message.contains("misread"));
        assert!(read_address("").is_err() && read_address("3").is_err());
        assert!(read_address(&"1".repeat(40)).is_err());
    }
}
