use super::*;
use imgbuild_base::{Kind, Meta, TreePath};
use std::io::Read as _;
use std::process::Command;

const NOW: Epoch = Epoch::from_u32(1_780_000_000);

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn image(name: &str, program: &str) -> Image {
    let mut root = Tree::new();
    let meta = Meta::root(0o755, NOW);
    root.put_file(
        path(&format!("usr/local/bin/{program}")),
        meta,
        program.to_owned(),
    );
    root.put_link(path(program), format!("usr/local/bin/{program}"), NOW);
    Image {
        name: name.parse().unwrap(),
        arch: Arch::Armhf,
        created: NOW,
        root,
        entrypoint: vec![format!("/{program}")],
        environment: vec!["PATH=/usr/local/bin".to_owned()],
    }
}

fn text(tree: &Tree, path: &str) -> String {
    String::from_utf8(tree.file(path).unwrap().to_vec()).unwrap()
}

#[test]
fn an_image_is_named_by_its_content() {
    let assembled = image("localhost/etcd:1", "etcd").assemble().unwrap();
    let config: serde_json::Value = serde_json::from_slice(&assembled.config).unwrap();
    assert_eq!(config["architecture"], "arm");
    assert_eq!(config["variant"], "v7");
    assert_eq!(config["config"]["Entrypoint"][0], "/etcd");
    assert_eq!(config["created"], "2026-05-28T20:26:40Z");
    let manifest: serde_json::Value = serde_json::from_slice(&assembled.manifest).unwrap();
    let id = oci_digest(Digest::of(&assembled.config));
    assert_eq!(manifest["config"]["digest"], id.as_str());
    assert_eq!(manifest["config"]["size"], assembled.config.len());
    assert_eq!(
        manifest["layers"][0]["digest"],
        config["rootfs"]["diff_ids"][0]
    );

    let again = image("localhost/etcd:1", "etcd").assemble().unwrap();
    assert_eq!(again.manifest, assembled.manifest);
    let other = image("localhost/etcd:1", "etcdctl").assemble().unwrap();
    assert_ne!(other.manifest, assembled.manifest);
    // The bytes are pinned: a change of them is a change of the format.
    assert_eq!(
        Digest::of(&assembled.manifest).to_string(),
        "7f1a63b2d9d354471a511030299a74c05ec6c03bec0a6843550a70478d3d0e2c"
    );
}

/// tar reads the archive that a layer stands for, and sha256sum comes to the layer's digest.
#[test]
fn a_layer_is_an_archive() {
    let image = image("localhost/etcd:1", "etcd");
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes = layer::archive(&image.root, Vec::new()).unwrap();
    fs_err::write(file.path(), &bytes).unwrap();
    let judge = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .arg(file.path())
            .env("TZ", "UTC")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = judge("tar", &["--numeric-owner", "--full-time", "-tvf"]);
    let listed: Vec<String> = listed
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let time = "2026-05-28 20:26:40";
    assert_eq!(
        listed,
        [
            format!("lrwxrwxrwx 0/0 0 {time} etcd -> usr/local/bin/etcd"),
            format!("drwxr-xr-x 0/0 0 {time} usr/"),
            format!("drwxr-xr-x 0/0 0 {time} usr/local/"),
            format!("drwxr-xr-x 0/0 0 {time} usr/local/bin/"),
            format!("-rwxr-xr-x 0/0 4 {time} usr/local/bin/etcd"),
        ]
    );
    let layer = image.assemble().unwrap().layer;
    assert_eq!(layer.size, bytes.len() as u64);
    let sum = judge("sha256sum", &[]);
    assert_eq!(sum.split(' ').next().unwrap(), layer.digest.to_string());
}

#[test]
fn a_store_has_what_its_indexes_say() {
    let images = [
        image("localhost/etcd:1", "etcd"),
        image("localhost/pause:1", "pause"),
    ];
    let tree = store(&images, &path("usr/lib/containers/storage"), NOW).unwrap();
    let at = |below: &str| format!("usr/lib/containers/storage/{below}");
    let index = |name: &str| -> serde_json::Value {
        serde_json::from_str(&text(&tree, &at(name))).unwrap()
    };
    let (layers, all) = (
        index("overlay-layers/layers.json"),
        index("overlay-images/images.json"),
    );
    for (nth, image) in images.iter().enumerate() {
        let (layer, record) = (&layers[nth], &all[nth]);
        assert_eq!(record["names"][0], image.name.as_str());
        assert_eq!(record["layer"], layer["id"]);
        let id = layer["id"].as_str().unwrap();
        let program = image.entrypoint[0].trim_start_matches('/');
        let file = at(&format!("overlay/{id}/diff/usr/local/bin/{program}"));
        assert_eq!(text(&tree, &file), program);
        let link = text(&tree, &at(&format!("overlay/{id}/link")));
        assert_eq!(link.len(), 26);
        let short = tree.at(&at(&format!("overlay/l/{link}"))).unwrap();
        assert_eq!(short.kind, Kind::Symlink(format!("../{id}/diff")));
        for (name, digest) in record["big-data-digests"].as_object().unwrap() {
            let file = match name.as_str() {
                "manifest" => name.clone(),
                _ => format!("={}", base64_of(name)),
            };
            let id = record["id"].as_str().unwrap();
            let bytes = tree
                .file(&at(&format!("overlay-images/{id}/{file}")))
                .unwrap();
            assert_eq!(oci_digest(Digest::of(bytes)), digest.as_str().unwrap());
            assert_eq!(record["big-data-sizes"][name], bytes.len());
        }
    }
    for lock in ["overlay-layers/layers.lock", "overlay-images/images.lock"] {
        assert_eq!(text(&tree, &at(lock)), "");
    }

    let same = [images[0].clone(), images[0].clone()];
    let error = store(&same, &path("x"), NOW).unwrap_err();
    assert!(matches!(error, OciError::Twice(..)), "{error}");
}

/// As coreutils' base64 has it.
fn base64_of(text: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), text).unwrap();
    let output = Command::new("base64").arg("-w0").arg(file.path()).output();
    let mut out = String::new();
    output
        .unwrap()
        .stdout
        .as_slice()
        .read_to_string(&mut out)
        .unwrap();
    out
}
