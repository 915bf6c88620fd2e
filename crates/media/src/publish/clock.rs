//! The sender's clock: which moment an RTP timestamp of a layer stands for, by the sender's own reports.

use std::time::{Duration, Instant};

use crate::wire::rtcp::NtpTime;

/// One sender report: this RTP timestamp and this NTP time are the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub ntp: NtpTime,
    pub timestamp: u32,
}

impl Anchor {
    /// The timestamp at this NTP time.
    pub fn timestamp_at(&self, ntp: NtpTime, clock_rate: u32) -> u32 {
        let difference = ntp.0.wrapping_sub(self.ntp.0) as i64;
        let units = (i128::from(difference) * i128::from(clock_rate)) >> 32;
        self.timestamp.wrapping_add(units as u32)
    }

    /// The NTP time of this timestamp.
    pub fn ntp_at(&self, timestamp: u32, clock_rate: u32) -> NtpTime {
        let units = timestamp.wrapping_sub(self.timestamp) as i32;
        let difference = (i128::from(units) << 32) / i128::from(clock_rate.max(1));
        NtpTime(self.ntp.0.wrapping_add(difference as u64))
    }
}

/// How far a publisher's NTP clock is from ours: the smallest (our arrival time - its report time) of the last reports,
/// so that queueing delay does not move it. One for all streams of a publisher: that keeps lips in sync.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct RemoteClock {
    /// Ours minus theirs, as NTP differences; and when the minimum was taken.
    offset: Option<(i64, Instant)>,
}

/// Clocks drift: a minimum older than this gives way to the next report.
const MEMORY: Duration = Duration::from_secs(30);

impl RemoteClock {
    pub fn on_report(&mut self, now: Instant, ours: NtpTime, theirs: NtpTime) {
        let seen = ours.0.wrapping_sub(theirs.0) as i64;
        let better = |(offset, at): &(i64, Instant)| seen <= *offset || now.saturating_duration_since(*at) > MEMORY;
        if self.offset.as_ref().is_none_or(better) {
            self.offset = Some((seen, now));
        }
    }

    /// The publisher's time at this moment of ours. None before its first report.
    pub fn theirs(&self, ours: NtpTime) -> Option<NtpTime> {
        self.offset.map(|(offset, _)| NtpTime(ours.0.wrapping_sub(offset as u64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1 << 32;

    #[test]
    fn timestamps_and_ntp_times_convert_both_ways_around_a_report() {
        let anchor = Anchor { ntp: NtpTime(1000 * SECOND), timestamp: u32::MAX - 10 };
        let later = NtpTime(1002 * SECOND);
        let timestamp = anchor.timestamp_at(later, 90_000);
        assert_eq!(timestamp, (u32::MAX - 10).wrapping_add(180_000));
        assert_eq!(anchor.ntp_at(timestamp, 90_000), later);
        let before = NtpTime(999 * SECOND);
        assert_eq!(anchor.ntp_at(anchor.timestamp_at(before, 48_000), 48_000), before);
    }

    #[test]
    fn a_delayed_report_does_not_move_the_clock() {
        let start = Instant::now();
        let mut clock = RemoteClock::default();
        assert_eq!(clock.theirs(NtpTime(0)), None);
        clock.on_report(start, NtpTime(100 * SECOND), NtpTime(40 * SECOND));
        clock.on_report(start, NtpTime(102 * SECOND), NtpTime(41 * SECOND));
        assert_eq!(clock.theirs(NtpTime(160 * SECOND)), Some(NtpTime(100 * SECOND)));
        let much_later = start + MEMORY * 2;
        clock.on_report(much_later, NtpTime(202 * SECOND), NtpTime(141 * SECOND));
        assert_eq!(clock.theirs(NtpTime(202 * SECOND)), Some(NtpTime(141 * SECOND)));
    }
}
