//! Reception statistics of one incoming stream (RFC 3550 sections 6.4.1, A.3 and A.8).

use std::time::{Duration, Instant};

use super::transit::Transit;
use crate::wire::rtcp::{NtpTime, ReportBlock};

#[derive(Debug)]
pub(crate) struct Reception {
    first: u64,
    highest: u64,
    received: u64,
    /// (expected, received) at the last report.
    reported: (u64, u64),
    /// Sixteen times the jitter, in timestamp units (appendix A.8).
    jitter: u32,
    /// Arrival minus timestamp of the last packet, in timestamp units.
    transit: Option<u32>,
    way: Option<Transit>,
    last_sr: Option<(NtpTime, Instant)>,
}

impl Reception {
    pub fn new(first: u64) -> Reception {
        Reception {
            first,
            highest: first,
            received: 0,
            reported: (0, 0),
            jitter: 0,
            transit: None,
            way: None,
            last_sr: None,
        }
    }

    /// Says when timestamps of the stream mean later moments than they did, and by how much; see [`Transit`].
    #[inline]
    pub fn on_packet(&mut self, index: u64, timestamp: u32, since_origin: Duration, clock_rate: u32) -> Option<i32> {
        self.received += 1;
        if index <= self.highest && self.received > 1 {
            self.first = self.first.min(index);
            return None;
        }
        self.highest = index;
        let arrival = (since_origin.as_micros() as u64 * u64::from(clock_rate) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(last) = self.transit.replace(transit) {
            let difference = (transit.wrapping_sub(last) as i32).unsigned_abs();
            self.jitter = self.jitter.saturating_add(difference).saturating_sub((self.jitter + 8) >> 4);
        }
        let at_ms = since_origin.as_millis() as u32;
        let way = self.way.get_or_insert_with(|| Transit::new(at_ms, transit));
        way.on_packet(at_ms, transit, clock_rate)
    }

    pub fn on_sender_report(&mut self, now: Instant, ntp: NtpTime) {
        self.last_sr = Some((ntp, now));
        self.way.iter_mut().for_each(Transit::on_report);
    }

    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets that should have come since the stream began.
    pub fn expected(&self) -> u64 {
        self.highest - self.first + 1
    }

    pub fn jitter_ms(&self, clock_rate: u32) -> f32 {
        (self.jitter >> 4) as f32 * 1000.0 / clock_rate.max(1) as f32
    }

    /// The block for the next report; the loss fraction counts from the previous call.
    pub fn report(&mut self, now: Instant, ssrc: u32) -> ReportBlock {
        let expected = self.expected();
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, self.received);
        let expected_now = expected.saturating_sub(expected_before);
        let lost_now = expected_now.saturating_sub(self.received - received_before);
        let fraction = (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255);
        let (last_sr, delay) = self.last_sr.map_or((0, 0), |(ntp, at)| {
            let delay = now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000;
            (ntp.compact(), delay as u32)
        });
        ReportBlock {
            ssrc,
            fraction_lost: fraction as u8,
            cumulative_lost: (expected as i64 - self.received as i64) as i32,
            highest_sequence: self.highest as u32,
            jitter: self.jitter >> 4,
            last_sr,
            delay_since_last_sr: delay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_reported_per_interval_and_in_total() {
        let start = Instant::now();
        let mut reception = Reception::new(100);
        for index in (100..200).filter(|index| index % 4 != 3) {
            reception.on_packet(index, 0, Duration::ZERO, 90_000);
        }
        reception.on_packet(200, 0, Duration::ZERO, 90_000);
        let block = reception.report(start, 7);
        assert_eq!((block.ssrc, block.cumulative_lost, block.highest_sequence), (7, 25, 200));
        assert_eq!(block.fraction_lost, (25 * 256 / 101) as u8);
        for index in 201..300 {
            reception.on_packet(index, 0, Duration::ZERO, 90_000);
        }
        let block = reception.report(start, 7);
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 25));
    }

    #[test]
    fn an_even_stream_has_no_jitter_and_an_uneven_one_has() {
        let (mut even, mut uneven) = (Reception::new(0), Reception::new(0));
        for index in 0..100u64 {
            let at = Duration::from_millis(20 * index);
            even.on_packet(index, index as u32 * 960, at, 48_000);
            let late = Duration::from_millis(if index % 2 == 0 { 5 } else { 0 });
            uneven.on_packet(index, index as u32 * 960, at + late, 48_000);
        }
        assert_eq!(even.report(Instant::now(), 0).jitter, 0);
        let jitter = uneven.report(Instant::now(), 0).jitter;
        assert!((200..=240).contains(&jitter), "5 ms are 240 units: {jitter}");
    }
}
