//! `run`: one or several rooms of one shape under steady load, measured over one window.

use std::time::{Duration, Instant};

use crate::args::Args;
use crate::client::{Client, Role, Target};
use crate::fleet::Fleet;
use crate::inbound::{Latencies, Totals, percentile};
use crate::io;
use crate::json::Json;
use crate::link::Link;
use crate::media::VideoShape;
use crate::procfs::{self, Usage};
use crate::sdp::Kind;

pub const OPTIONS: &[&str] = &[
    "url",
    "key",
    "secret",
    "room",
    "rooms",
    "publishers",
    "subscribers",
    "meeting",
    "publish",
    "red",
    "packets-per-frame",
    "payload",
    "fps",
    "warm-up",
    "seconds",
    "check-every",
    "kernel-stamps",
    "joins-at-once",
    "join-timeout",
    "core",
    "server-pid",
    "server-core",
    "card",
    "uso",
];

/// Who is in each room.
struct Plan {
    rooms: u32,
    publishers: u32,
    subscribers: u32,
    /// Publishers subscribe to each other.
    meeting: bool,
    publish: Vec<Kind>,
    /// Who sends and who takes sound has RED.
    red: bool,
    shape: VideoShape,
    check_every: u32,
    kernel_stamps: bool,
}

impl Plan {
    fn read(args: &Args) -> Result<Plan, String> {
        Ok(Plan {
            rooms: args.get("rooms", 1)?,
            publishers: args.get("publishers", 1)?,
            subscribers: args.get("subscribers", 1)?,
            meeting: args.get("meeting", false)?,
            publish: kinds(args.text("publish").unwrap_or("video"))?,
            red: args.get("red", false)?,
            shape: shape(args)?,
            check_every: args.get("check-every", 16)?,
            kernel_stamps: args.get("kernel-stamps", false)?,
        })
    }

    /// Room and role of everybody, in the order of joining.
    fn roles(&self) -> Vec<(u32, Role)> {
        let in_room = self.publishers + self.subscribers;
        (0..self.rooms * in_room).map(|number| (number / in_room, self.role(number))).collect()
    }

    fn role(&self, number: u32) -> Role {
        let in_room = self.publishers + self.subscribers;
        let (room, place) = (number / in_room, number % in_room);
        let publishes = place < self.publishers;
        Role {
            identity: format!("{}-{number}", if publishes { "publisher" } else { "subscriber" }),
            publish: if publishes { self.publish.clone() } else { Vec::new() },
            subscribe: !publishes || self.meeting,
            shape: self.shape,
            phase: if publishes { self.phase(room * self.publishers + place) } else { Duration::ZERO },
            check_every: self.check_every,
            kernel_stamps: self.kernel_stamps,
            number,
            red: self.red,
        }
    }

    /// Publishers are independent in reality: their frames fall between each other's. `number` counts those of all rooms.
    fn phase(&self, number: u32) -> Duration {
        let interval = match self.publish.first() {
            Some(Kind::Audio) => Duration::from_millis(20),
            _ => Duration::from_secs(1) / self.shape.fps.max(1),
        };
        interval * number / (self.publishers * self.rooms).max(1)
    }

    fn streams_per(&self, client: &Client) -> usize {
        let others = if client.role.publish.is_empty() { self.publishers } else { self.publishers.saturating_sub(1) };
        if client.role.subscribe { others as usize * self.publish.len() } else { 0 }
    }
}

pub fn kinds(text: &str) -> Result<Vec<Kind>, String> {
    match text {
        "audio" => Ok(vec![Kind::Audio]),
        "video" => Ok(vec![Kind::Video]),
        "both" => Ok(vec![Kind::Audio, Kind::Video]),
        other => Err(format!("--publish audio, video or both, not {other}")),
    }
}

pub fn shape(args: &Args) -> Result<VideoShape, String> {
    Ok(VideoShape {
        packets_per_frame: args.get("packets-per-frame", 10)?,
        payload: args.get("payload", 1100)?,
        fps: args.get("fps", 30)?,
    })
}

pub fn target(args: &Args) -> Result<Target, String> {
    let url = args.required("url")?;
    let address = url.strip_prefix("ws://").unwrap_or(url).trim_end_matches('/');
    Ok(Target {
        server: address.parse().map_err(|error| format!("--url ws://ADDRESS:PORT: {error}"))?,
        key: args.required("key")?.to_owned(),
        secret: args.required("secret")?.to_owned(),
        room: args.text("room").unwrap_or("load").to_owned(),
    })
}

/// Everything that is read at both ends of the window.
#[derive(Clone, Copy)]
struct Snapshot {
    at: Instant,
    sent: u64,
    /// Packets that should have reached subscribers: what each publisher sent, times those who take it.
    due: u64,
    totals: Totals,
    server: Usage,
    core: (f64, f64),
    generator_cpu_ns: u64,
    our_drops: u64,
    server_drops: u64,
}

pub fn run(args: &Args) -> Result<Json, String> {
    let plan = Plan::read(args)?;
    let target = target(args)?;
    let server_pid: Option<u32> = args.optional("server-pid")?;
    let server_core: Option<usize> = args.optional("server-core")?;
    if let Some(core) = args.optional("core")? {
        io::pin(core).map_err(|error| format!("pin to core {core}: {error}"))?;
    }
    let before = server_pid.map(|pid| procfs::usage(pid, true));
    let mut fleet = Fleet::new(Link::open(args)?)?;
    let patience = Duration::from_secs(args.get("join-timeout", 60)?);
    let complete = join_all(&mut fleet, &plan, &target, args.get("joins-at-once", 8)?, patience)?;
    fleet.run_for(Duration::from_secs_f64(args.get("warm-up", 2.0)?));
    fleet.work.latencies.clear();
    fleet.work.passages.clear();
    let start = snapshot(&fleet, &plan, server_pid, server_core);
    fleet.run_for(Duration::from_secs_f64(args.get("seconds", 10.0)?));
    let end = snapshot(&fleet, &plan, server_pid, server_core);
    let after = server_pid.map(|pid| procfs::usage(pid, true));
    let report = report(&mut fleet, &plan, complete, (&start, &end), (before, after));
    fleet.leave_all();
    Ok(report)
}

/// Join everybody, a few at a time; true when every stream arrives everywhere before the patience ends.
fn join_all(
    fleet: &mut Fleet,
    plan: &Plan,
    target: &Target,
    at_once: usize,
    patience: Duration,
) -> Result<bool, String> {
    let deadline = Instant::now() + patience;
    for (room, role) in plan.roles() {
        let target = &Target { room: room_name(target, plan.rooms, room), ..target.clone() };
        // Publishers come one by one and are sending before the next joins, so that later joins meet running media.
        let publisher = !role.publish.is_empty();
        let place = fleet.join(target, role)?;
        let settled = if publisher {
            fleet.run_until(deadline, |fleet| fleet.clients[place].as_ref().is_none_or(Client::publishing))
        } else {
            fleet.run_until(deadline, |fleet| {
                fleet.alive().filter(|client| client.times.connected.is_none()).count() < at_once
            })
        };
        if !settled || !fleet.errors.is_empty() {
            return Err(format!("joining failed: {}", fleet.errors.first().map_or("timed out", String::as_str)));
        }
    }
    Ok(fleet.run_until(deadline, |fleet| {
        fleet.alive().all(|client| client.inbound.streams_playing() >= plan.streams_per(client))
    }))
}

fn room_name(target: &Target, rooms: u32, room: u32) -> String {
    if rooms > 1 { format!("{}-{room}", target.room) } else { target.room.clone() }
}

fn snapshot(fleet: &Fleet, plan: &Plan, server_pid: Option<u32>, server_core: Option<usize>) -> Snapshot {
    let sent_by = |client: &Client| client.tracks.iter().map(|track| track.sent).sum::<u64>();
    let sent = fleet.alive().map(sent_by).sum();
    let receivers = u64::from(plan.subscribers) + if plan.meeting { u64::from(plan.publishers) - 1 } else { 0 };
    let mut totals = Totals::default();
    for client in fleet.alive() {
        totals.add(&client.inbound.totals());
    }
    let (our_drops, server_drops) = fleet.drops();
    Snapshot {
        at: Instant::now(),
        sent,
        due: sent * receivers,
        totals,
        server: server_pid.map(|pid| procfs::usage(pid, false)).unwrap_or_default(),
        core: server_core.map(procfs::core_busy).unwrap_or_default(),
        generator_cpu_ns: io::cpu_time_ns(false),
        our_drops,
        server_drops,
    }
}

fn report(
    fleet: &mut Fleet,
    plan: &Plan,
    complete: bool,
    (start, end): (&Snapshot, &Snapshot),
    (before, after): (Option<Usage>, Option<Usage>),
) -> Json {
    let seconds = end.at.duration_since(start.at).as_secs_f64();
    let received = end.totals.received - start.totals.received;
    let lost = (end.totals.expected - start.totals.expected).saturating_sub(received);
    let server_cpu = end.server.cpu_s - start.server.cpu_s;
    let streams = |count: &dyn Fn(&Client) -> usize| fleet.alive().map(count).sum::<usize>();
    let version = fleet.alive().next().map(|client| client.server_version.clone()).unwrap_or_default();
    let packets = Json::Object(vec![
        ("sent", (end.sent - start.sent).into()),
        ("expected", (end.due - start.due).into()),
        ("received", received.into()),
        ("lost", lost.into()),
        ("bytes", (end.totals.bytes - start.totals.bytes).into()),
        ("retransmitted", (end.totals.retransmitted - start.totals.retransmitted).into()),
        ("checked", (end.totals.checked - start.totals.checked).into()),
        ("failed_checks", (end.totals.failed_checks - start.totals.failed_checks).into()),
        ("not_sent", fleet.alive().map(|client| client.send_failures).sum::<u64>().into()),
    ]);
    let server = Json::Object(vec![
        ("version", version.as_str().into()),
        ("cpu_s", server_cpu.into()),
        ("cpu_share", (server_cpu / seconds).into()),
        ("core_busy_share", ((end.core.0 - start.core.0) / seconds).into()),
        ("core_softirq_share", ((end.core.1 - start.core.1) / seconds).into()),
        ("packets_per_cpu_s", (server_cpu > 0.0).then(|| received as f64 / server_cpu).into()),
        ("drops", (end.server_drops - start.server_drops).into()),
        ("resident_before", before.map(|usage| usage.resident).into()),
        ("resident_after", after.map(|usage| usage.resident).into()),
        ("proportional_before", before.map(|usage| usage.proportional).into()),
        ("proportional_after", after.map(|usage| usage.proportional).into()),
    ]);
    let generator_s = (end.generator_cpu_ns - start.generator_cpu_ns) as f64 / 1e9;
    let generator = Json::Object(vec![
        ("cpu_share", (generator_s / seconds).into()),
        ("drops", (end.our_drops - start.our_drops).into()),
    ]);
    Json::Object(vec![
        ("seconds", seconds.into()),
        ("clients", fleet.alive().count().into()),
        ("complete", if complete { 1u64 } else { 0 }.into()),
        ("streams_expected", streams(&|client| plan.streams_per(client)).into()),
        ("streams", streams(&|client| client.inbound.streams()).into()),
        ("streams_playing", streams(&|client| client.inbound.streams_playing()).into()),
        ("packets", packets),
        ("received_per_s", (received as f64 / seconds).into()),
        ("server", server),
        ("generator", generator),
        ("joins", joins(fleet)),
        ("errors", fleet.errors.len().into()),
        ("first_error", fleet.errors.first().map(String::as_str).into()),
        ("latency_us", latencies(&mut fleet.work.latencies)),
        ("passage_us", latencies(&mut fleet.work.passages)),
    ])
}

fn latencies(taken: &mut Latencies) -> Json {
    let sorted = taken.sorted();
    let micros = |percent| percentile(sorted, percent) as f64 / 1000.0;
    Json::Object(vec![
        ("p50", micros(50).into()),
        ("p99", micros(99).into()),
        ("max", micros(100).into()),
        ("samples", sorted.len().into()),
    ])
}

/// Join times in milliseconds since the WebSocket was opened, of those who got so far.
pub fn joins(fleet: &Fleet) -> Json {
    let part = |pick: &dyn Fn(&Client) -> Option<Instant>| {
        let since = |client: &Client| pick(client).map(|at| at.duration_since(client.times.started).as_micros() as u64);
        let mut times: Vec<u64> = fleet.alive().filter(|client| client.role.subscribe).filter_map(since).collect();
        times.sort_unstable();
        Json::Object(vec![
            ("count", times.len().into()),
            ("p50", (percentile(&times, 50) as f64 / 1000.0).into()),
            ("p95", (percentile(&times, 95) as f64 / 1000.0).into()),
            ("max", (percentile(&times, 100) as f64 / 1000.0).into()),
        ])
    };
    Json::Object(vec![
        ("joined_ms", part(&|client| client.times.joined)),
        ("connected_ms", part(&|client| client.times.connected)),
        ("first_packet_ms", part(&|client| client.inbound.first_packet)),
        ("first_frame_ms", part(&|client| client.inbound.first_frame)),
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_room_has_publishers_and_subscribers_of_its_own_whose_frames_fall_between_each_others() {
        let words =
            ["--rooms", "3", "--publishers", "2", "--subscribers", "1", "--publish", "audio"].map(str::to_owned);
        let plan = Plan::read(&Args::parse(&words, OPTIONS).unwrap()).unwrap();
        let roles = plan.roles();
        let rooms: Vec<u32> = roles.iter().map(|(room, _)| *room).collect();
        assert_eq!(rooms, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
        assert!(roles.iter().all(|(_, role)| role.subscribe == role.publish.is_empty()));
        let publishers: Vec<&Role> =
            roles.iter().map(|(_, role)| role).filter(|role| !role.publish.is_empty()).collect();
        let phases: Vec<u128> = publishers.iter().map(|role| role.phase.as_micros()).collect();
        assert_eq!(phases, [0, 3_333, 6_666, 10_000, 13_333, 16_666]);
        let identities: std::collections::HashSet<&str> =
            roles.iter().map(|(_, role)| role.identity.as_str()).collect();
        assert_eq!(identities.len(), 9);
    }
}
