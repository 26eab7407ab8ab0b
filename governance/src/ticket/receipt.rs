//! The receipt number a villager keeps: `260711-7KQM3XC`.
//!
//! | characters | meaning |
//! |---|---|
//! | 6 digits | local day of the report, YYMMDD |
//! | hyphen | may be left out |
//! | 6 characters | the first 8 bytes of the document id, big-endian, modulo 31⁶, in base 31 |
//! | 1 character | check: (31 − Σ 3ⁱ·vᵢ mod 31) mod 31 over the 12 before it |
//!
//! The 31 characters are the digits and the letters without I, L, O, U and Z, so that little is
//! misread on the phone. Weights and modulus are those of GB 32100, which finds every wrong
//! character and every exchange of two.
//! Every node that has the ticket derives the same receipt from it.

use std::fmt;

use cunlian_protocol::id::DocumentId;
use jiff::civil::Date;

use super::calendar::local_date;

/// Digit values 0–9 are themselves; letters follow.
const ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKMNPQRSTVWXY";
const CODE_CHARACTERS: usize = 6;

/// A checked receipt number in its printed form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(String);

/// Text that is not a receipt number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Too short or too long.
    #[error("a receipt number has 13 characters, got {got}")]
    Length {
        /// How many there are without blanks and hyphens.
        got: usize,
    },
    /// A character that does not occur there.
    #[error("the character {found:?} does not occur in receipt numbers")]
    Character {
        /// The character.
        found: char,
    },
    /// Something was mistyped.
    #[error("the receipt number is mistyped: its last character does not fit")]
    Check,
}

impl Receipt {
    /// The receipt of the ticket `document` reported at `reported_ms`.
    pub fn of(document: &DocumentId, reported_ms: i64) -> Self {
        let day: Date = local_date(reported_ms);
        let mut code = document.as_bytes().iter().take(8).fold(0, |n, &b| n << 8 | u64::from(b));
        let mut characters = [0_u8; CODE_CHARACTERS];
        for slot in characters.iter_mut().rev() {
            *slot = character(code % 31);
            code /= 31;
        }
        let year = day.year().rem_euclid(100);
        let mut text = format!("{year:02}{:02}{:02}", day.month(), day.day());
        text.extend(characters.into_iter().map(char::from));
        let check = check(&text).expect("only characters of the alphabet were written");
        text.push(check);
        text.insert(6, '-');
        Self(text)
    }

    /// Reads what a villager typed or said: blanks, hyphens and lower case are allowed.
    pub fn parse(text: &str) -> Result<Self, ReceiptError> {
        let clean = |found: &char| !found.is_whitespace() && !matches!(found, '-' | '－' | '—');
        let mut plain: String =
            text.chars().filter(clean).map(|found| found.to_ascii_uppercase()).collect();
        let got = plain.chars().count();
        if got != 7 + CODE_CHARACTERS {
            return Err(ReceiptError::Length { got });
        }
        let last = plain.pop().ok_or(ReceiptError::Length { got })?;
        if check(&plain)? != last {
            return Err(ReceiptError::Check);
        }
        plain.push(last);
        plain.insert(6, '-');
        Ok(Self(plain))
    }

    /// The printed form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

fn character(value: u64) -> u8 {
    let place = usize::try_from(value).expect("a remainder of 31");
    *ALPHABET.get(place).expect("a remainder of 31")
}

fn check(text: &str) -> Result<char, ReceiptError> {
    let (mut sum, mut weight) = (0, 1);
    for found in text.chars() {
        let value = ALPHABET.iter().position(|&known| char::from(known) == found);
        sum += value.ok_or(ReceiptError::Character { found })? * weight;
        weight = weight * 3 % 31;
    }
    Ok(char::from(character(u64::try_from((31 - sum % 31) % 31).expect("a remainder of 31"))))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn sample() -> Receipt {
        Receipt::of(&DocumentId([0x5a; 16]), 1_783_699_200_000)
    }

    /// Shows the printed form: an old receipt must always find its ticket.
    #[test]
    fn the_printed_form_is_fixed() {
        assert_eq!(sample().as_str(), "260711-V05A5X3");
    }

    /// Shows that a receipt is read as people write it.
    #[test]
    fn receipts_are_read_as_people_write_them() {
        let text = sample().as_str().to_lowercase().replace('-', " ");
        assert_eq!(Receipt::parse(&format!(" {text} ")).unwrap(), sample());
        assert_eq!(Receipt::parse("260711"), Err(ReceiptError::Length { got: 6 }));
        assert_eq!(Receipt::parse("260711-IIIIIII"), Err(ReceiptError::Character { found: 'I' }));
    }

    /// Shows that every single wrong character and every exchange of neighbours is found.
    #[test]
    fn mistyped_receipts_are_found() {
        let right: Vec<char> = sample().as_str().chars().filter(|c| *c != '-').collect();
        for at in 0..right.len() {
            for wrong in ALPHABET.iter().map(|&known| char::from(known)) {
                let mut typed = right.clone();
                *typed.get_mut(at).unwrap() = wrong;
                let read = Receipt::parse(&typed.iter().collect::<String>());
                assert_eq!(read.is_ok(), typed == right, "{typed:?}");
            }
        }
        for at in 1..right.len() {
            let mut typed = right.clone();
            typed.swap(at - 1, at);
            let read = Receipt::parse(&typed.iter().collect::<String>());
            assert_eq!(read.is_ok(), typed == right, "{typed:?}");
        }
    }
}
