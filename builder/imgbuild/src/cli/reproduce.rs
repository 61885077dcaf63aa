//! `imgbuild reproduce`: upstream's etcd against one built as upstream builds it.

use super::args::GlobalArgs;
use crate::error::{CommandError, Failure, Result};
use crate::means::Means;
use crate::messages::Message;
use crate::messages::release::{BuiltOtherwise, Program, Reproduce};
use crate::project::Project;
use crate::reproduce::{self, Reproduced};
use crate::terminal::{Terminal, table};
use imgbuild_etcd::reproduce::Comparison;
use imgbuild_golang::Difference;
use imgbuild_golang::repository::Commit;

/// Runs `imgbuild reproduce`.
pub(crate) fn reproduce(terminal: &Terminal, global: &GlobalArgs, name: &str) -> Result<()> {
    let events = terminal.events();
    let project = Project::find(name, terminal.color())?;
    let lock = project.matching_lock()?;
    let means = Means::new(global, &project.recipe, None, &events)?;
    let arch = project.recipe.image.arch;
    let done = reproduce::reproduce(&lock, arch, &means, &events)
        .map_err(|error| error.context("comparing with upstream's release"))?;
    terminal.message(&Message::Reproduce(done.message()));
    terminal.result(&done.text());
    if done.is_identical() {
        return Ok(());
    }
    let differing = done.programs.iter().filter(|one| one.place.is_some());
    let differing: Vec<&str> = differing.map(|one| one.name).collect();
    let text = format!(
        "not what upstream's source gives here: {} of {}",
        differing.join(", "),
        done.archive.0
    );
    Err(CommandError::msg(Failure::Difference, text)
        .hint("what is named above was done otherwise; --json has all of it"))
}

impl Reproduced {
    fn message(&self) -> Reproduce {
        Reproduce {
            version: self.version.to_string(),
            archive: self.archive.0.clone(),
            sha256: self.archive.1.to_string(),
            go: self.upstream.go.to_string(),
            commit: self.commit().map(str::to_owned),
            flags: self.upstream.flags(),
            identical: self.is_identical(),
            limits: self.upstream.limits(),
            programs: self.programs.iter().map(program).collect(),
        }
    }

    fn commit(&self) -> Option<&str> {
        self.upstream.commit.as_ref().map(Commit::revision)
    }

    fn text(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .programs
            .iter()
            .map(|one| {
                let (outcome, first) = match &one.place {
                    None => ("identical", String::new()),
                    Some(place) => (
                        "different",
                        format!(
                            "from byte {} on, {}",
                            place.offset,
                            place.section.as_deref().unwrap_or("in no section")
                        ),
                    ),
                };
                let name = one.name.to_owned();
                vec![name, outcome.to_owned(), one.upstream.to_string(), first]
            })
            .collect();
        let (go, commit) = (self.upstream.go, self.commit().unwrap_or("unknown"));
        let mut text = format!(
            "{}: Go {go}, commit {commit}\n  go build {}\n\n{}",
            self.archive.0,
            self.upstream.flags().join(" "),
            table(&["program", "", "upstream's sha256", ""], &rows)
        );
        for one in &self.programs {
            text.push_str(&differences(one));
        }
        text
    }
}

/// What is known of the reasons, a line each.
fn differences(one: &Comparison) -> String {
    let Some(place) = &one.place else {
        return String::new();
    };
    let mut lines = format!("\n{}: {} differ", one.name, place.sections.join(", "));
    for Difference {
        what,
        first,
        second,
    } in &one.differences
    {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        let (first, second) = (shown(first), shown(second));
        lines.push_str(&format!("\n  {what}: {first}, here {second}"));
    }
    if one.differences.is_empty() {
        lines.push_str("\n  both say that they were built alike");
    }
    lines
}

fn program(one: &Comparison) -> Program {
    let place = one.place.clone();
    Program {
        name: one.name.to_owned(),
        identical: place.is_none(),
        upstream_sha256: one.upstream.to_string(),
        sha256: one.here.to_string(),
        offset: place.as_ref().map(|place| place.offset),
        section: place.as_ref().and_then(|place| place.section.clone()),
        sections: place.map(|place| place.sections).unwrap_or_default(),
        differences: one
            .differences
            .iter()
            .cloned()
            .map(|one| BuiltOtherwise {
                what: one.what,
                upstream: one.first,
                here: one.second,
            })
            .collect(),
    }
}
