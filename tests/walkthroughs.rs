//! The walkthroughs of docs/walkthroughs.md: each recipe boots from its images and answers what
//! its walkthrough asks, with that walkthrough's names, addresses and file paths.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use support::archive::Archive;
use support::cluster::Cluster;
use support::console::Console;
use support::inputs::reference;
use support::server::Server;
use support::upstream::{compiled, lock, release_site};
use support::{must, one_at_a_time, scratch, variant};

/// What a walkthrough fixes.
struct Walkthrough {
    recipe: &'static str,
    /// Names and addresses, in the order of the recipe.
    nodes: &'static [(&'static str, &'static str)],
    /// The directory of etcd's programs.
    programs: &'static str,
    /// CA, certificate and key that its etcdctl is called with.
    files: [&'static str; 3],
}

const KUBEADM: Walkthrough = Walkthrough {
    recipe: "kubeadm-3node",
    nodes: &[
        ("e1", "10.1.1.93"),
        ("e2", "10.1.1.92"),
        ("e3", "10.1.1.91"),
    ],
    programs: "/usr/local/bin",
    files: [
        "/etc/kubernetes/pki/etcd/ca.crt",
        "/etc/kubernetes/pki/etcd/peer.crt",
        "/etc/kubernetes/pki/etcd/peer.key",
    ],
};

const ENVFILE: Walkthrough = Walkthrough {
    recipe: "envfile-3node",
    nodes: &[
        ("infra1", "10.0.2.10"),
        ("infra2", "10.0.2.11"),
        ("infra3", "10.0.2.12"),
    ],
    programs: "/usr/local/bin",
    files: [
        "/etc/kubernetes/ssl/ca.pem",
        "/etc/kubernetes/ssl/kubernetes.pem",
        "/etc/kubernetes/ssl/kubernetes-key.pem",
    ],
};

const DEBIAN: Walkthrough = Walkthrough {
    recipe: "debian-3node",
    nodes: &[
        ("master", "10.140.0.2"),
        ("node1", "10.140.0.3"),
        ("node2", "10.140.0.4"),
    ],
    programs: "/usr/bin",
    files: [
        "/etc/etcd/ca.pem",
        "/etc/etcd/kubernetes.pem",
        "/etc/etcd/kubernetes-key.pem",
    ],
};

const POD: Walkthrough = Walkthrough {
    recipe: "static-pod",
    nodes: &[("k8s-tutorial", "10.0.2.15")],
    programs: "/usr/local/bin",
    files: [
        "/etc/kubernetes/pki/etcd/ca.crt",
        "/etc/kubernetes/pki/etcd/healthcheck-client.crt",
        "/etc/kubernetes/pki/etcd/healthcheck-client.key",
    ],
};

impl Walkthrough {
    fn names(&self) -> Vec<&'static str> {
        self.nodes.iter().map(|(name, _)| *name).collect()
    }

    /// The recipe with a root shell on its consoles, and its lock.
    fn open(&self, dir: &Path, change: impl Fn(String) -> String) -> PathBuf {
        variant(dir, self.recipe, self.recipe, |text| {
            change(format!("{text}\n[access]\nconsole = \"shell\"\n"))
        })
    }

    /// etcdctl as the walkthrough calls it on a node.
    fn etcdctl(&self, words: &str) -> String {
        let [ca, cert, key] = self.files;
        format!(
            "{}/etcdctl --command-timeout=60s --endpoints=https://127.0.0.1:2379 --cacert={ca} \
             --cert={cert} --key={key} {words}",
            self.programs
        )
    }

    /// Every node runs, nothing failed, and the members answer from inside a node and from
    /// here; what is put on one side is got on the other.
    fn verify(&self, cluster: &mut Cluster) -> Console {
        let names = self.names();
        cluster.wait_healthy(&names, 900);
        cluster.wait_clean(&names, 300);
        let (first, last) = (names[0], names[names.len() - 1]);
        let mut console = Console::connect(&cluster.console_socket(first), 120);

        let said = console.run(&self.etcdctl("endpoint health --cluster"));
        for (_, address) in self.nodes {
            let healthy = format!("https://{address}:2379 is healthy");
            assert!(said.contains(&healthy), "{said}");
        }
        self.judge_members(&console.run(&self.etcdctl("member list")));
        assert_eq!(console.run(&self.etcdctl("put inside one")), "OK");

        let here = |words: &[&str]| must(etcdctl_here(cluster, &names).args(words));
        let said = here(&["endpoint", "health"]);
        assert_eq!(said.matches("is healthy").count(), names.len(), "{said}");
        self.judge_members(&here(&["member", "list"]));
        assert_eq!(here(&["get", "inside", "--print-value-only"]), "one\n");
        cluster.put(last, "outside", "two");
        let get = self.etcdctl("get outside --print-value-only");
        assert_eq!(console.run(&get), "two");
        console
    }

    fn judge_members(&self, said: &str) {
        for (name, address) in self.nodes {
            let member =
                format!("started, {name}, https://{address}:2380, https://{address}:2379, false");
            assert!(said.contains(&member), "{said}");
        }
        assert_eq!(said.lines().count(), self.nodes.len(), "{said}");
    }
}

/// This machine's etcdctl, with the admin bundle and every member's forwarded port.
fn etcdctl_here(cluster: &Cluster, names: &[&str]) -> Command {
    let endpoints: Vec<String> = names
        .iter()
        .map(|name| cluster.node(name).endpoint)
        .collect();
    let mut command = Command::new(compiled("etcdctl"));
    command.arg("--command-timeout=60s");
    command.arg(format!("--endpoints={}", endpoints.join(",")));
    for (flag, file) in [
        ("cacert", "ca.crt"),
        ("cert", "client.crt"),
        ("key", "client.key"),
    ] {
        let path = cluster.admin().join(file);
        command.arg(format!("--{flag}={}", path.display()));
    }
    command
}

/// Upstream's archive, kubeadm's certificates; the members come up one after the other.
#[test]
fn kubeadm_3node() {
    let _turn = one_at_a_time();
    reference();
    let (dir, out) = (scratch(), scratch());
    // The shared store has this version compiled: it is what the archive is made of here.
    let recipe = KUBEADM.open(dir.path(), |text| {
        text.replace("version = \"3.6.14\"", "version = \"3.6.16\"")
    });
    let archive = Archive::of_lock(
        &dir.path().join("archive"),
        &recipe.with_extension("lock"),
        "amd64",
    );
    let server = Server::start(&release_site(&dir.path().join("upstream")));
    let there = ["--etcd-mirror", &server.url("")];
    must(&mut lock(&recipe, &archive, &there));

    let mut options = there.to_vec();
    options.extend(["--memory", "256", "--hold", "e2", "--hold", "e3"]);
    let mut cluster = Cluster::start_in(dir.path(), &recipe, out.path(), &options);
    cluster.wait("e1 waits for its peers", 600, |nodes| {
        nodes
            .get("e1")
            .is_some_and(|node| node.report.contains("etcd=activating"))
    });
    // The walkthrough gives up after 50 s.
    std::thread::sleep(Duration::from_secs(20));
    cluster.command("start e2");
    std::thread::sleep(Duration::from_secs(35));
    cluster.command("start e3");
    let mut console = KUBEADM.verify(&mut cluster);

    let version = must(&mut cluster.curl("e3", "/version"));
    assert!(version.contains("\"etcdserver\":\"3.6.16\""), "{version}");
    let origin = console.run("cat /usr/share/doc/imgbuild/etcd-origin.json");
    assert!(
        origin.contains("etcd-v3.6.16-linux-amd64.tar.gz"),
        "{origin}"
    );
    // Metrics need no certificate on the node itself, and are nowhere else.
    let listening = console.run("cat /proc/net/tcp /proc/net/tcp6");
    let port = |address: &str| listening.contains(&format!(" {address}:094D "));
    assert!(port("0100007F") && !port("00000000"), "{listening}");
    // The authority's key is on no node, and none of the keys is for others to read.
    let keys = console.run("cd /etc/kubernetes/pki && stat -c '%a %n' *.key */*.key");
    let mut keys: Vec<&str> = keys.lines().collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "600 apiserver-etcd-client.key",
            "600 etcd/healthcheck-client.key",
            "600 etcd/peer.key",
            "600 etcd/server.key",
        ]
    );
    cluster.quit();
}

#[test]
fn envfile_3node() {
    let _turn = one_at_a_time();
    reference();
    let (dir, out) = (scratch(), scratch());
    let recipe = ENVFILE.open(dir.path(), |text| text);
    let options = ["--memory", "256"];
    let mut cluster = Cluster::start_in(dir.path(), &recipe, out.path(), &options);
    let mut console = ENVFILE.verify(&mut cluster);
    // The settings come from the file and from nowhere else.
    let line = console.run("tr '\\0' ' ' </proc/$(systemctl show -P MainPID etcd)/cmdline");
    assert_eq!(line.trim(), "/usr/local/bin/etcd");
    let shown = console
        .run("systemctl show etcd --property=EnvironmentFiles,WorkingDirectory,LimitNOFILE,User");
    for property in [
        "EnvironmentFiles=/etc/etcd/etcd.conf (ignore_errors=yes)",
        "WorkingDirectory=/var/lib/etcd",
        "LimitNOFILE=65536",
        "User=etcd",
    ] {
        assert!(shown.lines().any(|line| line == property), "{shown}");
    }
    cluster.quit();
}

#[test]
fn debian_3node() {
    let _turn = one_at_a_time();
    reference();
    let (dir, out) = (scratch(), scratch());
    let recipe = DEBIAN.open(dir.path(), |text| text);
    let options = ["--memory", "256"];
    let mut cluster = Cluster::start_in(dir.path(), &recipe, out.path(), &options);
    let mut console = DEBIAN.verify(&mut cluster);
    // It is Debian's own program, as dpkg knows it.
    let version = must(&mut cluster.curl("node2", "/version"));
    assert!(version.contains("\"etcdserver\":\"3.5.16\""), "{version}");
    let program = console.run("readlink /proc/$(systemctl show -P MainPID etcd)/exe");
    assert_eq!(program, "/usr/bin/etcd");
    cluster.quit();
}

/// etcd in a container, which is there again after a reboot, with its data.
#[test]
fn static_pod() {
    // Beside a cluster of the others: one machine keeps one processor busy.
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
