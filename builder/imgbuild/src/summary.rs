//! What a build says of itself: checksums and a description beside the images, a table at the
//! end.

use crate::assembly::Assembly;
use crate::output::OutDir;
use crate::pipeline::Built;
use crate::plan::Plan;
use crate::terminal::table;
use imgbuild_base::{ByteSize, Epoch};
use imgbuild_recipe::resolved::Format;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use time::OffsetDateTime;
use time::macros::format_description;

/// The file that says what was built from what; it holds nothing secret.
pub(crate) const DESCRIPTION: &str = "build.json";

/// What was built from what, for `imgbuild why` and for pipelines.
#[derive(Debug, Serialize, serde::Deserialize)]
pub(crate) struct Description {
    /// The format's version.
    pub(crate) version: u32,
    /// The recipe.
    pub(crate) recipe: String,
    /// The time that stood for "now".
    pub(crate) epoch: Epoch,
    /// The shared layers by file name, lowest first, with their SHA-256.
    pub(crate) layers: Vec<(String, String)>,
    /// Every step: its key, and what decided it.
    pub(crate) steps: BTreeMap<String, StepRecord>,
}

/// A step as it was when it was built.
#[derive(Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(crate) struct StepRecord {
    /// The step's key.
    pub(crate) key: String,
    /// Parameters by name, and inputs' keys by the inputs' names.
    pub(crate) decided_by: BTreeMap<String, String>,
}

/// The records of a plan's steps.
pub(crate) fn records(plan: &Plan) -> BTreeMap<String, StepRecord> {
    plan.graph
        .iter()
        .map(|(_, step)| {
            let params = step
                .params
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()));
            let inputs = step.inputs.iter().map(|id| {
                let input = plan.graph.step(*id);
                (input.name(), input.key.to_string())
            });
            let record = StepRecord {
                key: step.key.to_string(),
                decided_by: params.chain(inputs).collect(),
            };
            (step.name(), record)
        })
        .collect()
}

/// Writes checksums and description into the output directory.
pub(crate) fn write(assembly: &Assembly<'_>, out: &mut OutDir) -> io::Result<()> {
    let plan = assembly.plan();
    let sums: String = out
        .images()
        .map(|(name, state)| format!("{}  {name}\n", state.sha256))
        .collect();
    out.put("SHA256SUMS", sums.as_bytes())?;
    let description = Description {
        version: 1,
        recipe: assembly.request().project.name().to_owned(),
        epoch: plan.epoch,
        layers: assembly.shared().layers(),
        steps: records(plan),
    };
    let mut text = serde_json::to_vec_pretty(&description)?;
    text.push(b'\n');
    out.put(DESCRIPTION, &text)
}

impl Built {
    /// The build for programs.
    pub(crate) fn summary(&self) -> serde_json::Value {
        serde_json::json!({
            "recipe": self.name,
            "out": self.out,
            "admin": self.admin,
            "secret": self.secret.0,
            "images": self.images,
            "steps": self.steps,
            "seconds": self.took.as_secs_f64(),
            "members": self.facts.quorum.members(),
            "tolerates": self.facts.quorum.tolerance(),
            "certificates_until": self.facts.certificates_until,
        })
    }

    /// The build for people.
    pub(crate) fn table(&self, checked: bool) -> String {
        let rows: Vec<Vec<String>> = self
            .images
            .iter()
            .map(|image| {
                vec![
                    image.node.to_string(),
                    image.address.to_string(),
                    image.path.display().to_string(),
                    ByteSize::bytes(image.size).to_string(),
                    ByteSize::bytes(image.content).to_string(),
                    if image.unchanged {
                        "unchanged"
                    } else {
                        "written"
                    }
                    .to_owned(),
                ]
            })
            .collect();
        let head = ["node", "address", "file", "size", "content", ""];
        let mut text = format!("\n{}\n\n", table(&head, &rows));
        let quorum = &self.facts.quorum;
        text.push_str(&format!(
            "{} built in {:.2} s: {} steps done, {} found in the store{}\n{quorum}\n\
             certificates are valid until {}; before that, `imgbuild lock --renew` and build again\n",
            self.name,
            self.took.as_secs_f64(),
            self.steps.done,
            self.steps.cached,
            if checked {
                "; a second build was identical"
            } else {
                ""
            },
            date(self.facts.certificates_until),
        ));
        let (secret, new) = &self.secret;
        if *new {
            text.push_str(&format!(
                "the cluster's secret is new: keep {} safe, it is the root of every key\n",
                secret.display()
            ));
        }
        for format in Format::ALL {
            if self.images.iter().any(|image| image.format == format) {
                text.push_str(&self.next(format));
            }
        }
        let admin = self.admin.display();
        text.push_str(&format!("then: . {admin}/env && etcdctl member list"));
        text
    }

    /// What to do with files of a format, as a line.
    fn next(&self, format: Format) -> String {
        match format {
            Format::Img => format!(
                "next: write each image to its card or disk, or try them first: imgbuild run {}\n",
                self.name
            ),
            Format::Overlay => "next: on each machine, as root: tar -C / -xpzf \
                                NODE.overlay.tar.gz; systemctl daemon-reload; systemctl restart \
                                --no-block etcd\n"
                .to_owned(),
        }
    }
}

/// A day, as people write it (ISO 8601).
pub(crate) fn date(epoch: Epoch) -> String {
    i64::try_from(epoch.seconds())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| {
            time.format(format_description!("[year]-[month]-[day]"))
                .ok()
        })
        .unwrap_or_else(|| epoch.to_string())
}
