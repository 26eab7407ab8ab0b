//! Records between a command and the node while a bundle passes: the control socket after its
//! first line, or a pair of sockets within one process when the node does not run.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | kind, see [`Record`] |
//! | 1 | 4 | n, length of the rest, big-endian, at most `RECORD_BYTES` |
//! | 5 | n | content |

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

/// Largest content of a record: a frame, and then some.
const RECORD_BYTES: usize = 2 << 20;
/// How often who waits for the other side looks whether to go on.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// `G`, from the node: begin.
    Go,
    /// `P`, from the node: what follows is the part with this number.
    Part(u32),
    /// `B`: the next bytes of the file.
    Bytes(Vec<u8>),
    /// `E`, from the command: the file is over.
    End,
    /// `S`, from the node: how far it is.
    SoFar(Value),
    /// `D`, from the node: done; nothing follows.
    Done(Value),
    /// `F`, from the node: failed; `message` and perhaps `hint`. Nothing follows.
    Failed(Value),
}

/// One end of a line.
#[derive(Debug)]
pub struct Line {
    stream: UnixStream,
    /// Set when the node stops.
    stop: Arc<AtomicBool>,
}

impl Line {
    /// Over a connected socket; gives up when `stop` is set.
    pub fn new(stream: UnixStream, stop: Arc<AtomicBool>) -> io::Result<Self> {
        stream.set_read_timeout(Some(LOOK_EVERY))?;
        stream.set_write_timeout(Some(LOOK_EVERY))?;
        Ok(Self { stream, stop })
    }

    /// The same line, to write on while the other reads.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, stop: Arc::clone(&self.stop) })
    }

    /// Writes a record.
    pub fn send(&mut self, record: &Record) -> io::Result<()> {
        let number;
        let text;
        let (kind, content): (u8, &[u8]) = match record {
            Record::Go => (b'G', &[]),
            Record::Part(part) => {
                number = part.to_be_bytes();
                (b'P', &number)
            }
            Record::Bytes(bytes) => (b'B', bytes),
            Record::End => (b'E', &[]),
            Record::SoFar(value) => {
                text = value.to_string();
                (b'S', text.as_bytes())
            }
            Record::Done(value) => {
                text = value.to_string();
                (b'D', text.as_bytes())
            }
            Record::Failed(value) => {
                text = value.to_string();
                (b'F', text.as_bytes())
            }
        };
        self.send_raw(kind, content)
    }

    /// Writes bytes of a file without owning them.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.send_raw(b'B', bytes)
    }

    fn send_raw(&mut self, kind: u8, content: &[u8]) -> io::Result<()> {
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        let [a, b, c, d] = length.to_be_bytes();
        self.write_all_looking(&[kind, a, b, c, d])?;
        self.write_all_looking(content)
    }

    /// Reads the next record.
    pub fn receive(&mut self) -> io::Result<Record> {
        let mut header = [0; 5];
        self.read_exact_looking(&mut header)?;
        let [kind, length @ ..] = header;
        let length = u32::from_be_bytes(length) as usize;
        if length > RECORD_BYTES {
            return Err(unknown());
        }
        let mut content = vec![0; length];
        self.read_exact_looking(&mut content)?;
        let value = || serde_json::from_slice::<Value>(&content).map_err(io::Error::other);
        Ok(match kind {
            b'G' => Record::Go,
            b'P' => {
                let number = content.first_chunk().ok_or_else(unknown)?;
                Record::Part(u32::from_be_bytes(*number))
            }
            b'B' => Record::Bytes(content),
            b'E' => Record::End,
            b'S' => Record::SoFar(value()?),
            b'D' => Record::Done(value()?),
            b'F' => Record::Failed(value()?),
            _ => return Err(unknown()),
        })
    }

    fn read_exact_looking(&mut self, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.stream.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(got) => buffer = buffer.get_mut(got..).unwrap_or_default(),
                Err(error) => self.look(error)?,
            }
        }
        Ok(())
    }

    fn write_all_looking(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) => self.look(error)?,
            }
        }
        Ok(())
    }

    /// Whether to try again after an error.
    fn look(&self, error: io::Error) -> io::Result<()> {
        let again = matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
        );
        if self.stop.load(Ordering::Relaxed) {
            Err(io::Error::other("the node stops, or starts again"))
        } else if again {
            Ok(())
        } else {
            Err(error)
        }
    }
}

fn unknown() -> io::Error {
    io::Error::other("the other side speaks another version of this program")
}

/// A file as its bytes come in records.
#[derive(Debug)]
pub struct Incoming {
    line: Line,
    bytes: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Incoming {
    /// From a line on which nothing but the file comes.
    pub fn new(line: Line) -> Self {
        Self { line, bytes: Vec::new(), at: 0, ended: false }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.bytes.len() && !self.ended {
            match self.line.receive()? {
                Record::Bytes(bytes) => (self.bytes, self.at) = (bytes, 0),
                Record::End => self.ended = true,
                Record::Go
                | Record::Part(_)
                | Record::SoFar(_)
                | Record::Done(_)
                | Record::Failed(_) => return Err(unknown()),
            }
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (slot, byte) in buffer.iter_mut().zip(rest) {
            *slot = *byte;
        }
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Shows that every record arrives as it was sent, that a file arrives whole in whatever
    /// pieces it is read, and that who waits gives up when the node stops.
    #[test]
    fn records_and_files_arrive_whole() {
        let (one, other) = UnixStream::pair().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut sender = Line::new(one, Arc::default()).unwrap();
        let mut receiver = Line::new(other, Arc::clone(&stop)).unwrap();
        let value = || serde_json::json!({"done": 3});
        let records = [
            Record::Go,
            Record::Part(7),
            Record::SoFar(value()),
            Record::Done(value()),
            Record::Failed(value()),
        ];
        for record in records {
            sender.send(&record).unwrap();
            assert_eq!(receiver.receive().unwrap(), record);
        }
        for piece in [b"abc".as_slice(), b"", b"defgh"] {
            sender.send_bytes(piece).unwrap();
        }
        sender.send(&Record::End).unwrap();
        let mut text = String::new();
        Incoming::new(receiver.try_clone().unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcdefgh");
        stop.store(true, Ordering::Relaxed);
        assert!(receiver.receive().is_err());
    }
}
