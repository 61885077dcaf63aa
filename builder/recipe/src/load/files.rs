//! `[[file]]` and `[[node.file]]`.

use super::paths::not_hidden;
use crate::checker::{Found, Reported, Table, mistake};
use crate::forms::FilePath;
use crate::resolved::{Content, File};
use crate::values::{AccountName, FileMode, FileText, SourcePath};
use imgbuild_base::TreePath;

/// Directories that are links into /usr (Debian's merged /usr): a file below one of these
/// would hide the link and all that is behind it.
const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// What the builder itself writes, and how a recipe has its say there.
const OWNED: [(&str, &str); 14] = [
    (
        "etc/passwd",
        "users come with packages; a unit can have its own with DynamicUser=yes",
    ),
    (
        "etc/group",
        "groups come with packages; a unit can have its own with DynamicUser=yes",
    ),
    (
        "etc/shadow",
        "root's password is `access.root_password_hash`",
    ),
    ("etc/gshadow", "groups come with packages"),
    ("etc/hostname", "the host name is `node.hostname`"),
    ("etc/hosts", "it names the nodes of `[[node]]`"),
    ("etc/machine-id", "it is derived from the cluster's secret"),
    ("etc/resolv.conf", "name servers are `network.dns`"),
    ("etc/mtab", "it is a link to what is mounted"),
    ("etc/systemd/system", "units are sections [[unit]]"),
    ("usr/lib/systemd/system", "units are sections [[unit]]"),
    ("usr/lib/modules", "modules are `kernel.modules`"),
    (
        "usr/lib/clock-epoch",
        "it is the earliest time of the node's clock, from the lock",
    ),
    ("root/.ssh/authorized_keys", "keys are `access.ssh_keys`"),
];

/// The files of sections, no two with the same path.
pub(super) fn read(tables: &[Table<'_>]) -> Result<Vec<File>, Reported> {
    let mut seen: Vec<Found<TreePath>> = Vec::new();
    let mut files = Vec::new();
    for table in tables {
        let path = table
            .text::<FilePath>("path")
            .and_then(|found| check_path(table, found, &seen));
        files.push(read_one(table, path.as_ref()));
        seen.extend(path);
    }
    files.into_iter().collect()
}

fn read_one(
    table: &Table<'_>,
    path: Result<&Found<TreePath>, &Reported>,
) -> Result<File, Reported> {
    let content = read_content(table).and_then(|content| {
        content.ok_or_else(|| {
            table.checker().report(
                mistake(
                    table.span(),
                    format!("`{}` is missing", table.path("content")),
                )
                .label("a file without content")
                .help(
                    "add `content = \"...\"`, or `source = \"FILE\"` for a file beside the recipe",
                ),
            )
        })
    });
    let mode = table.text::<FileMode>("mode");
    let user = table.text::<AccountName>("user");
    let group = table.text::<AccountName>("group");
    let replace = table.flag("replace");
    Ok(File {
        path: path.map_err(|&reported| reported)?.value.clone(),
        content: content?.value,
        mode: mode?.value,
        user: user?.value,
        group: group?.value,
        replace: replace?.value,
    })
}

/// `content` or `source`, not both.
pub(super) fn read_content(table: &Table<'_>) -> Result<Option<Found<Content>>, Reported> {
    let text = table.given_text::<FileText>("content");
    let source = table.given_text::<SourcePath>("source");
    match (text?, source?) {
        (Some(text), Some(source)) => {
            let message = format!(
                "`{}` and `{}` cannot both be given",
                table.path("content"),
                table.path("source")
            );
            Err(table.checker().report(
                mistake(source.span, message)
                    .label("the content once more")
                    .also(text.span, "the content")
                    .help("leave one of them out"),
            ))
        }
        (Some(text), None) => Ok(Some(Found {
            value: Content::Text(text.value.into_string()),
            span: text.span,
            written: true,
        })),
        (None, Some(source)) => Ok(Some(Found {
            value: Content::Source(source.value),
            span: source.span,
            written: true,
        })),
        (None, None) => Ok(None),
    }
}

fn check_path(
    table: &Table<'_>,
    found: Found<FilePath>,
    seen: &[Found<TreePath>],
) -> Result<Found<TreePath>, Reported> {
    let span = found.span.clone();
    let path = found.value.0;
    let report = |message: String, label: String, help: String| {
        let wrong = mistake(span.clone(), message).label(label).help(help);
        Err(table.checker().report(wrong))
    };
    let key = table.path("path");
    if let Some(dir) = MERGED.iter().find(|dir| path.is_within(dir)) {
        return report(
            format!("`{key}`: /{dir} is a link to /usr/{dir}"),
            "through a link".to_owned(),
            format!("did you mean \"/usr/{path}\"?"),
        );
    }
    if let Some((owned, instead)) = OWNED.iter().find(|(owned, _)| path.is_within(owned)) {
        return report(
            format!("`{key}`: /{owned} is the builder's to make"),
            "not a recipe's".to_owned(),
            (*instead).to_owned(),
        );
    }
    not_hidden(table, "path", &path, &span)?;
    if let Some(first) = seen.iter().find(|first| first.value == path) {
        return Err(table.checker().report(
            mistake(
                span,
                format!("`{key}`: there are two files {}", path.absolute()),
            )
            .label("again")
            .also(first.span.clone(), "first here")
            .help("leave one of them out"),
        ));
    }
    Ok(Found {
        value: path,
        span,
        written: true,
    })
}
