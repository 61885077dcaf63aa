//! `vm-1node-arm64` boots by UEFI and lets in whom its recipe names.

use crate::support::cluster::Cluster;
use crate::support::console::Console;
use crate::support::{must, must_fail, repository, scratch, tool, turn};
use std::path::Path;
use std::process::Command;

/// `vm-1node-arm64`, opened by ssh and on its console: it boots by UEFI from the image alone.
#[test]
fn an_arm64_vm_lets_in_who_has_a_key() {
    const NODE: &str = "etcd-0";
    let _turn = turn::machine();
    let (dir, out) = (scratch(), scratch());
    let key = new_key(dir.path(), "key");
    let recipe = recipe_with_key(dir.path(), &key);
    let mut cluster = Cluster::start(recipe.to_str().unwrap(), out.path(), &["--memory", "256"]);
    cluster.wait_healthy(&[NODE], 900);
    cluster.wait_clean(&[NODE], 300);
    cluster.put(NODE, "key", "value");
    assert_eq!(cluster.get(NODE, "key").as_deref(), Some("value"));

    // The host key is the one that the admin bundle knows, under the node's name.
    let port = cluster.node(NODE).ssh_port.unwrap().to_string();
    let ssh = |key: &str, name: &str, words: &[&str]| {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-p", &port, "-i", key])
            .args(["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"])
            .args(["-o", "StrictHostKeyChecking=yes"])
            .args(["-o", "GlobalKnownHostsFile=/dev/null", "-o"])
            .arg(format!(
                "UserKnownHostsFile={}",
                out.path().join("admin/ssh_known_hosts").display()
            ))
            .arg("-o")
            .arg(format!("HostKeyAlias={name}"))
            .arg("root@127.0.0.1")
            .args(words);
        ssh
    };
    let on_node = |words: &[&str]| must(&mut ssh(&key, NODE, words));
    assert_eq!(on_node(&["id", "-un"]), "root\n");
    assert_eq!(on_node(&["uname", "-m"]), "aarch64\n");
    let version = on_node(&["/usr/local/bin/etcd", "--version"]);
    assert!(version.contains("linux/arm64"), "{version}");
    // Emulated, under load, a handshake may take longer than etcdctl waits for by itself.
    let patient = ["--dial-timeout=60s", "--command-timeout=60s"];
    let members = on_node(&["etcdctl", patient[0], patient[1], "member", "list"]);
    assert!(members.contains(NODE), "{members}");
    assert_eq!(
        on_node(&["systemctl", "is-enabled", "ssh.service"]),
        "enabled\n"
    );
    let separation = on_node(&["id -u sshd >/dev/null && stat -c '%U %a' /run/sshd"]);
    assert_eq!(separation, "root 755\n");

    // Keys are the only way in, only this key, and nobody is taken for the node who is not.
    let stranger = new_key(dir.path(), "stranger");
    let refused = must_fail(&mut ssh(&stranger, NODE, &["true"]), 255);
    assert!(
        refused.contains("Permission denied (publickey)."),
        "{refused}"
    );
    let password = ["-o", "PubkeyAuthentication=no"];
    let refused = must_fail(ssh(&key, NODE, &[]).args(password), 255);
    assert!(
        refused.contains("Permission denied (publickey)."),
        "{refused}"
    );
    let unknown = must_fail(&mut ssh(&key, "etcd-9", &["true"]), 255);
    assert!(
        unknown.contains("Host key verification failed"),
        "{unknown}"
    );

    // The console offers a root shell on the port that this architecture has.
    let mut console = Console::connect(&cluster.console_socket(NODE), 120);
    let said = console.run("id -un; cat /etc/hostname; tty");
    assert_eq!(said, "root\netcd-0\n/dev/ttyAMA0");
    drop(console);
    cluster.quit();
}

/// A new key pair; the path of its private half.
fn new_key(dir: &Path, name: &str) -> String {
    let path = dir.join(name).display().to_string();
    tool(
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "", "-f", &path],
    );
    path
}

/// The tests' own recipe with this key in place of its own.
fn recipe_with_key(dir: &Path, key: &str) -> std::path::PathBuf {
    let from = repository().join("tests/recipes/ssh-arm64.toml");
    let text = fs_err::read_to_string(&from).unwrap();
    let public = fs_err::read_to_string(format!("{key}.pub")).unwrap();
    let (before, rest) = text.split_once("ssh_keys = [\"").unwrap();
    let (_, after) = rest.split_once("\"]").unwrap();
    let text = format!("{before}ssh_keys = [\"{}\"]{after}", public.trim());
    let to = dir.join("ssh-arm64.toml");
    fs_err::write(&to, text).unwrap();
    fs_err::copy(from.with_extension("lock"), to.with_extension("lock")).unwrap();
    to
}
