//! How figures are written: in groups of three digits, and those of people in words where they are not
//! told in full.

use cunlian_governance::query::disclosure::{CellSum, Figure, SMALLEST_DISCLOSED};

use crate::frame::text::Text;

/// A figure of people or households, as it may be told: `1,003`, `fewer than 3`, `at least 1,004`.
pub(crate) fn told(texts: Text, told: CellSum) -> String {
    match told.figure() {
        Figure::Exactly(number) => grouped(number),
        Figure::Few => texts.t1("figure-few", "n", SMALLEST_DISCLOSED),
        Figure::AtLeast(number) => texts.t1("figure-at-least", "n", grouped(number)),
    }
}

/// Digits in groups of three.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::text::Language;

    /// Shows that digits stand in groups of three.
    #[test]
    fn figures_are_readable() {
        assert_eq!([grouped(7), grouped(1_000), grouped(106_000)], ["7", "1,000", "106,000"]);
    }

    /// Shows that what is not told in full is said in words, in both languages.
    #[test]
    fn what_is_not_told_in_full_is_said_in_words() {
        let said = |language, cells: &[u64]| {
            let cells = cells.iter().copied().map(CellSum::cell);
            told(Text::new(language), cells.sum())
        };
        let cells: [&[u64]; 4] = [&[3, 0, 1_000], &[2], &[3, 1, 1_000], &[]];
        let chinese = cells.map(|cells| said(Language::Chinese, cells));
        assert_eq!(chinese, ["1,003", "不足 3", "至少 1,004", "0"]);
        let english = cells.map(|cells| said(Language::English, cells));
        assert_eq!(english, ["1,003", "fewer than 3", "at least 1,004", "0"]);
    }
}
