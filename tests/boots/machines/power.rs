//! Power that comes and goes: cuts in the middle of a first boot, reboots, larger disks, and
//! the end of `imgbuild run` itself.

use crate::support::cluster::{Cluster, processes_naming};
use crate::support::console::Console;
use crate::support::{imgbuild, must, must_fail, run, scratch, turn, variant};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NODE: &str = "etcd-0";
const MIB: u64 = 1 << 20;

/// When the power fails: so many milliseconds after the console of this boot shows one of
/// these. The later ones of a row are for boots that find the earlier work done.
const CUTS: [(&[&str], u64); 7] = [
    (&["making the state partition"], 0),
    (&["making the state partition", FILE_SYSTEM, SYSTEMD], 300),
    (&[FILE_SYSTEM, SYSTEMD], 0),
    (&[FILE_SYSTEM, SYSTEMD], 200),
    (&[FILE_SYSTEM, SYSTEMD], 600),
    (&[SYSTEMD, REPORT], 1000),
    (&["etcd=activating", "etcd=active"], 500),
];
const FILE_SYSTEM: &str = "making the file system of /var";
/// systemd resets the terminal when it starts.
const SYSTEMD: &str = "\x1b[!p";
const REPORT: &str = "imgbuild: node=";

#[test]
fn a_node_survives_power_cuts_reboots_and_a_larger_disk() {
    let _turn = turn::machine();
    let (dir, out, work) = (scratch(), scratch(), scratch());
    let recipe = variant(dir.path(), "vm-1node", "open", |text| {
        format!("{text}\n[access]\nconsole = \"shell\"\n")
    });
    let disk = work.path().join(NODE).join("disk.img");

    // First boots that the power does not let finish, and then one that it does.
    let mut cluster = Cluster::start_in(
        work.path(),
        &recipe,
        out.path(),
        &["--disk-size", "2G", "--memory", "256"],
    );
    cut_off_in_first_boots(&mut cluster);
    cluster.command(&format!("start {NODE}"));
    let mut console = healthy(&mut cluster);
    judge_from_inside(&mut console);

    // A reboot: /etc is as the image has it, /var and the cluster's data are kept.
    let size = var_size(&mut console);
    console
        .run("echo x >/etc/probe; echo y >/var/probe; echo other >/proc/sys/kernel/hostname; sync");
    cluster.put(NODE, "kept", "through everything");
    let before = cluster.console(NODE).len();
    console.type_line("systemctl reboot");
    await_console(&mut cluster, before, &["imgbuild: booting from"], 300);
    drop(console);
    let mut console = healthy_since(&mut cluster, before);
    assert_eq!(console.run("cat /var/probe"), "y");
    console.run("test ! -e /etc/probe");
    assert_eq!(console.run("cat /etc/hostname; uname -n"), "etcd-0\netcd-0");
    assert_eq!(
        cluster.get(NODE, "kept").as_deref(),
        Some("through everything")
    );
    assert_eq!(var_size(&mut console), size);
    console.run("sync");
    drop(console);
    cluster.quit();
    judge_disk(&disk, 2048 * MIB, dir.path());

    // The disk becomes larger, as when a card is copied to a larger one.
    let file = fs_err::OpenOptions::new().write(true).open(&disk).unwrap();
    file.set_len(3072 * MIB).unwrap();
    drop(file);
    let before = fs_err::metadata(work.path().join(NODE).join("console.log"));
    let before = usize::try_from(before.unwrap().len()).unwrap();
    let mut cluster = Cluster::start_in(work.path(), &recipe, out.path(), &[]);
    let mut console = healthy_since(&mut cluster, before);
    let grown = var_size(&mut console) - size;
    assert!(grown > 960 * MIB, "/var grew by {grown} bytes of 1 GiB");
    assert_eq!(console.run("cat /var/probe"), "y");
    assert_eq!(
        cluster.get(NODE, "kept").as_deref(),
        Some("through everything")
    );
    console.run("sync");
    drop(console);
    cluster.quit();
    judge_disk(&disk, 3072 * MIB, dir.path());
}

/// Takes the power away at every instant of [`CUTS`], starting the node anew in between.
fn cut_off_in_first_boots(cluster: &mut Cluster) {
    let mut interrupted = Vec::new();
    for (nth, (markers, delay)) in CUTS.into_iter().enumerate() {
        if nth > 0 {
            cluster.command(&format!("start {NODE}"));
        }
        let before = if nth == 0 {
            0
        } else {
            cluster.console(NODE).len()
        };
        interrupted.push(await_console(cluster, before, markers, 300));
        std::thread::sleep(Duration::from_millis(delay));
        cluster.command(&format!("kill {NODE}"));
        cluster.wait("the node off", 60, |nodes| nodes[NODE].state == "off");
    }
    // The series went through the making of both partition and file system.
    let met = |what: &str| interrupted.contains(&what);
    assert!(met(CUTS[0].0[0]) && met(FILE_SYSTEM), "{interrupted:?}");
}

/// Waits until a console shows one of these texts after its first `before` bytes; which.
#[track_caller]
fn await_console<'a>(
    cluster: &mut Cluster,
    before: usize,
    markers: &[&'a str],
    seconds: u64,
) -> &'a str {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let console = cluster.console(NODE);
        let since = console.get(before..).unwrap_or_default();
        if let Some(marker) = markers.iter().find(|marker| since.contains(**marker)) {
            return marker;
        }
        assert!(
            Instant::now() < deadline,
            "none of {markers:?} within {seconds} s in:\n{since}"
        );
        cluster.assert_running();
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until the node is healthy and says that nothing is wrong with it; its console.
#[track_caller]
fn healthy(cluster: &mut Cluster) -> Console {
    let before = cluster.console(NODE).len();
    healthy_since(cluster, before)
}

/// As [`healthy`], of the boot that begins after so many bytes of the console.
#[track_caller]
fn healthy_since(cluster: &mut Cluster, before: usize) -> Console {
    await_console(cluster, before, &["state=running"], 600);
    cluster.wait_healthy(&[NODE], 300);
    cluster.wait_clean(&[NODE], 300);
    let shown = cluster.console(NODE);
    let since = &shown[before..];
    for bad in ["imgbuild-err:", "imgbuild-failed:", "CANNOT START"] {
        assert!(!since.contains(bad), "{since}");
    }
    Console::connect(&cluster.console_socket(NODE), 120)
}

/// What root finds on a running node.
fn judge_from_inside(console: &mut Console) {
    assert_eq!(console.run("stat -fc %T /"), "overlayfs");
    assert_eq!(console.run("stat -fc %T /var"), "ext2/ext3");
    assert_eq!(console.run("id -u"), "0");
    // etcdctl needs no flags.
    let health = console.run("etcdctl endpoint health --cluster");
    assert!(health.contains("is healthy"), "{health}");
    let members = console.run("etcdctl member list");
    assert!(
        members.contains("started, etcd-0, https://10.41.0.10:2380"),
        "{members}"
    );
    assert_eq!(console.run("etcdctl put from-inside one"), "OK");
    assert_eq!(
        console.run("etcdctl get from-inside --print-value-only"),
        "one"
    );
    // The keys are etcd's and nobody else's.
    let pki = "/etc/kubernetes/pki";
    let keys = console.run(&format!("stat -c '%a %U %n' {pki}/*.key {pki}/*/*.key"));
    for key in ["server", "peer"] {
        let line = format!("600 etcd /etc/kubernetes/pki/etcd/{key}.key");
        assert!(keys.lines().any(|it| it == line), "{keys}");
    }
    assert!(keys.lines().all(|line| line.starts_with("600 ")), "{keys}");
    assert_eq!(
        console.run("stat -c '%a %U:%G' /var/lib/etcd"),
        "700 etcd:etcd"
    );
}

/// The size of the file system of /var in bytes.
fn var_size(console: &mut Console) -> u64 {
    let size = console.run("df -B1 --output=size /var | tail -n 1");
    size.trim().parse().unwrap_or_else(|_| panic!("{size}"))
}

/// Asks sgdisk, e2fsck and dumpe2fs about a disk whose node is off.
#[track_caller]
fn judge_disk(disk: &Path, length: u64, scratch: &Path) {
    assert_eq!(fs_err::metadata(disk).unwrap().len(), length);
    let verdict = must(Command::new("sgdisk").arg("-v").arg(disk));
    assert!(verdict.contains("No problems found"), "{verdict}");
    let json = must(Command::new("sfdisk").arg("--json").arg(disk));
    let table: serde_json::Value = serde_json::from_str(&json).unwrap();
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 2, "{json}");
    let number = |key: &str| partitions[1][key].as_u64().unwrap() * 512;
    let (start, size) = (number("start"), number("size"));
    let left = length - start - size;
    assert!(
        left <= 2 * MIB,
        "{left} bytes are left behind the state partition"
    );

    let state = scratch.join("state.img");
    let range = [
        "bs=1M",
        "iflag=skip_bytes,count_bytes",
        "conv=sparse",
        "status=none",
    ];
    must(
        Command::new("dd")
            .arg(format!("if={}", disk.display()))
            .arg(format!("of={}", state.display()))
            .args(range)
            .arg(format!("skip={start}"))
            .arg(format!("count={size}")),
    );
    // A node that was switched off leaves a journal to replay; then nothing may be wrong.
    let replay = run(Command::new("e2fsck").args(["-f", "-p"]).arg(&state));
    let text = String::from_utf8_lossy(&replay.stdout).into_owned();
    assert!(matches!(replay.status.code(), Some(0 | 1)), "{text}");
    must(Command::new("e2fsck").args(["-f", "-n"]).arg(&state));
    let header = must(Command::new("dumpe2fs").arg("-h").arg(&state));
    let field = |name: &str| {
        let line = header.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {header}"))
            .trim()
    };
    assert_eq!(field("Filesystem volume name:"), "state");
    let blocks: u64 = field("Block count:").parse().unwrap();
    let block: u64 = field("Block size:").parse().unwrap();
    assert_eq!(blocks * block, size / block * block);
    fs_err::remove_file(state).unwrap();
}

#[test]
fn a_run_that_is_not_healthy_in_time_says_how_far_it_came() {
    let _turn = turn::machine();
    let (out, temporary) = (scratch(), scratch());
    let said = must_fail(
        run_command(out.path(), temporary.path()).args(["--until", "healthy", "--timeout", "5"]),
        9,
    );
    assert!(said.contains("not healthy after 5 s"), "{said}");
    assert!(said.contains("etcd-0 is"), "{said}");
    assert!(said.contains("--work"), "{said}");
    assert_eq!(
        processes_naming(temporary.path().to_str().unwrap()),
        [""; 0]
    );
    assert_empty(temporary.path());
}

#[test]
fn ctrl_c_ends_every_process_and_leaves_no_file() {
    let _turn = turn::machine();
    let (out, temporary) = (scratch(), scratch());
    let mut child = started(out.path(), temporary.path());
    let begun = Instant::now();
    signal(&child, "INT");
    let status = ended(&mut child);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    assert!(status.success(), "{status}");
    assert_eq!(
        processes_naming(temporary.path().to_str().unwrap()),
        [""; 0]
    );
    assert_empty(temporary.path());
}

#[test]
fn nothing_outlives_a_killed_run() {
    let _turn = turn::machine();
    let (out, temporary) = (scratch(), scratch());
    let mut child = started(out.path(), temporary.path());
    signal(&child, "KILL");
    ended(&mut child);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !processes_naming(temporary.path().to_str().unwrap()).is_empty() {
        assert!(Instant::now() < deadline, "a QEMU outlived its run");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// `imgbuild run vm-1node` with its temporary files in `temporary`.
fn run_command(out: &Path, temporary: &Path) -> Command {
    let mut command = imgbuild();
    command
        .args(["run", "vm-1node", "--out"])
        .arg(out)
        .env("TMPDIR", temporary)
        .stdin(Stdio::null());
    command
}

/// A run whose node is there.
#[track_caller]
fn started(out: &Path, temporary: &Path) -> Child {
    let mut child = run_command(out, temporary)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(600);
    let text = temporary.to_str().unwrap();
    // The probe of the accelerator is a QEMU too: the node's is the one with a disk.
    while !processes_naming(text)
        .iter()
        .any(|line| line.contains("disk.img"))
    {
        assert_eq!(child.try_wait().unwrap(), None, "imgbuild run ended");
        assert!(Instant::now() < deadline, "no QEMU was started");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(processes_naming(text).len(), 1, "the node's alone");
    child
}

/// Sends a signal to a process, and to no other of its group.
#[track_caller]
fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    must(Command::new("kill").args([&format!("-{name}"), &id]));
}

#[track_caller]
fn ended(child: &mut Child) -> std::process::ExitStatus {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "imgbuild run did not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn assert_empty(dir: &Path) {
    let left: Vec<_> = fs_err::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}
