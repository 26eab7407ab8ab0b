//! The printed form of a code: grouped digits and a check character.
//!
//! ```text
//! 370322 102 310-V                      a village
//! 370322 102 310 001 00012 02 0301-E    a room
//! └─┬──┘ └┬┘ └┬┘ └┬┘ └─┬─┘ ││ └─┬┘ │
//! county town village grid │  ││  room  check character
//!                     building unit
//! ```
//!
//! The check character is ISO 7064 MOD 37,2 over the digits, one of `0`–`9`, `A`–`Z` and `*`. It
//! finds every single wrong digit and every exchange of two neighbours. It stands on plates and
//! receipts, where people read and type; keys and encodings never contain it.

use super::{AddressCode, AddressError, Level};

const ALPHABET: &[u8; 37] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*";

/// The character that, after `values`, makes their ISO 7064 MOD 37,2 sum congruent to 1.
fn mod_37_2(values: impl Iterator<Item = usize>) -> char {
    let sum = values.fold(0, |sum, value| (sum + value) * 2 % 37);
    ALPHABET.get((38 - sum) % 37).map(|&byte| char::from(byte)).expect("a remainder of 37")
}

impl AddressCode {
    /// The ISO 7064 MOD 37,2 check character of the digits.
    pub fn check_character(&self) -> char {
        mod_37_2(self.as_bytes().iter().map(|digit| usize::from(digit - b'0')))
    }

    /// The printed form: the first six digits together, each further segment after a blank, then
    /// a hyphen and the check character, such as `370322 102 310-V`.
    ///
    /// The country has no plate; its text is the bare check character and does not parse.
    pub fn plate_text(&self) -> String {
        let mut text = String::with_capacity(super::MAX_DIGITS + 8);
        for level in Level::ALL {
            let Some(segment) = self.segment(level) else { break };
            if level > Level::County {
                text.push(' ');
            }
            text.push_str(segment);
        }
        if *self != Self::COUNTRY {
            text.push('-');
        }
        text.push(self.check_character());
        text
    }

    /// Reads a printed code and verifies its check character.
    ///
    /// Blanks and hyphens may stand anywhere or be left out, and the check character may be in
    /// lower case. The last character is always taken as the check character; no two lengths of
    /// codes differ by one, so a code without it is recognised as such.
    pub fn parse_plate(text: &str) -> Result<Self, AddressError> {
        let mut digits = String::with_capacity(super::MAX_DIGITS + 1);
        let mut last: Option<(usize, char)> = None;
        for (offset, found) in text.char_indices() {
            if found == ' ' || found == '-' {
                continue;
            }
            if let Some((offset, digit)) = last.replace((offset, found)) {
                if !digit.is_ascii_digit() {
                    return Err(AddressError::NotADigit { offset, found: digit });
                }
                digits.push(digit);
            }
        }
        let Some((offset, last)) = last else { return Err(AddressError::Empty) };
        let got = last.to_ascii_uppercase();
        if !u8::try_from(got).is_ok_and(|byte| ALPHABET.contains(&byte)) {
            return Err(AddressError::NotADigit { offset, found: last });
        }
        if got.is_ascii_digit() && Level::from_digits(digits.len() + 1).is_some() {
            return Err(AddressError::CheckCharacterMissing { digits: digits.len() + 1 });
        }
        let code = Self::parse(&digits)?;
        let expected = code.check_character();
        if got == expected { Ok(code) } else { Err(AddressError::CheckCharacter { expected, got }) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn check(text: &str) -> char {
        mod_37_2(text.bytes().map(|byte| ALPHABET.iter().position(|&c| c == byte).unwrap()))
    }

    /// A donation number printed in the ISBT 128 standard, which uses the same system.
    #[test]
    fn the_published_sample() {
        assert_eq!(check("G123498654321"), 'H');
    }

    #[test]
    fn plates_read_back() {
        let code = AddressCode::parse("37032210231000100012020301").unwrap();
        let text = code.plate_text();
        assert_eq!(text, "370322 102 310 001 00012 02 0301-E");
        assert_eq!(AddressCode::parse_plate(&text), Ok(code));
        assert_eq!(AddressCode::parse_plate(&text.replace([' ', '-'], "")), Ok(code));
        assert_eq!(AddressCode::parse_plate(&text.to_lowercase()), Ok(code));
    }

    #[test]
    fn a_misread_digit_is_told() {
        let code = AddressCode::parse("370322102310").unwrap();
        let text = code.plate_text();
        let wrong = text.replacen("102", "120", 1);
        let expected = AddressCode::parse("370322120310").unwrap().check_character();
        assert_eq!(
            AddressCode::parse_plate(&wrong),
            Err(AddressError::CheckCharacter { expected, got: code.check_character() })
        );
    }

    #[test]
    fn what_is_not_a_plate_is_told() {
        assert_eq!(
            AddressCode::parse_plate("370322 102 310"),
            Err(AddressError::CheckCharacterMissing { digits: 12 })
        );
        assert_eq!(AddressCode::parse_plate(" - "), Err(AddressError::Empty));
        assert_eq!(AddressCode::parse_plate("1"), Err(AddressError::Empty));
        assert_eq!(
            AddressCode::parse_plate("3703 2x 5"),
            Err(AddressError::NotADigit { offset: 6, found: 'x' })
        );
        assert_eq!(
            AddressCode::parse_plate("370322#"),
            Err(AddressError::NotADigit { offset: 6, found: '#' })
        );
        assert_eq!(AddressCode::parse_plate("370-A"), Err(AddressError::Length { got: 3 }));
    }
}
