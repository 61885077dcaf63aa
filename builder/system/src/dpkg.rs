//! dpkg's database, so that whoever examines an image (a vulnerability scanner, an inventory)
//! can list its packages: `var/lib/dpkg/status` and a list of files per package.

use imgbuild_base::{Epoch, Kind, Meta, Tree, TreePath};
use imgbuild_debian::deb::UnpackedDeb;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The database for these packages. `tree` is the composed root: files that are not in it are
/// not listed.
pub(crate) fn database(packages: &[UnpackedDeb], tree: &Tree, epoch: Epoch) -> Tree {
    let mut stanzas = BTreeMap::new();
    let mut database = Tree::new();
    let mut put = |name: &str, text: String| {
        if let Ok(path) = TreePath::new(&format!("var/lib/dpkg/{name}")) {
            database.put_file(path, Meta::root(0o644, epoch), text);
        }
    };
    for package in packages {
        let control = package.control();
        let field = |name| control.get(name).unwrap_or("");
        let (name, arch) = (field("Package"), field("Architecture"));
        stanzas.insert(name.to_owned(), stanza(package, tree));

        let mut list = "/.\n".to_owned();
        for path in package.paths().filter(|path| tree.get(path).is_some()) {
            let _ = writeln!(list, "{}", path.absolute());
        }
        let same = field("Multi-Arch") == "same";
        let file = if same {
            format!("{name}:{arch}")
        } else {
            name.to_owned()
        };
        put(&format!("info/{file}.list"), list);
    }
    let stanzas: Vec<String> = stanzas.into_values().collect();
    put("status", stanzas.join("\n"));
    put("info/format", "1\n".to_owned());
    database
}

/// The package's stanza of `status`: its control file with its state after the name.
fn stanza(package: &UnpackedDeb, tree: &Tree) -> String {
    let text = package.control().as_str().trim_end();
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut stanza = format!("{first}\nStatus: install ok installed\n{rest}\n");
    let conffiles: Vec<&TreePath> = package
        .conffiles()
        .iter()
        .filter(|path| matches!(tree.get(path).map(|entry| &entry.kind), Some(Kind::File(_))))
        .collect();
    if !conffiles.is_empty() {
        stanza.push_str("Conffiles:\n");
        for path in conffiles {
            // dpkg notes an MD5 here; nothing that reads images looks at it.
            let _ = writeln!(stanza, " {} {}", path.absolute(), "0".repeat(32));
        }
    }
    stanza
}
