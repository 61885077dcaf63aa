//! The README's way to renew certificates.

use crate::support::archive::now;
use crate::support::cluster::Cluster;
use crate::support::{boot_offset, extract_boot, imgbuild, must, scratch, turn, variant};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The README's way to renew certificates: another "now", and the node's layer exchanged on the
/// boot partition while the node is off.
#[test]
fn certificates_are_renewed_by_exchanging_a_layer() {
    let _turn = turn::machine();
    let dir = scratch();
    let recipe = variant(dir.path(), "vm-1node", "vm-1node", |text| {
        format!("# A copy.\n{text}")
    });
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let mut cluster = Cluster::start(recipe.to_str().unwrap(), &old, &[]);
    cluster.wait_healthy(&["etcd-0"], 900);
    cluster.put("etcd-0", "key", "value");
    let before = served_until(&cluster);

    let mut renewed = imgbuild();
    renewed.env("SOURCE_DATE_EPOCH", now().to_string());
    must(renewed.arg("build").arg(&recipe).arg("--out").arg(&new));
    cluster.command("kill etcd-0");
    cluster.wait("etcd-0 off", 60, |nodes| nodes["etcd-0"].state == "off");
    let disk = cluster.disk("etcd-0");
    let drive = format!("{}@@{}", disk.display(), boot_offset(&disk));
    let name = |layer: &Path| format!("::layers/{}", layer.file_name().unwrap().display());
    let gone = own_layer(&old, &dir.path().join("old-boot"));
    let fresh = own_layer(&new, &dir.path().join("new-boot"));
    assert_ne!(name(&gone), name(&fresh));
    must(Command::new("mdel").args(["-i", &drive]).arg(name(&gone)));
    let mut copy = Command::new("mcopy");
    must(copy.args(["-i", &drive]).arg(&fresh).arg(name(&fresh)));
    cluster.command("start etcd-0");
    cluster.wait_healthy(&["etcd-0"], 900);

    assert_ne!(served_until(&cluster), before);
    assert_eq!(cluster.get("etcd-0", "key").as_deref(), Some("value"));
    cluster.wait_clean(&["etcd-0"], 300);
    cluster.quit();
}

/// The layer of the one node of a build.
fn own_layer(out: &Path, scratch: &Path) -> PathBuf {
    extract_boot(&out.join("etcd-0.img"), scratch);
    let layers = fs_err::read_dir(scratch.join("layers")).unwrap();
    layers
        .map(|entry| entry.unwrap().path())
        .find(|path| name_starts(path, "20-etcd-0-"))
        .unwrap()
}

fn name_starts(path: &Path, with: &str) -> bool {
    path.file_name()
        .unwrap()
        .to_string_lossy()
        .starts_with(with)
}

/// The end of the certificate's validity that the member shows, as openssl puts it.
#[track_caller]
fn served_until(cluster: &Cluster) -> String {
    let endpoint = cluster.node("etcd-0").endpoint;
    let address = endpoint.trim_start_matches("https://");
    let script = format!(
        "openssl s_client -connect {address} </dev/null 2>/dev/null | openssl x509 -noout -enddate"
    );
    let said = must(Command::new("sh").args(["-c", &script]));
    assert!(said.starts_with("notAfter="), "{said}");
    said
}
