//! Keeps a shard running: starts its loop, and starts it again, empty, after a failure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use auralink_media::api::ShardConfig;

use crate::beat::Beat;
use crate::config::QueueLimits;
use crate::core::CoreFactory;
use crate::counters::{self, ThreadCounters};
use crate::directory::{Directory, ShardIndex};
use crate::events::{EventQueue, NetEvent};
use crate::mailbox::Mailbox;
use crate::shard::ShardLoop;
use crate::sys;
use crate::udp::UdpSocket;

const RESTART_PAUSE: Duration = Duration::from_millis(50);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);

/// What a shard thread owns or shares with the engine; survives a restart of the core.
pub struct Context {
    pub index: ShardIndex,
    pub config: ShardConfig,
    pub sockets: Vec<UdpSocket>,
    pub mailbox: Arc<Mailbox>,
    pub directory: Arc<Mutex<Directory>>,
    pub events: Arc<EventQueue>,
    pub counters: Arc<Mutex<ThreadCounters>>,
    pub beat: Arc<Beat>,
    pub stopping: Arc<AtomicBool>,
    pub queues: QueueLimits,
    pub gso: bool,
    pub gather: Duration,
}

impl Context {
    pub fn directory(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn counters(&self) -> MutexGuard<'_, ThreadCounters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Everything on this shard is gone: say so, and start from nothing.
    fn fail(&self) {
        {
            let mut counters = self.counters();
            counters.core = counters::without_gauges(&counters.core);
            counters.failures += 1;
        }
        // The directory stays locked until the mailbox is empty, so that no command for a lost peer stays behind.
        let mut directory = self.directory();
        let rooms = directory.forget_shard(self.index);
        self.mailbox.take(&mut Vec::new());
        self.events.force(NetEvent::ShardFailed { shard: self.index, rooms });
    }
}

/// The thread's main function: runs the core until told to stop, and again after a failure.
pub fn run<F: CoreFactory>(context: &Context, factory: &F) {
    sys::fine_timers();
    let mut pause = RESTART_PAUSE;
    while !context.stopping() {
        let started = Instant::now();
        let carried = *context.counters();
        // What unwinding leaves half-done is dropped with the loop; the shared parts keep their invariants per lock.
        let outcome = catch_unwind(AssertUnwindSafe(|| ShardLoop::new(context, factory, carried)?.run()));
        if matches!(outcome, Ok(Ok(()))) {
            return;
        }
        context.fail();
        pause = if started.elapsed() > RESTART_PAUSE_MAX { RESTART_PAUSE } else { (pause * 2).min(RESTART_PAUSE_MAX) };
        wait_or_stop(context, pause);
    }
}

fn wait_or_stop(context: &Context, pause: Duration) {
    let until = Instant::now() + pause;
    while !context.stopping() && Instant::now() < until {
        std::thread::sleep(RESTART_PAUSE.min(pause));
    }
}
