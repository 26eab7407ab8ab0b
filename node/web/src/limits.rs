//! Bounds of the pages: what people and programs may send, and what the node keeps of it meanwhile.
//!
//! | what | bound | who gives way |
//! |---|---|---|
//! | connections in all | [`CONNECTIONS`] | the oldest of the network that has most |
//! | connections of one network | [`CONNECTIONS_PER_NETWORK`] | the newcomer |
//! | time for the head of a request | [`HEAD`] | the connection |
//! | bytes of the head of a request | [`HEAD_BYTES`] | the connection |
//! | rate of a body after [`BODY_GRACE`] | [`BODY_BYTES_PER_SECOND`] | the request |
//! | rate at which an answer is read after [`ANSWER_GRACE`] | [`ANSWER_BYTES_PER_SECOND`] | the connection |
//! | bytes of all bodies under way | [`UPLOADS_BYTES`] | the largest of the network that has most |
//! | photos made smaller at a time | [`PHOTOS_AT_ONCE`] | the next waits |
//! | pixels of a photo | [`PHOTO_PIXELS`] | the photo |
//!
//! Together they bound the memory of the pages: [`HEAD_BYTES`] for each of [`CONNECTIONS`],
//! [`UPLOADS_BYTES`] for bodies and, for the one photo that is decoded, [`PHOTO_DECODED_BYTES`].

use std::time::Duration;

use cunlian_host::throttle::Rate;

/// Connections at a time.
pub(crate) const CONNECTIONS: usize = 1_024;
/// Connections of one network at a time: several phones behind one router, each with a few.
pub(crate) const CONNECTIONS_PER_NETWORK: usize = 128;
/// How long the head of a request may take, the silence before it counted.
pub(crate) const HEAD: Duration = Duration::from_secs(30);

/// Most bytes of a head, and of what is read ahead of a body.
pub(crate) const HEAD_BYTES: usize = 32 << 10;

/// How long a body may take before its rate is looked at.
pub(crate) const BODY_GRACE: Duration = Duration::from_secs(20);
/// How long an answer may wait for a reader before its rate is looked at.
pub(crate) const ANSWER_GRACE: Duration = Duration::from_secs(20);
/// Least rate at which an answer has to be read while it waits.
pub(crate) const ANSWER_BYTES_PER_SECOND: u64 = BODY_BYTES_PER_SECOND;
/// Least rate of a body: a photo of 3 MB over a bad line takes as long as people wait at all.
pub(crate) const BODY_BYTES_PER_SECOND: u64 = 4 << 10;

/// Most bytes of a form without files.
pub(crate) const FORM_BYTES: usize = 128 << 10;
/// Most bytes of a photo.
pub(crate) const PHOTO_BYTES: usize = 12 << 20;
/// Most bytes of a report with a photo that are read at all: larger photos are told to be too
/// large, which needs them to be read to their end.
pub(crate) const REPORT_BYTES: usize = 48 << 20;
/// Bytes of all bodies under way, of which a report keeps its photo until it is saved.
pub(crate) const UPLOADS_BYTES: usize = 64 << 20;

/// Photos that are made smaller at the same time.
pub(crate) const PHOTOS_AT_ONCE: usize = 1;
/// Most pixels of a photo.
pub(crate) const PHOTO_PIXELS: u64 = 24_000_000;
/// Most bytes that a photo takes once it is decoded, three for each pixel or four, with what the
/// decoder of one that comes in several scans keeps beside it.
pub(crate) const PHOTO_DECODED_BYTES: u64 = 4 * PHOTO_PIXELS;
/// Longest side of a photo as it is kept, in pixels.
pub(crate) const PHOTO_SIDE: u32 = 1_600;

/// Logins under way at a time, of people the node knows the browser of, and of all others: each takes
/// 32 MiB and a core for a tenth of a second. One does not wait for the other.
pub(crate) const LOGINS_AT_ONCE: usize = 1;
/// How long a login may wait for its turn.
pub(crate) const LOGIN_PATIENCE: Duration = Duration::from_secs(10);
/// Tries of one login name from one network, or from one browser that has logged in before.
pub(crate) const LOGIN_PER_NAME: Rate = Rate { burst: 6, refill_ms: 60_000 };
/// Tries of one login name by all who have never logged in to it, from whatever network.
pub(crate) const LOGIN_OF_STRANGERS: Rate = Rate { burst: 60, refill_ms: 30_000 };
/// Tries of one network, whatever the name; browsers that have logged in before are not counted.
pub(crate) const LOGIN_PER_NETWORK: Rate = Rate { burst: 30, refill_ms: 20_000 };
/// Reports of one network.
pub(crate) const REPORT_PER_NETWORK: Rate = Rate { burst: 10, refill_ms: 6 * 60_000 };
/// Reports about one door, after the first of each network, which have fair shares.
pub(crate) const REPORT_PER_PLATE: Rate = Rate { burst: 20, refill_ms: 3 * 60_000 };
/// Reports in one village, after the first of each network, which have fair shares.
pub(crate) const REPORT_PER_VILLAGE: Rate = Rate { burst: 60, refill_ms: 60_000 };
/// A network's first report in one village within the hour.
pub(crate) const FIRST_REPORT: Rate = Rate { burst: 1, refill_ms: 3_600_000 };
/// First reports of networks in one village: bounds what a flood from everywhere can write.
pub(crate) const FIRST_REPORTS_PER_VILLAGE: Rate = Rate { burst: 200, refill_ms: 20_000 };
/// Looking up receipts, for one network.
pub(crate) const LOOKUP_PER_NETWORK: Rate = Rate { burst: 60, refill_ms: 2_000 };

const _: () = assert!(CONNECTIONS_PER_NETWORK < CONNECTIONS);
// Heads and read-ahead of all connections are half of what bodies may take.
const _: () = assert!(2 * CONNECTIONS * HEAD_BYTES <= UPLOADS_BYTES);
const _: () = assert!(FORM_BYTES < PHOTO_BYTES && PHOTO_BYTES < REPORT_BYTES);
// One network cannot fill the budget with one photo, and several people have room beside it.
const _: () = assert!(UPLOADS_BYTES >= 4 * PHOTO_BYTES);
