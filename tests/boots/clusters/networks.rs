//! A cluster on IPv6 behind a firewall.

use crate::support::cluster::Cluster;
use crate::support::console::Console;
use crate::support::inputs::assert_says;
use crate::support::{imgbuild, must, scratch, turn, variant};

#[test]
fn an_ipv6_cluster_forms_behind_its_firewalls() {
    let _turn = turn::cluster();
    let (dir, out) = (scratch(), scratch());
    let recipe = variant(dir.path(), "vm-1node", "six", |text| {
        let head = text.split("[network]").next().unwrap();
        format!(
            "{head}\n[access]\nconsole = \"shell\"\n[network]\nsubnet = \"fd00:7::/64\"\n\
             gateway = \"fd00:7::1\"\ndomain = \"six.example\"\n[firewall]\nenabled = true\n\
             clients = [\"fd00:9::/64\"]\n[[node]]\nname = \"six-0\"\naddress = \"fd00:7::10\"\n\
             [[node]]\nname = \"six-1\"\naddress = \"fd00:7::11\"\n"
        )
    });
    must(imgbuild().arg("lock").arg(&recipe));
    let nodes = ["six-0", "six-1"];
    let mut cluster = Cluster::start_in(dir.path(), &recipe, out.path(), &["--memory", "256"]);
    cluster.wait_healthy(&nodes, 900);
    cluster.wait_clean(&nodes, 300);
    cluster.put("six-0", "over", "IPv6");
    assert_eq!(cluster.get("six-1", "over").as_deref(), Some("IPv6"));
    for (name, urls) in cluster.members("six-0") {
        let last = name.trim_start_matches("six-");
        assert_eq!(urls, format!("https://[fd00:7::1{last}]:2379"));
    }

    // The rules are there, what is not allowed was counted: the node that asks is a member, but
    // nothing on another port than etcd's answers it.
    let mut console = Console::connect(&cluster.console_socket("six-0"), 120);
    let rules = console.run("nft list table inet imgbuild");
    assert_says(&rules, &["policy drop", "fd00:9::/64"]);
    let full = console.run("getent hosts six-1.six.example");
    assert_says(&full, &["fd00:7::11"]);
    let dropped = |console: &mut Console| {
        let rules = console.run("nft list table inet imgbuild");
        let line = rules.lines().find(|line| line.contains("dropped"));
        let count = line.unwrap().split_whitespace().nth(2).unwrap();
        count.parse::<u32>().unwrap()
    };
    let before = dropped(&mut console);
    let mut other = Console::connect(&cluster.console_socket("six-1"), 120);
    other.run("! ETCDCTL_ENDPOINTS=http://[fd00:7::10]:8080 etcdctl --command-timeout=3s get x");
    assert!(dropped(&mut console) > before, "nothing was dropped");
    cluster.quit();
}
