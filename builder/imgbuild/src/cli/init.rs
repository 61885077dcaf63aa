//! `imgbuild init`: a new recipe, from flags and a few questions.

use super::args::InitArgs;
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::messages::{self, Message};
use crate::output::{put_file, put_new_file};
use crate::project;
use crate::terminal::Terminal;
use imgbuild_base::Arch;
use imgbuild_cluster::Quorum;
use imgbuild_recipe::draft::{Draft, DraftNode, DraftWifi, Source, number_nodes};
use imgbuild_recipe::resolved::Board;
use imgbuild_recipe::values::SshKey;
use ipnet::IpNet;
use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How many nodes a cluster has unless somebody says otherwise: the fewest that survive a failure.
const USUAL_NODES: u16 = 3;

/// Runs `imgbuild init`.
pub(crate) fn init(terminal: &Terminal, args: &InitArgs) -> Result<()> {
    let draft = Interview::new(terminal, args).draft(args)?;
    let path = args
        .out
        .clone()
        .unwrap_or_else(|| Path::new("recipes").join(format!("{}.toml", draft.name)));
    let text = draft.text();
    let recipe = imgbuild_recipe::load(&text, &path.display().to_string())
        .map_err(|mistakes| project::mistaken(&mistakes, terminal.color()))?;
    write(&path, &text, args.force)?;
    for warning in &recipe.warnings {
        terminal.events().warn(warning.to_string());
    }
    let next = next(&draft, &path);
    terminal.summary(&format!(
        "{} is written: {} nodes. {}\n{}",
        path.display(),
        recipe.nodes.len(),
        Quorum::of(recipe.nodes.len()),
        next.join("\n")
    ));
    terminal.message(&Message::Init(messages::program::Init {
        path,
        name: draft.name.to_string(),
        nodes: recipe.nodes.len(),
    }));
    Ok(())
}

/// What to do now, a line each.
fn next(draft: &Draft, path: &Path) -> Vec<String> {
    let argument = match path == Path::new("recipes").join(format!("{}.toml", draft.name)) {
        true => draft.name.to_string(),
        false => path.display().to_string(),
    };
    let mut lines = Vec::new();
    if let Some(wifi) = &draft.wifi {
        lines.push(format!(
            "put the passphrase of {} into {}",
            wifi.ssid,
            path.with_file_name("")
                .join(wifi.passphrase_file.as_path())
                .display()
        ));
    }
    lines.push(format!("next: imgbuild lock {argument}"));
    lines.push(format!("then: imgbuild --recipe {argument}"));
    lines
}

fn write(path: &Path, text: &str, force: bool) -> Result<()> {
    let dir = match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    fs_err::create_dir_all(dir).or_fail(Failure::Storage)?;
    if force {
        return put_file(dir, &name, text.as_bytes(), 0o644).or_fail(Failure::Storage);
    }
    match put_new_file(path, text.as_bytes(), 0o644) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let text = format!("{} is there already", path.display());
            Err(CommandError::msg(Failure::Storage, text)
                .hint("give another --name or --out FILE, or --force to write over it"))
        }
        done => done.or_fail(Failure::Storage),
    }
}

/// What to do about a thing that no flag gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Somebody sits at the terminal.
    Ask,
    /// `--yes`: the default, where there is one.
    Defaults,
    /// It is missing.
    FlagsOnly,
}

/// Settles one thing after the other, by flag, question or default.
struct Interview<'a> {
    terminal: &'a Terminal,
    manner: Manner,
    /// Flags that have to be given.
    missing: Vec<&'static str>,
}

/// A thing to be settled.
struct Item<'a, T> {
    /// The flag that settles it.
    flag: &'static str,
    /// What is asked on a terminal.
    question: &'a str,
    /// What the flag says.
    given: Option<T>,
    /// What is usual.
    usual: Option<T>,
}

impl<'a> Interview<'a> {
    fn new(terminal: &'a Terminal, args: &InitArgs) -> Self {
        let manner = match (args.yes, terminal.can_ask()) {
            (true, _) => Manner::Defaults,
            (false, true) => Manner::Ask,
            (false, false) => Manner::FlagsOnly,
        };
        Self {
            terminal,
            manner,
            missing: Vec::new(),
        }
    }

    fn draft(mut self, args: &InitArgs) -> Result<Draft> {
        let name = self.settle(Item {
            flag: "--name",
            question: "Name of the cluster",
            given: args.name.clone(),
            usual: None,
        })?;
        let board = self.settle(Item {
            flag: "--board",
            question: "Machines: vm or raspberry-pi",
            given: args.board,
            usual: Some(Board::Vm),
        })?;
        let arch = match (args.arch, board) {
            (Some(arch), _) => Some(arch),
            (None, Some(board)) => self.arch(board)?,
            (None, None) => None,
        };
        let subnet = self.settle(Item {
            flag: "--subnet",
            question: "Their network, such as 192.168.1.0/24",
            given: args.subnet,
            usual: None,
        })?;
        let gateway = match (args.gateway, args.subnet) {
            (None, None) => self.perhaps("Its router's address")?,
            (given, _) => given,
        };
        let nodes = self.nodes(args, subnet, gateway)?;
        let ssh_keys = self.ssh_keys(&args.ssh_key)?;
        let (Some(name), Some(board), Some(arch), Some(subnet), Some(nodes)) =
            (name, board, arch, subnet, nodes)
        else {
            return Err(self.lacking());
        };
        let wifi = match args.wifi.clone().zip(args.wifi_country) {
            None => None,
            Some((ssid, country)) => Some(DraftWifi {
                ssid,
                country,
                passphrase_file: match &args.wifi_passphrase_file {
                    Some(file) => file.clone(),
                    None => format!("{name}.passphrase")
                        .parse()
                        .or_fail(Failure::Other)?,
                },
            }),
        };
        Ok(Draft {
            source: args.source.unwrap_or_else(|| Source::usual(arch)),
            dns: args.dns.clone(),
            name,
            board,
            arch,
            subnet,
            gateway,
            wifi,
            ssh_keys,
            nodes,
        })
    }

    /// The architecture, which is asked only where a board comes with several.
    fn arch(&self, board: Board) -> Result<Option<Arch>> {
        let &[usual, ..] = board.archs() else {
            return Ok(None);
        };
        if self.manner != Manner::Ask {
            return Ok(Some(usual));
        }
        let words: Vec<&str> = board.archs().iter().map(|arch| arch.debian()).collect();
        let question = format!("Architecture: {}", words.join(" or "));
        self.ask(&question, Some(usual)).map(Some)
    }

    fn nodes(
        &mut self,
        args: &InitArgs,
        subnet: Option<IpNet>,
        gateway: Option<IpAddr>,
    ) -> Result<Option<Vec<DraftNode>>> {
        if !args.node.is_empty() {
            return Ok(Some(args.node.clone()));
        }
        let count = self.settle(Item {
            flag: "--nodes or --node",
            question: "How many nodes",
            given: args.nodes,
            usual: Some(USUAL_NODES),
        })?;
        let (Some(subnet), Some(count)) = (subnet, count) else {
            return Ok(None);
        };
        let nodes = number_nodes(subnet, gateway, count).ok_or_else(|| {
            let text = format!("{subnet} has no room for {count} nodes");
            CommandError::msg(Failure::Recipe, text)
                .hint("give a larger --subnet, or fewer --nodes")
        })?;
        Ok(Some(nodes))
    }

    fn ssh_keys(&self, files: &[PathBuf]) -> Result<Vec<SshKey>> {
        if !files.is_empty() {
            let keys: Vec<Vec<SshKey>> = files
                .iter()
                .map(|file| read_keys(file))
                .collect::<Result<_>>()?;
            return Ok(keys.concat());
        }
        loop {
            let Some(file) =
                self.perhaps::<String>("File with the ssh key that may log in as root")?
            else {
                return Ok(Vec::new());
            };
            match read_keys(Path::new(&file)) {
                Ok(keys) => return Ok(keys),
                Err(error) => self.terminal.tell(&error.to_string()),
            }
        }
    }

    /// A thing that a recipe must say; `None`, and remembered, when it is missing.
    fn settle<T: FromStr<Err: Display> + Display>(
        &mut self,
        item: Item<'_, T>,
    ) -> Result<Option<T>> {
        if item.given.is_some() {
            return Ok(item.given);
        }
        match (self.manner, item.usual) {
            (Manner::Ask, usual) => self.ask(item.question, usual).map(Some),
            (Manner::Defaults, Some(usual)) => Ok(Some(usual)),
            (Manner::Defaults | Manner::FlagsOnly, _) => {
                self.missing.push(item.flag);
                Ok(None)
            }
        }
    }

    /// A thing that a recipe need not say: an empty answer is none.
    fn perhaps<T: FromStr<Err: Display>>(&self, question: &str) -> Result<Option<T>> {
        if self.manner != Manner::Ask {
            return Ok(None);
        }
        loop {
            let answer = self.answer(&format!("{question} [none]: "))?;
            if answer.is_empty() {
                return Ok(None);
            }
            match answer.parse() {
                Ok(value) => return Ok(Some(value)),
                Err(why) => self.terminal.tell(&format!("{why}")),
            }
        }
    }

    /// Asks until the answer can be used.
    fn ask<T: FromStr<Err: Display> + Display>(
        &self,
        question: &str,
        usual: Option<T>,
    ) -> Result<T> {
        let question = match &usual {
            Some(usual) => format!("{question} [{usual}]: "),
            None => format!("{question}: "),
        };
        loop {
            let answer = self.answer(&question)?;
            if answer.is_empty() {
                match usual {
                    Some(usual) => return Ok(usual),
                    None => continue,
                }
            }
            match answer.parse() {
                Ok(value) => return Ok(value),
                Err(why) => self.terminal.tell(&format!("{why}")),
            }
        }
    }

    fn answer(&self, question: &str) -> Result<String> {
        let answer = self.terminal.ask(question).or_fail(Failure::Other)?;
        answer.ok_or_else(|| {
            CommandError::msg(Failure::Other, "the answers ended before all was asked")
        })
    }

    fn lacking(&self) -> CommandError {
        let text = format!(
            "nobody can be asked here, and flags are missing: {}",
            self.missing.join(", ")
        );
        let error = CommandError::msg(Failure::Usage, text);
        match self.manner {
            Manner::FlagsOnly => error.hint(format!(
                "give them; --yes takes the defaults of --board ({}) and --nodes ({USUAL_NODES})",
                Board::Vm
            )),
            Manner::Ask | Manner::Defaults => error.hint("these have no default"),
        }
    }
}

/// The keys of a file as ssh-keygen writes it, or of an authorized_keys file.
fn read_keys(file: &Path) -> Result<Vec<SshKey>> {
    let text = fs_err::read_to_string(file).or_fail(Failure::Other)?;
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<SshKey> = lines
        .map(|line| {
            line.parse().or_fail(Failure::Other).map_err(|error| {
                error
                    .context(format!("reading {}", file.display()))
                    .hint("name the public key: the file whose name ends in .pub")
            })
        })
        .collect::<Result<_>>()?;
    match keys.is_empty() {
        true => Err(CommandError::msg(
            Failure::Other,
            format!("there is no key in {}", file.display()),
        )),
        false => Ok(keys),
    }
}
