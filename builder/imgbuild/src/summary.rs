//! What a build says of itself: checksums and a description beside the images, a table at the
//! end.

use crate::assembly::Assembly;
use crate::messages::explain::{StepRecord, Steps};
use crate::messages::{self, Message};
use crate::output::OutDir;
use crate::pipeline::Built;
use crate::plan::Plan;
use crate::plan::graph::Step;
use crate::terminal::table;
use imgbuild_base::{ByteSize, Epoch};
use imgbuild_recipe::resolved::Format;
use serde::Serialize;
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
    pub(crate) steps: Steps,
}

/// The records of a plan's steps.
pub(crate) fn records(plan: &Plan) -> Steps {
    plan.graph
        .iter()
        .map(|(_, step)| (step.name(), record(plan, step)))
        .collect()
}

/// The record of one step.
pub(crate) fn record(plan: &Plan, step: &Step) -> StepRecord {
    let params = step
        .params
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    let inputs = step.inputs.iter().map(|id| {
        let input = plan.graph.step(*id);
        (input.name(), input.key.to_string())
    });
    StepRecord {
        key: step.key.to_string(),
        decided_by: params.chain(inputs).collect(),
    }
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
    /// The build for programs. `checked`: a second one was the same.
    pub(crate) fn message(&self, checked: bool) -> Message {
        let (secret, secret_is_new) = self.secret.clone();
        let images = self.images.iter().map(|image| messages::build::Image {
            node: image.owner.as_ref().map(|owner| owner.node.to_string()),
            address: image.owner.as_ref().map(|owner| owner.address),
            format: image.format.as_str(),
            path: image.path.clone(),
            sha256: image.sha256.to_string(),
            size: image.size,
            content: image.content,
            block_map: image.block_map.clone(),
            unchanged: image.unchanged,
        });
        Message::Build(messages::build::Build {
            recipe: self.name.clone(),
            out: self.out.clone(),
            admin: self.admin.clone(),
            secret,
            secret_is_new,
            images: images.collect(),
            steps: messages::build::StepCount {
                done: self.steps.done,
                cached: self.steps.cached,
            },
            seconds: self.took.as_secs_f64(),
            members: self.facts.quorum.members(),
            tolerates: self.facts.quorum.tolerance(),
            certificates_until: self.facts.certificates_until.seconds(),
            checked,
        })
    }

    /// The build for people.
    pub(crate) fn table(&self, checked: bool) -> String {
        let rows: Vec<Vec<String>> = self
            .images
            .iter()
            .map(|image| {
                let owner = image.owner.as_ref();
                vec![
                    owner.map_or_else(String::new, |owner| owner.node.to_string()),
                    owner.map_or_else(String::new, |owner| owner.address.to_string()),
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
        let mut next: Vec<String> = Vec::new();
        for format in Format::ALL {
            let line = self.next(format);
            let is_there = self.images.iter().any(|image| image.format == format);
            if is_there && !next.contains(&line) {
                next.push(line);
            }
        }
        text.extend(next);
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
            Format::ImgZst | Format::ImgXz => format!(
                "next: write each image to its card: bmaptool copy {}/NODE.{format} /dev/sdX\n",
                self.out.display()
            ),
            Format::Ova => "next: import each machine, and put them on one network\n".to_owned(),
            Format::Qcow2 | Format::Qcow2Thin | Format::Vmdk | Format::Vhd => {
                "next: give each machine a copy of its disk\n".to_owned()
            }
            Format::Libvirt => format!(
                "next: on the machine with libvirt: sh {}/libvirt/virt-install.sh\n",
                self.out.display()
            ),
            Format::Layers => "next: a node's layer beside the shared ones, below layers/ on the \
                               boot partition, completes a card\n"
                .to_owned(),
            Format::OsList => format!(
                "next: put the compressed images where the list says, and start rpi-imager --repo \
                 {}/os-list.json\n",
                self.out.display()
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
