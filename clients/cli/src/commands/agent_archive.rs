//! `agent archive`: the archive of an agent's directory and its digest, the same on every machine.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use poa_sdk::receipts::ArchiveError;
use poa_sdk::receipts::archive::{ArchiveWriter, Entry, Node, Summary};
use serde_json::{Value as Json, json};

use crate::app::App;
use crate::archive::{Directory, refused};
use crate::failure::{Exit, Failure};
use crate::output::fields;
use crate::units::grouped;

/// What a file may be read and written by: as the caller's umask says.
const FILE_MODE: u32 = 0o666;

#[derive(Debug, Args)]
pub(crate) struct ArchiveArgs {
    /// The agent's directory.
    dir: PathBuf,
    /// Keep the archive (tar) in a file outside of DIR; `-` is standard output, which then holds nothing else.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// List what is in it, too.
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(app: &App, args: &ArchiveArgs) -> Result<(), Failure> {
    let directory = Directory::walk(&args.dir)?;
    let (listing, summary) = match args.output.as_deref() {
        None => write(&directory, io::sink(), Path::new(""))?,
        Some(path) if path == Path::new("-") => {
            let stdout = io::stdout().lock();
            if stdout.is_terminal() {
                let failure = Failure::new(Exit::Usage, "an archive is not for reading on a terminal");
                return Err(failure.hint("name a file: --output FILE"));
            }
            let (listing, summary) = write(&directory, BufWriter::new(stdout), path)?;
            if args.list {
                listing.iter().for_each(|row| app.out.progress(&text_of(row)));
            }
            app.out.progress(&summary_text(&summary));
            return Ok(());
        }
        Some(path) => write_file(&directory, path)?,
    };
    if args.list {
        for row in &listing {
            app.out.either(|| row.clone(), || text_of(row))?;
        }
    }
    let file = args.output.as_deref();
    app.out.either(|| summary_json(&summary, file), || summary_text(&summary))?;
    if let Some(path) = file {
        app.out.progress(&format!("Kept in {0}. Look inside: `tar -tvf {0}`", path.display()));
    }
    Ok(())
}

/// What the archive of a directory comes to, without keeping it.
pub(crate) fn summary(directory: &Path) -> Result<Summary, Failure> {
    let (_, summary) = write(&Directory::walk(directory)?, io::sink(), Path::new(""))?;
    Ok(summary)
}

/// Makes the archive of a directory, and keeps it in a file where one is named.
pub(super) fn keep(directory: &Path, output: Option<&Path>) -> Result<Summary, Failure> {
    let Some(path) = output else { return summary(directory) };
    let (_, summary) = write_file(&Directory::walk(directory)?, path)?;
    Ok(summary)
}

/// The archive of a directory, in memory.
pub(super) fn in_memory(directory: &Path) -> Result<(Vec<u8>, Summary), Failure> {
    let mut bytes = Vec::new();
    let (_, summary) = write(&Directory::walk(directory)?, &mut bytes, Path::new(""))?;
    Ok((bytes, summary))
}

/// Writes the archive to a sink, one file in memory at a time. `output` is what a failure to write names.
fn write(directory: &Directory, sink: impl Write, output: &Path) -> Result<(Vec<Json>, Summary), Failure> {
    let failed = |error: ArchiveError| match error {
        ArchiveError::Sink { kind, message } if output == Path::new("-") => {
            Failure::output(&io::Error::new(kind, message))
        }
        ArchiveError::Sink { kind, message } => Failure::file(output, &io::Error::new(kind, message)),
        error => refused(error),
    };
    let mut writer = ArchiveWriter::new(sink);
    let mut listing = Vec::new();
    for entry in directory.entries() {
        let entry = entry?;
        listing.push(row(&entry));
        writer = writer.append(&entry).map_err(failed)?;
    }
    Ok((listing, writer.finish().map_err(failed)?))
}

/// Writes the archive to a file that is there whole or not at all.
fn write_file(directory: &Directory, path: &Path) -> Result<(Vec<Json>, Summary), Failure> {
    let name_only = path.parent().is_none_or(|parent| parent.as_os_str().is_empty());
    let folder = if name_only { Path::new(".") } else { path.parent().unwrap_or(path) };
    let folder = folder.canonicalize().map_err(|error| Failure::file(folder, &error))?;
    if folder.starts_with(directory.root()) {
        let message = format!("{} is in the directory that is archived", path.display());
        return Err(Failure::new(Exit::Usage, message)
            .hint("keep the archive elsewhere: the next one would have this one in it"));
    }
    // What is no file, such as /dev/null, is not replaced by one.
    if path.metadata().is_ok_and(|there| !there.is_file()) {
        return Err(Failure::new(Exit::Usage, format!("{} is not a file", path.display())));
    }
    let failed = |error: io::Error| Failure::file(path, &error);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(FILE_MODE);
    let mut file = tempfile::Builder::new().permissions(mode).tempfile_in(&folder).map_err(failed)?;
    let written = write(directory, BufWriter::new(&mut file), path)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(written)
}

fn row(entry: &Entry<'_>) -> Json {
    let path = entry.path().as_str();
    match entry.node() {
        Node::File { executable, content } => json!({
            "path": path, "kind": "file", "executable": executable, "bytes": content.len().to_string(),
        }),
        Node::Link { target } => json!({ "path": path, "kind": "link", "target": target }),
    }
}

fn text_of(row: &Json) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    if row["kind"] == "link" {
        return format!("{:>11}  {} -> {}", "link", text("path"), text("target"));
    }
    let mark = if row["executable"] == true { "*" } else { "" };
    format!("{:>11}  {}{mark}", text("bytes"), text("path"))
}

fn summary_text(summary: &Summary) -> String {
    let number = |number: usize| grouped(u64::try_from(number).unwrap_or(u64::MAX));
    fields(&[
        ("build digest", summary.digest.to_string()),
        ("files", number(summary.files)),
        ("links", number(summary.links)),
        ("archive", format!("{} bytes", number(summary.bytes))),
    ])
}

fn summary_json(summary: &Summary, file: Option<&Path>) -> Json {
    json!({
        "build_digest": summary.digest.to_string(),
        "file_count": summary.files.to_string(),
        "link_count": summary.links.to_string(),
        "archive_bytes": summary.bytes.to_string(),
        "file": file.map(|path| path.display().to_string()),
    })
}
