//! Checks and masks of the numbers people write into forms.
//!
//! | function | accepts | source |
//! |---|---|---|
//! | [`id_number`] | 17 digits and a check character | GB 11643 |
//! | [`credit_code`] | 18 characters of `0-9A-Y` without I, O, S, V | GB 32100 |
//! | [`phone`] | 11 digits of a mobile, or a landline with area code | MIIT numbering plan |
//! | [`date`] | `YYYY-MM-DD`, `YYYY/M/D`, `YYYY.M.D`, `YYYY年M月D日`, `YYYYMMDD` | GB/T 7408 and custom |
//! | [`number`] | decimal digits with at most one point | |
//!
//! | [`visible`] | any text without hidden characters: controls, and what turns the direction of writing | Unicode 16.0, 23.1 and UAX 9, 2.1–2.3 |
//!
//! Each returns the value in its one stored form. People type full-width digits, blanks and
//! hyphens; these are taken out first.

use std::ops::Range;
use std::str::FromStr;

use jiff::civil::Date;

const ID_WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const ID_CHECKS: &[u8; 11] = b"10X98765432";
const CREDIT_ALPHABET: &str = "0123456789ABCDEFGHJKLMNPQRTUWXY";

/// Why a text is not accepted. The texts say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Too short or too long.
    #[error("has {got} characters; it must have {expected}")]
    Length {
        /// How many it must have.
        expected: &'static str,
        /// How many it has.
        got: usize,
    },
    /// A character that cannot stand there.
    #[error("the character {found:?} at position {position} cannot stand there")]
    Character {
        /// Counted from 1.
        position: usize,
        /// The character.
        found: char,
    },
    /// The check character does not fit the others: a digit is mistyped.
    #[error("the check character should be {expected:?}, got {got:?}: compare each digit")]
    CheckCharacter {
        /// What the other characters ask for.
        expected: char,
        /// What was written.
        got: char,
    },
    /// A character that cannot be seen and misleads who reads the text.
    #[error(
        "holds a hidden character (U+{code:04X}) at position {position}: type the text anew instead of pasting it"
    )]
    Hidden {
        /// Counted from 1.
        position: usize,
        /// Its Unicode code point.
        code: u32,
    },
    /// No such day.
    #[error("{got:?} is not a day; write it like 1990-05-31")]
    Date {
        /// The text.
        got: String,
    },
    /// No phone number.
    #[error("is not a phone number; write 11 digits, or a landline with its area code")]
    Phone,
    /// No number.
    #[error("is not a number; write digits only, such as 120 or 3.5")]
    Number,
}

/// `text`, if everything in it can be seen: no control character but tab and line break, and none
/// that turns the direction of writing, with which a text can show another order than it has.
pub fn visible(text: &str) -> Result<&str, CheckError> {
    let hidden = |(position, code)| CheckError::Hidden { position, code };
    first_hidden(text).map_or(Ok(text), |found| Err(hidden(found)))
}

/// The first character that cannot be seen: its position, counted from 1, and its code point.
pub fn first_hidden(text: &str) -> Option<(usize, u32)> {
    let found = text.chars().zip(1..).find(|(character, _)| is_hidden(*character));
    found.map(|(character, position)| (position, u32::from(character)))
}

/// `text` with line breaks in one form: browsers and programs send CR LF, which is no hidden
/// character but two for one.
pub fn one_line_break(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// Whether a character cannot be seen and misleads.
pub fn is_hidden(character: char) -> bool {
    let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (character.is_control() && !matches!(character, '\n' | '\t'))
}

/// Sex as an identity number tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sex {
    /// 男.
    Male,
    /// 女.
    Female,
}

impl Sex {
    /// The stored option of the catalogue.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Male => "男",
            Self::Female => "女",
        }
    }
}

/// A checked resident identity number, GB 11643.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdNumber {
    /// The 18 characters, `X` in upper case.
    pub text: String,
    /// Day of birth it contains.
    pub birth: Date,
    /// Sex it contains.
    pub sex: Sex,
}

/// Reads a resident identity number.
pub fn id_number(text: &str) -> Result<IdNumber, CheckError> {
    let text = plain(text);
    let got = text.chars().count();
    if got != 18 {
        return Err(CheckError::Length { expected: "18", got });
    }
    for (position, found) in (1..).zip(text.chars()) {
        if !(found.is_ascii_digit() || (position == 18 && found == 'X')) {
            return Err(CheckError::Character { position, found });
        }
    }
    let (body, last) = text.split_at(17);
    let expected = id_check_character(body).expect("the first 17 characters are digits");
    let got = last.chars().next().expect("the text has 18 characters");
    if expected != got {
        return Err(CheckError::CheckCharacter { expected, got });
    }
    let birth = date(body.get(6..14).expect("17 ASCII digits"))?;
    let order = body.bytes().last().expect("17 ASCII digits");
    let sex = if order % 2 == 1 { Sex::Male } else { Sex::Female };
    Ok(IdNumber { text, birth, sex })
}

/// The check character of the first 17 digits of an identity number; `None` if they are not 17
/// digits.
pub fn id_check_character(body: &str) -> Option<char> {
    if body.len() != 17 {
        return None;
    }
    let sum = body
        .chars()
        .zip(ID_WEIGHTS)
        .map(|(digit, weight)| digit.to_digit(10).map(|digit| digit * weight))
        .sum::<Option<u32>>()?;
    ID_CHECKS.get(usize::try_from(sum % 11).ok()?).map(|&check| char::from(check))
}

/// Reads a unified social credit code and returns it in upper case.
pub fn credit_code(text: &str) -> Result<String, CheckError> {
    let text = plain(text);
    let got = text.chars().count();
    if got != 18 {
        return Err(CheckError::Length { expected: "18", got });
    }
    for (position, found) in (1..).zip(text.chars()) {
        if !CREDIT_ALPHABET.contains(found) {
            return Err(CheckError::Character { position, found });
        }
    }
    let (body, last) = text.split_at(17);
    let expected = credit_check_character(body).expect("17 characters of the alphabet");
    let got = last.chars().next().expect("the text has 18 characters");
    if expected == got { Ok(text) } else { Err(CheckError::CheckCharacter { expected, got }) }
}

/// The check character of the first 17 characters of a credit code; `None` if they are not 17
/// characters of the alphabet.
pub fn credit_check_character(body: &str) -> Option<char> {
    if body.chars().count() != 17 {
        return None;
    }
    let (mut sum, mut weight) = (0, 1);
    for found in body.chars() {
        sum += CREDIT_ALPHABET.find(found)? * weight;
        weight = weight * 3 % 31;
    }
    CREDIT_ALPHABET.chars().nth((31 - sum % 31) % 31)
}

/// Reads a mainland phone number: `13800138000`, or `0533-6310000`, or a local `6310000`.
pub fn phone(text: &str) -> Result<String, CheckError> {
    let text = plain(text);
    let digits: String = text.chars().filter(|&found| found != '-').collect();
    let digits = digits.strip_prefix("+86").unwrap_or(&digits).to_owned();
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(CheckError::Phone);
    }
    let mobile = digits.len() == 11
        && digits.starts_with('1')
        && digits.as_bytes().get(1).is_some_and(|second| *second >= b'3');
    let landline = digits.starts_with('0') && (10..=12).contains(&digits.len());
    let local = matches!(digits.len(), 7 | 8) && !digits.starts_with(['0', '1']);
    if mobile || landline || local { Ok(digits) } else { Err(CheckError::Phone) }
}

/// Reads a day.
pub fn date(text: &str) -> Result<Date, CheckError> {
    let wrong = || CheckError::Date { got: text.chars().take(20).collect() };
    let plain = plain(text);
    let mut parts: Vec<&str> =
        plain.split(['-', '/', '.', '年', '月', '日']).filter(|part| !part.is_empty()).collect();
    if let [whole] = parts.as_slice()
        && whole.len() == 8
        && whole.is_ascii()
    {
        let (year, rest) = whole.split_at(4);
        let (month, day) = rest.split_at(2);
        parts = vec![year, month, day];
    }
    let [year, month, day] = parts.as_slice() else { return Err(wrong()) };
    if year.len() != 4 {
        return Err(wrong());
    }
    let year = i16::from_str(year).map_err(|_| wrong())?;
    let month = i8::from_str(month).map_err(|_| wrong())?;
    let day = i8::from_str(day).map_err(|_| wrong())?;
    Date::new(year, month, day).map_err(|_| wrong())
}

/// Reads a decimal number and returns it without blanks.
pub fn number(text: &str) -> Result<String, CheckError> {
    let text = plain(text);
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let points = digits.matches('.').count();
    let clean = digits.chars().all(|found| found.is_ascii_digit() || found == '.');
    let edges = digits.starts_with('.') || digits.ends_with('.');
    if digits.is_empty() || !clean || points > 1 || edges {
        return Err(CheckError::Number);
    }
    Ok(text)
}

/// A phone number with its middle hidden: `138****8000`.
pub fn mask_phone(text: &str) -> String {
    mask(text, 3, 4)
}

/// An identity number with the person hidden: `110105********0123`.
pub fn mask_id_number(text: &str) -> String {
    mask(text, 6, 4)
}

/// An identity number with only its place shown: `110105************`. For where the day of birth
/// is known anyway: with it and the last four, the number would be whole.
pub fn mask_id_number_to_place(text: &str) -> String {
    mask(text, 6, 0)
}

/// A name with only its first character shown: `张**`.
pub fn mask_name(text: &str) -> String {
    mask(text, 1, 0)
}

/// `text` with every mobile and identity number in it masked, and whether there was one. For
/// words that travel further than their author's phone number may.
///
/// Numbers are found as people write them, also in groups: `138 0013 8000`, `138-0013-8000`.
pub fn mask_numbers(text: &str) -> (String, bool) {
    let groups = digit_groups(text);
    let (mut masked, mut copied, mut at) = (String::with_capacity(text.len()), 0, 0);
    while let Some(first) = groups.get(at) {
        let found = (at..groups.len()).rev().find_map(|last| {
            let joined = join(text, groups.get(at..=last)?)?;
            Some((last, masked_number(&joined)?))
        });
        let Some((last, hidden)) = found else {
            at += 1;
            continue;
        };
        masked.push_str(text.get(copied..first.start).unwrap_or_default());
        masked.push_str(&hidden);
        copied = groups.get(last).map_or(text.len(), |group| group.end);
        at = last + 1;
    }
    masked.push_str(text.get(copied..).unwrap_or_default());
    (masked, copied > 0)
}

/// The byte ranges of runs of digits, an `X` after a digit included.
fn digit_groups(text: &str) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (start, found) in text.char_indices() {
        let end = start + found.len_utf8();
        let narrow = half_width(found);
        match groups.last_mut() {
            Some(last) if last.end == start && (narrow.is_ascii_digit() || is_x(narrow)) => {
                last.end = end;
            }
            Some(_) | None if narrow.is_ascii_digit() => groups.push(start..end),
            Some(_) | None => {}
        }
    }
    groups
}

/// The characters of `groups` as one number; `None` if more than a blank or hyphen is between
/// them or they are too many.
fn join(text: &str, groups: &[Range<usize>]) -> Option<String> {
    let (first, last) = (groups.first()?, groups.last()?);
    let gaps = groups.iter().zip(groups.iter().skip(1));
    for (before, after) in gaps {
        if !matches!(text.get(before.end..after.start)?, " " | "-" | "－" | "\u{3000}") {
            return None;
        }
    }
    let digits = plain(text.get(first.start..last.end)?);
    let digits: String = digits.chars().filter(|&found| found != '-').collect();
    (digits.len() <= 18).then_some(digits)
}

fn masked_number(digits: &str) -> Option<String> {
    if id_number(digits).is_ok() {
        Some(mask_id_number(digits))
    } else if digits.len() == 11 && digits.starts_with('1') && phone(digits).is_ok() {
        Some(mask_phone(digits))
    } else {
        None
    }
}

fn is_x(found: char) -> bool {
    matches!(found, 'X' | 'x')
}

/// Hides all but the first `head` and last `tail` characters; a text too short for that is
/// hidden but for its first character.
fn mask(text: &str, head: usize, tail: usize) -> String {
    let length = text.chars().count();
    let (head, tail) = if length > head + tail { (head, tail) } else { (length.min(1), 0) };
    let hide = |(at, found): (usize, char)| {
        if at < head || at >= length - tail { found } else { '*' }
    };
    text.chars().enumerate().map(hide).collect()
}

/// Without blanks, with full-width characters made narrow, in upper case.
fn plain(text: &str) -> String {
    let narrow = text.chars().map(half_width).filter(|found| !found.is_whitespace());
    narrow.map(|found| found.to_ascii_uppercase()).collect()
}

fn half_width(found: char) -> char {
    match found {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(found) - 0xfee0).unwrap_or(found),
        '\u{3000}' => ' ',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    /// Shows that the published samples of GB 11643 are read with their birth date and sex.
    #[test]
    fn identity_numbers_of_the_standard_are_valid() {
        let read = id_number("11010519491231002x").unwrap();
        assert_eq!(read.text, "11010519491231002X");
        assert_eq!((read.birth.to_string().as_str(), read.sex), ("1949-12-31", Sex::Female));
        assert_eq!(id_number("34052419800101001X").unwrap().sex, Sex::Male);
        assert_eq!(
            id_number("３４０５２４１９８００１０１００１Ｘ").unwrap().text,
            "34052419800101001X"
        );
    }

    /// Shows that a wrong digit, length or day is named.
    #[test]
    fn wrong_identity_numbers_say_what_is_wrong() {
        assert_eq!(
            id_number("110105194912310021"),
            Err(CheckError::CheckCharacter { expected: 'X', got: '1' })
        );
        assert_eq!(
            id_number("1101051949123100"),
            Err(CheckError::Length { expected: "18", got: 16 })
        );
        assert_eq!(
            id_number("1101051949123100O2"),
            Err(CheckError::Character { position: 17, found: 'O' })
        );
        let body = "11010519490231002";
        let check = id_check_character(body).unwrap();
        assert!(matches!(id_number(&format!("{body}{check}")), Err(CheckError::Date { .. })));
    }

    /// Shows that every single wrong digit of a valid number is found.
    #[test]
    fn every_single_wrong_digit_is_found() {
        let valid = "34052419800101001X";
        for at in 0..17 {
            for digit in '0'..='9' {
                let changed: String = valid
                    .chars()
                    .enumerate()
                    .map(|(place, found)| if place == at { digit } else { found })
                    .collect();
                assert_eq!(id_number(&changed).is_ok(), changed == valid, "{changed}");
            }
        }
    }

    /// Shows the published sample of GB 32100, and that a mistyped one names the expected end.
    #[test]
    fn credit_codes_are_checked() {
        assert_eq!(credit_code("91350100m000100y43").unwrap(), "91350100M000100Y43");
        assert_eq!(
            credit_code("91350100M000100Y44"),
            Err(CheckError::CheckCharacter { expected: '3', got: '4' })
        );
        assert_eq!(
            credit_code("9135010OM000100Y43"),
            Err(CheckError::Character { position: 8, found: 'O' })
        );
    }

    /// Shows which phone numbers are taken and in what form they are stored.
    #[test]
    fn phones_of_every_form_are_read() {
        assert_eq!(phone("+86 138 0013 8000").unwrap(), "13800138000");
        assert_eq!(phone("0533-6310000").unwrap(), "05336310000");
        assert_eq!(phone("6310000").unwrap(), "6310000");
        for wrong in ["", "12345", "1380013800", "23800138000", "abc"] {
            assert_eq!(phone(wrong), Err(CheckError::Phone), "{wrong}");
        }
    }

    /// Shows that dates as people write them become one form, and that impossible ones do not.
    #[test]
    fn dates_are_normalised() {
        for text in ["1990-5-31", "1990/05/31", "1990.5.31", "1990年5月31日", "19900531"] {
            assert_eq!(date(text).unwrap().to_string(), "1990-05-31");
        }
        for text in ["1990-02-30", "90-5-1", "5月31日", ""] {
            assert!(date(text).is_err(), "{text}");
        }
    }

    /// Shows the customary masks, and that short texts do not show through.
    #[test]
    fn masks_hide_the_person() {
        assert_eq!(mask_phone("13800138000"), "138****8000");
        assert_eq!(mask_id_number("110105194912310123"), "110105********0123");
        assert_eq!(mask_id_number_to_place("110105194912310123"), "110105************");
        assert_eq!(mask_name("张三丰"), "张**");
        assert_eq!(mask_phone("631"), "6**");
        assert_eq!(mask_name(""), "");
    }

    /// Shows that a phone or identity number inside a sentence is masked and other numbers stay.
    #[test]
    fn numbers_in_sentences_are_masked() {
        assert_eq!(
            mask_numbers("电话13800138000，户号370322001，证号34052419800101001X。"),
            ("电话138****8000，户号370322001，证号340524********001X。".to_owned(), true)
        );
        assert_eq!(
            mask_numbers("2026-07-11 138 0013-8000 再打１３８００１３８０００"),
            ("2026-07-11 138****8000 再打138****8000".to_owned(), true)
        );
        assert_eq!(mask_numbers("修路300米"), ("修路300米".to_owned(), false));
    }
}
