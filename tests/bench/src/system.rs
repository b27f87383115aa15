//! What the kernel knows of a process: processor time and resident memory.

use std::fs;

use crate::numbers::float;

/// Ticks of `/proc/PID/stat` in a second: fixed by the kernel's interface on every architecture that it runs here.
const TICKS_PER_SECOND: f64 = 100.0;
/// Places of the fields after the program's name in `/proc/PID/stat`, counted from the state.
const PARENT: usize = 1;
const USER: usize = 11;
const SYSTEM: usize = 12;
const CHILDREN_USER: usize = 13;
const CHILDREN_SYSTEM: usize = 14;

/// Seconds of processor time that a process has used, its threads included. 0 for one that is gone.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    stat(pid).map_or(0.0, |fields| seconds(&fields, &[USER, SYSTEM]))
}

/// Seconds of processor time of a process, of its children, and of those children that have ended: PostgreSQL has a
/// process for each connection.
pub(crate) fn family_cpu_seconds(parent: u32) -> f64 {
    let own =
        stat(parent).map_or(0.0, |fields| seconds(&fields, &[USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM]));
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let children = pids.filter_map(stat).filter(|fields| field(fields, PARENT) == u64::from(parent));
    own + children.map(|fields| seconds(&fields, &[USER, SYSTEM])).sum::<f64>()
}

/// Bytes of memory that a process has resident. 0 for one that is gone.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1_024
}

fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in brackets and may hold spaces and brackets.
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn field(fields: &[String], place: usize) -> u64 {
    fields.get(place).and_then(|field| field.parse().ok()).unwrap_or(0)
}

fn seconds(fields: &[String], places: &[usize]) -> f64 {
    float(places.iter().map(|place| field(fields, *place)).sum()) / TICKS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_processor_time_and_memory() {
        let before = cpu_seconds(std::process::id());
        let mut sum = 0_u64;
        while cpu_seconds(std::process::id()) <= before {
            sum = (0..1_000_000_u64).fold(sum, |sum, next| sum.wrapping_mul(31).wrapping_add(next));
        }
        assert_ne!(sum, 1, "keeps the loop");
        assert!(resident_bytes(std::process::id()) > 100_000);
        assert!(family_cpu_seconds(std::process::id()) >= before);
    }

    #[test]
    fn a_process_that_is_gone_uses_nothing() {
        assert_eq!(cpu_seconds(u32::MAX), 0.0);
        assert_eq!(resident_bytes(u32::MAX), 0);
    }
}
