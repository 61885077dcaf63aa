//! etcd itself judges the certificates and the options: the compiled etcd runs on this machine,
//! on loopback, with what `imgbuild` puts on a node.

use crate::support::archive::now;
use crate::support::inputs::write_secret;
use crate::support::{
    build, etcd_binaries, extract_layer, imgbuild, must, must_fail, run, scratch, unsquash, variant,
};
use imgbuild_base::{Epoch, Kind, Tree};
use imgbuild_cluster::{Below, Composer, Sources};
use imgbuild_pki::ClusterSecret;
use imgbuild_recipe::Recipe;
use imgbuild_recipe::etcd_options::{self, Series};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DAY: u32 = 86_400;

fn recipe(etcd: &str, pki: &str) -> Recipe {
    let text = format!(
        "[cluster]\nname = \"tls\"\n[image]\nboard = \"vm\"\n[etcd]\n{etcd}\n[network]\n\
         subnet = \"10.0.0.0/24\"\n[[node]]\nname = \"a\"\naddress = \"10.0.0.10\"\n[pki]\n{pki}\n"
    );
    imgbuild_recipe::load(&text, "tls.toml").unwrap()
}

/// The node's layer and the admin bundle of a recipe at `epoch`, written below `dir`.
fn lay_out(recipe: &Recipe, secret: [u8; 32], epoch: u32, dir: &Path) {
    let secret = ClusterSecret::from_bytes(secret);
    let sources = Sources::default();
    let composer = Composer::new(recipe, &secret, Epoch::from_u32(epoch), &sources).unwrap();
    // A base layer in which etcd is root, as it is to be here.
    let mut base = Tree::new();
    for (path, text) in [
        ("etc/passwd", "etcd:x:0:0::/:/bin/sh\n"),
        ("etc/group", "etcd:x:0:\n"),
    ] {
        let meta = imgbuild_base::Meta::root(0o644, Epoch::ZERO);
        base.put_file(imgbuild_base::TreePath::new(path).unwrap(), meta, text);
    }
    let node = composer.node(&recipe.nodes[0], &Below::new(base).unwrap());
    unpack(&node.unwrap(), &dir.join("node"));
    unpack(&composer.admin().unwrap(), &dir.join("admin"));
}

fn unpack(tree: &Tree, dir: &Path) {
    for (path, entry) in tree.iter() {
        if let Kind::File(body) = &entry.kind {
            let to = dir.join(path.as_str());
            fs_err::create_dir_all(to.parent().unwrap()).unwrap();
            fs_err::write(to, body.bytes()).unwrap();
        }
    }
}

fn today() -> u32 {
    u32::try_from(now()).unwrap()
}

/// A running etcd; it ends with the test.
struct Etcd {
    child: Child,
    log: PathBuf,
    client: u16,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports that are free now.
fn ports() -> (u16, u16, u16) {
    let sockets = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [a, b, c] = sockets.map(|socket| socket.local_addr().unwrap().port());
    (a, b, c)
}

/// Starts etcd as the node's unit does, with the paths below `dir` and the addresses on
/// loopback.
fn start(recipe: &Recipe, dir: &Path) -> Etcd {
    let node = dir.join("node");
    let (client, peer, metrics) = ports();
    let here = |text: &str| {
        text.replace(
            "https://10.0.0.10:2379,https://127.0.0.1:2379",
            &format!("https://127.0.0.1:{client}"),
        )
        .replace("10.0.0.10:2379", &format!("127.0.0.1:{client}"))
        .replace("10.0.0.10:2380", &format!("127.0.0.1:{peer}"))
        .replace("127.0.0.1:2381", &format!("127.0.0.1:{metrics}"))
        .replace("/etc/", &format!("{}/etc/", node.display()))
        .replace("/var/lib/", &format!("{}/", dir.display()))
    };
    let unit = fs_err::read_to_string(node.join("etc/systemd/system/etcd.service")).unwrap();
    let log = dir.join("etcd.log");
    let mut command = Command::new(etcd_binaries().join("etcd"));
    if let Some(path) = &recipe.nodes[0].etcd.config_path {
        let file = node.join(path.as_str());
        let text = here(&fs_err::read_to_string(&file).unwrap());
        fs_err::write(&file, &text).unwrap();
        if unit.contains("EnvironmentFile=-/") {
            let variables = text.lines().filter(|line| !line.starts_with('#'));
            command.envs(variables.map(|line| {
                let (name, value) = line.split_once('=').unwrap();
                (name.to_owned(), value.trim_matches('\'').to_owned())
            }));
        } else {
            command.arg(format!("--config-file={}", file.display()));
        }
    } else {
        let start = unit.split_once("ExecStart=").unwrap().1;
        let (line, _) = start.split_once("\n#").unwrap();
        let words = line.lines().skip(1);
        command.args(words.map(|word| here(word.trim_end_matches('\\').trim())));
    }
    let output = fs_err::File::create(&log).unwrap().into_parts().0;
    let child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    Etcd { child, log, client }
}

impl Etcd {
    /// What etcdctl says, as the holder of a certificate.
    fn ctl(&self, identity: &[&str], words: &[&str]) -> (bool, String) {
        let endpoint = format!("--endpoints=https://127.0.0.1:{}", self.client);
        let output = run(Command::new(etcd_binaries().join("etcdctl"))
            .args([&endpoint, "--dial-timeout=3s", "--command-timeout=5s"])
            .args(identity)
            .args(words));
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    fn wait_until_healthy(&mut self, identity: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (healthy, said) = self.ctl(identity, &["endpoint", "health"]);
            if healthy {
                return;
            }
            let log = fs_err::read_to_string(&self.log).unwrap();
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "not healthy: {said}\n{log}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// etcdctl's flags for `NAME.crt` and `NAME.key` in `dir`, and the authority in `ca`.
fn identity(ca: &Path, dir: &Path, name: &str) -> [String; 3] {
    [
        format!("--cacert={}", ca.display()),
        format!("--cert={}", dir.join(format!("{name}.crt")).display()),
        format!("--key={}", dir.join(format!("{name}.key")).display()),
    ]
}

fn words(flags: &[String; 3]) -> [&str; 3] {
    flags.each_ref().map(String::as_str)
}

/// For every kind of key and in each style of configuration: healthy with the admin's and with
/// the recipe's client; refused without a certificate, with one of another authority, and with
/// one that has ended.
#[test]
fn etcd_takes_every_kind_of_key_and_refuses_strangers() {
    for (kind, style, layout) in [
        ("p256", "file", "kubeadm"),
        ("rsa-2048", "environment", "kubeadm"),
        ("ed25519", "flags", "shared"),
        ("rsa-4096", "file", "shared"),
    ] {
        let dir = scratch();
        let client = "[[pki.client]]\nname = \"backup\"";
        let recipe = recipe(
            &format!("config = \"{style}\"\n"),
            &format!("key = \"{kind}\"\nlayout = \"{layout}\"\n{client}\n"),
        );
        lay_out(&recipe, [7; 32], today(), dir.path());
        let mut etcd = start(&recipe, dir.path());
        let admin = dir.path().join("admin");
        let ca = admin.join("ca.crt");
        let good = identity(&ca, &admin, "client");
        etcd.wait_until_healthy(&words(&good));
        let backup = identity(&ca, &admin, "backup");
        for (flags, verb) in [(&good, ["put", "k", kind]), (&backup, ["put", "j", kind])] {
            let (taken, said) = etcd.ctl(&words(flags), &verb);
            assert!(taken, "{kind}: {said}");
        }

        let (taken, said) = etcd.ctl(&[&good[0]], &["get", "k"]);
        assert!(!taken, "{kind}: without a certificate: {said}");

        let other = scratch();
        lay_out(&recipe, [8; 32], today(), other.path());
        let stranger = identity(&ca, &other.path().join("admin"), "client");
        let (taken, said) = etcd.ctl(&words(&stranger), &["get", "k"]);
        assert!(!taken, "{kind}: of another authority: {said}");

        let past = scratch();
        lay_out(&recipe, [7; 32], today() - 366 * DAY, past.path());
        let ended = identity(&ca, &past.path().join("admin"), "client");
        let (taken, said) = etcd.ctl(&words(&ended), &["get", "k"]);
        assert!(!taken, "{kind}: ended: {said}");
        let log = fs_err::read_to_string(&etcd.log).unwrap();
        assert!(log.contains("expired"), "{kind}: {log}");

        let (taken, said) = etcd.ctl(&words(&good), &["get", "k", "--print-value-only"]);
        assert!(taken && said.trim() == kind, "{kind}: {said}");
    }
}

/// Options in each style reach etcd, which says what it runs with.
#[test]
fn etcd_takes_the_options() {
    for style in ["file", "environment", "flags"] {
        let dir = scratch();
        let recipe = recipe(
            &format!(
                "config = \"{style}\"\nwal_dir = \"/var/lib/wal\"\n[etcd.options]\n\
                 max-request-bytes = 4194304\nmax-wals = 9\npre-vote = false\n\
                 compact-hash-check-time = \"2m\"\nfeature-gates = [\"InitialCorruptCheck=true\"]\n\
                 log-outputs = [\"stderr\"]\nhost-whitelist = [\"x.example.org\", \"y\"]\n\
                 cipher-suites = [\"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\", \
                 \"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\"]\nsocket-reuse-address = true\n\
                 peer-cert-allowed-cn = [\"a\"]\nsnapshot-catchup-entries = 6000\n"
            ),
            "",
        );
        lay_out(&recipe, [7; 32], today(), dir.path());
        let mut etcd = start(&recipe, dir.path());
        let admin = dir.path().join("admin");
        let good = identity(&admin.join("ca.crt"), &admin, "client");
        etcd.wait_until_healthy(&words(&good));
        assert!(dir.path().join("wal").read_dir().unwrap().next().is_some());
        let log = fs_err::read_to_string(&etcd.log).unwrap();
        for expected in [
            "\"max-request-bytes\":4194304",
            "\"max-wals\":9",
            "\"pre-vote\":false",
            "\"compact-check-time-interval\":\"2m0s\"",
            "InitialCorruptCheck=true",
            "x.example.org",
        ] {
            assert!(
                log.contains(expected),
                "{style}: {expected} is not in {log}"
            );
        }
        // A client that knows none of the two suites, and no newer TLS, is refused.
        let client = format!("127.0.0.1:{}", etcd.client);
        let speak = |suite: &str| {
            let output = run(Command::new("openssl")
                .args([
                    "s_client", "-tls1_2", "-cipher", suite, "-connect", &client, "-CAfile",
                ])
                .arg(admin.join("ca.crt"))
                .arg("-cert")
                .arg(admin.join("client.crt"))
                .arg("-key")
                .arg(admin.join("client.key"))
                .stdin(Stdio::null()));
            output.status.success()
        };
        assert!(speak("ECDHE-ECDSA-AES128-GCM-SHA256"), "{style}");
        assert!(!speak("ECDHE-ECDSA-CHACHA20-POLY1305"), "{style}");
    }
}

/// The table of options is the help text of the etcd that is built.
#[test]
fn the_table_is_etcd_s_own() {
    let output = run(Command::new(etcd_binaries().join("etcd")).arg("--help"));
    let help = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let mut named: Vec<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  --"))
        .filter_map(|line| line.split([' ', '=']).next())
        .collect();
    named.sort_unstable();
    named.dedup();
    assert!(named.len() > 100, "{help}");
    let known: Vec<&str> = etcd_options::ALL
        .iter()
        .filter(|option| option.is_in(Series::V3_6))
        .map(|option| option.name)
        .collect();
    let unknown: Vec<_> = named.iter().filter(|name| !known.contains(name)).collect();
    assert!(
        unknown.is_empty(),
        "etcd has {unknown:?}, the table has not"
    );
    // Of what help does not name, etcd itself must know every one.
    for name in known.iter().filter(|name| !named.contains(name)) {
        let output = run(Command::new(etcd_binaries().join("etcd"))
            .args([&format!("--{name}=\u{1}"), "--no-such-option"]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !said.contains(&format!("not defined: -{name}")),
            "{name}: {said}"
        );
    }
}

/// `imgbuild pki` shows what a build made and issues what etcd takes.
#[test]
fn the_pki_command() {
    let dir = scratch();
    let path = variant(dir.path(), "vm-1node", "mine", |text| {
        format!("{text}\n[[pki.client]]\nname = \"backup\"\ndays = 30\n")
    });
    let name = path.to_str().unwrap();
    let pki = |words: &[&str]| {
        let mut command = imgbuild();
        command
            .current_dir(dir.path())
            .arg("pki")
            .arg(name)
            .args(words);
        command
    };
    let said = must_fail(&mut pki(&[]), 7);
    assert!(said.contains("the first build makes it"), "{said}");
    assert!(!dir.path().join("mine.secret").exists(), "nothing was made");

    let epoch = today() - 40 * DAY;
    let out = dir.path().join("out");
    write_secret(&dir.path().join("mine.secret"));
    build(name, &out);
    let table = must(pki(&[]).env("SOURCE_DATE_EPOCH", epoch.to_string()));
    let line = |file: &str| {
        let found = table.lines().find(|line| line.contains(file));
        found.unwrap_or_else(|| panic!("{file} is not in {table}"))
    };
    assert!(line("backup.crt").ends_with("ended"), "{table}");
    assert!(line("client.crt").contains("324 days") || line("client.crt").contains("325 days"));
    assert!(
        line("/etc/kubernetes/pki/etcd/server.crt").contains("CN=etcd-0"),
        "{table}"
    );
    assert!(table.lines().nth(1).unwrap().starts_with("CA"), "{table}");

    let clients = dir.path().join("clients");
    let words = [
        "client",
        "prometheus",
        "--organisation",
        "ops",
        "--days",
        "90",
        "--out",
    ];
    let issue = |out: &Path| must(pki(&words).arg(out));
    let said = issue(&clients);
    assert!(
        said.contains("O=ops, CN=prometheus is valid until"),
        "{said}"
    );
    let admin_ca = fs_err::read(out.join("admin/ca.crt")).unwrap();
    assert_eq!(fs_err::read(clients.join("ca.crt")).unwrap(), admin_ca);
    let again = dir.path().join("again");
    issue(&again);
    for file in ["prometheus.crt", "prometheus.key"] {
        let read = |dir: &Path| fs_err::read(dir.join(file)).unwrap();
        assert_eq!(read(&clients), read(&again), "{file}");
    }
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs_err::metadata(clients.join("prometheus.key"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let verify = |cert: &Path| {
        let mut command = Command::new("openssl");
        command
            .args(["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile"])
            .arg(out.join("admin/ca.crt"))
            .arg(cert);
        run(&mut command).status.success()
    };
    assert!(verify(&clients.join("prometheus.crt")));

    // What has ended is issued with a warning.
    let late = run(pki(&["client", "late", "--days", "1", "--out"])
        .arg(&clients)
        .env("SOURCE_DATE_EPOCH", epoch.to_string()));
    let warning = String::from_utf8_lossy(&late.stderr).into_owned();
    assert!(
        late.status.success() && warning.contains("has ended on"),
        "{warning}"
    );
    assert!(!verify(&clients.join("late.crt")));
    let said = must_fail(&mut pki(&["client", "ca"]), 1);
    assert!(said.contains("cannot name a client's files"), "{said}");
    must_fail(&mut pki(&["client", "x", "--days", "0"]), 2);
}

/// A CA of the user's own signs everything; its key is copied nowhere.
#[test]
fn an_own_authority() {
    let dir = scratch();
    let openssl = |line: &str| {
        must(
            Command::new("openssl")
                .args(line.split(' '))
                .current_dir(dir.path()),
        )
    };
    openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out our.key");
    openssl(
        "req -x509 -new -key our.key -out our.crt -days 3000 -subj /O=Ours/CN=Our-CA \
         -addext keyUsage=critical,keyCertSign,cRLSign",
    );
    let path = variant(dir.path(), "vm-1node", "own", |text| {
        format!("{text}\n[pki]\nca_cert = \"our.crt\"\nca_key = \"our.key\"\n")
    });
    write_secret(&dir.path().join("own.secret"));
    let name = path.to_str().unwrap();
    let out = build(name, &dir.path().join("out"));
    let read = |path: &Path| fs_err::read_to_string(path).unwrap();
    assert_eq!(
        read(&out.join("admin/ca.crt")),
        read(&dir.path().join("our.crt"))
    );
    must(
        Command::new("openssl")
            .args(["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile"])
            .arg(dir.path().join("our.crt"))
            .arg(out.join("admin/client.crt")),
    );
    // The key's second line is a piece of it that occurs nowhere by chance.
    let key = read(&dir.path().join("our.key"));
    let piece = key.lines().nth(2).unwrap();
    let layer = extract_layer(&out, "20-", dir.path());
    let to = dir.path().join("node");
    unsquash(&layer, &to);
    for place in [&to, &out] {
        let found = run(Command::new("grep").args(["-rlaF", piece]).arg(place));
        assert_eq!(found.status.code(), Some(1), "{found:?}");
    }

    let pki = |words: &[&str]| {
        let mut command = imgbuild();
        command.args(["pki", name]).args(words);
        command
    };
    let table = must(&mut pki(&[]));
    assert!(table.contains("O=Ours, CN=Our-CA"), "{table}");

    // Flags count more than the recipe; what does not fit is refused.
    openssl("genpkey -algorithm ED25519 -out other.key");
    let other = dir.path().join("other.key");
    let said = must_fail(&mut pki(&["--ca-key", other.to_str().unwrap()]), 3);
    assert!(said.contains("is not for this private key"), "{said}");
    openssl("pkey -in our.key -aes256 -passout pass:x -out locked.key");
    let locked = dir.path().join("locked.key");
    let said = must_fail(&mut pki(&["--ca-key", locked.to_str().unwrap()]), 3);
    assert!(
        said.contains("passphrase") && said.contains("openssl pkey"),
        "{said}"
    );
    let late = (today() + 3100 * DAY).to_string();
    let said = must_fail(pki(&[]).env("SOURCE_DATE_EPOCH", late), 3);
    assert!(said.contains("held only until"), "{said}");
    let cert = dir.path().join("our.crt");
    let said = must_fail(
        imgbuild()
            .args(["pki", "vm-1node", "--ca-cert"])
            .arg(&cert)
            .arg("--secret")
            .arg(dir.path().join("own.secret")),
        3,
    );
    assert!(said.contains("--ca-key FILE"), "{said}");
}
