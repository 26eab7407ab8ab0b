//! Notices (通知公告): what an office publishes for its region.

pub mod kinds;
