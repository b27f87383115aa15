//! Where a mesh keeps its data on a machine, for the mesh itself and for whoever looks after it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where data goes for root: PostgreSQL runs as another user there, who cannot enter root's home.
const SYSTEM_DATA: &str = "/var/lib/proof-of-agent";
/// The folder below a user's own data.
const FOLDER: &str = "proof-of-agent";

/// The folder with a mesh's data where nothing else is said, by the values of these environment variables. Empty ones count
/// as not set.
pub fn default_data_dir(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match (set("XDG_DATA_HOME"), set("HOME")) {
        (_, Some(home)) if home == Path::new("/root") => SYSTEM_DATA.into(),
        (Some(data), _) => data.join(FOLDER),
        (None, Some(home)) => home.join(".local/share").join(FOLDER),
        (None, None) => SYSTEM_DATA.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_to_the_users_own_and_to_the_systems_folder_for_root_and_for_nobody() {
        for (data, home, expected) in [
            ("", "", SYSTEM_DATA),
            ("", "/root", SYSTEM_DATA),
            ("/data", "/root", SYSTEM_DATA),
            ("", "/home/ada", "/home/ada/.local/share/proof-of-agent"),
            ("/data", "/home/ada", "/data/proof-of-agent"),
            ("/data", "", "/data/proof-of-agent"),
        ] {
            let variable = |name: &str| Some(if name == "HOME" { home.into() } else { data.into() });
            assert_eq!(default_data_dir(variable), Path::new(expected), "{data} {home}");
        }
    }
}
