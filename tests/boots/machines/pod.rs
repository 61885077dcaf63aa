//! etcd as a static pod, the way of docs/walkthroughs.md that has one node.

use crate::support::cluster::Cluster;
use crate::support::console::Console;
use crate::support::inputs::reference;
use crate::support::{scratch, turn};
use crate::walkthrough::Walkthrough;

const POD: Walkthrough = Walkthrough {
    recipe: "static-pod",
    nodes: &[("k8s-tutorial", "10.0.2.15")],
    programs: "/usr/local/bin",
    endpoint: "https://127.0.0.1:2379",
    files: [
        "/etc/kubernetes/pki/etcd/ca.crt",
        "/etc/kubernetes/pki/etcd/healthcheck-client.crt",
        "/etc/kubernetes/pki/etcd/healthcheck-client.key",
    ],
};

/// etcd in a container, which is there again after a reboot, with its data.
#[test]
fn etcd_is_a_static_pod() {
    let _turn = turn::machine();
    reference();
    let (dir, out) = (scratch(), scratch());
    let recipe = POD.open(dir.path(), |text| text);
    let options = ["--memory", "256"];
    let mut cluster = Cluster::start_in(dir.path(), &recipe, out.path(), &options);
    let node = POD.nodes[0].0;
    let mut console = POD.verify(&mut cluster);
    judge_pod(&mut console);
    // Nothing was pulled, and nothing was copied: the images are read where they came.
    let images = console.run("podman images --format '{{.Repository}}:{{.Tag}} {{.ReadOnly}}'");
    let mut images: Vec<&str> = images.lines().collect();
    images.sort_unstable();
    assert_eq!(
        images,
        ["localhost/etcd:3.6.16 true", "localhost/pause:1 true"]
    );
    let log = console.run("journalctl --boot --identifier=etcd --output=cat --no-pager");
    assert!(log.contains("ready to serve client requests"), "{log}");
    let unit = "systemd-analyze verify --man=no --recursive-errors=no \
                /run/systemd/generator/etcd.service 2>&1";
    assert_eq!(console.run(unit), "");
    // 256 MB are enough: a quarter of them is free.
    let memory = console.run(
        "while read -r key value _; do if [ $key = MemAvailable: ]; then echo $value; fi; \
         done </proc/meminfo",
    );
    assert!(memory.parse::<u32>().unwrap() > 64 << 10, "{memory} KiB");

    let before = cluster.console(node).len();
    console.type_line("systemctl reboot");
    cluster.await_console(node, before, "imgbuild: booting from", 300);
    drop(console);
    cluster.await_console(node, before, "state=running", 600);
    let mut console = POD.verify(&mut cluster);
    judge_pod(&mut console);
    let bad = ["imgbuild-err:", "imgbuild-failed:", "CANNOT START"];
    let shown = cluster.console(node);
    assert!(!bad.iter().any(|bad| shown.contains(bad)), "{shown}");
    let history = console.run(&POD.etcdctl("get outside --write-out=fields"));
    assert!(
        history.contains("\"Version\" : 2"),
        "the data was lost: {history}"
    );
    cluster.quit();
}

/// The pod runs as it should, and answers as the walkthrough asks.
fn judge_pod(console: &mut Console) {
    let listed = console.run("podman ps --format '{{.Names}} {{.Image}} {{.State}}'");
    let etcd = "etcd-etcd localhost/etcd:3.6.16 running";
    assert!(listed.lines().any(|line| line == etcd), "{listed}");

    let [ca, cert, key] = POD.files;
    let asked = format!("curl --silent --show-error --max-time 60 --cacert {ca}");
    let address = "https://localhost:2379/health";
    let health = console.run(&format!("{asked} --cert {cert} --key {key} {address}"));
    assert!(health.contains("\"health\":\"true\""), "{health}");
    // Without a certificate there is no answer.
    console.run(&format!("! {asked} {address} 2>/dev/null"));

    // It is nobody but etcd, and can become nobody else.
    let status = console.run(
        "pid=$(podman inspect --format '{{.State.Pid}}' etcd-etcd) && stat -c %U /proc/$pid \
         && cat /proc/$pid/status",
    );
    let mut lines = status.lines().map(|line| line.replace('\t', " "));
    assert_eq!(lines.next().as_deref(), Some("etcd"));
    let lines: Vec<String> = lines.collect();
    for line in ["CapEff: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2"] {
        assert!(lines.iter().any(|found| found == line), "{status}");
    }
}
