//! What a recipe's own files, units, kernel settings and console become in a node's layer.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use imgbuild_base::{Kind, Tree};
use imgbuild_cluster::ComposeError;
use imgbuild_recipe::{Recipe, load};
use std::fmt::Write as _;

/// crypt(5)'s hash of `password` with a salt that says it is one.
const HASH: &str = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";

fn recipe(rest: &str) -> Recipe {
    let text = format!(
        "[cluster]\nname = \"home\"\n[image]\nboard = \"vm\"\n[network]\nsubnet = \"10.0.0.0/24\"\n\
         {rest}\n[[node]]\nname = \"a\"\naddress = \"10.0.0.10\"\n"
    );
    load(&text, "test.toml").unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn layer(rest: &str) -> Tree {
    layers(&recipe(rest)).remove(0).1
}

/// Why the layer of a recipe cannot be made.
fn refused(rest: &str) -> ComposeError {
    let recipe = recipe(rest);
    with(&recipe, |composer| {
        composer.node(&recipe.nodes[0], &below()).unwrap_err()
    })
}

/// What `rest` adds to a node's layer or changes in it: mode, owner, path, link or text.
fn added(rest: &str) -> String {
    let (before, after) = (layer(""), layer(rest));
    let mut out = String::new();
    for (path, entry) in after.iter() {
        if before.get(path).is_some_and(|old| old.kind == entry.kind) {
            continue;
        }
        let (mode, uid, gid) = (entry.meta.mode, entry.meta.uid, entry.meta.gid);
        write!(out, "{mode:04o} {uid}:{gid} /{path}").unwrap();
        match &entry.kind {
            Kind::Directory => out.push_str("/\n"),
            Kind::Symlink(target) => writeln!(out, " -> {target}").unwrap(),
            Kind::CharDevice { .. } => out.push_str(" (device)\n"),
            Kind::File(body) => {
                let text = String::from_utf8(body.bytes().to_vec()).unwrap();
                out.push('\n');
                for line in text.lines() {
                    writeln!(out, "    {line}").unwrap();
                }
            }
        }
    }
    out
}

#[test]
fn files() {
    insta::assert_snapshot!(added(
        r##"
[[file]]
path = "/etc/motd"
source = "motd"
[[file]]
path = "/etc/fstab"
content = "# mine\n"
replace = true
[[file]]
path = "/root/.config/tool"
content = "a=b\n"
mode = "0640"
user = "etcd"
group = "shadow"
[[file]]
path = "/usr/share/doc/home/README"
content = "x\n"
mode = "0444"
"##
    ));
}

#[test]
fn units() {
    insta::assert_snapshot!(added(
        r#"
[[unit]]
name = "backup.service"
content = """
[Unit]
Description=Copies the database
[Service]
Type=oneshot
ExecStart=/usr/bin/true
"""
[[unit]]
name = "backup.timer"
source = "units/backup.timer"
enable = true
[[unit]]
name = "own@.service"
content = "[Service]\nExecStart=/usr/bin/echo %i\n[Install]\nWantedBy=multi-user.target\nAlias=other@%i.service\n"
[[unit]]
name = "own@two.service"
enable = true
[[unit]]
name = "etcd.service"
drop_in = "memory"
content = "[Service]\nMemoryHigh=100M\n"
[[unit]]
name = "own@two.service"
drop_in = "nice"
content = "[Service]\nNice=1\n"
[[unit]]
name = "sshd.service"
enable = true
[[unit]]
name = "static.service"
wanted_by = ["timers.target", "multi-user.target"]
[[unit]]
name = "one@.service"
mask = true
"#
    ));
}

#[test]
fn a_unit_of_a_package_is_replaced_when_the_recipe_says_so() {
    let own =
        "[[unit]]\nname = \"ssh.service\"\ncontent = \"[Service]\\nExecStart=/bin/false\\n\"\n";
    assert!(
        matches!(refused(own), ComposeError::UnitExists(name) if name.as_str() == "ssh.service")
    );
    let tree = layer(&format!("{own}replace = true\n"));
    let unit = text(&tree, "etc/systemd/system/ssh.service");
    assert_eq!(unit, "[Service]\nExecStart=/bin/false\n");
}

#[test]
fn kernel() {
    insta::assert_snapshot!(added(
        "[kernel]\nargs = [\"quiet\"]\nmodules = [\"dm-crypt\", \"tun\"]\nblacklist = [\"floppy\"]\n\
         [kernel.sysctl]\nvm.swappiness = 10\n\"net/ipv4/conf/eth0.100/forwarding\" = \"1\"\n"
    ));
}

#[test]
fn login() {
    let shown = added(&format!(
        "[access]\nconsole = \"login\"\nroot_password_hash = \"{HASH}\"\n"
    ));
    insta::assert_snapshot!(shown);
    // The hash is what openssl makes of the password.
    let dir = tempfile::tempdir().unwrap();
    let made = ok(
        dir.path(),
        "openssl",
        &["passwd", "-6", "-salt", "saltsalt", "password"],
    );
    assert_eq!(made.trim(), HASH);
}

#[test]
fn what_does_not_go_together_with_the_layers_below_is_refused() {
    let file = |path: &str| format!("[[file]]\npath = \"{path}\"\ncontent = \"x\"\n");
    let unit = |name: &str, rest: &str| format!("[[unit]]\nname = \"{name}\"\n{rest}\n");
    let mut all = String::new();
    for text in [
        file("/etc/fstab"),
        file("/usr/share/doc"),
        file("/etc/passwd.d/x") + &file("/etc/fstab/x"),
        file("/etc/etcd/etcd.conf.yml"),
        file("/usr/local/bin/etcdctl") + "replace = true\n",
        file("/etc/x") + "user = \"backup\"\n",
        file("/etc/x") + "group = \"backup\"\n",
        "[[file]]\npath = \"/etc/x\"\nsource = \"nowhere\"\n".to_owned(),
        unit("nowhere.service", "enable = true"),
        unit("nowhere.service", "mask = true"),
        unit(
            "nowhere.service",
            "drop_in = \"x\"\ncontent = \"[Unit]\\n\"",
        ),
        unit("static.service", "enable = true"),
        unit("masked.service", "enable = true"),
        unit("masked.service", "wanted_by = [\"multi-user.target\"]"),
        unit("broken.service", "source = \"units/broken.service\""),
        unit("backup.timer", "source = \"units/backup.timer\"")
            + &unit(
                "x.service",
                "content = \"[Service]\\n[Install]\\nAlso=gone.service\\nWantedBy=a.target\\n\"\nenable = true",
            ),
    ] {
        writeln!(all, "{}", refused(&text)).unwrap();
    }
    insta::assert_snapshot!(all);
}

#[test]
fn systemd_takes_the_units() {
    let tree = layer(
        r#"
[[unit]]
name = "backup.service"
content = "[Unit]\nDescription=x\n[Service]\nType=oneshot\nExecStart=/bin/true\n"
[[unit]]
name = "backup.timer"
source = "units/backup.timer"
enable = true
"#,
    );
    let dir = tempfile::tempdir().unwrap();
    unpack(&tree, dir.path());
    let units = dir.path().join("etc/systemd/system");
    let timer = units.join("backup.timer");
    let said = ok(
        &units,
        "systemd-analyze",
        &["verify", "--man=no", timer.to_str().unwrap()],
    );
    assert_eq!(said, "");
}
