//! Recipes as the recipe crate resolves them, and a desk for the judges.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use fs_err as fs;
use imgbuild_base::{Arch, ByteSize, Epoch, Kind, Tree};
use imgbuild_cluster::{Composer, Owner, SystemIds};
use imgbuild_pki::ClusterSecret;
use imgbuild_recipe::Recipe;
use imgbuild_recipe::resolved::*;
use imgbuild_recipe::values::{AutoCompaction, San};
use std::path::Path;
use std::process::Command;

/// The lock's epoch in these tests.
pub const NOW: u32 = 1_780_000_000;
/// etcd's owner in these tests.
pub const ETCD: Owner = Owner { uid: 990, gid: 989 };

pub fn secret() -> ClusterSecret {
    ClusterSecret::from_bytes([9; 32])
}

fn node(name: &str, address: &str, tuning: &Tuning) -> Node {
    Node {
        name: name.parse().unwrap(),
        address: address.parse().unwrap(),
        network: Network {
            interface: "eth0".parse().unwrap(),
            addressing: Addressing::Static { gateway: None },
            dns: Vec::new(),
            ntp: Vec::new(),
        },
        tuning: tuning.clone(),
        extra_sans: Vec::new(),
    }
}

fn tuning(heartbeat_ms: u32, quota_mib: u32) -> Tuning {
    Tuning {
        heartbeat_ms,
        election_ms: heartbeat_ms * 10,
        snapshot_count: 10_000,
        quota: ByteSize::mib(quota_mib),
        auto_compaction: AutoCompaction::Periodic {
            minutes: 480.try_into().unwrap(),
        },
        log_level: LogLevel::Info,
        metrics: Some("127.0.0.1:2381".parse().unwrap()),
    }
}

fn image(board: Board, arch: Arch) -> Image {
    Image {
        board,
        arch,
        suite: Suite::Trixie,
        components: vec![Component::Main],
        mirrors: Vec::new(),
        size: DiskSize::Fit,
        boot_reserve: ByteSize::mib(16),
        packages: Vec::new(),
        zstd_level: 9,
    }
}

/// Three virtual machines with kubeadm's certificates and an ssh server.
pub fn vm_3node() -> Recipe {
    let tuning = tuning(100, 2048);
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me";
    let mut nodes = vec![
        node("n1", "10.0.2.11", &tuning),
        node("n2", "10.0.2.12", &tuning),
        node("n3", "10.0.2.13", &tuning),
    ];
    for node in &mut nodes {
        node.network.addressing = Addressing::Static {
            gateway: Some("10.0.2.1".parse().unwrap()),
        };
        node.network.dns = vec!["10.0.2.1".parse().unwrap()];
        node.network.ntp = vec![San::Dns("ntp.example.org".into())];
    }
    nodes[0].extra_sans = vec![San::Dns("etcd.example.org".into())];
    Recipe {
        cluster: Cluster {
            name: "vm-3node".parse().unwrap(),
            token: "vm-3node".parse().unwrap(),
        },
        image: image(Board::Vm, Arch::Amd64),
        etcd: Etcd {
            source: EtcdSource::Release {
                version: "3.6.16".parse().unwrap(),
            },
            bin_dir: "usr/local/bin".parse().unwrap(),
            data_dir: "var/lib/etcd".parse().unwrap(),
            config: ConfigStyle::File,
            plain_local_listener: false,
        },
        pki: Pki {
            layout: PkiLayout::Kubeadm {
                dir: "etc/kubernetes/pki".parse().unwrap(),
            },
            leaf_days: 365,
            ca_days: 3650,
            generation: 1,
        },
        subnet: "10.0.2.0/24".parse().unwrap(),
        access: Access {
            ssh: Some(Ssh {
                keys: vec![key.parse().unwrap()],
            }),
            console: Console::Log,
        },
        nodes,
        warnings: Vec::new(),
    }
}

/// Two 32-bit Raspberry Pis with one certificate pair and flags in the unit.
pub fn pi_2node() -> Recipe {
    let tuning = tuning(500, 512);
    Recipe {
        cluster: Cluster {
            name: "pi-2node".parse().unwrap(),
            token: "etcd-cluster-0".parse().unwrap(),
        },
        image: image(Board::RaspberryPi, Arch::Armhf),
        etcd: Etcd {
            source: EtcdSource::Build {
                version: "3.6.16".parse().unwrap(),
            },
            config: ConfigStyle::Flags,
            plain_local_listener: true,
            ..vm_3node().etcd
        },
        pki: Pki {
            layout: PkiLayout::Shared {
                dir: "etc/etcd".parse().unwrap(),
            },
            ..vm_3node().pki
        },
        subnet: "192.168.1.0/24".parse().unwrap(),
        access: Access {
            ssh: None,
            console: Console::Log,
        },
        nodes: vec![
            node("controller-0", "192.168.1.20", &tuning),
            node("controller-1", "192.168.1.40", &tuning),
        ],
        warnings: vec![Warning::EvenMembers {
            members: 2,
            majority: 2,
        }],
    }
}

/// The composer and what it is made of, kept alive for `use_it`.
pub fn with<T>(recipe: &Recipe, use_it: impl FnOnce(&Composer<'_>) -> T) -> T {
    let secret = secret();
    let ids = SystemIds { etcd: ETCD };
    let composer = Composer::new(recipe, &secret, Epoch::from_u32(NOW), ids).unwrap();
    use_it(&composer)
}

/// Every node's layer, by name.
pub fn layers(recipe: &Recipe) -> Vec<(String, Tree)> {
    with(recipe, |composer| {
        recipe
            .nodes
            .iter()
            .map(|node| (node.name.to_string(), composer.node(node).unwrap()))
            .collect()
    })
}

/// The text of the file at `path`.
pub fn text(tree: &Tree, path: &str) -> String {
    let bytes = tree.file(path).unwrap_or_else(|| panic!("no /{path}"));
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Writes a tree's files and links below `dir`, with their modes.
pub fn unpack(tree: &Tree, dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    for (path, entry) in tree.iter() {
        let to = dir.join(path.as_str());
        match &entry.kind {
            Kind::Directory => fs::create_dir_all(&to).unwrap(),
            Kind::File(body) => {
                fs::write(&to, body.bytes()).unwrap();
                let mode = std::fs::Permissions::from_mode(u32::from(entry.meta.mode));
                fs::set_permissions(&to, mode).unwrap();
            }
            Kind::Symlink(target) => fs::os::unix::fs::symlink(target, &to).unwrap(),
            Kind::CharDevice { .. } => panic!("a node's layer has no devices"),
        }
    }
}

/// Whether a command succeeded in `dir`, and all it said. It must exist.
pub fn run(dir: &Path, program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed to judge: {error}"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// What the command said; it must succeed.
pub fn ok(dir: &Path, program: &str, arguments: &[&str]) -> String {
    let (success, said) = run(dir, program, arguments);
    assert!(success, "{program} {}: {said}", arguments.join(" "));
    said
}
