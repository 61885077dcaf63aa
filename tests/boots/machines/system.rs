//! What a recipe brings for the operating system arrives on a running node: files, units, kernel
//! settings, packages, a login on the serial console. And what differs between nodes is all
//! that their images do not share.

use crate::support::cluster::Cluster;
use crate::support::console::Console;
use crate::support::inputs::{assert_says, write_secret};
use crate::support::{build, extract_boot, imgbuild, must, must_fail, repository, scratch, turn};
use std::path::{Path, PathBuf};

/// A recipe of these tests with its lock and the files beside it, in a directory of its own.
fn recipe(dir: &Path, name: &str) -> PathBuf {
    let from = repository().join("tests/recipes");
    for extension in ["toml", "lock"] {
        let file = format!("{name}.{extension}");
        fs_err::copy(from.join(&file), dir.join(&file)).unwrap();
    }
    fs_err::create_dir_all(dir.join("files")).unwrap();
    for entry in fs_err::read_dir(from.join("files")).unwrap() {
        let entry = entry.unwrap();
        fs_err::copy(entry.path(), dir.join("files").join(entry.file_name())).unwrap();
    }
    write_secret(&dir.join(format!("{name}.secret")));
    dir.join(format!("{name}.toml"))
}

/// The recipe's text changed.
fn change(recipe: &Path, from: &str, to: &str) {
    let text = fs_err::read_to_string(recipe).unwrap();
    assert!(text.contains(from), "{from:?} is not in the recipe");
    fs_err::write(recipe, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn everything_that_a_recipe_brings_is_on_the_running_node() {
    let _turn = turn::machine();
    let (dir, out) = (scratch(), scratch());
    let recipe = recipe(dir.path(), "system");
    let recipe = recipe.to_str().unwrap();
    let mut cluster = Cluster::start(recipe, out.path(), &["--memory", "256"]);
    cluster.wait_healthy(&["alone"], 900);
    cluster.wait_clean(&["alone"], 300);

    // root's password, and nothing else, opens the serial console.
    let mut console = Console::login(
        &cluster.console_socket("alone"),
        "root",
        "correct horse",
        300,
    );

    // Files.
    assert_eq!(console.run("cat /etc/motd"), "Hello from alone.");
    assert_eq!(console.run("cat /etc/fstab"), "# the recipe's own");
    let secret = "stat -c '%a %U %G' /opt/home/secret; cat /opt/home/secret";
    assert_eq!(console.run(secret), "640 etcd shadow\nfor etcd only");
    assert_eq!(
        console.run("stat -c %a /usr/local/bin/hello /root"),
        "755\n700"
    );

    // Units: the timer started the service, whose drop-in is the node's.
    assert_eq!(
        console.run("cat /run/hello-node /run/hello-wanted"),
        "hello node\nhello wanted"
    );
    console.run("test ! -e /run/hello-cluster");
    let state = |unit: &str| format!("systemctl is-enabled {unit} || true");
    assert_eq!(console.run(&state("own.timer")), "enabled");
    assert_eq!(
        console.run(&state("systemd-boot-check-no-failures.service")),
        "enabled"
    );
    assert_eq!(console.run(&state("systemd-timesyncd.service")), "masked");
    let memory = console.run("systemctl show --no-pager -P MemoryHigh etcd.service");
    assert_eq!(memory, (150 << 20).to_string());

    // The kernel: its command line, settings, modules.
    let line = console.run("cat /proc/cmdline");
    assert!(line.ends_with(" printk.time=1 imgbuild.wait=55"), "{line}");
    assert_eq!(console.run("cat /proc/sys/vm/swappiness"), "11");
    assert_eq!(
        console.run("cat /proc/sys/net/ipv4/conf/lo/log_martians"),
        "1"
    );
    console.run("test -d /sys/module/dm_crypt && test ! -d /sys/module/dummy");
    console.run("! modprobe 8021q && test ! -d /sys/module/8021q");

    // Packages, and the ssh server that takes keys only.
    let less = console.run("less --version | head -n 1");
    assert!(less.starts_with("less "), "{less}");
    assert_eq!(console.run("systemctl is-active ssh.service"), "active");
    assert_eq!(
        console.run("cut -d' ' -f3 /root/.ssh/authorized_keys"),
        "me"
    );

    // Everything stays as it was: the console's user changed nothing.
    assert_eq!(console.run("systemctl is-system-running"), "running");
    cluster.quit();
}

#[test]
fn nodes_share_what_does_not_differ() {
    let (dir, out) = (scratch(), scratch());
    let recipe = recipe(dir.path(), "platforms");
    build(recipe.to_str().unwrap(), out.path());
    let layers = |node: &str| {
        let to = dir.path().join(node);
        extract_boot(&out.path().join(format!("{node}.img")), &to);
        let mut names: Vec<String> = fs_err::read_dir(to.join("layers"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let (plain, other) = (layers("plain"), layers("other"));
    assert!(plain[0].starts_with("00-base-amd64-") && other[0].starts_with("00-base-amd64-"));
    assert_ne!(plain[0], other[0]);
    assert_eq!(plain[1], other[1], "etcd is the same");

    let has_less = |node: &str, layer: &str| {
        let file = dir.path().join(node).join("layers").join(layer);
        let listing = crate::support::tool("unsquashfs", &["-l", file.to_str().unwrap()]);
        listing.contains("squashfs-root/usr/bin/less\n")
    };
    assert!(!has_less("plain", &plain[0]) && has_less("other", &other[0]));
    let tells = |node: &str| {
        let boot = dir.path().join(node).join("EFI/BOOT/BOOTX64.EFI");
        let bytes = fs_err::read(boot).unwrap();
        bytes.windows(15).any(|window| window == b"mitigations=off")
    };
    assert!(!tells("plain") && tells("other"));

    // One node alone is built from the same steps.
    let again = dir.path().join("again");
    must(
        imgbuild()
            .args(["build", "--quiet", "--node", "other", "--out"])
            .arg(&again)
            .arg(&recipe),
    );
    let bytes = |dir: &Path| fs_err::read(dir.join("other.img")).unwrap();
    assert!(bytes(&again) == bytes(out.path()), "the image differs");
}

/// What a build of the changed recipe says; nothing may be left behind.
#[track_caller]
fn refused(dir: &Path, recipe: &Path, says: &[&str]) {
    let out = dir.join("refused");
    let mut command = imgbuild();
    command.arg("build").arg(recipe).arg("--out").arg(&out);
    assert_says(&must_fail(&mut command, 3), says);
    assert!(!out.join("alone.img").exists());
}

#[test]
fn what_does_not_fit_the_base_is_refused_when_building() {
    let dir = scratch();
    let recipe = recipe(dir.path(), "system");
    let good = fs_err::read_to_string(&recipe).unwrap();
    let cases: [(&str, &str, &[&str]); 6] = [
        (
            "replace = true",
            "",
            &["/etc/fstab is there already", "replace = true"],
        ),
        (
            "user = \"etcd\"",
            "user = \"nobody-here\"",
            &["there is no user nobody-here", "root"],
        ),
        (
            "source = \"files/hello\"",
            "source = \"files/gone\"",
            &["reading files/gone, which the recipe names"],
        ),
        (
            "name = \"systemd-boot-check-no-failures.service\"",
            "name = \"cups.service\"",
            &["there is no unit cups.service"],
        ),
        (
            "RemainAfterExit=yes",
            "User=nobody-here",
            &["names the user nobody-here, which is not there"],
        ),
        (
            "blacklist = [\"8021q\"]",
            "blacklist = [\"squashfs\"]",
            &["alone cannot do without squashfs"],
        ),
    ];
    for (from, to, says) in cases {
        fs_err::write(&recipe, &good).unwrap();
        change(&recipe, from, to);
        refused(dir.path(), &recipe, says);
    }
    // A file of the recipe's that changed changes the image.
    fs_err::write(&recipe, &good).unwrap();
    let layer = || {
        let out = dir.path().join("out");
        must(
            imgbuild()
                .args(["build", "--quiet", "--out"])
                .arg(&out)
                .arg(&recipe),
        );
        fs_err::read_to_string(out.join("SHA256SUMS")).unwrap()
    };
    let before = layer();
    assert_eq!(layer(), before);
    fs_err::write(dir.path().join("files/hello"), "#!/bin/sh\necho other\n").unwrap();
    assert_ne!(layer(), before);
}

#[test]
fn a_module_that_the_kernel_has_not_is_named() {
    let dir = scratch();
    let recipe = recipe(dir.path(), "system");
    change(
        &recipe,
        "modules = [\"dm-crypt\"]",
        "modules = [\"no_such_module\"]",
    );
    refused(
        dir.path(),
        &recipe,
        &[
            "has no module no_such_module",
            "`kernel.modules` of the recipe",
        ],
    );
}
