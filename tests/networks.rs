//! Networks as people have them: a cluster on IPv6 behind a firewall; a node whose address
//! comes from DHCP on a VLAN, on the card that its recipe names; a Pi that moves to Wi-Fi.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use support::cluster::Cluster;
use support::console::Console;
use support::inputs::{assert_says, packages, write_secret};
use support::{extract_layer, imgbuild, must, must_fail, one_at_a_time, scratch, variant};

/// Pins anew what a variant of a recipe needs beside what its recipe's lock has.
#[track_caller]
fn lock(recipe: &Path) {
    must(imgbuild().arg("lock").arg(recipe));
}

#[test]
fn an_ipv6_cluster_forms_behind_its_firewalls() {
    let _turn = one_at_a_time();
    let (dir, out) = (scratch(), scratch());
    let recipe = variant(dir.path(), "vm-1node", "six", |text| {
        let head = text.split("[network]").next().unwrap();
        format!(
            "{head}\n[access]\nconsole = \"shell\"\n[network]\nsubnet = \"fd00:7::/64\"\n\
             gateway = \"fd00:7::1\"\ndomain = \"six.example\"\n[firewall]\nenabled = true\n\
             clients = [\"fd00:9::/64\"]\n[[node]]\nname = \"six-0\"\naddress = \"fd00:7::10\"\n\
             [[node]]\nname = \"six-1\"\naddress = \"fd00:7::11\"\n"
        )
    });
    lock(&recipe);
    let nodes = ["six-0", "six-1"];
    let mut cluster = Cluster::start_in(dir.path(), &recipe, out.path(), &["--memory", "256"]);
    cluster.wait_healthy(&nodes, 900);
    cluster.wait_clean(&nodes, 300);
    cluster.put("six-0", "over", "IPv6");
    assert_eq!(cluster.get("six-1", "over").as_deref(), Some("IPv6"));
    for (name, urls) in cluster.members("six-0") {
        let last = name.trim_start_matches("six-");
        assert_eq!(urls, format!("https://[fd00:7::1{last}]:2379"));
    }

    // The rules are there, what is not allowed was counted: the node that asks is a member, but
    // nothing on another port than etcd's answers it.
    let mut console = Console::connect(&cluster.console_socket("six-0"), 120);
    let rules = console.run("nft list table inet imgbuild");
    assert_says(&rules, &["policy drop", "fd00:9::/64"]);
    let full = console.run("getent hosts six-1.six.example");
    assert_says(&full, &["fd00:7::11"]);
    let dropped = |console: &mut Console| {
        let rules = console.run("nft list table inet imgbuild");
        let line = rules.lines().find(|line| line.contains("dropped"));
        let count = line.unwrap().split_whitespace().nth(2).unwrap();
        count.parse::<u32>().unwrap()
    };
    let before = dropped(&mut console);
    let mut other = Console::connect(&cluster.console_socket("six-1"), 120);
    other.run("! ETCDCTL_ENDPOINTS=http://[fd00:7::10]:8080 etcdctl --command-timeout=3s get x");
    assert!(dropped(&mut console) > before, "nothing was dropped");
    cluster.quit();
}

#[test]
fn a_node_finds_its_address_by_dhcp_on_a_vlan() {
    let _turn = one_at_a_time();
    let (dir, out) = (scratch(), scratch());
    let recipe = variant(dir.path(), "vm-1node", "dhcp", |text| {
        let head = text.split("[network]").next().unwrap();
        format!(
            "{head}\n[access]\nconsole = \"shell\"\n[network]\nsubnet = \"10.40.0.0/24\"\n\
             mode = \"dhcp\"\nvlan = 40\nsearch = [\"a.example\"]\n\
             hosts = [\"10.40.0.7 registry\"]\n[[node]]\nname = \"etcd-0\"\n\
             address = \"10.40.0.10\"\n[node.network]\nmac = \"52:54:00:0a:0b:0c\"\n\
             interface = \"lan\"\n[[node.network.extra]]\ninterface = \"lan\"\n\
             mac = \"52:54:00:0a:0b:0c\"\nvlan = 7\naddresses = [\"10.7.0.10/24\"]\n"
        )
    });
    let mut cluster = Cluster::start_in(dir.path(), &recipe, out.path(), &["--memory", "256"]);
    cluster.wait_healthy(&["etcd-0"], 900);
    cluster.wait_clean(&["etcd-0"], 300);
    let mut console = Console::connect(&cluster.console_socket("etcd-0"), 120);
    let addresses = console.run("cat /proc/net/fib_trie");
    assert_says(&addresses, &["10.40.0.10", "10.7.0.10"]);
    assert_eq!(
        console.run("cat /sys/class/net/lan.40/address"),
        "52:54:00:0a:0b:0c"
    );
    // The name server is the DHCP server's, the domain the recipe's.
    assert_eq!(
        console.run("cat /etc/resolv.conf"),
        "nameserver 10.40.0.254\nsearch a.example"
    );
    assert_says(&console.run("getent hosts registry"), &["10.40.0.7"]);
    cluster.quit();
}

/// `pi-3node` with a wireless network, locked.
fn on_wifi(dir: &Path) -> PathBuf {
    let recipe = variant(dir, "pi-3node", "wifi", |text| {
        format!(
            "{text}\n[network.wifi]\ncountry = \"DE\"\nssid = \"home\"\n\
             passphrase_file = \"wifi.passphrase\"\n"
        )
    });
    lock(&recipe);
    write_secret(&dir.join("wifi.secret"));
    recipe
}

#[test]
fn from_wired_to_wifi_packages_and_files_change_as_listed() {
    let (dir, out) = (scratch(), scratch());
    let recipe = on_wifi(dir.path());
    let names = |lock: &Path| -> Vec<String> {
        packages(lock)
            .into_iter()
            .map(|package| package.name)
            .collect()
    };
    let wired = names(&support::repository().join("recipes/pi-3node.lock"));
    let wireless = names(&recipe.with_extension("lock"));
    let added: Vec<&String> = wireless
        .iter()
        .filter(|name| !wired.contains(name))
        .collect();
    let gone: Vec<&String> = wired
        .iter()
        .filter(|name| !wireless.contains(name))
        .collect();
    assert!(gone.is_empty(), "{gone:?}");
    assert_eq!(added, WIFI_PACKAGES);

    // No passphrase, no image; a wrong one neither.
    let build = || {
        let mut build = imgbuild();
        build.arg("build").arg(&recipe).arg("--out").arg(out.path());
        build
    };
    let passphrase = dir.path().join("wifi.passphrase");
    let said = must_fail(&mut build(), 3);
    assert_says(&said, &["wifi.passphrase", "passphrase_file"]);
    fs_err::write(&passphrase, "short\n").unwrap();
    let said = must_fail(&mut build(), 3);
    assert_says(&said, &["it has 5 characters: expected 8 to 63"]);
    assert!(!said.contains("short"), "{said}");

    // With one: firmware, rules of the air and the program are in the base, the key is in the
    // node's own layer and nobody else may read it.
    fs_err::write(&passphrase, "correct horse battery\n").unwrap();
    must(build().args(["--node", "pi-0"]));
    let files = |layer: &str| {
        let layer = extract_layer(out.path(), layer, dir.path());
        must(Command::new("unsquashfs").arg("-lln").arg(layer))
    };
    let base = files("00-base");
    for file in [
        "/usr/sbin/wpa_supplicant",
        "/usr/lib/systemd/system/wpa_supplicant@.service",
        "/usr/lib/firmware/regulatory.db -> regulatory.db-debian",
        "/usr/lib/firmware/brcm/brcmfmac43455-sdio.bin",
        "/usr/lib/firmware/brcm/brcmfmac43430-sdio.raspberrypi,3-model-b.txt",
        "/brcmfmac/brcmfmac.ko",
        "/brcmfmac/wcc/brcmfmac-wcc.ko",
    ] {
        assert!(base.contains(file), "no {file} in\n{base}");
    }
    // Firmware's links lead to firmware that is there.
    for link in base.lines().filter(|line| line.contains("/firmware/brcm/")) {
        if let Some((_, target)) = link.split_once(" -> ") {
            let name = target.rsplit('/').next().unwrap();
            assert!(base.contains(&format!("/{name}\n")), "{link} leads nowhere");
        }
    }
    let own = files("20-pi-0");
    let config = own
        .lines()
        .find(|line| line.ends_with("/wpa_supplicant-wlan0.conf"));
    assert!(config.unwrap().starts_with("-rw------- 0/0"), "{own}");
    let record = fs_err::read_to_string(out.path().join("build.json")).unwrap();
    assert!(!record.contains("correct horse"), "{record}");

    // The generic machine that QEMU has in place of a Pi has no radio, and says so.
    let mut run = imgbuild();
    run.arg("run").arg(&recipe).arg("--out").arg(out.path());
    let said = must_fail(run.args(["--work"]).arg(dir.path().join("lab")), 9);
    assert_says(&said, &["Wi-Fi, which QEMU does not have"]);
}

/// What Wi-Fi adds to the packages of `pi-3node`.
const WIFI_PACKAGES: [&str; 8] = [
    "firmware-brcm80211",
    "libdbus-1-3",
    "libnl-3-200",
    "libnl-genl-3-200",
    "libnl-route-3-200",
    "libpcsclite1",
    "wireless-regdb",
    "wpasupplicant",
];
