//! Physical lines of a list, with bounded memory whatever the file holds.
//!
//! Lists are split into lines before they are parsed as CSV: a division's name has no line break,
//! and a stray quotation mark then spoils one row instead of swallowing the rest of the file. A line
//! ends with LF, with CR LF, or, as some programs still write, with CR alone.

use std::io::{self, BufRead, BufReader, Read};

use super::limits::LINE_BYTES_MAX;

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
        let cut = self.buffer.len() > LINE_BYTES_MAX;
        self.buffer.truncate(LINE_BYTES_MAX);
        let mut bytes = self.buffer.as_slice();
        if self.line == 1 {
            bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        }
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

    /// Reads a line and its end; of a line that is too long one byte more than the bound is kept.
    /// False at the end of the input.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        let before = self.bytes;
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return Ok(self.bytes > before);
            }
            let end = available.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let line = available.get(..end.unwrap_or(available.len())).unwrap_or(available);
            let room = (LINE_BYTES_MAX + 1).saturating_sub(self.buffer.len());
            self.buffer.extend(line.iter().take(room));
            let ended_by = end.and_then(|end| available.get(end)).copied();
            let used = line.len() + usize::from(ended_by.is_some());
            self.consume(used);
            match ended_by {
                None => {}
                Some(b'\r') => return self.skip_line_feed().map(|()| true),
                Some(_) => return Ok(true),
            }
        }
    }

    /// The second half of a line break of Windows.
    fn skip_line_feed(&mut self) -> io::Result<()> {
        if self.input.fill_buf()?.first() == Some(&b'\n') {
            self.consume(1);
        }
        Ok(())
    }

    fn consume(&mut self, bytes: usize) {
        self.input.consume(bytes);
        self.bytes += bytes as u64;
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
    fn byte_order_mark_and_all_line_breaks() {
        let found = read("\u{feff}a\r\nb\n\nc\rd\r\re\r".as_bytes());
        let expected = [(1, "a"), (2, "b"), (3, ""), (4, "c"), (5, "d"), (6, ""), (7, "e")];
        let expected = expected.map(|(number, text)| (number, text.as_bytes().to_vec(), false));
        assert_eq!(found, expected);
    }

    /// Shows that the two halves of a line break are one, even where a read ends between them.
    #[test]
    fn a_line_break_may_come_in_two_reads() {
        let mut lines = Lines::new(b"a\r".chain(b"\nb".as_slice()));
        assert_eq!(lines.next().unwrap().unwrap().bytes, b"a");
        let second = lines.next().unwrap().unwrap();
        assert_eq!((second.number, second.bytes), (2, b"b".as_slice()));
        assert_eq!(lines.next().unwrap(), None);
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
