use super::*;

const RECIPE: &str = r#"
cluster = { name = "home" }
image = { board = "vm" }
network = { subnet = "10.0.0.0/24" }
node = [{ name = "a", address = "10.0.0.1" }, { name = "b", address = "10.0.0.2" }]
"#;

fn network(recipe: &str) -> String {
    let recipe = imgbuild_recipe::load(recipe, "home.toml").unwrap();
    let guests = recipe.nodes.iter().map(|node| Guest {
        node,
        image: "image",
        name: format!("home-{}", node.name),
        mac: mac(node),
    });
    network::xml(&Cluster {
        recipe: &recipe,
        name: "home",
        driver: "qcow2",
        bases: Vec::new(),
        guests: guests.collect(),
    })
}

#[test]
fn without_a_gateway_the_network_is_isolated_and_the_host_has_a_free_address() {
    let text = network(RECIPE);
    assert!(!text.contains("forward"), "{text}");
    assert!(text.contains(r#"address="10.0.0.3" prefix="24""#), "{text}");
}

#[test]
fn the_host_is_the_nodes_gateway() {
    let text = network(&RECIPE.replace("/24\"", "/24\", gateway = \"10.0.0.254\""));
    assert!(text.contains(r#"<forward mode="nat"/>"#), "{text}");
    assert!(text.contains(r#"address="10.0.0.254""#), "{text}");
}

#[test]
fn nodes_that_ask_get_their_addresses() {
    let text = network(&RECIPE.replace("/24\"", "/24\", mode = \"dhcp\""));
    assert_eq!(text.matches("<host mac=\"52:54:00:").count(), 2, "{text}");
    assert!(text.contains(r#"name="b" ip="10.0.0.2""#), "{text}");
}

#[test]
fn an_ipv6_subnet() {
    let six = RECIPE.replace("10.0.0.0/24", "fd00::/64");
    let text = network(
        &six.replace("10.0.0.1", "fd00::1")
            .replace("10.0.0.2", "fd00::2"),
    );
    assert!(
        text.contains(r#"family="ipv6" address="fd00::3" prefix="64""#),
        "{text}"
    );
}
