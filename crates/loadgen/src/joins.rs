//! `join`: how long a newcomer waits, in a room where one publisher sends audio and video.

use std::time::{Duration, Instant};

use crate::args::Args;
use crate::client::{Client, Role, Target};
use crate::fleet::Fleet;
use crate::inbound::percentile;
use crate::io;
use crate::json::Json;
use crate::link::Link;
use crate::load;
use crate::media::VideoShape;
use crate::sdp::Kind;

pub const OPTIONS: &[&str] = &[
    "url",
    "key",
    "secret",
    "room",
    "joins",
    "at-once",
    "packets-per-frame",
    "payload",
    "fps",
    "core",
    "timeout",
    "gap",
    "card",
    "uso",
];

/// Milestones of one join, in microseconds since its WebSocket was opened.
#[derive(Default)]
struct Milestones {
    joined: Vec<u64>,
    connected: Vec<u64>,
    first_packet: Vec<u64>,
    first_frame: Vec<u64>,
}

impl Milestones {
    fn take(&mut self, client: &Client) {
        let since = |at: Instant| at.duration_since(client.times.started).as_micros() as u64;
        self.joined.extend(client.times.joined.map(since));
        self.connected.extend(client.times.connected.map(since));
        self.first_packet.extend(client.inbound.first_packet.map(since));
        self.first_frame.extend(client.inbound.first_frame.map(since));
    }

    fn report(self) -> Json {
        let summary = |mut times: Vec<u64>| {
            times.sort_unstable();
            let ms = |percent| percentile(&times, percent) as f64 / 1000.0;
            Json::Object(vec![
                ("count", times.len().into()),
                ("p50", ms(50).into()),
                ("p95", ms(95).into()),
                ("max", ms(100).into()),
            ])
        };
        Json::Object(vec![
            ("joined_ms", summary(self.joined)),
            ("connected_ms", summary(self.connected)),
            ("first_packet_ms", summary(self.first_packet)),
            ("first_frame_ms", summary(self.first_frame)),
        ])
    }
}

/// Somebody who only listens and watches.
pub fn joiner(number: u32, shape: VideoShape) -> Role {
    let identity = format!("joiner-{number}");
    Role {
        identity,
        subscribe: true,
        publish: Vec::new(),
        shape,
        phase: Duration::ZERO,
        check_every: 1,
        kernel_stamps: false,
        number,
        red: false,
    }
}

/// Brings a publisher into the room and waits until it sends.
pub fn publish(
    fleet: &mut Fleet,
    target: &Target,
    shape: VideoShape,
    kinds: Vec<Kind>,
    timeout: Duration,
) -> Result<(), String> {
    let identity = "publisher".to_owned();
    let role = Role { identity, subscribe: false, publish: kinds, ..joiner(0, shape) };
    let place = fleet.join(target, role)?;
    let sending =
        |fleet: &Fleet| fleet.clients[place].as_ref().is_some_and(|p| p.tracks.iter().all(|track| track.sent > 10));
    if fleet.run_until(Instant::now() + timeout, sending) {
        return Ok(());
    }
    Err(format!("the publisher did not come up: {:?}", fleet.errors))
}

pub fn run(args: &Args) -> Result<Json, String> {
    let target = load::target(args)?;
    let shape = load::shape(args)?;
    let joins: u32 = args.get("joins", 20)?;
    let at_once: u32 = args.get("at-once", 1)?;
    // Longer than servers wait between two key frame requests, so that a newcomer meets a room at rest.
    let gap = Duration::from_secs_f64(args.get("gap", 0.6)?);
    let timeout = Duration::from_secs(args.get("timeout", 15)?);
    if let Some(core) = args.optional("core")? {
        io::pin(core).map_err(|error| format!("pin to core {core}: {error}"))?;
    }
    let mut fleet = Fleet::new(Link::open(args)?)?;
    publish(&mut fleet, &target, shape, vec![Kind::Audio, Kind::Video], timeout)?;
    let mut milestones = Milestones::default();
    let mut incomplete = 0;
    let mut number = 1;
    while number <= joins {
        let wave = at_once.min(joins + 1 - number);
        let places: Vec<usize> = (number..number + wave)
            .map(|number| fleet.join(&target, joiner(number, shape)))
            .collect::<Result<_, _>>()?;
        let playing =
            |fleet: &Fleet, place: usize| fleet.clients[place].as_ref().is_none_or(|c| c.inbound.first_frame.is_some());
        fleet.run_until(Instant::now() + timeout, |fleet| places.iter().all(|place| playing(fleet, *place)));
        for place in places {
            match &fleet.clients[place] {
                Some(client) if client.inbound.first_frame.is_some() => milestones.take(client),
                _ => incomplete += 1,
            }
            fleet.leave(place);
        }
        fleet.run_for(gap);
        number += wave;
    }
    fleet.leave_all();
    Ok(Json::Object(vec![
        ("at_once", u64::from(at_once).into()),
        ("incomplete", u64::from(incomplete as u32).into()),
        ("first_error", fleet.errors.first().map(String::as_str).into()),
        ("joins", milestones.report()),
    ]))
}
