//! Which certificate files there are, and where: `[pki]`, `[pki.files]` and those of nodes.

use crate::checker::{Found, Given, Reported, Table, mistake};
use crate::forms::AbsolutePath;
use crate::load::paths::{fixed, persistent_path};
use crate::load::{or, refuse};
use crate::resolved::{FilePair, PkiFiles, PkiLayout};
use crate::values::{FileName, ValueError};
use imgbuild_base::TreePath;
use std::collections::BTreeMap;

const KUBEADM: &str = "kubeadm";
const SHARED: &str = "shared";

/// The keys of `[pki.files]`, with the name that each layout gives the file.
const FILES: [(&str, &str, Option<&str>); 9] = [
    ("ca", "etcd/ca.crt", Some("ca.pem")),
    ("server", "etcd/server.crt", Some("kubernetes.pem")),
    ("server_key", "etcd/server.key", Some("kubernetes-key.pem")),
    ("peer", "etcd/peer.crt", None),
    ("peer_key", "etcd/peer.key", None),
    ("healthcheck", "etcd/healthcheck-client.crt", None),
    ("healthcheck_key", "etcd/healthcheck-client.key", None),
    ("apiserver", "apiserver-etcd-client.crt", None),
    ("apiserver_key", "apiserver-etcd-client.key", None),
];

/// The keys as written; those of a node over the cluster's.
#[derive(Clone)]
pub(super) struct Places {
    layout: Given<&'static str>,
    dir: Given<TreePath>,
    files: Result<BTreeMap<&'static str, Found<FileName>>, Reported>,
}

impl Places {
    /// Those of `[pki]` or of a node.
    pub(super) fn of(table: &Table<'_>) -> Self {
        let dir = table.given_text::<AbsolutePath>("dir").and_then(|dir| {
            dir.map(|dir| Ok(dir.with(persistent_path(table, "dir", &dir)?)))
                .transpose()
        });
        Self {
            layout: table.given_choice("layout", &[KUBEADM, SHARED], |word| word),
            dir,
            files: table.table("files").and_then(|files| read_files(&files)),
        }
    }

    /// These, and what they leave out as in `cluster`: where the layout is another, that has
    /// a directory and names of its own.
    pub(super) fn over(self, cluster: &Self) -> Self {
        let layout = or(self.layout, &cluster.layout);
        if word(&layout) != word(&cluster.layout) {
            return Self { layout, ..self };
        }
        let files = match (self.files, &cluster.files) {
            (Ok(own), Ok(shared)) => {
                let mut files = shared.clone();
                files.extend(own);
                Ok(files)
            }
            (Err(reported), _) | (_, &Err(reported)) => Err(reported),
        };
        Self {
            layout,
            dir: or(self.dir, &cluster.dir),
            files,
        }
    }

    /// What they come to.
    pub(super) fn settle(&self, table: &Table<'_>) -> Result<(PkiLayout, PkiFiles), Reported> {
        let shared = word(&self.layout) == SHARED;
        let files = self.files.as_ref().map_err(|&reported| reported);
        let files = files.and_then(|given| settle_files(table, given, shared));
        self.layout.clone()?;
        let dir = match self.dir.clone()? {
            Some(dir) => dir.value,
            None if shared => fixed(table, "/etc/etcd")?,
            None => fixed(table, "/etc/kubernetes/pki")?,
        };
        let layout = if shared {
            PkiLayout::Shared { dir }
        } else {
            PkiLayout::Kubeadm { dir }
        };
        Ok((layout, files?))
    }
}

fn word(layout: &Given<&'static str>) -> &'static str {
    match layout {
        Ok(Some(found)) => found.value,
        Ok(None) | Err(_) => KUBEADM,
    }
}

fn read_files(table: &Table<'_>) -> Result<BTreeMap<&'static str, Found<FileName>>, Reported> {
    let read_all: Vec<_> = FILES
        .iter()
        .map(|(key, ..)| Ok((*key, table.given_text::<FileName>(key)?)))
        .collect();
    let read_all: Vec<_> = read_all.into_iter().collect::<Result<_, Reported>>()?;
    let given = read_all.into_iter();
    Ok(given.filter_map(|(key, name)| Some((key, name?))).collect())
}

fn settle_files(
    table: &Table<'_>,
    given: &BTreeMap<&'static str, Found<FileName>>,
    shared: bool,
) -> Result<PkiFiles, Reported> {
    let settled: Vec<_> = FILES
        .iter()
        .map(|&(key, in_kubeadm, in_shared)| {
            let default = if shared { in_shared } else { Some(in_kubeadm) };
            let name = match (given.get(key), default) {
                (Some(found), Some(_)) => Some(found.value.clone()),
                (Some(found), None) => return Err(no_such_file(table, key, found)),
                (None, default) => default
                    .map(str::parse)
                    .transpose()
                    .map_err(|why: ValueError| refuse(table, &why.to_string()))?,
            };
            Ok((key, name))
        })
        .collect();
    let settled: BTreeMap<_, _> = settled.into_iter().collect::<Result<_, _>>()?;
    let name = |key: &str| settled.get(key).cloned().flatten();
    let pair = |cert: &str, key: &str| {
        Some(FilePair {
            cert: name(cert)?,
            key: name(key)?,
        })
    };
    // Both are there in either layout.
    let (Some(ca), Some(server)) = (name("ca"), pair("server", "server_key")) else {
        return Err(refuse(table, "`pki.files`: there is no server certificate"));
    };
    Ok(PkiFiles {
        ca,
        peer: pair("peer", "peer_key").unwrap_or_else(|| server.clone()),
        healthcheck: pair("healthcheck", "healthcheck_key").unwrap_or_else(|| server.clone()),
        apiserver: pair("apiserver", "apiserver_key"),
        server,
    })
}

fn no_such_file(table: &Table<'_>, key: &str, found: &Found<FileName>) -> Reported {
    let message = format!(
        "`{}.{key}`: with layout = \"shared\" there is only the server's pair",
        table.path("files")
    );
    table.checker().report(
        mistake(found.span.clone(), message)
            .label("no such file")
            .help("leave it out, or use layout = \"kubeadm\""),
    )
}
