//! A Pi that moves to Wi-Fi.

use crate::support::inputs::{assert_says, packages, write_secret};
use crate::support::{extract_layer, imgbuild, must, must_fail, repository, scratch, variant};
use std::path::{Path, PathBuf};
use std::process::Command;

/// `pi-3node` with a wireless network, locked.
fn on_wifi(dir: &Path) -> PathBuf {
    let recipe = variant(dir, "pi-3node", "wifi", |text| {
        format!(
            "{text}\n[network.wifi]\ncountry = \"DE\"\nssid = \"home\"\n\
             passphrase_file = \"wifi.passphrase\"\n"
        )
    });
    must(imgbuild().arg("lock").arg(&recipe));
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
    let wired = names(&repository().join("recipes/pi-3node.lock"));
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
