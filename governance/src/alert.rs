//! Alerts (预警).

pub mod kinds;
