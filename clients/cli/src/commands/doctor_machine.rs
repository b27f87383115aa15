//! What the doctor sees on this machine: permissions, free space, limits.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use poa_sdk::{Endpoint, default_data_dir};
use rustix::process::{Resource, getrlimit};

use super::doctor::{DoctorArgs, Report};
use crate::app::App;
use crate::units::bytes;

/// Bits of a mode that let others in.
const OTHERS: u32 = 0o077;
/// Free space below which a busy mesh is hours from standing still, in bytes.
const LITTLE_SPACE: u64 = 1 << 30;
/// Free space below which PostgreSQL may stop at any moment, in bytes.
const NO_SPACE: u64 = 100 << 20;
/// The oldest major version of PostgreSQL that the tables are written for.
const OLDEST_POSTGRES: u32 = 15;
/// Descriptors that a server at its limit of connections needs, and some for files and peers.
const DESCRIPTORS: u64 = 4_096 + 256;
/// Files of the keys' folder that anybody may read: they hold public keys.
const PUBLIC_KEYS: [&str; 3] = ["jwks.json", "services.json", "trust-root.json"];

/// The profile's files are nobody else's.
pub(super) fn profile(app: &App, report: &mut Report) {
    let paths: Vec<PathBuf> = app.profile.private_paths().into_iter().filter(|path| path.exists()).collect();
    if paths.is_empty() {
        return report.skipped("profile", "there is nothing in it yet");
    }
    let open: Vec<String> = paths.iter().filter_map(|path| open_to_others(path)).collect();
    if open.is_empty() {
        report.ok("profile", "session and agent key are readable by you alone");
    } else {
        report.problem("profile", "others can read your session or your agent's key", open.join("; "));
    }
}

/// What to type where others can open a file or folder.
fn open_to_others(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    let closed = if metadata.is_dir() { "700" } else { "600" };
    (metadata.permissions().mode() & OTHERS != 0).then(|| format!("chmod {closed} {}", path.display()))
}

/// The data folder: the given one, or the default one where the mesh is the local one and has made it.
pub(super) fn data_folder(app: &App, args: &DoctorArgs) -> Option<PathBuf> {
    if args.data_dir.is_some() {
        return args.data_dir.clone();
    }
    let local = app.endpoint().is_ok_and(|uri| uri == Endpoint::LOCAL);
    Some(default_data_dir(|name| std::env::var_os(name))).filter(|folder| local && folder.is_dir())
}

/// What is in the data folder of a mesh: keys, room, the cluster's version.
pub(super) fn data(folder: Option<&Path>, args: &DoctorArgs, report: &mut Report) {
    let Some(folder) = folder else {
        return report.skipped("data", "not looked at: say where a mesh's data is with --data-dir DIR");
    };
    if !folder.is_dir() {
        let advice = "say where the data is with --data-dir DIR";
        return report.problem("data", format!("{} is no folder", folder.display()), advice);
    }
    match keys(&folder.join("keys")) {
        Ok(open) if open.is_empty() => {
            report.ok("key files", format!("{} is closed to others", folder.join("keys").display()));
        }
        Ok(open) => report.problem("key files", "others can read the deployment's keys", open.join("; ")),
        Err(error) => {
            let message = format!("{}: {error}", folder.join("keys").display());
            if args.data_dir.is_some() {
                report.problem("key files", message, "run this as the user of the servers");
            } else {
                report.skipped("key files", message);
            }
        }
    }
    space(folder, report);
    postgres(&folder.join("postgres/cluster/PG_VERSION"), report);
}

/// What to type for each file of the keys that others can read.
fn keys(folder: &Path) -> io::Result<Vec<String>> {
    let mut open: Vec<String> = open_to_others(folder).into_iter().collect();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let public = PUBLIC_KEYS.iter().any(|name| path.ends_with(name));
        if !public {
            open.extend(open_to_others(&path));
        }
    }
    Ok(open)
}

fn space(folder: &Path, report: &mut Report) {
    let free = match rustix::fs::statvfs(folder) {
        Ok(about) => about.f_bavail.saturating_mul(about.f_frsize),
        Err(error) => return report.skipped("disk", format!("{}: {error}", folder.display())),
    };
    let message = format!("{} free at {}", bytes(free), folder.display());
    match free {
        ..NO_SPACE => report.problem("disk", message, "make room now: without it PostgreSQL stops"),
        NO_SPACE..LITTLE_SPACE => report.warning("disk", message, "make room: without it PostgreSQL stops"),
        _ => report.ok("disk", message),
    }
}

fn postgres(file: &Path, report: &mut Report) {
    let Ok(version) = fs::read_to_string(file) else {
        return report.skipped("postgresql", "no private cluster here, or it cannot be looked into");
    };
    match version.trim().parse::<u32>() {
        Ok(major) if major >= OLDEST_POSTGRES => {
            report.ok("postgresql", format!("the private cluster is of version {major}"));
        }
        _ => report.problem(
            "postgresql",
            format!("the private cluster is of version {}", version.trim()),
            format!("version {OLDEST_POSTGRES} is the oldest that works"),
        ),
    }
}

/// How many files and connections a server that is started from this shell may have open.
pub(super) fn descriptors(report: &mut Report) {
    let limit = getrlimit(Resource::Nofile).current;
    match limit {
        Some(limit) if limit < DESCRIPTORS => report.warning(
            "descriptors",
            format!("a server started from this shell has {limit} of {DESCRIPTORS}"),
            format!(
                "ulimit -n {DESCRIPTORS}, or LimitNOFILE= of its unit: else it refuses connections early"
            ),
        ),
        Some(limit) => report.ok("descriptors", format!("{limit} for a server started from this shell")),
        None => report.ok("descriptors", "without a limit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_others_can_read_is_named_with_what_to_type_and_a_public_key_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let keys_folder = folder.path().join("keys");
        fs::create_dir(&keys_folder).unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(&keys_folder, 0o700);
        for name in ["jwt.key", "jwks.json"] {
            fs::write(keys_folder.join(name), "x").unwrap();
            mode(&keys_folder.join(name), 0o644);
        }
        assert_eq!(
            keys(&keys_folder).unwrap(),
            [format!("chmod 600 {}", keys_folder.join("jwt.key").display())]
        );
        mode(&keys_folder.join("jwt.key"), 0o600);
        assert!(keys(&keys_folder).unwrap().is_empty());
        mode(&keys_folder, 0o755);
        assert_eq!(keys(&keys_folder).unwrap(), [format!("chmod 700 {}", keys_folder.display())]);
        assert!(keys(&folder.path().join("none")).is_err());
    }
}
