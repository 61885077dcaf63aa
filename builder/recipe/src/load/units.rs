//! `[[unit]]` and `[[node.unit]]`.

use super::files::read_content;
use crate::checker::{Found, Reported, Table, mistake};
use crate::resolved::{Content, Start, Unit, UnitAction};
use crate::systemd::{self, Install};
use crate::values::{DropInName, UnitName};
use std::ops::Range;

/// Units that the builder writes and the node cannot do without.
const OWNED: [&str; 5] = [
    "etcd.service",
    "var.mount",
    "imgbuild-report.service",
    "imgbuild-shell@.service",
    "systemd-networkd.service",
];

/// Whether one takes the other's place on a node.
pub(super) fn same(one: &Unit, other: &Unit) -> bool {
    one.name == other.name && drop_in(one) == drop_in(other)
}

fn drop_in(unit: &Unit) -> Option<&DropInName> {
    match &unit.action {
        UnitAction::DropIn { name, .. } => Some(name),
        _ => None,
    }
}

/// The units of sections, no two the same.
pub(super) fn read(tables: &[Table<'_>]) -> Result<Vec<Unit>, Reported> {
    let mut seen: Vec<(Unit, Range<usize>)> = Vec::new();
    let read: Vec<Result<(), Reported>> = tables
        .iter()
        .map(|table| {
            let (unit, span) = read_one(table)?;
            if let Some((_, first)) = seen.iter().find(|(first, _)| same(first, &unit)) {
                let what = match drop_in(&unit) {
                    Some(name) => format!("two drop-ins {name} of {}", unit.name),
                    None => format!("two units {}", unit.name),
                };
                let message = format!("`{}`: there are {what}", table.path("name"));
                return Err(table.checker().report(
                    mistake(span, message)
                        .label("again")
                        .also(first.clone(), "first here")
                        .help("leave one of them out"),
                ));
            }
            seen.push((unit, span));
            Ok(())
        })
        .collect();
    read.into_iter().collect::<Result<Vec<()>, Reported>>()?;
    Ok(seen.into_iter().map(|(unit, _)| unit).collect())
}

/// The keys of a section, as written.
struct Keys {
    name: Found<UnitName>,
    content: Option<Found<Content>>,
    drop_in: Option<Found<DropInName>>,
    enable: Option<Found<bool>>,
    wanted_by: Option<Found<Vec<Found<UnitName>>>>,
    mask: Found<bool>,
    replace: Found<bool>,
}

fn read_one(table: &Table<'_>) -> Result<(Unit, Range<usize>), Reported> {
    let name = table.text::<UnitName>("name");
    let content = read_content(table);
    let drop_in = table.given_text::<DropInName>("drop_in");
    let enable = table.given_flag("enable");
    let wanted_by = table.given_texts::<UnitName>("wanted_by");
    let mask = table.flag("mask");
    let replace = table.flag("replace");
    let keys = Keys {
        name: name?,
        content: content?,
        drop_in: drop_in?,
        enable: enable?,
        wanted_by: wanted_by?,
        mask: mask?,
        replace: replace?,
    };
    let span = keys.name.span.clone();
    let action = action(table, &keys)?;
    let name = keys.name.value;
    Ok((Unit { name, action }, span))
}

fn action(table: &Table<'_>, keys: &Keys) -> Result<UnitAction, Reported> {
    let name = &keys.name.value;
    let refuse = |span: &Range<usize>, message: String, label: &str, help: &str| {
        let found = mistake(span.clone(), message).label(label).help(help);
        Err(table.checker().report(found))
    };
    let starts = keys.enable.as_ref().map(|found| &found.span);
    let starts = starts.or(keys.wanted_by.as_ref().map(|found| &found.span));
    let owned = OWNED.contains(&name.as_str());
    if owned && keys.drop_in.is_none() {
        return refuse(
            &keys.name.span,
            format!("`{}`: {name} is the builder's", table.path("name")),
            "starts anyway, as the builder writes it",
            "to change it, add a drop-in: drop_in = \"NAME\" and content = \"...\"",
        );
    }
    if keys.replace.value && (keys.content.is_none() || keys.drop_in.is_some()) {
        return refuse(
            &keys.replace.span,
            format!(
                "`{}` is for a unit that is written here",
                table.path("replace")
            ),
            "nothing to be replaced",
            "leave it out, or give the unit's text as `content` or `source`",
        );
    }
    if keys.mask.value {
        let other = keys.content.as_ref().map(|found| &found.span);
        let other = other.or(keys.drop_in.as_ref().map(|found| &found.span));
        return match other.or(starts) {
            None => Ok(UnitAction::Mask),
            Some(span) => refuse(
                span,
                format!("`{}` goes with nothing but the name", table.path("mask")),
                "of a unit that is masked",
                "leave one of them out",
            ),
        };
    }
    match (&keys.content, &keys.drop_in) {
        (Some(content), Some(drop_in)) => {
            if let Some(span) = starts {
                return refuse(
                    span,
                    format!("{name} cannot be enabled by the section of its drop-in"),
                    "starts the unit, not the drop-in",
                    "write another [[unit]] with the name and `enable = true`",
                );
            }
            check_text(table, name, content, false)?;
            Ok(UnitAction::DropIn {
                name: drop_in.value.clone(),
                content: content.value.clone(),
            })
        }
        (None, Some(drop_in)) => refuse(
            &drop_in.span,
            format!("`{}` without a text", table.path("drop_in")),
            "what does it say?",
            "add `content = \"...\"` or `source = \"FILE\"`",
        ),
        (Some(content), None) => {
            check_text(table, name, content, true)?;
            Ok(UnitAction::Write {
                content: content.value.clone(),
                replace: keys.replace.value,
                start: start(table, keys)?,
            })
        }
        (None, None) => match start(table, keys)? {
            Start::Never => refuse(
                &keys.name.span,
                format!("nothing is said about the unit {name}"),
                "and now?",
                "add `content` or `source` to write it, `enable = true` to start one of a \
                 package, or `mask = true` to hide it",
            ),
            start => Ok(UnitAction::Enable { start }),
        },
    }
}

/// The text of the recipe itself; that of a file is checked when building.
fn check_text(
    table: &Table<'_>,
    name: &UnitName,
    content: &Found<Content>,
    whole: bool,
) -> Result<(), Reported> {
    let Content::Text(text) = &content.value else {
        return Ok(());
    };
    systemd::check(name, text, whole).map_err(|why| {
        table.checker().report(
            mistake(
                content.span.clone(),
                format!("`{}`: {why}", table.path("content")),
            )
            .label("systemd would ignore it")
            .help(
                "for example \"\"\"\\n[Unit]\\nDescription=What it is\\n[Service]\\n\
                     ExecStart=/usr/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n\"\"\"",
            ),
        )
    })
}

fn start(table: &Table<'_>, keys: &Keys) -> Result<Start, Reported> {
    let name = &keys.name.value;
    let install = match keys.content.as_ref().map(|found| &found.value) {
        Some(Content::Text(text)) => Some(Install::of(text)),
        _ => None,
    };
    match (&keys.enable, &keys.wanted_by) {
        (Some(Found { value: false, .. }) | None, None) => Ok(Start::Never),
        (Some(off), Some(by)) if !off.value => Err(table.checker().report(
            mistake(
                off.span.clone(),
                format!(
                    "`{}` is false, but something wants the unit",
                    table.path("enable")
                ),
            )
            .label("not enabled?")
            .also(by.span.clone(), "wanted by these")
            .help("leave one of them out"),
        )),
        (_, Some(by)) if by.value.is_empty() => Err(table.checker().report(
            mistake(
                by.span.clone(),
                format!("`{}` is empty", table.path("wanted_by")),
            )
            .label("nothing would start the unit")
            .help("for example [\"multi-user.target\"], or leave it out"),
        )),
        (_, Some(by)) if name.is_template() => Err(no_instance(table, keys, &by.span)),
        (_, Some(by)) => Ok(Start::WantedBy(
            by.value.iter().map(|found| found.value.clone()).collect(),
        )),
        (Some(enable), None) => match install {
            Some(None) => Err(table.checker().report(
                mistake(
                    enable.span.clone(),
                    format!("{name} cannot be enabled: its text has no section [Install]"),
                )
                .label("enabled by what?")
                .also(
                    keys.content
                        .as_ref()
                        .map_or(enable.span.clone(), |found| found.span.clone()),
                    "without [Install]",
                )
                .help(
                    "add \"[Install]\" and \"WantedBy=multi-user.target\" to the text, or \
                     `wanted_by = [\"multi-user.target\"]` to the section",
                ),
            )),
            Some(Some(install)) if name.is_template() && !install.has_default_instance() => {
                Err(no_instance(table, keys, &enable.span))
            }
            _ => Ok(Start::Install),
        },
    }
}

fn no_instance(table: &Table<'_>, keys: &Keys, span: &Range<usize>) -> Reported {
    let name = &keys.name.value;
    let instance = name.as_str().replacen('@', "@one", 1);
    table.checker().report(
        mistake(
            span.clone(),
            format!("{name} is a template: only an instance of it can be started"),
        )
        .label("which instance?")
        .help(format!(
            "write another [[unit]] with `name = \"{instance}\"` and `enable = true`"
        )),
    )
}
