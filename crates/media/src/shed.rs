//! What is left out while a shard cannot keep up: cameras, from their highest layers down, and at last whole. Audio and
//! screen shares are never touched: a call goes on without faces, not without voices.

use crate::allocator::Choice;
use crate::api::Source;
use crate::publish::track::Track;

/// The highest level: no camera is sent at all.
pub const HIGHEST: u8 = 7;
/// From here on every further level takes the pictures of one more quarter of all subscriptions.
const LOWEST_ONLY: u8 = 3;

/// How much is left out; by default nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shed(u8);

impl Shed {
    /// 1: no layer above the second. 2: the lowest layer only. 3: at its lowest frame rate. 4 to 7: one more quarter of
    /// the subscriptions each gets none at all.
    pub fn at(level: u8) -> Shed {
        Shed(level.min(HIGHEST))
    }

    /// What remains of what a subscriber's line allows. `number` spreads the subscriptions over the quarters.
    pub fn limit(self, track: &Track, number: u64, allowed: Option<Choice>) -> Option<Choice> {
        let camera = track.is_video() && track.publication.source != Source::ScreenShare;
        let quarters = u64::from(self.0.saturating_sub(LOWEST_ONLY));
        if !camera || self.0 == 0 {
            return allowed;
        }
        let allowed = allowed.filter(|_| number % 4 >= quarters)?;
        let layer = allowed.layer.min(2u8.saturating_sub(self.0));
        let temporal = if self.0 >= LOWEST_ONLY { 0 } else { allowed.temporal };
        Some(Choice { layer, temporal })
    }
}
