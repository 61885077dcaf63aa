//! Overlay archives (`--format overlay`): what is in them, that they are the same every time,
//! and that one makes a member of a machine that ran something else before.

use crate::support::console::Console;
use crate::support::inputs::{
    isolate, isolated_build, recipe_copy, reference, scratch_beside_store, store_with_etcd, sums,
};
use crate::support::plain::{NAME, Plain};
use crate::support::{any_image, imgbuild, must, repository, scratch, turn};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What an archive holds: mode and path, for a link its target. All of it is root's.
#[track_caller]
fn listing(archive: &Path) -> String {
    let listed = must(
        Command::new("tar")
            .args(["--list", "--verbose", "--gzip", "--file"])
            .arg(archive),
    );
    let lines = listed.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1], "root/root", "{line}");
        format!("{} {}\n", words[0], words[5..].join(" "))
    });
    lines.collect()
}

const KUBEADM: &str = "\
-rwxr-xr-x usr/local/bin/etcd
-rwxr-xr-x usr/local/bin/etcdctl
-rwxr-xr-x usr/local/bin/etcdutl
drwxr-xr-x usr/share/doc/imgbuild/
-rw-r--r-- usr/share/doc/imgbuild/etcd-origin.json
drwxr-xr-x etc/etcd/
-rw-r--r-- etc/etcd/etcd.conf.yml
drwxr-xr-x etc/kubernetes/
drwxr-xr-x etc/kubernetes/pki/
-rw-r--r-- etc/kubernetes/pki/apiserver-etcd-client.crt
-rw------- etc/kubernetes/pki/apiserver-etcd-client.key
drwxr-xr-x etc/kubernetes/pki/etcd/
-rw-r--r-- etc/kubernetes/pki/etcd/ca.crt
-rw-r--r-- etc/kubernetes/pki/etcd/healthcheck-client.crt
-rw------- etc/kubernetes/pki/etcd/healthcheck-client.key
-rw-r--r-- etc/kubernetes/pki/etcd/peer.crt
-rw------- etc/kubernetes/pki/etcd/peer.key
-rw-r--r-- etc/kubernetes/pki/etcd/server.crt
-rw------- etc/kubernetes/pki/etcd/server.key
-rw-r--r-- etc/systemd/system/etcd-prepare.service
-rw-r--r-- etc/systemd/system/etcd.service
drwxr-xr-x etc/systemd/system/etcd.service.d/
-rw-r--r-- etc/systemd/system/etcd.service.d/prepare.conf
lrwxrwxrwx etc/systemd/system/multi-user.target.wants/etcd.service -> /etc/systemd/system/etcd.service
-rw-r--r-- etc/sysusers.d/etcd.conf
drwxr-xr-x usr/local/lib/imgbuild/
-rw-r--r-- usr/local/lib/imgbuild/etcd-owners.conf
-rwxr-xr-x usr/local/lib/imgbuild/etcd-unborn
-rwxr-xr-x usr/local/sbin/etcdctl
drwx------ var/lib/etcd/
";

/// Nothing of the operating system is needed for archives, and nothing of the machine's name
/// or network is in them.
#[test]
fn archives_hold_etcd_and_nothing_of_the_machine() {
    reference();
    let dir = scratch_beside_store();
    let store = dir.path().join("store");
    store_with_etcd(&store);
    let recipe = recipe_copy(dir.path(), "vm-3node");
    let out = dir.path().join("out");
    let build = |out: &Path, store: &Path| {
        let mut build = isolated_build(&recipe, out, store, None);
        must(build.args(["--format", "overlay"]))
    };
    let said = build(&out, &store);
    assert!(said.contains("tar -C / -xpzf"), "{said}");
    let sums_first = sums(&out);
    for node in ["etcd-0", "etcd-1", "etcd-2"] {
        let name = format!("{node}.overlay.tar.gz");
        assert!(sums_first.contains(&format!("  {name}\n")), "{sums_first}");
        let archive = out.join(name);
        assert_eq!(listing(&archive), KUBEADM);
        let mode = fs_err::metadata(&archive).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    // The same bytes again, from elsewhere; what is there is not written again.
    let again = dir.path().join("again");
    build(&again, &store);
    assert_eq!(sums(&again), sums_first);
    assert!(build(&again, &store).contains("unchanged"));

    // A recipe can ask for them by itself, beside images.
    let mut show = imgbuild();
    show.arg("show")
        .arg(&recipe)
        .args(["--format", "img,overlay"]);
    isolate(&mut show, &store, None);
    let shown = must(&mut show);
    assert!(shown.contains("# overlay "), "{shown}");
    assert!(shown.contains("# disk "), "{shown}");
    let text = fs_err::read_to_string(&recipe).unwrap();
    let text = text.replace("[image]\n", "[image]\nformats = [\"overlay\"]\n");
    fs_err::write(&recipe, text).unwrap();
    let own = dir.path().join("own");
    must(&mut isolated_build(&recipe, &own, &store, None));
    assert_eq!(sums(&own), sums_first);
}

/// Of both formats each has its file, and a second look finds both as they were left.
#[test]
fn archives_stand_beside_images() {
    reference();
    let dir = scratch();
    let recipe = recipe_copy(dir.path(), "vm-1node");
    let out = dir.path().join("out");
    let build = |formats: &str| {
        must(
            imgbuild()
                .arg("build")
                .arg(&recipe)
                .args(["--format", formats, "--out"])
                .arg(&out),
        )
    };
    build("img");
    let image = sums(&out);
    build("overlay");
    let both = sums(&out);
    assert!(both.starts_with(&image), "the image is forgotten: {both}");
    assert!(any_image(&out).exists());
    assert_eq!(build("overlay,img").matches("unchanged").count(), 2);
    assert_eq!(sums(&out), both);
}

/// The archive of `vm-1node` on a plain Debian with its own name, users and network.
#[test]
fn a_plain_debian_becomes_a_member() {
    let _turn = turn::machine();
    reference();
    let dir = scratch();
    let recipe = recipe_copy(dir.path(), "vm-1node");
    let out = dir.path().join("out");
    let mut build = imgbuild();
    build.arg("build").arg(&recipe).arg("--out").arg(&out);
    must(build.args(["--format", "overlay"]));
    let lock = repository().join("recipes/vm-1node.lock");
    let archive = out.join("etcd-0.overlay.tar.gz");
    let machine_dir = scratch();
    let net = ["10.41.0.0/24", "10.41.0.10/24"];
    let mut machine = Plain::start(machine_dir.path(), &lock, &archive, net[0], net[1]);

    let admin = out.join("admin");
    let deadline = Instant::now() + Duration::from_secs(900);
    loop {
        let health = machine.ask(&admin, "/health", None);
        if health
            .as_deref()
            .is_ok_and(|text| text.contains("\"true\""))
        {
            break;
        }
        assert!(
            machine.is_on() && Instant::now() < deadline,
            "not healthy: {health:?}\n{}",
            machine.console()
        );
        std::thread::sleep(Duration::from_millis(500));
    }
    let put = r#"{"key":"a2V5","value":"dmFsdWU="}"#;
    machine.ask(&admin, "/v3/kv/put", Some(put)).unwrap();

    // From inside: the machine is who it was, and etcd runs as a user of its own numbers.
    let mut console = Console::connect(&machine.console_socket(), 300);
    assert_eq!(
        console.run("systemctl is-system-running --wait"),
        "running",
        "{}",
        console.run("systemctl list-units --failed --no-legend")
    );
    assert_eq!(console.run("uname -n"), NAME);
    let owners = "stat -c '%U:%G %a' /etc/kubernetes/pki/etcd/server.key \
                  /etc/kubernetes/pki/etcd/healthcheck-client.key /var/lib/etcd \
                  /proc/$(systemctl show --property=MainPID --value etcd)";
    let expected = "etcd:etcd 600\nroot:root 600\netcd:etcd 700\netcd:etcd 555";
    assert_eq!(console.run(owners), expected);
    let errors = "journalctl --boot --quiet --priority=err --unit=etcd --unit=etcd-prepare";
    assert_eq!(console.run(errors), "");
    // Emulated, under load, a handshake may take longer than etcdctl waits for by itself.
    let etcdctl = "etcdctl --dial-timeout=60s --command-timeout=60s";
    let members = console.run(&format!("{etcdctl} member list"));
    assert!(members.contains("etcd-0"), "{members}");
    assert_eq!(console.run(&format!("{etcdctl} get key")), "key\nvalue");

    // As after unpacking a newer archive: all is root's until etcd is started again.
    console.run("chown root:root /etc/kubernetes/pki/etcd/* /var/lib/etcd; systemctl restart etcd");
    assert_eq!(
        console.run(owners.split(" /proc").next().unwrap()),
        "etcd:etcd 600\nroot:root 600\netcd:etcd 700"
    );
    assert_eq!(console.run(&format!("{etcdctl} get key")), "key\nvalue");
}
