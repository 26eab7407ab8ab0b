//! What the decoder of a JPEG picture keeps beside the picture, by its header.
//!
//! A picture of which all colours come in one scan is decoded row by row. Of any other, progressive
//! or with a scan for each colour, all coefficients are kept until the last scan has come: two bytes
//! for each point of each colour, so that a picture takes three times the memory of one that says
//! the same in one scan. The layout is that of ITU-T T.81, annex B.
//!
//! | segment | bytes looked at |
//! |---|---|
//! | start of frame (C0 to CF but C4, C8, CC) | height, width, number of colours, sampling of each |
//! | start of scan (DA) | number of colours in the first scan |
//!
//! A header that is not laid out like that is not passed on to a decoder, which might read another
//! one out of it.

/// Bytes of the first marker, with which every picture begins.
const START_OF_IMAGE: [u8; 2] = [0xff, 0xd8];
const START_OF_SCAN: u8 = 0xda;
/// Bytes of a coefficient, and coefficients of a block of eight by eight points.
const COEFFICIENT_BYTES: u64 = 2;
const BLOCK: u64 = 64;

/// One colour: blocks across and down in a unit of the picture.
type Sampling = (u64, u64);

struct Frame {
    height: u64,
    width: u64,
    colours: Vec<Sampling>,
    is_progressive: bool,
}

/// Bytes of coefficients that a decoder keeps; `None` when the header cannot be read.
pub(super) fn kept_bytes(picture: &[u8]) -> Option<u64> {
    let mut rest = picture.strip_prefix(START_OF_IMAGE.as_slice())?;
    let mut frame = None;
    loop {
        let (marker, after) = marker(rest)?;
        let (length, _) = after.split_first_chunk::<2>()?;
        let (segment, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let body = segment.get(2..)?;
        match marker {
            START_OF_SCAN => {
                let in_scan = usize::from(*body.first()?);
                return frame.map(|frame: Frame| frame.kept_bytes(in_scan));
            }
            0xc4 | 0xc8 | 0xcc | 0xdb..=0xdf | 0xe0..=0xef | 0xfe => {}
            0xc0..=0xcf if frame.is_none() => frame = Some(Frame::read(marker, body)?),
            _ => return None,
        }
        rest = after;
    }
}

/// The next marker, with any filling before it, and what follows.
fn marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let filling = bytes.iter().take_while(|byte| **byte == 0xff).count();
    let (marker, after) = bytes.get(filling..)?.split_first()?;
    (filling > 0).then_some((*marker, after))
}

impl Frame {
    fn read(marker: u8, body: &[u8]) -> Option<Self> {
        let ([_, h1, h0, w1, w0, count], rest) = body.split_first_chunk::<6>()?;
        let (height, width) = (u16::from_be_bytes([*h1, *h0]), u16::from_be_bytes([*w1, *w0]));
        let colour = |colour: &[u8]| {
            let both = *colour.get(1)?;
            let (across, down) = (u64::from(both >> 4), u64::from(both & 15));
            (across > 0 && down > 0).then_some((across, down))
        };
        let colours: Option<Vec<Sampling>> = rest.chunks(3).map(colour).collect();
        let colours = colours.filter(|list| list.len() == usize::from(*count))?;
        let is_progressive = marker & 3 == 2;
        Some(Self { height: height.into(), width: width.into(), colours, is_progressive })
    }

    fn kept_bytes(&self, in_first_scan: usize) -> u64 {
        if !self.is_progressive && in_first_scan == self.colours.len() {
            return 0;
        }
        let across = self.colours.iter().map(|(across, _)| *across).max().unwrap_or(1);
        let down = self.colours.iter().map(|(_, down)| *down).max().unwrap_or(1);
        let units = self.width.div_ceil(8 * across) * self.height.div_ceil(8 * down);
        let blocks: u64 = self.colours.iter().map(|(across, down)| across * down).sum();
        // Of a single colour the decoder may take the height for more than it is.
        let tall = if self.colours.len() == 1 { down.div_ceil(across) } else { 1 };
        units * blocks * BLOCK * COEFFICIENT_BYTES * tall
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    /// A picture of three colours of which only the header and a first scan without anything are
    /// there: such a file is small, whatever its size.
    pub(crate) fn blank(marker: u8, (width, height): (u16, u16), in_scan: u8) -> Vec<u8> {
        let segment = |marker: u8, body: &[u8]| {
            let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
            [&[0xff, marker][..], &length, body].concat()
        };
        let [[h1, h0], [w1, w0]] = [height.to_be_bytes(), width.to_be_bytes()];
        let mut codes = vec![0; 17];
        codes.splice(1..2, [1]);
        codes.push(0);
        // Four blocks of the first colour and one of each other make a unit of 16 by 16 points; each
        // block is one bit, which says that it is as the one before.
        let units = usize::from(width.div_ceil(16)) * usize::from(height.div_ceil(16));
        let blocks = units * if in_scan == 1 { 4 } else { 6 };
        let colours = (0..in_scan).flat_map(|colour| [colour + 1, 0]);
        let scan: Vec<u8> = [in_scan].into_iter().chain(colours).chain([0, 0, 0]).collect();
        [
            START_OF_IMAGE.to_vec(),
            segment(0xdb, &[&[0][..], &[1; 64]].concat()),
            segment(marker, &[8, h1, h0, w1, w0, 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0]),
            segment(0xc4, &codes),
            segment(START_OF_SCAN, &scan),
            vec![0; blocks.div_ceil(8)],
            vec![0xff, 0xd9],
        ]
        .concat()
    }

    /// Shows that what is kept is nothing of a picture in one scan, and all coefficients of others.
    #[test]
    fn coefficients_are_counted() {
        let points = 1_600 * 1_200;
        assert_eq!(kept_bytes(&blank(0xc0, (1_600, 1_200), 3)), Some(0));
        assert_eq!(kept_bytes(&blank(0xc0, (1_600, 1_200), 1)), Some(2 * points * 3 / 2));
        assert_eq!(kept_bytes(&blank(0xc2, (1_600, 1_200), 3)), Some(2 * points * 3 / 2));
    }

    /// Shows that a header that is cut, has two frames, or goes on with something else is not read.
    #[test]
    fn other_headers_are_not_read() {
        let sound = blank(0xc2, (64, 64), 3);
        let frame_at = sound.windows(2).position(|two| two == [0xff, 0xc2]).unwrap();
        for end in 0..frame_at + 30 {
            assert_eq!(kept_bytes(sound.get(..end).unwrap()), None, "{end} bytes");
        }
        let (before, after) = sound.split_at(frame_at);
        let frame = after.get(..19).unwrap();
        assert_eq!(kept_bytes(&[before, frame, after].concat()), None, "two frames");
        assert_eq!(kept_bytes(&[before, &[0], after].concat()), None, "a byte between");
        let filled = [before, &[0xff, 0xff], after].concat();
        assert_eq!(kept_bytes(&filled), kept_bytes(&sound));
    }
}
