//! What Linux says about the server's processes and about lost datagrams.

use std::collections::{HashMap, HashSet};
use std::fs;

/// /proc/stat counts CPU time in hundredths of a second (USER_HZ) on every Linux we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU and memory of a process and everything it started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time of all living threads of the tree, in seconds.
    pub cpu_s: f64,
    /// Resident bytes, shared pages counted once per process.
    pub resident: u64,
    /// Proportional set size in bytes: shared pages divided among those who share them.
    pub proportional: u64,
}

/// Usage of the tree below `root`; memory only when asked for, as reading it costs the kernel time.
pub fn usage(root: u32, with_memory: bool) -> Usage {
    let mut total = Usage::default();
    for pid in tree(root) {
        total.cpu_s += cpu_time_s(pid);
        if with_memory {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            total.resident += kilobytes(&rollup, "Rss:") * 1024;
            total.proportional += kilobytes(&rollup, "Pss:") * 1024;
        }
    }
    total
}

/// From schedstat, which counts nanoseconds; the ticks of /proc/pid/stat are too coarse for a lightly loaded server.
fn cpu_time_s(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanoseconds = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

fn kilobytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Fields of /proc/pid/stat after the command name (which may hold spaces); the first is the state.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let parent = stat_fields(pid).and_then(|fields| fields.get(1)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(children.get(&pid).into_iter().flatten());
        next += 1;
    }
    found
}

/// Busy seconds of one core since boot, and the part of it spent in soft interrupts.
pub fn core_busy(core: usize) -> (f64, f64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let name = format!("cpu{core} ");
    let Some(line) = text.lines().find_map(|line| line.strip_prefix(&name)) else { return (0.0, 0.0) };
    let ticks: Vec<f64> = line.split_whitespace().map(|value| value.parse().unwrap_or(0.0)).collect();
    let at = |position: usize| ticks.get(position).copied().unwrap_or(0.0);
    // user nice system idle iowait irq softirq
    let busy = at(0) + at(1) + at(2) + at(5) + at(6);
    (busy / TICKS_PER_SECOND, at(6) / TICKS_PER_SECOND)
}

/// Datagrams dropped so far by sockets bound to these UDP ports.
pub fn drops(ports: &HashSet<u16>) -> u64 {
    ["/proc/net/udp", "/proc/net/udp6"]
        .iter()
        .map(|path| drops_in(&fs::read_to_string(path).unwrap_or_default(), ports))
        .sum()
}

fn drops_in(table: &str, ports: &HashSet<u16>) -> u64 {
    let lines = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, port) = fields.get(1)?.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        ports.contains(&port).then(|| fields.last()?.parse::<u64>().ok()).flatten()
    });
    lines.sum()
}

/// Packets that a device dropped so far on their way out.
pub fn dropped_by(device: &str) -> u64 {
    dropped_in(&fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default(), device)
}

fn dropped_in(table: &str, device: &str) -> u64 {
    let line = table.lines().find_map(|line| line.trim_start().strip_prefix(device)?.strip_prefix(':'));
    // Eight columns of what came in, then bytes, packets, errors and drops of what went out.
    line.and_then(|line| line.split_whitespace().nth(11)?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_read_from_the_last_column_of_the_wanted_ports() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            1: 0100007F:1ECA 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1 2 0000 5\n\
            2: 0100007F:1ECB 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1 2 0000 9\n";
        assert_eq!(drops_in(table, &HashSet::from([7882])), 5);
        assert_eq!(drops_in(table, &HashSet::from([7882, 7883])), 14);
        assert_eq!(drops_in(table, &HashSet::new()), 0);
    }

    #[test]
    fn drops_of_a_device_are_those_of_what_it_sends() {
        let table = "Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls\n\
            \x20   lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n card0: 1 2 0 0 0 0 0 0 900 80 0 7 0 0 0 0\n";
        assert_eq!((dropped_in(table, "card0"), dropped_in(table, "card")), (7, 0));
    }

    #[test]
    fn our_own_usage_is_seen() {
        let usage = usage(std::process::id(), true);
        assert!(usage.resident > 0 && usage.proportional > 0);
    }
}
