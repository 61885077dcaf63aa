//! A node whose address comes from DHCP on a VLAN, on the card that its recipe names.

use crate::support::cluster::Cluster;
use crate::support::console::Console;
use crate::support::inputs::assert_says;
use crate::support::{scratch, turn, variant};

#[test]
fn a_node_finds_its_address_by_dhcp_on_a_vlan() {
    let _turn = turn::machine();
    let (dir, out) = (scratch(), scratch());
    let recipe = variant(dir.path(), "vm-1node", "dhcp", |text| {
        let head = text.split("[network]").next().unwrap();
        format!(
            "{head}\n[access]\nconsole = \"shell\"\n[network]\nsubnet = \"10.40.0.0/24\"\n\
             mode = \"dhcp\"\nvlan = 40\nsearch = [\"a.example\"]\n\
             hosts = [\"10.40.0.7 registry\"]\n[[node]]\nname = \"etcd-0\"\n\
             address = \"10.40.0.10\"\n[node.network]\nmac = \"52:54:00:0a:0b:0c\"\n\
             interface = \"lan\"\n[[node.network.extra]]\ninterface = \"lan\"\n\
             mac = \"52:54:00:0a:0b:0c\"\nvlan = 7\naddresses = [\"10.7.0.10/24\"]\n"
        )
    });
    let mut cluster = Cluster::start_in(dir.path(), &recipe, out.path(), &["--memory", "256"]);
    cluster.wait_healthy(&["etcd-0"], 900);
    cluster.wait_clean(&["etcd-0"], 300);
    let mut console = Console::connect(&cluster.console_socket("etcd-0"), 120);
    let addresses = console.run("cat /proc/net/fib_trie");
    assert_says(&addresses, &["10.40.0.10", "10.7.0.10"]);
    assert_eq!(
        console.run("cat /sys/class/net/lan.40/address"),
        "52:54:00:0a:0b:0c"
    );
    // The name server is the DHCP server's, the domain the recipe's.
    assert_eq!(
        console.run("cat /etc/resolv.conf"),
        "nameserver 10.40.0.254\nsearch a.example"
    );
    assert_says(&console.run("getent hosts registry"), &["10.40.0.7"]);
    cluster.quit();
}
