//! Recipes as the recipe crate resolves them, and a desk for the judges.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use fs_err as fs;
use imgbuild_base::{Epoch, Kind, Meta, Tree, TreePath};
use imgbuild_cluster::{Below, Composer, Owner, Passphrases, Sources};
use imgbuild_pki::ClusterSecret;
use imgbuild_recipe::Recipe;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// The lock's epoch in these tests.
pub const NOW: u32 = 1_780_000_000;
/// etcd's owner in these tests.
pub const ETCD: Owner = Owner { uid: 990, gid: 989 };

pub fn secret() -> ClusterSecret {
    ClusterSecret::from_bytes([9; 32])
}

/// The recipe that a text says.
pub fn recipe(text: &str) -> Recipe {
    let mut out = String::new();
    match imgbuild_recipe::load(text, "test.toml") {
        Ok(recipe) => recipe,
        Err(errors) => {
            for mistake in errors.mistakes() {
                out.push_str(&format!("{mistake} {:?}\n", mistake.help));
            }
            panic!("{out}")
        }
    }
}

const VM_3NODE: &str = r#"
[cluster]
name = "vm-3node"

[image]
board = "vm"

[etcd]

[pki]

[network]
subnet = "10.0.2.0/24"
gateway = "10.0.2.1"
dns = ["10.0.2.1"]
ntp = ["ntp.example.org"]

[access]
ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me"]

[[node]]
name = "n1"
address = "10.0.2.11"
extra_sans = ["etcd.example.org"]

[[node]]
name = "n2"
address = "10.0.2.12"

[[node]]
name = "n3"
address = "10.0.2.13"
"#;

/// Three virtual machines with kubeadm's certificates and an ssh server.
pub fn vm_3node() -> Recipe {
    recipe(VM_3NODE)
}

/// The same with more lines below `[etcd]` and below `[pki]`.
pub fn vm_3node_with(etcd: &str, pki: &str) -> Recipe {
    let text = VM_3NODE.replacen("[etcd]\n", &format!("[etcd]\n{etcd}\n"), 1);
    recipe(&text.replacen("[pki]\n", &format!("[pki]\n{pki}\n"), 1))
}

/// The same with more lines behind its second node.
pub fn vm_3node_where(n2: &str) -> Recipe {
    let address = "address = \"10.0.2.12\"\n";
    recipe(&VM_3NODE.replacen(address, &format!("{address}{n2}\n"), 1))
}

/// Two 32-bit Raspberry Pis with one certificate pair and flags in the unit.
pub fn pi_2node() -> Recipe {
    recipe(
        r#"
[cluster]
name = "pi-2node"
token = "etcd-cluster-0"

[image]
board = "raspberry-pi"
arch = "armhf"

[etcd]
config = "flags"
plain_local_listener = true

[pki]
layout = "shared"

[network]
subnet = "192.168.1.0/24"

[[node]]
name = "controller-0"
address = "192.168.1.20"

[[node]]
name = "controller-1"
address = "192.168.1.40"
"#,
    )
}

/// The recipes of docs/walkthroughs.md in which systemd runs etcd.
pub const WALKTHROUGHS: [&str; 4] = ["pi-2node", "kubeadm-3node", "envfile-3node", "debian-3node"];

/// A recipe that comes with the program.
pub fn shipped(name: &str) -> Recipe {
    let mut all = imgbuild_recipe::builtin::ALL.iter();
    let recipe = all.find(|one| one.name == name).unwrap();
    recipe.source().load().unwrap()
}

/// The composer and what it is made of, kept alive for `use_it`.
pub fn with<T>(recipe: &Recipe, use_it: impl FnOnce(&Composer<'_>) -> T) -> T {
    with_passphrases(recipe, &Passphrases::new(), use_it)
}

/// The same with passphrases of wireless networks.
pub fn with_passphrases<T>(
    recipe: &Recipe,
    passphrases: &Passphrases,
    use_it: impl FnOnce(&Composer<'_>) -> T,
) -> T {
    let secret = secret();
    let sources = sources();
    let composer = Composer::new(recipe, &secret, Epoch::from_u32(NOW), &sources).unwrap();
    use_it(&composer.with_passphrases(passphrases.clone()))
}

/// Files beside the recipe.
pub fn sources() -> Sources {
    let files = [
        ("motd", "Hello from a file.\n"),
        (
            "units/backup.timer",
            "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n",
        ),
        ("units/broken.service", "ExecStart=/bin/true\n"),
    ];
    let read = files.map(|(path, text)| (path.parse().unwrap(), text.into()));
    Sources::new(read.into())
}

/// A base layer with a few users, units and files.
pub fn below() -> Below {
    let mut tree = Tree::new();
    let mut put = |path: &str, mode: u16, gid: u32, text: &str| {
        let meta = Meta::root(mode, Epoch::ZERO).owned_by(0, gid);
        let path = TreePath::new(path).unwrap();
        match text {
            "/" => tree.put_dir(path, meta),
            _ => tree.put_file(path, meta, text.to_owned()),
        }
    };
    let etcd = format!(
        "etcd:x:{}:{}:etcd:/var/lib/etcd:/bin/false\n",
        ETCD.uid, ETCD.gid
    );
    put(
        "etc/passwd",
        0o644,
        0,
        &format!("root:x:0:0:root:/root:/bin/sh\n{etcd}"),
    );
    let groups = format!("root:x:0:\nshadow:x:42:\netcd:x:{}:\n", ETCD.gid);
    put("etc/group", 0o644, 0, &groups);
    put(
        "etc/shadow",
        0o640,
        42,
        "root:*:20000:0:99999:7:::\netcd:*:20000:0:99999:7:::\n",
    );
    put("root", 0o700, 0, "/");
    put("etc/fstab", 0o644, 0, "# nothing\n");
    put("usr/share/doc", 0o755, 0, "/");
    let unit =
        "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\nAlso=ssh.socket\n";
    put("usr/lib/systemd/system/ssh.service", 0o644, 0, unit);
    let socket = "[Socket]\nListenStream=22\n[Install]\nWantedBy=sockets.target\n";
    put("usr/lib/systemd/system/ssh.socket", 0o644, 0, socket);
    put(
        "usr/lib/systemd/system/static.service",
        0o644,
        0,
        "[Service]\nExecStart=/bin/true\n",
    );
    put(
        "usr/lib/systemd/system/one@.service",
        0o644,
        0,
        "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
    );
    let link = |name: &str| TreePath::new(&format!("etc/systemd/system/{name}")).unwrap();
    tree.put_link(link("masked.service"), "/dev/null", Epoch::ZERO);
    tree.put_link(
        link("sshd.service"),
        "/usr/lib/systemd/system/ssh.service",
        Epoch::ZERO,
    );
    tree.put_link(TreePath::new("bin").unwrap(), "usr/bin", Epoch::ZERO);
    Below::new(tree).unwrap()
}

/// Every node's layer, by name.
pub fn layers(recipe: &Recipe) -> Vec<(String, Tree)> {
    with(recipe, |composer| {
        recipe
            .nodes
            .iter()
            .map(|node| {
                (
                    node.name.to_string(),
                    composer.node(node, &below()).unwrap(),
                )
            })
            .collect()
    })
}

/// The text of the file at `path`.
pub fn text(tree: &Tree, path: &str) -> String {
    let bytes = tree.file(path).unwrap_or_else(|| panic!("no /{path}"));
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// One line an entry: mode, owner, path, and what it is. What is secret, or follows from a
/// secret, shows no digest.
pub fn listing(tree: &Tree) -> String {
    let mut out = String::new();
    for (path, entry) in tree.iter() {
        let meta = entry.meta;
        let what = match &entry.kind {
            Kind::Directory => "/".to_owned(),
            Kind::Symlink(target) => format!(" -> {target}"),
            Kind::CharDevice { .. } => " (device)".to_owned(),
            Kind::File(_) if meta.mode & 0o007 == 0 => "  (private)".to_owned(),
            Kind::File(body) => format!("  {}", body.digest().short()),
        };
        let (mode, uid, gid) = (meta.mode, meta.uid, meta.gid);
        writeln!(out, "{mode:04o} {uid:>3}:{gid:<3} /{path}{what}").unwrap();
    }
    out
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
