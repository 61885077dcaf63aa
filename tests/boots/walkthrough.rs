//! What a published walkthrough asks of its cluster, with its names, addresses and file paths.

use crate::support::cluster::Cluster;
use crate::support::console::Console;
use crate::support::upstream::compiled;
use crate::support::{must, repository, variant};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a walkthrough fixes.
pub(crate) struct Walkthrough {
    pub(crate) recipe: &'static str,
    /// Names and addresses, in the order of the recipe.
    pub(crate) nodes: &'static [(&'static str, &'static str)],
    /// The directory of etcd's programs.
    pub(crate) programs: &'static str,
    /// Where its etcdctl finds the first node's member.
    pub(crate) endpoint: &'static str,
    /// CA, certificate and key that its etcdctl is called with.
    pub(crate) files: [&'static str; 3],
}

impl Walkthrough {
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.nodes.iter().map(|(name, _)| *name).collect()
    }

    /// The recipe with a root shell on its consoles, and its lock.
    pub(crate) fn open(&self, dir: &Path, change: impl Fn(String) -> String) -> PathBuf {
        variant(dir, self.recipe, self.recipe, |text| {
            change(format!("{text}\n[access]\nconsole = \"shell\"\n"))
        })
    }

    /// etcdctl as the walkthrough calls it on a node.
    pub(crate) fn etcdctl(&self, words: &str) -> String {
        let [ca, cert, key] = self.files;
        format!(
            "{}/etcdctl --command-timeout=60s --endpoints={} --cacert={ca} \
             --cert={cert} --key={key} {words}",
            self.programs, self.endpoint
        )
    }

    /// Every node runs, nothing failed, and the members answer from inside a node and from
    /// here; what is put on one side is got on the other.
    pub(crate) fn verify(&self, cluster: &mut Cluster) -> Console {
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

/// The version of etcd that a recipe pins.
pub(crate) fn etcd_version(recipe: &str) -> String {
    let path = repository().join("recipes").join(format!("{recipe}.toml"));
    let text = fs_err::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with("version"));
    line.and_then(|line| line.split('"').nth(1))
        .unwrap()
        .to_owned()
}
