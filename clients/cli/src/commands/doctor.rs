//! `doctor`: looks at what commonly goes wrong, from a user's side and an operator's, a line for each.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value as Json, json};

use super::{doctor_machine, doctor_mesh};
use crate::app::App;
use crate::failure::{Exit, Failure};
use crate::output::one_line;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// An admin port to ask; several times for several [default: 9100 to 9105 where the mesh is at
    /// http://localhost:3000].
    #[arg(long, env = "POA_ADMIN_ENDPOINTS", value_delimiter = ',', value_name = "URL")]
    pub(super) admin_endpoint: Vec<String>,
    /// The file with the operator's token, for the ledger, the Lightning node and payouts. Without it
    /// nobody is sent one.
    #[arg(long, env = "POA_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// The data folder of a mesh on this machine [default: where `poa-mesh` keeps it].
    #[arg(long, env = "POA_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Finding>);

#[derive(Debug)]
struct Finding {
    check: &'static str,
    status: Status,
    message: String,
    advice: Option<String>,
}

/// How bad it is, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    /// There was nothing to look at.
    Skipped,
    Ok,
    /// It works, and may not for long.
    Warning,
    /// It does not work.
    Problem,
}

pub(crate) async fn run(app: &App, args: DoctorArgs) -> Result<(), Failure> {
    let mut report = Report::default();
    let reached = doctor_mesh::reach(app, &mut report).await;
    if let Some(info) = &reached {
        doctor_mesh::identity(app, info, &mut report).await;
        doctor_mesh::account(app, &mut report).await;
    } else {
        report.skipped("account", "asked where the mesh can be reached");
    }
    doctor_machine::profile(app, &mut report);
    let data = doctor_machine::data_folder(app, &args);
    doctor_mesh::operators(app, &args, data.as_deref(), &mut report).await;
    doctor_machine::data(data.as_deref(), &args, &mut report);
    doctor_machine::descriptors(&mut report);

    app.out.either(|| report.json(), || report.text())?;
    match report.count(Status::Problem) {
        0 => Ok(()),
        1 => Err(Failure::new(Exit::Other, "1 problem")),
        count => Err(Failure::new(Exit::Other, format!("{count} problems"))),
    }
}

// === impl Report ===

impl Report {
    pub(super) fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, Status::Ok, message.into(), None);
    }

    pub(super) fn skipped(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, Status::Skipped, message.into(), None);
    }

    pub(super) fn warning(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(check, Status::Warning, message.into(), Some(advice.into()));
    }

    pub(super) fn problem(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(check, Status::Problem, message.into(), Some(advice.into()));
    }

    fn add(&mut self, check: &'static str, status: Status, message: String, advice: Option<String>) {
        // Some of it is a stranger's text.
        let advice = advice.map(|advice| one_line(&advice));
        self.0.push(Finding { check, status, message: one_line(&message), advice });
    }

    fn count(&self, status: Status) -> usize {
        self.0.iter().filter(|finding| finding.status == status).count()
    }

    fn worst(&self) -> Status {
        self.0.iter().map(|finding| finding.status).max().unwrap_or(Status::Ok).max(Status::Ok)
    }

    fn json(&self) -> Json {
        let checks: Vec<Json> = self
            .0
            .iter()
            .map(|finding| {
                json!({
                    "check": finding.check, "status": finding.status.word(),
                    "message": finding.message, "advice": finding.advice,
                })
            })
            .collect();
        json!({ "status": self.worst().word(), "checks": checks })
    }

    pub(super) fn text(&self) -> String {
        let width = self.0.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
        let lines = self.0.iter().map(|finding| {
            let Finding { check, status, message, advice } = finding;
            let advice = advice
                .as_ref()
                .map_or_else(String::new, |advice| format!("\n{:9}{:width$}  -> {advice}", "", ""));
            format!("{:<9}{check:<width$}  {message}{advice}", status.word())
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

// === impl Status ===

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_is_that_of_the_report_and_what_to_do_stands_below() {
        let mut report = Report::default();
        assert_eq!(report.worst(), Status::Ok, "nothing to look at is no warning");
        report.skipped("account", "nobody is signed in");
        report.ok("endpoint", "answers");
        assert_eq!(report.worst(), Status::Ok);
        report.warning("clock", "3 s\u{1b} ahead", "set it");
        assert_eq!(report.worst(), Status::Warning);
        report.problem("disk", "full", "make room");
        assert_eq!((report.worst(), report.count(Status::Problem)), (Status::Problem, 1));
        assert_eq!(
            report.text(),
            "skipped  account   nobody is signed in\n\
             ok       endpoint  answers\n\
             warning  clock     3 s\u{fffd} ahead\n                   -> set it\n\
             problem  disk      full\n                   -> make room"
        );
        assert_eq!(report.json()["status"], "problem");
        assert_eq!(report.json()["checks"][2]["advice"], "set it");
    }
}
