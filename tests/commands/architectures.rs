//! Each recipe's etcd is for the machines that its images are for.

use crate::support::{build, extract_layer, must, scratch};
use std::process::Command;

/// The binaries are for the architecture their image is for.
#[test]
fn binaries_are_of_the_images_architecture() {
    for (recipe, words) in [
        ("pi-2node", ["ELF 32-bit", "ARM, EABI5"]),
        ("pi-3node", ["ELF 64-bit", "ARM aarch64"]),
        ("vm-3node", ["ELF 64-bit", "x86-64"]),
        ("vm-1node-arm64", ["ELF 64-bit", "ARM aarch64"]),
    ] {
        let dir = scratch();
        let out = build(recipe, &dir.path().join("out"));
        let layer = extract_layer(&out, "10-etcd", dir.path());
        let unpacked = dir.path().join("etcd");
        must(
            Command::new("unsquashfs")
                .args(["-quiet", "-no-progress", "-dest"])
                .arg(&unpacked)
                .arg(&layer),
        );
        for binary in ["etcd", "etcdctl", "etcdutl"] {
            let path = unpacked.join("usr/local/bin").join(binary);
            let kind = must(Command::new("file").arg("--brief").arg(path));
            assert!(
                words.iter().all(|word| kind.contains(word)),
                "{recipe}: {kind}"
            );
            assert!(kind.contains("statically linked"), "{recipe}: {kind}");
        }
    }
}
