//! `poa agent archive`: the same files give the same bytes, whoever asks and wherever; GNU tar agrees.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

fn poa(directory: &Path, words: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_poa"));
    command.args(["agent", "archive"]).arg(directory).args(words).env_clear();
    // No profile is needed.
    command.env("POA_HOME", "/nonexistent");
    command.envs(environment.iter().copied()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The archive, from standard output.
fn archive(directory: &Path) -> Vec<u8> {
    let output = poa(directory, &["--output", "-"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    output.stdout
}

fn digest_with(directory: &Path, environment: &[(&str, &str)]) -> String {
    let output = poa(directory, &["--json"], environment);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["build_digest"].as_str().unwrap().to_owned()
}

fn digest(directory: &Path) -> String {
    digest_with(directory, &[])
}

/// What is in it, by path.
fn listed(directory: &Path) -> Vec<String> {
    let output = poa(directory, &["--json", "--list"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.filter_map(|row| row["path"].as_str().map(str::to_owned)).collect()
}

/// Why it is refused: a usage error that names the path.
fn refusal(directory: &Path) -> String {
    let output = poa(directory, &[], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    stderr(&output)
}

/// Runs a script of the shell in a directory.
fn shell(directory: &Path, script: &str) -> Output {
    let output = Command::new("sh").args(["-ec", script]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{script}: {}", stderr(&output));
    output
}

fn put(directory: &Path, path: &str, content: &str) -> PathBuf {
    let path = directory.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let made = tempfile::tempdir().unwrap();
    for (path, content) in files {
        put(made.path(), path, content);
    }
    made
}

/// The files of the vector that every implementation is held to, and its digest.
fn vector() -> (TempDir, String) {
    use base64::Engine as _;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/archive/small-directory.json");
    let vector: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let made = tempfile::tempdir().unwrap();
    for entry in vector["entries"].as_array().unwrap() {
        let text = |name: &str| entry[name].as_str().unwrap();
        let path = put(made.path(), text("path"), "");
        if entry["kind"] == "link" {
            fs::remove_file(&path).unwrap();
            symlink(text("target"), &path).unwrap();
        } else {
            let content = base64::engine::general_purpose::STANDARD.decode(text("contentBase64")).unwrap();
            fs::write(&path, content).unwrap();
            let mode = if entry["executable"] == true { 0o700 } else { 0o640 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    (made, vector["sha256"].as_str().unwrap().to_owned())
}

/// The commands of the page that says how to do without this program.
fn commands_of_the_page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol/agent-archive.md");
    let page = fs::read_to_string(page).unwrap();
    let block = page.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(block.contains("tar --create"), "{block}");
    block.to_owned()
}

#[test]
fn the_vector_has_its_digest_on_disk_too() {
    let (made, expected) = vector();
    assert_eq!(digest(made.path()), expected);
}

#[test]
fn gnu_tar_makes_the_same_digest_with_the_commands_of_the_page() {
    let (made, expected) = vector();
    let printed = shell(made.path(), &commands_of_the_page());
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), format!("{expected}  -\n"));
}

#[test]
fn gnu_tar_makes_the_same_bytes_of_whatever_a_disk_holds() {
    let made = directory(&[
        ("a-b", "1"),
        ("a.c", "2"),
        ("a/x", "3"),
        ("a0", "4"),
        ("--help", "5"),
        (".hidden/.file", "6"),
        (".git/config", "not in it"),
        ("sub/.git/config", "not in it"),
        ("with space/and 'quotes'\"", "7"),
    ]);
    let long = format!("{}/{}/{}", "d".repeat(100), "e".repeat(54), "n".repeat(100));
    put(made.path(), &long, "8");
    put(made.path(), &format!("{}/n", "f".repeat(155)), "9");
    for mode in [0o000, 0o100, 0o444, 0o4755, 0o2711, 0o1600, 0o654, 0o645, 0o666, 0o777] {
        let path = put(made.path(), &format!("mode/{mode:o}"), "x");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o400)).unwrap();
    }
    fs::hard_link(made.path().join("a0"), made.path().join("hard")).unwrap();
    fs::create_dir(made.path().join("empty")).unwrap();
    symlink("a/x", made.path().join("link")).unwrap();
    symlink("../nowhere", made.path().join("a/dangling")).unwrap();
    fs::write(made.path().join("sparse"), "").unwrap();
    fs::File::options().write(true).open(made.path().join("sparse")).unwrap().set_len(1 << 20).unwrap();
    let script = commands_of_the_page().replace("sha256sum", "cat");
    assert!(shell(made.path(), &script).stdout == archive(made.path()));
}

#[test]
fn gnu_tar_lists_and_unpacks_an_archive_and_what_comes_out_has_its_digest() {
    let (made, expected) = vector();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("agent.tar");
    let output = poa(made.path(), &["--output", file.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let listing = shell(elsewhere.path(), "TZ=UTC LC_ALL=C tar -tvf agent.tar");
    assert!(listing.stderr.is_empty(), "{}", stderr(&listing));
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert_eq!(listing.lines().count(), 16);
    for line in [
        "-rw-r--r-- 0/0               8 1970-01-01 00:00 .gitignore",
        "-rwxr-xr-x 0/0              21 1970-01-01 00:00 bin/count",
        "lrwxr-xr-x 0/0               0 1970-01-01 00:00 bin/count-words -> count",
    ] {
        assert!(listing.lines().any(|listed| listed == line), "{line} is not in\n{listing}");
    }
    let unpacked = shell(elsewhere.path(), "umask 027; mkdir out; tar -xf agent.tar -C out");
    assert!(unpacked.stderr.is_empty(), "{}", stderr(&unpacked));
    assert_eq!(digest(&elsewhere.path().join("out")), expected);
}

#[test]
fn a_copy_has_the_same_archive_whatever_its_umask_times_owner_and_order() {
    let (made, expected) = vector();
    let copies = tempfile::tempdir().unwrap();
    let script = |copy: &str| {
        // The names in an order that is not the original's, so that the file system keeps them in another one.
        let from = made.path().display();
        let order = "find . '(' -type f -o -type l ')' -print0 | sort --zero-terminated --reverse";
        format!(
            "mkdir '{copy}'; cd '{from}'; {order} | tar -c --null -T - | tar -xm -C '{}'",
            copies.path().join(copy).display()
        )
    };
    for (copy, umask) in [("one", "000"), ("other one", "077"), ("third", "026")] {
        shell(copies.path(), &format!("umask {umask}; {}", script(copy)));
        let copied = copies.path().join(copy);
        shell(&copied, "find . -exec touch -h -d 2001-02-03 {} +");
        // Another owner, where the caller may give files away.
        shell(&copied, "chown -hR 12345:54321 . 2>/dev/null || true");
        assert_eq!(digest(&copied), expected, "{copy}");
        assert!(archive(&copied) == archive(made.path()));
    }
}

#[test]
fn the_environment_of_the_caller_is_not_in_the_archive() {
    let (made, expected) = vector();
    for environment in [
        [("LC_ALL", "C"), ("TZ", "UTC"), ("LANG", "C")],
        [("LC_ALL", "tr_TR.UTF-8"), ("TZ", "Pacific/Apia"), ("LANG", "de_DE")],
        [("SOURCE_DATE_EPOCH", "1700000000"), ("TAR_OPTIONS", "--mtime=@1"), ("POSIXLY_CORRECT", "1")],
    ] {
        assert_eq!(digest_with(made.path(), &environment), expected, "{environment:?}");
    }
    // Nor is the way that the directory is named, or a link to it.
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(made.path(), elsewhere.path().join("link")).unwrap();
    assert_eq!(digest(&elsewhere.path().join("link")), expected);
    assert_eq!(digest(&made.path().join("bin/..")), expected);
    let here = Command::new(env!("CARGO_BIN_EXE_poa"))
        .args(["agent", "archive", ".", "--json"])
        .current_dir(made.path())
        .env("POA_HOME", "/nonexistent")
        .output()
        .unwrap();
    assert!(String::from_utf8(here.stdout).unwrap().contains(&expected));
}

#[test]
fn the_directory_says_what_is_left_out() {
    let made = directory(&[
        (".gitignore", "/target\n*.log\n!keep.log\nsecret\n"),
        (".poaignore", "notes/\n!secret\n"),
        (".ignore", "*\n"),
        ("agent.py", ""),
        (".env.example", ""),
        ("run.log", ""),
        ("keep.log", ""),
        ("target/debug/a", ""),
        ("src/target/b", ""),
        ("notes/c", ""),
        ("secret", ""),
        ("sub/.gitignore", "!run.log\n/d\n"),
        ("sub/run.log", ""),
        ("sub/d", ""),
        ("sub/e/d", ""),
        ("sub/.git", "gitdir: ../.git/modules/sub\n"),
        (".git/HEAD", ""),
    ]);
    let expected = [
        ".env.example",
        ".gitignore",
        ".ignore",
        ".poaignore",
        "agent.py",
        "keep.log",
        "secret",
        "src/target/b",
        "sub/.gitignore",
        "sub/e/d",
        "sub/run.log",
    ];
    assert_eq!(listed(made.path()), expected);
    // Whether it is a repository does not matter.
    let before = digest(made.path());
    fs::remove_dir_all(made.path().join(".git")).unwrap();
    fs::remove_file(made.path().join("sub/.git")).unwrap();
    assert_eq!(digest(made.path()), before);
}

#[test]
fn ignore_files_outside_of_the_directory_do_not_count() {
    let outer = directory(&[
        (".gitignore", "*.txt\n"),
        (".poaignore", "*.txt\n"),
        (".ignore", "*.txt\n"),
        (".git/HEAD", "ref: refs/heads/main\n"),
        ("agent/a.txt", ""),
        ("agent/.git/HEAD", "ref: refs/heads/main\n"),
        ("agent/.git/info/exclude", "*.txt\n"),
        ("home/.config/git/ignore", "*.txt\n"),
        ("home/.gitconfig", "[core]\n\texcludesFile = ~/excluded\n"),
        ("home/excluded", "*.txt\n"),
    ]);
    let agent = outer.path().join("agent");
    let before = digest(&agent);
    let home = outer.path().join("home");
    let config = home.join(".config");
    let environment = [("HOME", home.to_str().unwrap()), ("XDG_CONFIG_HOME", config.to_str().unwrap())];
    assert_eq!(digest_with(&agent, &environment), before);
    assert_eq!(listed(&agent), ["a.txt"]);
}

#[test]
fn empty_directories_and_modes_of_others_are_not_in_it() {
    let made = directory(&[("a", "x")]);
    let before = digest(made.path());
    fs::create_dir_all(made.path().join("empty/deeper")).unwrap();
    fs::set_permissions(made.path().join("a"), fs::Permissions::from_mode(0o655)).unwrap();
    assert_eq!(digest(made.path()), before);
    fs::set_permissions(made.path().join("a"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_ne!(digest(made.path()), before);
}

#[test]
fn what_is_no_file_and_no_link_is_refused_by_its_path() {
    let made = directory(&[("a", "x")]);
    shell(made.path(), "mkfifo pipe");
    let why = refusal(made.path());
    assert!(
        why.contains("pipe\" cannot be archived: it is a named pipe") && why.contains(".poaignore"),
        "{why}"
    );
    fs::write(made.path().join(".poaignore"), "pipe\n").unwrap();
    assert_eq!(listed(made.path()), [".poaignore", "a"]);
    let _socket = std::os::unix::net::UnixListener::bind(made.path().join("s")).unwrap();
    assert!(refusal(made.path()).contains("s\" cannot be archived: it is a socket"));
}

#[test]
fn names_and_links_that_systems_disagree_about_are_refused() {
    let refused = |name: &[u8], target: Option<&str>| {
        let made = directory(&[("a", "x")]);
        let path = made.path().join(OsStr::from_bytes(name));
        match target {
            Some(target) => symlink(target, path).unwrap(),
            None => fs::write(path, "").unwrap(),
        }
        refusal(made.path())
    };
    assert!(refused(b"\xff", None).contains("\\xFF\" cannot be archived: its path is not UTF-8"));
    assert!(refused(b"x\ny", None).contains("\"x\\ny\" cannot be archived: it has a control character"));
    assert!(refused("e\u{301}".as_bytes(), None).contains("NFC"));
    assert!(refused(b"A", None).contains("\"a\" and \"A\" differ only by case"));
    assert!(refused(&[b'n'; 101], None).contains("too long"));
    assert!(refused(b"l", Some("/etc/passwd")).contains("\"l\" to \"/etc/passwd\" cannot be archived"));
    assert!(refused(b"l", Some("../outside")).contains("leads out of the directory"));
}

#[test]
fn a_link_is_kept_and_not_followed() {
    let made = directory(&[("real/a", "x")]);
    symlink("real", made.path().join("linked")).unwrap();
    symlink(".", made.path().join("real/loop")).unwrap();
    assert!(refusal(made.path()).contains("loop"));
    fs::remove_file(made.path().join("real/loop")).unwrap();
    assert_eq!(listed(made.path()), ["linked", "real/a"]);
}

#[test]
fn ignore_files_that_cannot_be_relied_on_are_refused() {
    let made = directory(&[("a", "x"), ("sub/b", "x")]);
    let refused = |path: &str, why: &str| {
        let refusal = refusal(made.path());
        assert!(refusal.contains(path) && refusal.contains(why), "{path}: {refusal}");
        fs::remove_file(made.path().join(path)).unwrap();
    };
    for path in [".gitignore", ".poaignore", "sub/.gitignore", "sub/.poaignore"] {
        symlink("b", made.path().join(path)).unwrap();
        refused(path, "it is not a file of its own");
        shell(made.path(), &format!("mkfifo {path}"));
        refused(path, "it is not a file of its own");
        put(made.path(), path, "b\n*.{log,tmp}\n");
        refused(path, "line 2 has");
        // A backslash before nothing.
        put(made.path(), path, "b\nc\\\n");
        refused(path, "line 2");
        fs::write(made.path().join(path), b"\xff\n").unwrap();
        refused(path, "UTF-8");
        put(made.path(), path, &"# a line of text\n".repeat(70_000));
        refused(path, "bytes");
    }
    // Where nothing is looked at, nothing is wrong.
    put(made.path(), ".gitignore", "/sub\n");
    symlink("b", made.path().join("sub/.gitignore")).unwrap();
    assert_eq!(listed(made.path()), [".gitignore", "a"]);
}

#[test]
fn a_directory_that_is_not_there_or_has_nothing_is_refused() {
    let made = directory(&[("a", "x")]);
    assert!(refusal(&made.path().join("none")).contains("none"));
    assert!(refusal(&made.path().join("a")).contains("is not a directory"));
    fs::write(made.path().join(".gitignore"), "*\n").unwrap();
    assert!(refusal(made.path()).contains("nothing to archive"));
}

#[test]
fn a_file_with_too_many_bytes_is_refused() {
    let made = directory(&[("a", "x"), ("model", "")]);
    let file = fs::File::options().write(true).open(made.path().join("model")).unwrap();
    file.set_len(134_217_729).unwrap();
    let why = refusal(made.path());
    assert!(why.contains("\"model\" has 134217729 bytes") && why.contains(".poaignore"), "{why}");
}

#[test]
fn the_answer_says_what_was_made_and_a_file_keeps_it() {
    let made = directory(&[("a", "x"), ("run", "")]);
    fs::set_permissions(made.path().join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("a", made.path().join("l")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("agent.tar");
    let name = file.to_str().unwrap();
    let output = poa(made.path(), &["--json", "--list", "-o", name], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({ "path": "a", "kind": "file", "executable": false, "bytes": "1" }));
    assert_eq!(lines[1], json!({ "path": "l", "kind": "link", "target": "a" }));
    assert_eq!(lines[2], json!({ "path": "run", "kind": "file", "executable": true, "bytes": "0" }));
    let answer = json!({
        "build_digest": digest(made.path()), "file_count": "2", "link_count": "1", "archive_bytes": "3072",
        "file": name,
    });
    assert_eq!(lines[3], answer);
    assert!(fs::read(&file).unwrap() == archive(made.path()));
    // Over an older one, and nothing else is left behind.
    assert_eq!(poa(made.path(), &["-o", name], &[]).status.code(), Some(0));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    let output = poa(made.path(), &["--list"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    for line in
        ["          1  a", "       link  l -> a", "          0  run*", "files         2", "3,072 bytes"]
    {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn an_archive_is_not_kept_in_what_it_is_of_nor_over_what_is_no_file() {
    let made = directory(&[("a", "x"), ("sub/b", "x")]);
    for inside in ["agent.tar", "sub/agent.tar"] {
        let output = poa(made.path(), &["-o", made.path().join(inside).to_str().unwrap()], &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("is in the directory that is archived"), "{}", stderr(&output));
    }
    assert_eq!(listed(made.path()), ["a", "sub/b"]);
    let output = poa(made.path(), &["-o", "/dev/null"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/dev/null is not a file"), "{}", stderr(&output));
    // A failure leaves what was there.
    let elsewhere = directory(&[("agent.tar", "an older one")]);
    shell(made.path(), "mkfifo pipe");
    let file = elsewhere.path().join("agent.tar");
    assert_eq!(poa(made.path(), &["-o", file.to_str().unwrap()], &[]).status.code(), Some(2));
    assert_eq!(fs::read_to_string(&file).unwrap(), "an older one");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}
