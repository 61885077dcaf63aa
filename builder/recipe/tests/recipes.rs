//! Recipes that load: the shipped ones, the smallest, and one with every key.
#![allow(clippy::unwrap_used)]

use imgbuild_base::{Arch, ByteSize};
use imgbuild_recipe::etcd_options::OptionValue;
use imgbuild_recipe::language::{Absent, RECIPE, Section, Shape};
use imgbuild_recipe::resolved::{
    Addressing, Board, Component, ConfigStyle, Console, DiskSize, EtcdSource, KeyKind, KeyOwner,
    Node, PkiAuthority, PkiLayout, Warning,
};
use imgbuild_recipe::values::{AdvertisedUrl, AutoCompaction, San};
use imgbuild_recipe::{LockInputs, Origin, Recipe, builtin, find, list, load, reference};
use proptest::prelude::*;
use std::num::NonZeroU64;

fn shipped(name: &str) -> Recipe {
    let source = builtin::ALL.iter().find(|one| one.name == name).unwrap();
    source.source().load().unwrap()
}

fn smallest(image: &str, rest: &str) -> Recipe {
    let text = format!(
        "[cluster]\nname = \"home\"\n[image]\n{image}\n[network]\nsubnet = \"10.0.0.0/24\"\n\
         [[node]]\nname = \"a\"\naddress = \"10.0.0.10\"\n{rest}"
    );
    load(&text, "smallest.toml").unwrap()
}

#[test]
fn shipped_recipes_are_what_they_say() {
    let two = shipped("pi-2node");
    assert_eq!(
        (two.image.board, two.image.arch),
        (Board::RaspberryPi, Arch::Armhf)
    );
    assert_eq!(two.cluster.token.as_str(), "etcd-cluster-0");
    let nodes: Vec<String> = two
        .nodes
        .iter()
        .map(|node| format!("{} {}", node.name, node.address))
        .collect();
    assert_eq!(
        nodes,
        ["controller-0 192.168.1.20", "controller-1 192.168.1.40"]
    );
    let etcd = &two.nodes[1].etcd;
    assert!(matches!(etcd.source, EtcdSource::Build { .. }));
    assert!(etcd.plain_local_listener);
    assert_eq!(etcd.config, ConfigStyle::Flags);
    assert_eq!(etcd.bin_dir.absolute(), "/usr/local/bin");
    let layout = &two.nodes[1].pki.layout;
    assert!(matches!(layout, PkiLayout::Shared { dir } if dir.absolute() == "/etc/etcd"));
    assert_eq!(
        two.warnings[0].to_string(),
        "2 members: 2 of them must be up for the cluster to work, so it tolerates no failure, \
         as a single one would"
    );

    for (name, board, arch, nodes) in [
        ("pi-3node", Board::RaspberryPi, Arch::Arm64, 3),
        ("vm-3node", Board::Vm, Arch::Amd64, 3),
        ("vm-1node", Board::Vm, Arch::Amd64, 1),
        ("vm-1node-arm64", Board::Vm, Arch::Arm64, 1),
    ] {
        let recipe = shipped(name);
        assert_eq!((recipe.image.board, recipe.image.arch), (board, arch));
        assert_eq!(recipe.nodes.len(), nodes);
        assert_eq!(recipe.cluster.name.as_str(), name);
        assert!(matches!(
            recipe.nodes[0].pki.layout,
            PkiLayout::Kubeadm { .. }
        ));
        assert_eq!(recipe.warnings, []);
    }
}

/// Name and address of each node, and what is particular, of the walkthroughs' recipes.
#[test]
fn walkthroughs_are_what_they_say() {
    for (name, nodes, source, config, pki) in [
        (
            "kubeadm-3node",
            "e1 10.1.1.93, e2 10.1.1.92, e3 10.1.1.91",
            "release",
            ConfigStyle::Flags,
            "kubeadm /etc/kubernetes/pki",
        ),
        (
            "envfile-3node",
            "infra1 10.0.2.10, infra2 10.0.2.11, infra3 10.0.2.12",
            "build",
            ConfigStyle::Environment,
            "shared /etc/kubernetes/ssl",
        ),
        (
            "debian-3node",
            "master 10.140.0.2, node1 10.140.0.3, node2 10.140.0.4",
            "debian",
            ConfigStyle::Flags,
            "shared /etc/etcd",
        ),
        (
            "static-pod",
            "k8s-tutorial 10.0.2.15",
            "build",
            ConfigStyle::Flags,
            "kubeadm /etc/kubernetes/pki",
        ),
    ] {
        let recipe = shipped(name);
        assert_eq!(
            (recipe.image.board, recipe.image.arch),
            (Board::Vm, Arch::Amd64)
        );
        let found: Vec<String> = recipe
            .nodes
            .iter()
            .map(|node| format!("{} {}", node.name, node.address))
            .collect();
        assert_eq!(found.join(", "), nodes);
        assert_eq!(recipe.nodes[0].etcd.source.as_str(), source);
        assert_eq!(recipe.nodes[0].etcd.config, config);
        let image = (name == "static-pod").then_some("localhost/etcd:3.6.16");
        assert_eq!(recipe.nodes[0].etcd.container_image().as_deref(), image);
        let locked = LockInputs::of(&recipe);
        let run = locked.iter().find(|(key, _)| *key == "etcd.run");
        assert_eq!(run.is_some(), image.is_some());
        assert_eq!(recipe.nodes[0].access.console, Console::Log);
        let layout = match &recipe.nodes[0].pki.layout {
            PkiLayout::Kubeadm { dir } => format!("kubeadm {}", dir.absolute()),
            PkiLayout::Shared { dir } => format!("shared {}", dir.absolute()),
        };
        assert_eq!(layout, pki);
        assert_eq!(recipe.warnings, []);
    }
}

#[test]
fn a_lock_knows_whether_a_bios_starts_the_image() {
    let inputs = |image: &str| LockInputs::of(&smallest(image, ""));
    let plain = inputs("board = \"vm\"");
    assert_eq!(inputs("board = \"vm\"\nfirmware = \"uefi\""), plain);
    let hybrid = inputs("board = \"vm\"\nfirmware = \"hybrid\"");
    let differences = hybrid.differences(&plain);
    let keys: Vec<&str> = differences.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["image.firmware"]);
}

#[test]
fn defaults_depend_on_the_machine() {
    let vm = smallest("board = \"vm\"", "");
    assert_eq!(vm.image.arch, Arch::Amd64);
    assert_eq!(
        vm.nodes[0].image.size,
        DiskSize::Exactly(ByteSize::mib(384))
    );
    assert_eq!(vm.image.components, [Component::Main]);
    assert!(matches!(
        vm.nodes[0].etcd.source,
        EtcdSource::Release { .. }
    ));
    let tuning = &vm.nodes[0].tuning;
    assert_eq!((tuning.heartbeat_ms, tuning.election_ms), (100, 1000));
    assert_eq!(tuning.quota, ByteSize::mib(2048));

    let pi = smallest("board = \"raspberry-pi\"\narch = \"armhf\"", "");
    assert_eq!(pi.nodes[0].image.size, DiskSize::Fit);
    assert_eq!(
        pi.image.components,
        [Component::Main, Component::NonFreeFirmware]
    );
    assert!(matches!(pi.nodes[0].etcd.source, EtcdSource::Build { .. }));
    let tuning = &pi.nodes[0].tuning;
    assert_eq!((tuning.heartbeat_ms, tuning.election_ms), (500, 5000));
    assert_eq!(tuning.quota, ByteSize::mib(512));

    let debian = smallest("board = \"vm\"\n[etcd]\nsource = \"debian\"", "");
    assert_eq!(debian.nodes[0].etcd.source, EtcdSource::Debian);
    assert_eq!(debian.nodes[0].etcd.bin_dir.absolute(), "/usr/bin");
    assert_eq!(debian.nodes[0].etcd.version(), None);
}

#[test]
fn a_node_overrides_its_cluster() {
    let recipe = smallest(
        "board = \"vm\"\n[pki]\nextra_sans = [\"lb.example.org\"]\n[etcd]\nheartbeat_ms = 50",
        "extra_sans = [\"10.0.0.99\"]\n[node.network]\ninterface = \"ens3\"\ngateway = \"10.0.0.2\"\n\
         dns = [\"10.0.0.3\"]\nntp = [\"time.example.org\"]\n[node.etcd]\nquota = \"4G\"\n\
         auto_compaction = \"1000 revisions\"\nmetrics = \"off\"\nsnapshot_count = 5\n\
         log_level = \"warn\"\n[[node]]\nname = \"b\"\naddress = \"10.0.0.11\"\n\
         [node.network]\nmode = \"dhcp\"\n[node.etcd]\nheartbeat_ms = 70",
    );
    let [first, second] = &recipe.nodes[..] else {
        panic!()
    };
    assert_eq!(first.firewall, None);
    assert_eq!(first.network.interface.as_str(), "ens3");
    let gateway = Some("10.0.0.2".parse().unwrap());
    assert_eq!(first.network.addressing, Addressing::Static { gateway });
    assert_eq!(
        first.network.dns,
        ["10.0.0.3".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(first.network.ntp, [San::Dns("time.example.org".into())]);
    assert_eq!(
        first.extra_sans,
        [
            San::Dns("lb.example.org".into()),
            San::Ip("10.0.0.99".parse().unwrap())
        ]
    );
    assert_eq!(first.tuning.quota, ByteSize::mib(4096));
    let count = NonZeroU64::new(1000).unwrap();
    assert_eq!(
        first.tuning.auto_compaction,
        AutoCompaction::Revisions { count }
    );
    assert_eq!(
        (first.tuning.metrics, first.tuning.snapshot_count),
        (None, 5)
    );
    assert_eq!(
        (first.tuning.heartbeat_ms, first.tuning.election_ms),
        (50, 500)
    );

    assert_eq!(second.network.interface.as_str(), "eth0");
    assert_eq!(second.network.addressing, Addressing::Dhcp);
    assert_eq!(
        (second.tuning.heartbeat_ms, second.tuning.election_ms),
        (70, 700)
    );
    assert_eq!(second.tuning.quota, ByteSize::mib(2048));
}

#[test]
fn a_node_s_options_come_over_the_cluster_s() {
    let recipe = smallest(
        "board = \"vm\"\n[etcd]\nwal_dir = \"/var/lib/etcd-wal\"\nconfig_path = \"/etc/etcd.yml\"\n\
         client_listeners = [\"0.0.0.0:2379\"]\nmetrics_listeners = [\"10.0.0.10:2381\"]\n\
         advertise_client = [\"https://{name}.example.org:2379\"]\n\
         advertise_peer = [\"https://{address}:2380\"]\n\
         [etcd.options]\nmax-request-bytes = 4194304\nunsafe-no-fsync = true\n\
         grpc-keepalive-timeout = \"20s\"\nlog-outputs = [\"stderr\"]\n\
         [etcd.environment]\nGOGC = \"50\"\nGOMEMLIMIT = \"200MiB\"",
        "[node.etcd]\npeer_listeners = [\"10.0.0.11:2380\"]\n\
         [node.etcd.options]\nmax-request-bytes = 100\npre-vote = false\n\
         [node.etcd.environment]\nGOGC = \"75\"\n\
         [[node]]\nname = \"b\"\naddress = \"10.0.0.12\"\n[node.etcd]\nclient_listeners = []\n\
         advertise_client = []",
    );
    assert_eq!(
        recipe.nodes[0].etcd.wal_dir.as_ref().unwrap().absolute(),
        "/var/lib/etcd-wal"
    );
    assert_eq!(
        recipe.nodes[0]
            .etcd
            .config_path
            .as_ref()
            .unwrap()
            .absolute(),
        "/etc/etcd.yml"
    );
    let (first, second) = (&recipe.nodes[0], &recipe.nodes[1]);
    let options = &first.tuning.options;
    assert_eq!(options["max-request-bytes"], OptionValue::Number(100));
    assert_eq!(options["pre-vote"], OptionValue::Flag(false));
    assert_eq!(options.len(), 5);
    assert_eq!(
        second.tuning.options["max-request-bytes"],
        OptionValue::Number(4_194_304)
    );
    let variables = |node: &Node| -> Vec<String> {
        let all = node.tuning.environment.iter();
        all.map(|(name, value)| format!("{name}={}", value.as_str()))
            .collect()
    };
    assert_eq!(variables(first), ["GOGC=75", "GOMEMLIMIT=200MiB"]);
    assert_eq!(variables(second), ["GOGC=50", "GOMEMLIMIT=200MiB"]);
    let told = |urls: &[AdvertisedUrl]| urls.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        told(&first.advertised.client),
        ["https://a.example.org:2379"]
    );
    assert_eq!(told(&first.advertised.peer), ["https://10.0.0.10:2380"]);
    assert_eq!(first.extra_sans[0], San::Dns("a.example.org".into()));
    assert_eq!(told(&second.advertised.client), [""; 0]);
    assert_eq!(first.tuning.listeners.client.len(), 1);
    assert_eq!(first.tuning.listeners.peer.len(), 1);
    assert_eq!(second.tuning.listeners.client, []);
    assert_eq!(second.tuning.listeners.metrics.len(), 1);
    assert_eq!(
        recipe.warnings[1].to_string(),
        "a: with unsafe-no-fsync a power cut may lose or damage etcd's data"
    );
}

#[test]
fn certificates_of_every_kind() {
    let recipe = smallest(
        "board = \"vm\"\n[pki]\nkey = \"ed25519\"\nauthority_key = \"rsa-4096\"\n\
         [pki.files]\nca = \"our-ca.crt\"\nserver_key = \"private/server.key\"\n\
         [[pki.client]]\nname = \"prometheus\"\n\
         [[pki.client]]\nname = \"backup\"\ncommon_name = \"root\"\norganisation = \"ops\"\ndays = 30\n\
         key = \"p256\"\nadmin = false\ndir = \"/etc/backup\"\nowner = \"etcd\"\nmode = \"0440\"\n\
         nodes = [\"a\"]\n[[pki.client]]\nname = \"all\"\ndir = \"/etc/all\"",
        "[node.pki]\nkey = \"rsa-2048\"\ngeneration = 3\nleaf_days = 90\n\
         [[node]]\nname = \"b\"\naddress = \"10.0.0.12\"",
    );
    let pki = &recipe.pki;
    assert_eq!(
        pki.authority,
        PkiAuthority::Derived {
            common_name: "etcd-ca",
            key: KeyKind::Rsa4096,
            days: 3650
        }
    );
    let (first, second) = (recipe.nodes[0].pki.leaf, recipe.nodes[1].pki.leaf);
    assert_eq!(
        (first.key, first.generation, first.days),
        (KeyKind::Rsa2048, 3, 90)
    );
    assert_eq!(
        (second.key, second.generation, second.days),
        (KeyKind::Ed25519, 1, 365)
    );
    assert_eq!(recipe.nodes[0].pki.files.ca.as_str(), "our-ca.crt");
    assert_eq!(
        recipe.nodes[0].pki.files.server.cert.as_str(),
        "etcd/server.crt"
    );
    assert_eq!(
        recipe.nodes[0].pki.files.server.key.as_str(),
        "private/server.key"
    );
    let [prometheus, backup, all] = pki.clients.as_slice() else {
        panic!("{:?}", pki.clients)
    };
    assert_eq!(prometheus.common_name.as_str(), "prometheus");
    assert!(prometheus.admin && prometheus.place.is_none());
    assert_eq!(prometheus.leaf, second);
    assert_eq!(backup.organisation.as_ref().unwrap().as_str(), "ops");
    assert_eq!((backup.leaf.days, backup.leaf.key), (30, KeyKind::P256));
    let place = backup.place.as_ref().unwrap();
    assert_eq!((place.mode.bits(), place.owner), (0o440, KeyOwner::Etcd));
    assert_eq!(place.nodes.len(), 1);
    assert_eq!(all.place.as_ref().unwrap().nodes.len(), 2);

    let own = smallest(
        "board = \"vm\"\n[pki]\nca_cert = \"../ca.crt\"\nca_key = \"/ca.key\"",
        "",
    );
    assert!(matches!(
        &own.pki.authority,
        PkiAuthority::Own { cert, key: Some(key) } if (cert.as_str(), key.as_str()) == ("../ca.crt", "/ca.key")
    ));
}

#[test]
fn warnings_say_what_is_tolerated() {
    let nodes = |count: u8| -> String {
        (1..count)
            .map(|n| {
                format!(
                    "[[node]]\nname = \"n{n}\"\naddress = \"10.0.0.{}\"\n",
                    10 + n
                )
            })
            .collect()
    };
    let four = smallest("board = \"vm\"", &nodes(4));
    assert_eq!(
        four.warnings[0].to_string(),
        "4 members: 3 of them must be up for the cluster to work, so it tolerates one failure, \
         as 3 would"
    );
    let nine = smallest("board = \"vm\"", &nodes(9));
    assert_eq!(
        nine.warnings,
        [Warning::ManyMembers {
            members: 9,
            majority: 5
        }]
    );
    let open = smallest("board = \"vm\"\n[access]\nconsole = \"shell\"", "");
    assert_eq!(open.nodes[0].access.console, Console::Shell);
    assert_eq!(open.warnings, [Warning::OpenConsole]);
}

#[test]
fn ipv6_addresses_are_bracketed() {
    let text = "[cluster]\nname = \"six\"\n[image]\nboard = \"vm\"\n[network]\n\
                subnet = \"fd00:7::/64\"\ngateway = \"fd00:7::1\"\n[[node]]\nname = \"a\"\n\
                address = \"fd00:7::10\"\n";
    let recipe = load(text, "six.toml").unwrap();
    assert_eq!(recipe.nodes[0].https(2380), "https://[fd00:7::10]:2380");
}

/// A file with every key whose default is a value, each set to that value.
fn spelled_out(section: &Section, text: &mut String) {
    for key in section.keys {
        if let Absent::Default(value) = key.absent {
            text.push_str(&format!("{} = {value}\n", key.name));
        }
    }
}

#[test]
fn spelling_out_a_default_changes_nothing() {
    let mut text = String::new();
    for key in RECIPE.keys {
        let (header, own, section) = match key.shape {
            Shape::Table(section) => (
                format!("[{}]", key.name),
                match key.name {
                    "cluster" => "name = \"home\"\n",
                    "image" => "board = \"vm\"\n",
                    "network" => "subnet = \"10.0.0.0/24\"\n",
                    _ => "",
                },
                section,
            ),
            // A file and a unit have no default: there is one or there is none.
            Shape::Tables(_) if matches!(key.absent, Absent::Depends(_)) => continue,
            Shape::Tables(section) => (
                format!("[[{}]]", key.name),
                "name = \"a\"\naddress = \"10.0.0.10\"\n",
                section,
            ),
            _ => unreachable!("only sections at the top"),
        };
        text.push_str(&format!("{header}\n{own}"));
        spelled_out(section, &mut text);
    }
    assert!(text.contains("zstd_level = 9"));
    assert_eq!(
        load(&text, "all.toml").unwrap(),
        smallest("board = \"vm\"", "")
    );
}

#[test]
fn lock_inputs_name_the_key_that_changed() {
    let one = LockInputs::of(&smallest("board = \"vm\"", ""));
    let same = LockInputs::of(&smallest("board = \"vm\"\nsize = \"1G\"", ""));
    assert_eq!(one.digest(), same.digest());
    let other = LockInputs::of(&smallest(
        "board = \"vm\"\npackages = [\"htop\"]\n[etcd]\nsource = \"debian\"",
        "",
    ));
    assert_ne!(one.digest(), other.digest());
    let shown: Vec<String> = other
        .differences(&one)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        shown,
        [
            "etcd.source is \"debian\" in the recipe and \"release\" in the lock",
            "etcd.version is absent in the recipe and \"3.6.16\" in the lock",
            "image.packages is \"htop\" in the recipe and \"\" in the lock",
        ]
    );
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<LockInputs>(&text).unwrap(), one);
}

#[test]
fn a_recipe_is_found_by_path_by_name_and_in_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let recipes = dir.path().join("recipes");
    fs_err::create_dir(&recipes).unwrap();
    fs_err::write(recipes.join("vm-1node.toml"), "# mine\n").unwrap();
    fs_err::write(recipes.join("home.toml"), "# at home\n").unwrap();

    let mine = find("vm-1node", dir.path()).unwrap();
    assert_eq!(
        (mine.summary(), mine.file_name().as_str()),
        ("mine", "recipes/vm-1node.toml")
    );
    assert_eq!(
        mine.lock_path().unwrap().to_str(),
        Some("recipes/vm-1node.lock")
    );
    assert_eq!(find("recipes/home.toml", dir.path()).unwrap().name, "home");
    let builtin = find("pi-2node", dir.path()).unwrap();
    assert!(matches!(builtin.origin, Origin::Builtin { .. }));

    let names: Vec<String> = list(dir.path())
        .unwrap()
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(
        names,
        [
            "debian-3node",
            "envfile-3node",
            "home",
            "kubeadm-3node",
            "pi-2node",
            "pi-3node",
            "static-pod",
            "vm-1node",
            "vm-1node-arm64",
            "vm-3node"
        ]
    );

    let error = find("pi-2nodes", dir.path()).unwrap_err();
    assert_eq!(error.to_string(), "there is no recipe \"pi-2nodes\"");
    let help = miette::Diagnostic::help(&error).unwrap().to_string();
    assert_eq!(
        help,
        "did you mean pi-2node? there are debian-3node, envfile-3node, home, kubeadm-3node, \
         pi-2node, pi-3node, static-pod, vm-1node, vm-1node-arm64, vm-3node"
    );
    let missing = find("./none.toml", dir.path()).unwrap_err();
    let cause = std::error::Error::source(&missing).unwrap().to_string();
    assert!(cause.contains("none.toml"), "{cause}");
}

#[test]
fn the_reference_names_every_key() {
    insta::assert_snapshot!(reference());
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = load(&text, "any.toml");
    }

    #[test]
    fn no_broken_recipe_panics(at in 0_usize..600, insert in "[\\[\\]={}\",.\\n a0#'-]{0,6}", cut in 0_usize..40) {
        let text = builtin::ALL[0].text;
        let (start, end) = (at.min(text.len()), (at + cut).min(text.len()));
        if text.is_char_boundary(start) && text.is_char_boundary(end) {
            let broken = format!("{}{insert}{}", &text[..start], &text[end..]);
            if let Err(errors) = load(&broken, "broken.toml") {
                prop_assert!(!errors.mistakes().is_empty());
                for mistake in errors.mistakes() {
                    prop_assert!(mistake.span.end <= broken.len());
                }
            }
        }
    }
}
