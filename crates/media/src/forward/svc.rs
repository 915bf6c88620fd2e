//! Which frames of a stream with layers (SVC) one subscriber gets.
//!
//! Decided once per frame. Upper spatial layers are entered where their chain is whole, which is a key frame unless they
//! were sent all along; temporal layers are entered at frames that say so and left at any frame.

use crate::packet::Layered;
use crate::wire::codec::dependency::{CHAINS, Frame, Indication, Known, Structure};
use crate::wire::codec::vp9;

/// Highest spatial and temporal layer a subscriber is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub spatial: u8,
    pub temporal: u8,
}

/// What to do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Verdict {
    pub send: bool,
    /// It ends the picture as this subscriber gets it.
    pub last: bool,
    /// Only a key frame brings the wanted layers.
    pub needs_keyframe: bool,
    /// Active decode targets to write into its descriptor.
    pub active: Option<u32>,
}

/// Frames that are remembered, for packets that come late.
const REMEMBERED: u16 = 64;

/// The choice for one subscriber of one stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    /// Spatial and temporal layer that is sent; none before the first key frame.
    current: Option<(u8, u8)>,
    targets: Targets,
}

/// What following decode targets needs besides.
#[derive(Debug, Clone, Copy, Default)]
struct Targets {
    target: usize,
    version: u32,
    newest: u16,
    /// Bit per frame back from the newest.
    forwarded: u64,
    seen: u64,
    /// Bit per chain of which no frame was left out since it began.
    whole: u8,
    /// The subscriber was told of fewer targets since the last structure.
    reduced: bool,
}

impl Selector {
    /// Nothing is sent any more; a key frame begins anew.
    pub fn stop(&mut self) {
        self.current = None;
    }

    /// Spatial and temporal layer that is sent.
    pub fn current(&self) -> Option<(u8, u8)> {
        self.current
    }

    /// `known` is what the stream's dependency descriptors refer to now.
    #[inline]
    pub fn judge(&mut self, packet: &Layered, key: bool, known: Option<&Known>, wanted: Wanted) -> Verdict {
        match packet {
            Layered::Vp9(descriptor) => self.judge_vp9(descriptor, wanted),
            Layered::Targets(frame, version) => {
                let known = known.filter(|known| known.version == *version);
                match known.and_then(|known| Some((known, known.structure.as_deref()?))) {
                    Some((known, structure)) => self.judge_frame(frame, key, known, structure, wanted),
                    None => Verdict { needs_keyframe: true, ..Verdict::default() },
                }
            }
        }
    }

    fn judge_vp9(&mut self, packet: &vp9::Descriptor, wanted: Wanted) -> Verdict {
        let key = packet.keyframe;
        let Some((mut spatial, mut temporal)) = self.current.or(key.then_some((0, 0))) else {
            return Verdict { needs_keyframe: true, ..Verdict::default() };
        };
        if packet.starts_frame {
            if key {
                (spatial, temporal) = (wanted.spatial, wanted.temporal);
            } else if packet.spatial == 0 {
                spatial = spatial.min(wanted.spatial);
                let may_rise = packet.switching_up && packet.temporal <= temporal;
                temporal = if may_rise { wanted.temporal } else { temporal.min(wanted.temporal) };
            } else if packet.spatial == spatial + 1 && spatial < wanted.spatial && !packet.inter_predicted {
                spatial += 1;
            }
            self.current = Some((spatial, temporal));
        }
        Verdict {
            send: packet.spatial <= spatial && packet.temporal <= temporal,
            last: packet.ends_frame && packet.spatial == spatial,
            needs_keyframe: spatial < wanted.spatial,
            active: None,
        }
    }

    fn judge_frame(
        &mut self,
        frame: &Frame,
        key: bool,
        known: &Known,
        structure: &Structure,
        wanted: Wanted,
    ) -> Verdict {
        let key = key || frame.starts_keyframe();
        if self.current.is_none() && !key {
            return Verdict { needs_keyframe: true, ..Verdict::default() };
        }
        if self.current.is_none() || self.targets.version != known.version {
            self.targets =
                Targets { version: known.version, newest: frame.number.wrapping_sub(1), ..Targets::default() };
            self.targets.target = structure.best_within(0, 0);
            // Everything before this frame is unknown, and none of it was sent.
            self.targets.seen = u64::MAX;
        }
        let goal = structure.best_within(wanted.spatial, wanted.temporal);
        let ahead = frame.number.wrapping_sub(self.targets.newest);
        let send = if ahead == 0 || ahead > u16::MAX / 2 {
            self.judge_again(frame)
        } else {
            self.judge_new(frame, ahead, structure, goal, wanted)
        };
        let target = self.targets.target;
        let layer = structure.layer(target);
        self.current = Some(layer);
        Verdict {
            send,
            last: frame.ends && frame.spatial == layer.0,
            needs_keyframe: layer.0 < structure.layer(goal).0
                || (layer.0 > structure.layer(goal).0 && !self.targets.chain_is_whole(structure, goal)),
            active: self.active(frame, known.active, structure),
        }
    }

    /// Another packet of a frame that was judged, or of one that was overtaken.
    fn judge_again(&mut self, frame: &Frame) -> bool {
        let targets = &mut self.targets;
        let back = targets.newest.wrapping_sub(frame.number);
        if back >= REMEMBERED {
            return false;
        }
        let bit = 1u64 << back;
        if targets.seen & bit == 0 {
            targets.seen |= bit;
            if frame.indication(targets.target) != Indication::NotPresent {
                targets.forwarded |= bit;
            }
        }
        targets.forwarded & bit != 0
    }

    fn judge_new(&mut self, frame: &Frame, ahead: u16, structure: &Structure, goal: usize, wanted: Wanted) -> bool {
        let targets = &mut self.targets;
        targets.newest = frame.number;
        targets.forwarded = targets.forwarded.checked_shl(u32::from(ahead)).unwrap_or_default();
        targets.seen = targets.seen.checked_shl(u32::from(ahead)).unwrap_or_default();
        targets.follow_chains(frame);
        if targets.target != goal {
            targets.target = targets.choose(frame, structure, wanted);
        }
        let send = frame.indication(targets.target) != Indication::NotPresent;
        targets.seen |= 1;
        targets.forwarded |= u64::from(send);
        send
    }

    /// The mask to tell the subscriber, when it differs from what the sender says.
    fn active(&mut self, frame: &Frame, made: u32, structure: &Structure) -> Option<u32> {
        let mask = structure.included(self.targets.target) & made;
        let full = mask == made;
        if frame.has_structure {
            self.targets.reduced = !full;
        } else {
            self.targets.reduced |= !full;
        }
        // Told with every packet until the next structure: any of them may be lost.
        self.targets.reduced.then_some(mask)
    }
}

impl Targets {
    fn follow_chains(&mut self, frame: &Frame) {
        for (chain, diff) in frame.chain_diffs.iter().enumerate().take(CHAINS) {
            let bit = 1u8 << chain;
            let kept = self.whole & bit != 0 && u16::from(*diff) < REMEMBERED && self.forwarded >> diff & 1 == 1;
            let whole = *diff == 0 || kept;
            self.whole = if whole { self.whole | bit } else { self.whole & !bit };
        }
    }

    fn chain_is_whole(&self, structure: &Structure, target: usize) -> bool {
        structure.protected_by(target).is_none_or(|chain| self.whole >> chain & 1 == 1)
    }

    /// The best target that can be gone over to at this frame.
    fn choose(&self, frame: &Frame, structure: &Structure, wanted: Wanted) -> usize {
        let current = structure.layer(self.target);
        let best = structure.best_within(wanted.spatial, wanted.temporal);
        let goal = structure.layer(best);
        let passes_goal = current.0 > goal.0 && self.chain_is_whole(structure, best);
        let possible = |target: &usize| {
            let (spatial, temporal) = structure.layer(*target);
            let within = spatial <= wanted.spatial && temporal <= wanted.temporal;
            let fewer = spatial == current.0 && temporal <= current.1;
            let entered = frame.indication(*target) == Indication::Switch && self.chain_is_whole(structure, *target);
            // Up where a chain begins; down to the wanted layer, not past it, or the picture would end twice.
            let begins = structure.protected_by(*target).and_then(|chain| frame.chain_diffs.get(chain)) == Some(&0);
            // At base frames only: others may build on some of their own picture that were left out.
            let entered = entered
                && frame.temporal == 0
                && if spatial > current.0 { begins } else { !passes_goal || spatial == goal.0 };
            within && (fewer || entered)
        };
        let by_layer = |target: &usize| structure.layer(*target);
        let best = (0..structure.targets()).filter(possible).max_by_key(by_layer);
        // Too high and not to be left before a key frame: as few frames of it as can be.
        best.unwrap_or_else(|| {
            let own = (0..structure.targets()).filter(|target| structure.layer(*target).0 == current.0);
            own.min_by_key(by_layer).unwrap_or(self.target)
        })
    }
}

#[cfg(test)]
mod tests;
