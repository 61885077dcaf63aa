//! `[pki]`.

use super::paths::{fixed, persistent_path};
use crate::checker::{Found, Reported, Table, mistake};
use crate::forms::AbsolutePath;
use crate::resolved::{Pki, PkiLayout};

pub(super) fn read(table: &Table<'_>) -> Result<Pki, Reported> {
    let layout = table.choice("layout", &["kubeadm", "shared"], |word| word);
    let dir = table.given_text::<AbsolutePath>("dir");
    let leaf = table.number("leaf_days");
    let ca = table.number("ca_days");
    let generation = table.number("generation");

    if let (Ok(leaf), Ok(ca)) = (&leaf, &ca) {
        let (leaf, ca): (&Found<u32>, &Found<u32>) = (leaf, ca);
        if leaf.value > ca.value {
            let message = format!(
                "`pki.leaf_days`: a certificate cannot outlive its CA: {} days are more than the \
                 CA's {}",
                leaf.value, ca.value
            );
            let found = if leaf.written { leaf } else { ca };
            table.checker().report(
                mistake(found.span.clone(), message)
                    .label("leaf_days > ca_days")
                    .help("lower leaf_days or raise ca_days"),
            );
        }
    }
    let dir = dir.and_then(|dir| {
        dir.map(|dir| persistent_path(table, "dir", &dir))
            .transpose()
    });
    let layout = layout?.value;
    let dir = match dir? {
        Some(dir) => dir,
        None if layout == "shared" => fixed(table, "/etc/etcd")?,
        None => fixed(table, "/etc/kubernetes/pki")?,
    };
    Ok(Pki {
        layout: match layout {
            "shared" => PkiLayout::Shared { dir },
            _ => PkiLayout::Kubeadm { dir },
        },
        leaf_days: leaf?.value,
        ca_days: ca?.value,
        generation: generation?.value,
    })
}
