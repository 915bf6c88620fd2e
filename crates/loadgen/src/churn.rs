//! `churn`: how many newcomers a server takes in a second, in a room where one publisher sends audio and video. There are
//! always as many joining at once; whoever plays leaves, and the next one comes.

use std::time::{Duration, Instant};

use crate::args::Args;
use crate::fleet::Fleet;
use crate::inbound::percentile;
use crate::io;
use crate::joins;
use crate::json::Json;
use crate::link::Link;
use crate::load;
use crate::procfs;
use crate::sdp::Kind;

pub const OPTIONS: &[&str] = &[
    "url",
    "key",
    "secret",
    "room",
    "at-once",
    "warm-up",
    "seconds",
    "packets-per-frame",
    "payload",
    "fps",
    "core",
    "timeout",
    "server-pid",
    "server-core",
    "card",
    "uso",
];

/// What came of the joins so far.
#[derive(Default)]
struct Tally {
    /// Microseconds from opening the WebSocket to the first media packet.
    playing: Vec<u64>,
    gave_up: u64,
}

pub fn run(args: &Args) -> Result<Json, String> {
    let target = load::target(args)?;
    let shape = load::shape(args)?;
    let at_once: usize = args.get("at-once", 10)?;
    let warm_up = Duration::from_secs_f64(args.get("warm-up", 2.0)?);
    let window = Duration::from_secs_f64(args.get("seconds", 10.0)?);
    let timeout = Duration::from_secs(args.get("timeout", 15)?);
    let server_pid: Option<u32> = args.optional("server-pid")?;
    if let Some(core) = args.optional("core")? {
        io::pin(core).map_err(|error| format!("pin to core {core}: {error}"))?;
    }
    let mut fleet = Fleet::new(Link::open(args)?)?;
    joins::publish(&mut fleet, &target, shape, vec![Kind::Audio, Kind::Video], timeout)?;
    let mut joining: Vec<usize> = Vec::new();
    let mut number = 1;
    let mut run = |fleet: &mut Fleet, time: Duration| -> Result<Tally, String> {
        let mut tally = Tally::default();
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            while joining.len() < at_once {
                joining.push(fleet.join(&target, joins::joiner(number, shape))?);
                number += 1;
            }
            fleet.step(deadline);
            joining.retain(|place| still_joining(fleet, *place, timeout, &mut tally));
        }
        Ok(tally)
    };
    run(&mut fleet, warm_up)?;
    let cpu = || (server_pid.map(|pid| procfs::usage(pid, false).cpu_s), io::cpu_time_ns(false), Instant::now());
    let before = cpu();
    let mut tally = run(&mut fleet, window)?;
    let after = cpu();
    fleet.leave_all();
    let seconds = after.2.duration_since(before.2).as_secs_f64();
    let server_cpu_s = after.0.zip(before.0).map(|(after, before)| after - before);
    let joined = tally.playing.len() as f64;
    tally.playing.sort_unstable();
    let ms = |percent| percentile(&tally.playing, percent) as f64 / 1000.0;
    Ok(Json::Object(vec![
        ("at_once", at_once.into()),
        ("joins_per_s", (joined / seconds).into()),
        ("server_cpu_share", server_cpu_s.map(|cpu| cpu / seconds).into()),
        ("server_cpu_ms_per_join", server_cpu_s.map(|cpu| cpu * 1000.0 / joined.max(1.0)).into()),
        ("generator_cpu_share", ((after.1 - before.1) as f64 / 1e9 / seconds).into()),
        ("playing_ms_p50", ms(50).into()),
        ("playing_ms_p95", ms(95).into()),
        ("gave_up", tally.gave_up.into()),
        ("first_error", fleet.errors.first().map(String::as_str).into()),
    ]))
}

/// False once it plays, failed or took too long; then it has left.
fn still_joining(fleet: &mut Fleet, place: usize, timeout: Duration, tally: &mut Tally) -> bool {
    let Some(client) = &fleet.clients[place] else {
        tally.gave_up += 1;
        return false;
    };
    let started = client.times.started;
    let playing = client.inbound.first_packet.map(|at| at.duration_since(started).as_micros() as u64);
    if playing.is_none() && started.elapsed() < timeout {
        return true;
    }
    match playing {
        Some(time) => tally.playing.push(time),
        None => tally.gave_up += 1,
    }
    fleet.leave(place);
    false
}
