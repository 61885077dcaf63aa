//! `imgbuild flash`: a node's disk, or an image's file, onto a card.

use super::args::{BuildArgs, FlashArgs, GlobalArgs};
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::flash::content::{Content, ImageFile};
use crate::flash::host::{Disk, Found, Host};
use crate::flash::{self, Flashed};
use crate::messages::{self, Message};
use crate::pipeline;
use crate::terminal::{Terminal, table};
use imgbuild_base::ByteSize;
use imgbuild_formats::disk::DiskImage;
use std::path::{Path, PathBuf};

/// What is to be written, as the command line says it.
enum Wish<'a> {
    Image(&'a Path),
    Node(&'a str, &'a str),
    All(&'a str),
}

/// Runs `imgbuild flash`.
pub(crate) fn flash(terminal: &Terminal, global: &GlobalArgs, args: &FlashArgs) -> Result<()> {
    let (wish, device) = wish(args)?;
    let session = Session {
        terminal,
        args,
        device: device.map(PathBuf::from),
        host: Host::this(),
    };
    match wish {
        Wish::Image(file) => {
            let task = terminal.events().start(
                format!("reading {}", file.display()),
                None,
                imgbuild_base::event::Unit::Bytes,
            );
            let content = ImageFile::open(file).or_fail(Failure::Storage)?;
            drop(task);
            session.one(&file.display().to_string(), &content)
        }
        Wish::Node(recipe, node) => {
            let build = args.keys.build(vec![node.to_owned()]);
            for (node, disk) in disks(terminal, global, recipe, &build)? {
                session.one(&node, &disk)?;
            }
            Ok(())
        }
        Wish::All(recipe) => {
            if !terminal.can_ask() {
                let text = "--all asks for one card after another: it needs a terminal";
                return Err(CommandError::msg(Failure::Device, text).hint(
                    "elsewhere, call `imgbuild flash NAME NODE DEVICE --yes` for each node",
                ));
            }
            let build = args.keys.build(Vec::new());
            for (node, disk) in disks(terminal, global, recipe, &build)? {
                session.ask(&format!("\nPut in the card for {node}, then press Enter "))?;
                session.one(&node, &disk)?;
            }
            Ok(())
        }
    }
}

fn wish(args: &FlashArgs) -> Result<(Wish<'_>, Option<&str>)> {
    let words: Vec<&str> = args.what.iter().map(String::as_str).collect();
    Ok(match (&args.image, args.all, &words[..]) {
        (Some(file), false, []) => (Wish::Image(file), None),
        (Some(file), false, [device]) => (Wish::Image(file), Some(device)),
        (None, true, [name]) => (Wish::All(name), None),
        (None, true, [name, device]) => (Wish::All(name), Some(device)),
        (None, false, [name, node]) => (Wish::Node(name, node), None),
        (None, false, [name, node, device]) => (Wish::Node(name, node), Some(device)),
        _ => {
            use clap::CommandFactory;
            let text = "expected NAME NODE DEVICE, NAME --all, or --image FILE DEVICE";
            super::Cli::command()
                .error(clap::error::ErrorKind::WrongNumberOfValues, text)
                .exit()
        }
    })
}

/// The disks of the nodes wanted, in memory: nothing is written for them.
fn disks(
    terminal: &Terminal,
    global: &GlobalArgs,
    name: &str,
    build: &BuildArgs,
) -> Result<Vec<(String, DiskImage)>> {
    let request = super::request(terminal, global, name, build)?;
    pipeline::node_layers(&request, |assembly, own| {
        let disk = assembly.disk(own)?;
        Ok((own.node.name.to_string(), disk.image))
    })
}

/// What stays the same from one card to the next.
struct Session<'a> {
    terminal: &'a Terminal,
    args: &'a FlashArgs,
    device: Option<PathBuf>,
    host: Host,
}

impl Session<'_> {
    /// Writes one card.
    fn one(&self, what: &str, content: &dyn Content) -> Result<()> {
        let device = match &self.device {
            Some(device) => device.clone(),
            None => self.choose(content)?,
        };
        let found = flash::check(&self.host, &device, content, self.args.allow_fixed)?;
        self.confirm(what, &device, &found, content)?;
        let done = flash::flash(&device, content, &self.terminal.events())?;
        self.report(what, &done);
        Ok(())
    }

    /// The answer to a question; an empty one when none can come any more.
    fn ask(&self, question: &str) -> Result<String> {
        let answer = self.terminal.ask(question).or_fail(Failure::Other)?;
        Ok(answer.unwrap_or_default())
    }

    /// Asks which device it shall be.
    fn choose(&self, content: &dyn Content) -> Result<PathBuf> {
        let disks = self.host.disks();
        let listed: Vec<_> = disks
            .iter()
            .map(|disk| self.candidate(disk, content))
            .collect();
        let devices = listed.iter().map(Candidate::message).collect();
        self.terminal.message(&Message::Devices(devices));
        let rows: Vec<Vec<String>> = listed.iter().map(Candidate::row).collect();
        let head = ["device", "size", "model", "holds", ""];
        self.terminal.result(&table(&head, &rows));
        if !self.terminal.can_ask() {
            return Err(CommandError::msg(Failure::Device, "no device was given")
                .hint("give one of those above that can be written to as the last argument"));
        }
        let answer = self.ask("Which device? ")?;
        match answer.as_str() {
            "" => Err(CommandError::msg(Failure::Device, "no device was chosen")),
            name if name.starts_with('/') => Ok(PathBuf::from(name)),
            name => Ok(Path::new("/dev").join(name)),
        }
    }

    fn candidate(&self, disk: &Disk, content: &dyn Content) -> Candidate {
        let refusal = disk.refusal(content.size(), self.args.allow_fixed);
        Candidate {
            disk: disk.clone(),
            refusal: refusal.map(|refusal| refusal.to_string()),
        }
    }

    /// Asks whether what is on it may go.
    fn confirm(
        &self,
        what: &str,
        device: &Path,
        found: &Found,
        content: &dyn Content,
    ) -> Result<()> {
        if self.args.yes {
            return Ok(());
        }
        let device = device.display();
        if !self.terminal.can_ask() {
            let text = format!("nobody can be asked whether {device} may be written to");
            return Err(CommandError::msg(Failure::Device, text)
                .hint("where there is no terminal, say so with --yes"));
        }
        let about = match found {
            Found::Disk(disk) => format!(" ({})", holds(disk)),
            _ => String::new(),
        };
        let question = format!(
            "Write {what} ({}) to {device}{about}? All that is on it is lost. [y/N] ",
            content.size()
        );
        match self.ask(&question)?.as_str() {
            "y" | "Y" | "yes" => Ok(()),
            _ => {
                let text = format!("{device} was left as it is");
                Err(CommandError::msg(Failure::Device, text))
            }
        }
    }

    fn report(&self, what: &str, done: &Flashed) {
        self.terminal
            .message(&Message::Flash(messages::card::Flash {
                what: what.to_owned(),
                device: done.device.clone(),
                written: done.written,
                seconds: done.seconds,
            }));
        self.terminal.summary(&format!(
            "{what} is on {}: {} written and read back in {:.1} s",
            done.device.display(),
            ByteSize::bytes(done.written),
            done.seconds
        ));
    }
}

/// A disk that could be written to, or why not.
#[derive(Debug)]
struct Candidate {
    disk: Disk,
    refusal: Option<String>,
}

impl Candidate {
    fn message(&self) -> messages::card::Candidate {
        let disk = self.disk.clone();
        messages::card::Candidate {
            path: disk.path,
            model: disk.model,
            size: disk.size,
            removable: disk.removable,
            read_only: disk.read_only,
            partitions: disk.partitions,
            uses: disk.uses,
            refusal: self.refusal.clone(),
        }
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.disk.path.display().to_string(),
            ByteSize::bytes(self.disk.size).to_string(),
            self.disk.model.clone(),
            holds(&self.disk),
            self.refusal.clone().unwrap_or_default(),
        ]
    }
}

/// What is on a disk, as far as the kernel knows.
fn holds(disk: &Disk) -> String {
    match disk.partitions.len() {
        0 => "no partitions".to_owned(),
        1 => "one partition".to_owned(),
        count => format!("{count} partitions"),
    }
}
