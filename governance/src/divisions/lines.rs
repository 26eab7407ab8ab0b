//! Physical lines of a list, with bounded memory whatever the file holds.
//!
//! Lists are split into lines before they are parsed as CSV: a division's name has no line break,
//! and a stray quotation mark then spoils one row instead of swallowing the rest of the file.

use std::io::{self, BufRead, BufReader, Read};

/// Longest line that is read, in bytes. The longest of the national lists has under 200.
pub const LINE_BYTES_MAX: usize = 4096;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A reader of lines that counts them and the bytes behind it.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: BufReader<R>,
    buffer: Vec<u8>,
    line: u64,
    bytes: u64,
}

/// One line without its line break.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Line number, from 1.
    pub(super) number: u64,
    /// The bytes; only the first [`LINE_BYTES_MAX`] where the line is too long.
    pub(super) bytes: &'a [u8],
    /// Whether the line was longer than [`LINE_BYTES_MAX`] and the rest of it was skipped.
    pub(super) cut: bool,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        let input = BufReader::with_capacity(64 * 1024, input);
        Self { input, buffer: Vec::with_capacity(LINE_BYTES_MAX), line: 0, bytes: 0 }
    }

    /// The next line; `None` at the end. A byte order mark before the first line is dropped.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        if !self.fill()? {
            return Ok(None);
        }
        self.line += 1;
        let complete = self.buffer.ends_with(b"\n");
        let cut = !complete && self.buffer.len() == LINE_BYTES_MAX;
        if cut {
            self.skip_rest()?;
        }
        let mut bytes = self.buffer.as_slice();
        if self.line == 1 {
            bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        }
        bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        Ok(Some(Line { number: self.line, bytes, cut }))
    }

    /// Bytes consumed so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of the line last read.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Reads up to a line break or the bound; false at the end of the input.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        let mut bounded = self.input.by_ref().take(LINE_BYTES_MAX as u64);
        let read = bounded.read_until(b'\n', &mut self.buffer)?;
        self.bytes += read as u64;
        Ok(read > 0)
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return Ok(());
            }
            let end = available.iter().position(|&byte| byte == b'\n');
            let used = end.map_or(available.len(), |end| end + 1);
            self.input.consume(used);
            self.bytes += used as u64;
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn read(input: &[u8]) -> Vec<(u64, Vec<u8>, bool)> {
        let mut lines = Lines::new(input);
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push((line.number, line.bytes.to_vec(), line.cut));
        }
        assert_eq!(lines.bytes(), input.len() as u64);
        found
    }

    #[test]
    fn byte_order_mark_and_both_line_breaks() {
        let found = read("\u{feff}a\r\nb\n\nc".as_bytes());
        let expected = [(1, "a"), (2, "b"), (3, ""), (4, "c")];
        let expected = expected.map(|(number, text)| (number, text.as_bytes().to_vec(), false));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_line_beyond_the_bound_is_cut_and_the_next_is_whole() {
        for extra in [1, 5, 70_000] {
            let long = vec![b'x'; LINE_BYTES_MAX + extra];
            let input = [long.as_slice(), b"\nnext\n"].concat();
            let found = read(&input);
            let kept = vec![b'x'; LINE_BYTES_MAX];
            assert_eq!(found, [(1, kept, true), (2, b"next".to_vec(), false)]);
        }
    }

    #[test]
    fn no_input_has_no_lines() {
        assert_eq!(read(b""), []);
    }
}
