//! How often villagers may report and look up. Each count is of this node since it was started.

use std::net::IpAddr;

use cunlian_host::throttle::{FairThrottle, Throttle};
use cunlian_protocol::address::AddressCode;

use crate::limits::{
    FIRST_REPORT, FIRST_REPORTS_PER_VILLAGE, LOOKUP_PER_NETWORK, REPORT_PER_NETWORK,
    REPORT_PER_PLATE, REPORT_PER_VILLAGE,
};

/// What is counted.
pub(super) struct Throttles {
    report_per_network: Throttle<IpAddr>,
    report_per_plate: FairThrottle<AddressCode, IpAddr>,
    report_per_village: FairThrottle<AddressCode, IpAddr>,
    first_report: Throttle<(AddressCode, IpAddr)>,
    first_reports: Throttle<AddressCode>,
    lookup_per_network: Throttle<IpAddr>,
}

impl Default for Throttles {
    fn default() -> Self {
        Self {
            report_per_network: Throttle::new(REPORT_PER_NETWORK),
            report_per_plate: FairThrottle::new(REPORT_PER_PLATE),
            report_per_village: FairThrottle::new(REPORT_PER_VILLAGE),
            first_report: Throttle::new(FIRST_REPORT),
            first_reports: Throttle::new(FIRST_REPORTS_PER_VILLAGE),
            lookup_per_network: Throttle::new(LOOKUP_PER_NETWORK),
        }
    }
}

impl Throttles {
    /// Takes from every limit of reports about a plate in a village, or says how long to wait,
    /// milliseconds. A network's first report of the hour is counted apart, so that whoever floods
    /// a plate or a village takes the reports of nobody else; of the others each network has its
    /// fair share.
    pub(super) fn report(
        &self,
        network: IpAddr,
        (village, plate): (AddressCode, AddressCode),
        now_ms: i64,
    ) -> Result<(), i64> {
        self.report_per_network.take(network, now_ms)?;
        if self.first_report.take((village, network), now_ms).is_ok()
            && self.first_reports.take(village, now_ms).is_ok()
        {
            return Ok(());
        }
        self.report_per_plate.take(plate, network, now_ms)?;
        self.report_per_village.take(village, network, now_ms)
    }

    /// How long a network has to wait that has sent too many reports, milliseconds.
    pub(super) fn report_wait_ms(&self, network: IpAddr, now_ms: i64) -> Option<i64> {
        self.report_per_network.wait_ms(&network, now_ms)
    }

    /// Takes from the limit of looking up receipts, or says how long to wait, milliseconds.
    pub(super) fn lookup(&self, network: IpAddr, now_ms: i64) -> Result<(), i64> {
        self.lookup_per_network.take(network, now_ms)
    }
}
