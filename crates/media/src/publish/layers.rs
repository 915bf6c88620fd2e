//! Bit rate and frame rate of each layer within one stream: spatial and temporal (SVC), or temporal alone (VP8).

use std::time::{Duration, Instant};

use super::track::LAYERS;

/// Temporal layers told apart; higher ones count as the highest.
pub(crate) const TEMPORAL: usize = 4;
const WINDOW: Duration = Duration::from_millis(1000);

/// What a window counted or measured of one layer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Cell {
    bytes: u64,
    frames: u32,
}

/// Measures the layers of one stream over the last seconds.
#[derive(Debug)]
pub(crate) struct LayerMeter {
    since: Instant,
    counting: [[Cell; TEMPORAL]; LAYERS],
    /// The whole windows so far and their length, newer ones counting more.
    measured: Option<([[Cell; TEMPORAL]; LAYERS], Duration)>,
    last_packet: [Option<Instant>; LAYERS],
    /// Upper spatial layers need the lower ones all the time.
    pub builds_on_lower: bool,
}

impl LayerMeter {
    pub fn new(now: Instant) -> LayerMeter {
        LayerMeter {
            since: now,
            counting: [[Cell::default(); TEMPORAL]; LAYERS],
            measured: None,
            last_packet: [None; LAYERS],
            builds_on_lower: true,
        }
    }

    #[inline]
    pub fn on_packet(&mut self, now: Instant, (spatial, temporal): (u8, u8), bytes: usize, starts_frame: bool) {
        let spatial = usize::from(spatial).min(LAYERS - 1);
        if let Some(cell) =
            self.counting.get_mut(spatial).and_then(|row| row.get_mut(usize::from(temporal).min(TEMPORAL - 1)))
        {
            cell.bytes += bytes as u64;
            cell.frames += u32::from(starts_frame);
        }
        if let Some(last) = self.last_packet.get_mut(spatial) {
            *last = Some(now);
        }
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WINDOW {
            self.measured = Some(match self.measured {
                None => (self.counting, elapsed),
                Some((before, length)) => (halfway(&before, &self.counting), (length + elapsed) / 2),
            });
            self.counting = [[Cell::default(); TEMPORAL]; LAYERS];
            self.since = now;
        }
    }

    /// Nothing came of this spatial layer for so long.
    pub fn silent(&self, now: Instant, spatial: usize, limit: Duration) -> bool {
        let last = self.last_packet.get(spatial).copied().flatten();
        last.is_none_or(|at| now.saturating_duration_since(at) > limit)
    }

    /// Bits per second of a spatial layer with its temporal layers up to each, lower spatial ones included where they
    /// are needed.
    pub fn rates(&self, now: Instant, spatial: usize) -> [u64; TEMPORAL] {
        let (cells, elapsed) = self.window(now);
        let lowest = if self.builds_on_lower { 0 } else { spatial };
        let mut rates = [0; TEMPORAL];
        let mut bytes = 0;
        for (temporal, rate) in rates.iter_mut().enumerate() {
            let of_layer =
                |layer: usize| cells.get(layer).and_then(|row| row.get(temporal)).map_or(0, |cell| cell.bytes);
            bytes += (lowest..=spatial).map(of_layer).sum::<u64>();
            *rate = (u128::from(bytes) * 8_000_000 / elapsed.as_micros().max(1)) as u64;
        }
        rates
    }

    /// The fewest temporal layers of a spatial one that make at least this frame rate; all of them when none does.
    pub fn temporal_for(&self, now: Instant, spatial: usize, fps: u32) -> u8 {
        let (cells, elapsed) = self.window(now);
        let mut frames = 0;
        for (temporal, cell) in cells.get(spatial).into_iter().flatten().enumerate() {
            frames += cell.frames;
            // Half a frame a second is not worth another layer.
            if f64::from(frames) / elapsed.as_secs_f64() + 0.5 >= f64::from(fps) {
                return temporal as u8;
            }
        }
        TEMPORAL as u8 - 1
    }

    /// The last whole window, or what there is of the first.
    fn window(&self, now: Instant) -> ([[Cell; TEMPORAL]; LAYERS], Duration) {
        let so_far = now.saturating_duration_since(self.since).max(Duration::from_millis(100));
        self.measured.unwrap_or((self.counting, so_far))
    }
}

/// Windows count half as much as the one after them: a key frame in one is no reason to give up a layer.
fn halfway(before: &[[Cell; TEMPORAL]; LAYERS], newest: &[[Cell; TEMPORAL]; LAYERS]) -> [[Cell; TEMPORAL]; LAYERS] {
    let mut cells = *before;
    for (cell, newest) in cells.as_flattened_mut().iter_mut().zip(newest.as_flattened()) {
        cell.bytes = cell.bytes.midpoint(newest.bytes);
        cell.frames = (cell.frames + newest.frames).div_ceil(2);
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two spatial layers, 30 pictures a second in temporal layers 0 2 1 2, 1000 and 3000 bytes.
    fn measured(builds_on_lower: bool) -> (LayerMeter, Instant) {
        let start = Instant::now();
        let mut meter = LayerMeter::new(start);
        meter.builds_on_lower = builds_on_lower;
        let mut now = start;
        for picture in 0..90u32 {
            now = start + Duration::from_micros(33_333) * picture;
            let temporal = [0, 2, 1, 2][picture as usize % 4];
            for (spatial, bytes) in [(0, 1000), (1, 1500), (1, 1500)] {
                let first = spatial == 0 || bytes == 1000;
                meter.on_packet(now, (spatial, temporal), bytes, first);
            }
        }
        (meter, now)
    }

    fn near(rate: u64, expected: u64) -> bool {
        rate.abs_diff(expected) < expected / 10
    }

    #[test]
    fn layers_are_measured_with_what_they_build_on() {
        let (meter, now) = measured(true);
        let [low, high] = [meter.rates(now, 0), meter.rates(now, 1)];
        assert!(near(low[2], 240_000) && near(low[0], 60_000) && near(low[1], 120_000), "{low:?}");
        assert!(near(high[2], 960_000), "{high:?}");
        let (alone, now) = measured(false);
        assert!(near(alone.rates(now, 1)[2], 720_000));
    }

    #[test]
    fn a_frame_rate_is_made_by_as_few_layers_as_it_needs() {
        let (meter, now) = measured(true);
        let layers: Vec<u8> = [5, 15, 17, 30].iter().map(|fps| meter.temporal_for(now, 0, *fps)).collect();
        assert_eq!(layers, [0, 1, 2, 2]);
        assert_eq!(meter.temporal_for(now, 0, 60), 3, "all there are");
    }

    #[test]
    fn a_spatial_layer_that_is_not_sent_is_silent() {
        let (meter, now) = measured(true);
        let limit = Duration::from_millis(1500);
        assert!(!meter.silent(now, 1, limit) && meter.silent(now, 2, limit) && meter.silent(now + limit * 2, 1, limit));
    }
}
