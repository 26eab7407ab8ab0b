//! How figures are written: in groups of three digits, and of people not when they are so few that
//! somebody could point at them.

/// The smallest figure of people that is told.
const SMALLEST_FIGURE: u64 = 3;

/// A figure of people or households. One or two in a place can be pointed at.
pub(crate) fn figure(number: u64) -> String {
    match number {
        1..SMALLEST_FIGURE => format!("<{SMALLEST_FIGURE}"),
        _ => grouped(number),
    }
}

/// The total of a row of cells.
pub(crate) fn total_of(cells: &[u64]) -> String {
    total_beside(cells.iter().sum(), cells)
}

/// A total that stands beside its cells: where one of them is not told, neither is what the others
/// leave of the total.
pub(crate) fn total_beside(total: u64, cells: &[u64]) -> String {
    let told: u64 = cells.iter().filter(|cell| **cell >= SMALLEST_FIGURE).sum();
    let untold = cells.iter().filter(|cell| (1..SMALLEST_FIGURE).contains(*cell)).count() as u64;
    match (untold, told) {
        (0, _) => figure(total),
        (_, 0) => format!("<{}", (SMALLEST_FIGURE - 1) * untold + 1),
        (_, _) => format!("{}+", grouped(told)),
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

    /// Shows that digits stand in groups of three.
    #[test]
    fn figures_are_readable() {
        assert_eq!([grouped(7), grouped(1_000), grouped(106_000)], ["7", "1,000", "106,000"]);
    }

    /// Shows that one or two people in a place are not told, neither by their cell nor by what the
    /// other cells leave of the total beside them.
    #[test]
    fn small_figures_are_not_told() {
        assert_eq!([figure(0), figure(1), figure(2), figure(3)], ["0", "<3", "<3", "3"]);
        assert_eq!(total_of(&[3, 0, 1_000]), "1,003");
        assert_eq!(total_of(&[3, 1, 1_000]), "1,003+");
        assert_eq!([total_of(&[2]), total_of(&[1, 2, 0]), total_of(&[])], ["<3", "<5", "0"]);
        assert_eq!(total_beside(12, &[]), "12");
    }
}
