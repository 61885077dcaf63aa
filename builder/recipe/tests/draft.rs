//! New recipes: what they say, and that their comments are true.
#![allow(clippy::unwrap_used)]

use imgbuild_base::Arch;
use imgbuild_recipe::draft::{Draft, DraftNode, DraftWifi, Source, number_nodes};
use imgbuild_recipe::language::{Absent, RECIPE, Section, Shape};
use imgbuild_recipe::resolved::Board;
use imgbuild_recipe::{Recipe, load};
use ipnet::IpNet;
use proptest::prelude::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG5vdCBhIGtleSBvZiBhbnlib2R5IGF0IGFsbCE= a@b";

fn draft(board: Board, arch: Arch, subnet: &str, gateway: Option<&str>, count: u16) -> Draft {
    let subnet: IpNet = subnet.parse().unwrap();
    let gateway = gateway.map(|text| text.parse().unwrap());
    Draft {
        name: "home".parse().unwrap(),
        board,
        arch,
        source: Source::usual(arch),
        subnet,
        gateway,
        dns: Vec::new(),
        wifi: None,
        ssh_keys: Vec::new(),
        nodes: number_nodes(subnet, gateway, count).unwrap(),
    }
}

fn full() -> Draft {
    let mut draft = draft(
        Board::RaspberryPi,
        Arch::Arm64,
        "192.168.1.0/24",
        Some("192.168.1.1"),
        2,
    );
    draft.dns = vec!["192.168.1.1".parse().unwrap()];
    draft.ssh_keys = vec![KEY.parse().unwrap()];
    draft.wifi = Some(DraftWifi {
        ssid: "Café \"5\"".parse().unwrap(),
        country: "DE".parse().unwrap(),
        passphrase_file: "home.passphrase".parse().unwrap(),
    });
    draft
}

#[track_caller]
fn read(text: &str) -> Recipe {
    load(text, "home.toml").unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"))
}

#[test]
fn a_short_one_and_a_full_one() {
    let short = draft(Board::Vm, Arch::Amd64, "10.0.0.0/24", None, 1);
    insta::assert_snapshot!("short", short.text());
    insta::assert_snapshot!("full", full().text());
}

#[test]
fn what_is_said_arrives() {
    let recipe = read(&full().text());
    assert_eq!(recipe.cluster.name.as_str(), "home");
    assert_eq!(recipe.nodes.len(), 2);
    assert_eq!(recipe.nodes[1].address.to_string(), "192.168.1.11");
    let wifi = recipe.nodes[0].network.wifi.as_ref().unwrap();
    assert_eq!(wifi.ssid.as_str(), "Café \"5\"");
    assert!(recipe.any_ssh());
    assert_eq!(recipe.warnings.len(), 1, "{:?}", recipe.warnings);
}

/// The keys of the language that have a fixed default, by section and name.
fn defaults(section: &Section, found: &mut Vec<(&'static str, String)>, name: &'static str) {
    for key in section.keys {
        match (&key.shape, &key.absent) {
            (Shape::Table(inner), _) => defaults(inner, found, inner.name),
            (_, Absent::Default(value)) => found.push((name, format!("{} = {value}", key.name))),
            _ => {}
        }
    }
}

/// `# key = value` without a word on what holds means that this value holds: writing it changes
/// nothing.
#[test]
fn comments_say_what_holds() {
    let mut all = Vec::new();
    defaults(&RECIPE, &mut all, "");
    for draft in [
        full(),
        draft(Board::Vm, Arch::Amd64, "fd00:7::/64", None, 3),
        draft(
            Board::RaspberryPi,
            Arch::Armhf,
            "10.1.0.0/16",
            Some("10.1.0.10"),
            5,
        ),
    ] {
        let text = draft.text();
        let mut section = String::new();
        let mut uncommented = 0;
        let written: Vec<String> = text
            .lines()
            .map(|line| {
                if line.starts_with('[') {
                    section = line.trim_matches(['[', ']']).to_owned();
                }
                let bare = line.trim_start_matches("# ");
                let known = all.iter().any(|(of, key)| *of == section && key == bare);
                uncommented += usize::from(known && bare != line);
                if known { bare } else { line }.to_owned()
            })
            .collect();
        assert!(uncommented >= 8, "{uncommented} defaults in\n{text}");
        assert_eq!(read(&written.join("\n")), read(&text));
    }
}

#[test]
fn addresses_fit_the_subnet() {
    let addresses = |subnet: &str, gateway: Option<&str>, count| {
        let gateway = gateway.map(|text| text.parse().unwrap());
        let nodes = number_nodes(subnet.parse().unwrap(), gateway, count)?;
        let texts = nodes.iter().map(|node| node.address.to_string());
        Some(texts.collect::<Vec<_>>().join(" "))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        addresses("10.0.0.0/24", None, 2),
        some("10.0.0.10 10.0.0.11")
    );
    let gateway = Some("10.0.0.11");
    assert_eq!(
        addresses("10.0.0.0/24", gateway, 2),
        some("10.0.0.10 10.0.0.12")
    );
    let gateway = Some("10.0.0.1");
    assert_eq!(
        addresses("10.0.0.0/29", gateway, 2),
        some("10.0.0.2 10.0.0.3")
    );
    assert_eq!(addresses("10.0.0.0/30", gateway, 2), None);
    assert_eq!(addresses("fd00::/64", None, 2), some("fd00::10 fd00::11"));
    assert_eq!(addresses("fd00::/126", None, 2), some("fd00::1 fd00::2"));
}

#[test]
fn nodes_are_read() {
    let node: DraftNode = "etcd-0=fd00::7".parse().unwrap();
    assert_eq!(node.address.to_string(), "fd00::7");
    for wrong in [
        "etcd-0",
        "etcd-0=",
        "=10.0.0.1",
        "A=10.0.0.1",
        "a=10.0.0.1/24",
    ] {
        assert!(wrong.parse::<DraftNode>().is_err(), "{wrong}");
    }
}

proptest! {
    /// Whatever is asked for: the recipe can be read and says just that.
    #[test]
    fn every_draft_is_a_recipe(
        name in "[a-z][a-z0-9-]{0,20}[a-z0-9]",
        machine in prop::sample::select(vec![
            (Board::Vm, Arch::Amd64), (Board::Vm, Arch::Arm64),
            (Board::RaspberryPi, Arch::Arm64), (Board::RaspberryPi, Arch::Armhf),
        ]),
        octet in 0u8..=255,
        count in 1u16..=9,
        ssid in "[ -~]{1,32}",
        wifi: bool,
    ) {
        let (board, arch) = machine;
        let mut draft = draft(board, arch, &format!("10.{octet}.0.0/24"), None, count);
        draft.name = name.parse().unwrap();
        if wifi && board == Board::RaspberryPi && let Ok(ssid) = ssid.parse() {
            draft.wifi = Some(DraftWifi { ssid, ..full().wifi.unwrap() });
        }
        let recipe = read(&draft.text());
        prop_assert_eq!(recipe.cluster.name, draft.name);
        prop_assert_eq!(recipe.image.arch, arch);
        let nodes: Vec<DraftNode> = recipe
            .nodes
            .iter()
            .map(|node| DraftNode { name: node.name.clone(), address: node.address })
            .collect();
        prop_assert_eq!(nodes, draft.nodes);
        let found = recipe.nodes[0].network.wifi.as_ref().map(|wifi| wifi.ssid.clone());
        prop_assert_eq!(found, draft.wifi.map(|wifi| wifi.ssid));
    }
}
