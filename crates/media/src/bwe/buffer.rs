//! How much the bottleneck lets wait, as far as was seen. A line with a queue drops what does not fit into it, so what is
//! lost while little waits is lost for another reason than that too much was sent. (A policer has no queue to tell from.)

use std::time::{Duration, Instant};

use super::{GROWN_QUEUE_MS, STANDING_QUEUE_MS};

/// What was seen of a queue holds for so long after it was last a long one: the way may be another by then.
const SEEN_FOR: Duration = Duration::from_secs(10);
/// A queue shorter than this part of the longest one does not overflow.
const NEARLY_FULL: f64 = 0.5;

#[derive(Debug, Default)]
pub struct Buffer {
    longest_ms: f64,
    /// When the queue was last a long one.
    seen: Option<Instant>,
}

impl Buffer {
    /// Notes how long the queue is.
    pub fn on_queue(&mut self, now: Instant, queue_ms: f64) {
        if !self.queues(now) {
            *self = Buffer::default();
        }
        self.longest_ms = self.longest_ms.max(queue_ms);
        if queue_ms > GROWN_QUEUE_MS {
            self.seen = Some(now);
        }
    }

    /// Does the line let wait what it cannot carry?
    pub fn queues(&self, now: Instant) -> bool {
        self.seen.is_some_and(|seen| now.saturating_duration_since(seen) < SEEN_FOR)
    }

    /// May a queue that was no longer than this have lost what did not fit into it?
    pub fn may_overflow(&self, queue_ms: f64) -> bool {
        queue_ms > STANDING_QUEUE_MS && queue_ms > self.longest_ms * NEARLY_FULL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_queue_about_as_long_as_it_ever_became_overflows() {
        let (mut buffer, now) = (Buffer::default(), Instant::now());
        buffer.on_queue(now, 60.0);
        assert!(buffer.may_overflow(60.0) && !buffer.queues(now), "a short one is all that is known of");
        buffer.on_queue(now, 400.0);
        assert!(buffer.queues(now));
        assert!(buffer.may_overflow(300.0) && !buffer.may_overflow(150.0));
    }

    #[test]
    fn what_was_seen_of_a_queue_is_forgotten() {
        let (mut buffer, now) = (Buffer::default(), Instant::now());
        buffer.on_queue(now, 400.0);
        let later = now + SEEN_FOR;
        assert!(!buffer.queues(later));
        buffer.on_queue(later, 60.0);
        assert!(buffer.may_overflow(60.0));
    }
}
