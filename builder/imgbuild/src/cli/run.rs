//! `imgbuild run`: the built images, booted together.

use super::args::{Machine, RunArgs, Start, Until};
use crate::error::{CommandError, Failure, OrFail, Result};
use crate::interrupt;
use crate::messages::{self, Message};
use crate::pipeline::Built;
use crate::terminal::Terminal;
use imgbuild_lab::health::Credentials;
use imgbuild_lab::{Emulation, Lab, LabNode, LabSpec, MachineKind, NodeStatus, Phase};
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::{Addressing, Board, Firmware, Format, Node};
use imgbuild_recipe::values::{MacAddress, VlanId};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How often the nodes are looked at.
const PERIOD: Duration = Duration::from_millis(1000);

/// Boots what was built, shows how it comes up, obeys standard input, and ends on Ctrl-C,
/// `quit`, or when what `--until` names holds.
pub(crate) fn run(terminal: &Terminal, args: &RunArgs, built: &Built) -> Result<()> {
    interrupt::handle_politely();
    let scratch = tempfile::Builder::new()
        .prefix("imgbuild-")
        .tempdir()
        .or_fail(Failure::Storage)?;
    let work = args
        .work
        .clone()
        .unwrap_or_else(|| scratch.path().to_owned());
    let mut lab = Lab::prepare(spec(args, built, work)?).or_fail(Failure::Cluster)?;
    let names: Vec<String> = lab.names().map(ToString::to_string).collect();
    for name in names.iter().filter(|name| !args.hold.contains(name)) {
        lab.start(name).or_fail(Failure::Cluster)?;
    }
    let accelerator = lab.accelerator().qemu();
    terminal.events().note(format!(
        "{} nodes started in QEMU ({accelerator})",
        names.len()
    ));
    let mut view = View::new(terminal, built);
    let commands = read_commands();
    view.ways_in(&lab.status());
    let started = Instant::now();
    let deadline = started + Duration::from_secs(args.timeout);
    loop {
        let status = lab.status();
        view.show(&status, started.elapsed());
        if let Some((node, log)) = lab.fallen() {
            return Err(qemu_failed(node.as_str(), &log));
        }
        if args.until == Some(Until::Healthy) {
            if all_healthy(&status) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(not_in_time(&status, args.timeout));
            }
        }
        match wait(&commands) {
            Next::Look => {}
            Next::Quit if args.until.is_some() => return Err(ended_early(&status)),
            Next::Quit => return Ok(()),
            Next::Act(line) => match act(&mut lab, &line) {
                Ok(()) => terminal.events().note(format!("done: {line}")),
                Err(problem) => terminal.events().warn(problem),
            },
        }
    }
}

fn spec(args: &RunArgs, built: &Built, work: PathBuf) -> Result<LabSpec> {
    let recipe = &built.recipe;
    let emulation = match args.machine {
        Machine::Fast => Emulation::Fast,
        Machine::Board => Emulation::Board,
    };
    let pi = recipe.image.board == Board::RaspberryPi;
    let machine = match args.firmware {
        Start::Uefi => MachineKind::for_image(pi, recipe.image.arch, emulation),
        Start::Bios => Some(MachineKind::PcBios),
    };
    let machine = machine.ok_or_else(|| {
        let text = format!("QEMU has no machine for {} images", recipe.image.arch);
        CommandError::msg(Failure::Cluster, text)
    })?;
    let read = |file: &str| fs_err::read(built.admin.join(file)).or_fail(Failure::Storage);
    let clock = args.clock.clone();
    Ok(LabSpec {
        nodes: built
            .images
            .iter()
            .filter(|image| image.format == Format::Img)
            .filter_map(|image| {
                let node = recipe.nodes.iter().find(|node| image.is_of(&node.name))?;
                Some(lab_node(recipe, node, image.path.clone()))
            })
            .collect::<Result<_>>()?,
        machine,
        subnet: recipe.subnet,
        ssh: recipe.any_ssh(),
        credentials: Credentials {
            ca: read("ca.crt")?,
            certificate: read("client.crt")?,
            key: read("client.key")?,
        },
        memory: args.memory,
        clock,
        disk_size: args.disk_size.map(imgbuild_base::ByteSize::get),
        work,
    })
}

/// Refuses what cannot be run, before anything is built for it.
pub(crate) fn check(args: &RunArgs, nodes: &[&Node]) -> Result<()> {
    let starts = |node: &&&Node| match args.firmware {
        Start::Uefi => true,
        Start::Bios => node.image.firmware == Firmware::Hybrid,
    };
    match nodes.iter().find(|node| !starts(node)) {
        None => Ok(()),
        Some(node) => {
            let text = format!("no BIOS can start the image of {}", node.name);
            Err(CommandError::msg(Failure::Cluster, text).hint(
                "set image.firmware = \"hybrid\" and lock the recipe anew, or leave out --firmware",
            ))
        }
    }
}

/// A node as the lab's network sees it.
fn lab_node(recipe: &Recipe, node: &Node, image: PathBuf) -> Result<LabNode> {
    let network = &node.network;
    let refuse =
        |text: String, hint: &str| Err(CommandError::msg(Failure::Cluster, text).hint(hint));
    if let Some(wifi) = &network.wifi
        && wifi.interface == network.interface
    {
        return refuse(
            format!(
                "{} has its address on Wi-Fi, which QEMU does not have",
                node.name
            ),
            "try the recipe without [network.wifi]: only the node's layer and the packages differ",
        );
    }
    if network.addressing == Addressing::Dhcp && node.address.is_ipv6() {
        return refuse(
            format!("{} gets an IPv6 address from a DHCP server", node.name),
            "the network of `imgbuild run` answers DHCP for IPv4 only: try it with mode = \"static\"",
        );
    }
    let router = match network.addressing {
        Addressing::Static { gateway } => gateway,
        Addressing::Dhcp => None,
    };
    let routed = router.is_some() || network.addressing == Addressing::Dhcp;
    let Some(client) = client_of(recipe, node, routed) else {
        return refuse(
            format!(
                "the firewall of {} lets no client in that it can answer",
                node.name
            ),
            "name a network in `clients` of [firewall]; one outside the subnet needs a `gateway`",
        );
    };
    Ok(LabNode {
        name: node.name.clone(),
        address: node.address,
        mac: network.mac.map(MacAddress::octets),
        vlan: network.vlan.map(VlanId::get),
        router,
        client,
        image,
    })
}

/// Whom the node's firewall lets in: any of the subnet (`Some(None)`), or the first host of the
/// first network that it knows a way back to.
fn client_of(recipe: &Recipe, node: &Node, routed: bool) -> Option<Option<IpAddr>> {
    let Some(firewall) = &node.firewall else {
        return Some(None);
    };
    let subnet = recipe.subnet;
    if firewall.clients.iter().any(|net| net.contains(&subnet)) {
        return Some(None);
    }
    let taken = |address: &IpAddr| recipe.nodes.iter().any(|node| node.address == *address);
    firewall
        .clients
        .iter()
        .filter(|net| net.addr().is_ipv4() == node.address.is_ipv4())
        .filter(|net| routed || subnet.contains(*net))
        .find_map(|net| {
            // The first address of an IPv6 network is its routers'.
            let router = |address: &IpAddr| net.prefix_len() < 127 && *address == net.network();
            net.hosts()
                .find(|address| !taken(address) && !router(address))
        })
        .map(Some)
}

fn all_healthy(status: &[NodeStatus]) -> bool {
    status
        .iter()
        .all(|node| matches!(node.phase, Phase::Healthy { .. }))
}

fn states(status: &[NodeStatus]) -> String {
    let states: Vec<String> = status
        .iter()
        .map(|node| format!("{} is {}", node.name, describe(&node.phase)))
        .collect();
    states.join(", ")
}

fn ended_early(status: &[NodeStatus]) -> CommandError {
    let text = format!("ended before it was healthy: {}", states(status));
    CommandError::msg(Failure::Cluster, text)
}

fn not_in_time(status: &[NodeStatus], seconds: u64) -> CommandError {
    let text = format!("not healthy after {seconds} s: {}", states(status));
    CommandError::msg(Failure::Cluster, text).hint(
        "give --work DIR to keep the nodes' consoles, and a larger --timeout on a slow machine",
    )
}

fn qemu_failed(node: &str, log: &std::path::Path) -> CommandError {
    let said = fs_err::read_to_string(log).unwrap_or_default();
    let text = format!("the QEMU of {node} ended by itself: {}", said.trim());
    CommandError::msg(Failure::Cluster, text)
}

enum Next {
    Look,
    Act(String),
    Quit,
}

fn wait(commands: &Receiver<String>) -> Next {
    let until = Instant::now() + PERIOD;
    loop {
        if interrupt::asked() {
            return Next::Quit;
        }
        let slice = Duration::from_millis(100).min(until - Instant::now().min(until));
        match commands.recv_timeout(slice) {
            Ok(line) if matches!(line.as_str(), "quit" | "exit") => return Next::Quit,
            Ok(line) => return Next::Act(line),
            // Standard input may be closed while the cluster goes on.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(slice),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if Instant::now() >= until {
            return Next::Look;
        }
    }
}

fn read_commands() -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(|line| line.ok()) {
            let line = line.trim().to_owned();
            if !line.is_empty() && sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

const COMMANDS: &str =
    "cut NODE, connect NODE, kill NODE, start NODE, restart NODE, status or quit";

fn act(lab: &mut Lab, line: &str) -> std::result::Result<(), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let done = match words.as_slice() {
        ["status"] => Ok(()),
        ["cut", node] => lab.set_cut(node, true),
        ["connect", node] => lab.set_cut(node, false),
        ["kill", node] => lab.kill(node),
        ["start", node] => lab.start(node),
        ["restart", node] => lab.kill(node).and_then(|()| lab.start(node)),
        _ => return Err(format!("{line:?} is no command here: expected {COMMANDS}")),
    };
    done.map_err(|error| error.to_string())
}

fn describe(phase: &Phase) -> String {
    match phase {
        Phase::Off => "off".to_owned(),
        Phase::Firmware => "starting".to_owned(),
        Phase::Kernel => "booting".to_owned(),
        Phase::System => "starting services".to_owned(),
        Phase::Unhealthy(reason) if reason.is_empty() => "etcd without a quorum".to_owned(),
        Phase::Unhealthy(reason) => format!("etcd unhealthy: {reason}"),
        Phase::Healthy {
            leader: true,
            version,
        } => format!("healthy, leader, etcd {version}"),
        Phase::Healthy { version, .. } => format!("healthy, etcd {version}"),
    }
}

/// Shows the nodes: a live table on a terminal, a line for each change elsewhere.
struct View {
    terminal: Terminal,
    bars: BTreeMap<String, ProgressBar>,
    last: BTreeMap<String, String>,
    announced: bool,
    admin: PathBuf,
}

impl View {
    fn new(terminal: &Terminal, built: &Built) -> Self {
        Self {
            terminal: terminal.clone(),
            bars: BTreeMap::new(),
            last: BTreeMap::new(),
            announced: false,
            admin: built.admin.clone(),
        }
    }

    fn show(&mut self, status: &[NodeStatus], elapsed: Duration) {
        for node in status {
            let cut = if node.cut { ", cut off" } else { "" };
            let state = format!("{}{cut}", describe(&node.phase));
            self.live(node, &state);
            let report = node.report.clone().unwrap_or_default();
            let line = format!("{state}\n{report}");
            if self.last.insert(node.name.to_string(), line.clone()) != Some(line) {
                self.plain(node, state, elapsed);
            }
        }
        let healthy = all_healthy(status);
        if healthy && !self.announced {
            self.announce(status, elapsed);
        }
        self.announced = healthy;
    }

    fn live(&mut self, node: &NodeStatus, state: &str) {
        let Some(bars) = self.terminal.live_bars() else {
            return;
        };
        let bar = self.bars.entry(node.name.to_string()).or_insert_with(|| {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:20} {msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(node.name.to_string());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let mut ways = format!("127.0.0.1:{}", node.ports.client);
        if let Some(port) = node.ports.ssh {
            ways.push_str(&format!("  {}", ssh_command(port)));
        }
        bar.set_message(format!("{ways}  {state}"));
    }

    fn plain(&self, node: &NodeStatus, state: String, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        if self.terminal.live_bars().is_none() {
            let text = format!("{seconds:6.1} s  {:16} {state}", node.name.as_str());
            self.terminal.summary(&text);
        }
        self.terminal.message(&Message::Node(messages::run::Node {
            node: node.name.to_string(),
            state,
            cut: node.cut,
            endpoint: endpoint(node),
            ssh_port: node.ports.ssh,
            report: node.report.clone(),
            seconds,
        }));
    }

    fn announce(&self, status: &[NodeStatus], elapsed: Duration) {
        let endpoints: Vec<String> = status.iter().map(endpoint).collect();
        let endpoints = endpoints.join(",");
        let seconds = elapsed.as_secs_f64();
        let admin = self.admin.display();
        self.terminal.summary(&format!(
            "healthy after {seconds:.1} s; from this machine:\n  \
             etcdctl --endpoints={endpoints} \\\n    --cacert={admin}/ca.crt \
             --cert={admin}/client.crt --key={admin}/client.key member list"
        ));
        let healthy = messages::run::Healthy { seconds, endpoints };
        self.terminal.message(&Message::Healthy(healthy));
    }

    /// How to log in to each node that has an ssh server. The admin bundle knows the nodes'
    /// host keys by their names.
    fn ways_in(&self, status: &[NodeStatus]) {
        for node in status {
            let Some(port) = node.ports.ssh else {
                continue;
            };
            self.terminal.events().note(format!(
                "{}: {} -o HostKeyAlias={} -o UserKnownHostsFile={}",
                node.name,
                ssh_command(port),
                node.name,
                self.admin.join("ssh_known_hosts").display()
            ));
        }
    }
}

fn endpoint(node: &NodeStatus) -> String {
    format!("https://127.0.0.1:{}", node.ports.client)
}

fn ssh_command(port: u16) -> String {
    format!("ssh -p {port} root@127.0.0.1")
}
