//! `[etcd]` and `[node.etcd]`: where etcd comes from and where its files are.

use super::paths::{fixed, persistent_path};
use super::{default_source, or};
use crate::checker::{Found, Given, Reported, Table, mistake};
use crate::etcd_options::Series;
use crate::forms::AbsolutePath;
use crate::resolved::{ConfigStyle, Etcd, EtcdSource, Run};
use crate::values::EtcdVersion;
use imgbuild_base::{Arch, TreePath};

/// The keys as written; those of a node over the cluster's, those of the cluster over defaults.
#[derive(Clone)]
pub(super) struct Written {
    source: Given<&'static str>,
    version: Given<EtcdVersion>,
    bin_dir: Given<TreePath>,
    data_dir: Given<TreePath>,
    wal_dir: Given<TreePath>,
    run: Given<Run>,
    config: Given<ConfigStyle>,
    config_path: Given<TreePath>,
    plain: Given<bool>,
}

impl Written {
    /// Those of `[etcd]`, with the defaults of the language.
    pub(super) fn of_cluster(table: &Table<'_>) -> Self {
        let written = Self::of_node(table);
        Self {
            version: or_default(written.version, || table.text("version")),
            data_dir: or_default(written.data_dir, || {
                let found = table.text::<AbsolutePath>("data_dir")?;
                below_var(table, "data_dir", &found)
            }),
            run: or_default(written.run, || table.choice("run", &Run::ALL, Run::as_str)),
            plain: or_default(written.plain, || table.flag("plain_local_listener")),
            ..written
        }
    }

    /// Those of a node.
    pub(super) fn of_node(table: &Table<'_>) -> Self {
        let path = |key, check: Check| {
            let given = table.given_text::<AbsolutePath>(key)?;
            given.map(|found| check(table, key, &found)).transpose()
        };
        Self {
            source: table.given_choice("source", &EtcdSource::NAMES, |word| word),
            version: table.given_text("version"),
            bin_dir: path("bin_dir", from_layer),
            data_dir: path("data_dir", below_var),
            wal_dir: path("wal_dir", below_var),
            run: table.given_choice("run", &Run::ALL, Run::as_str),
            config: table.given_choice("config", &ConfigStyle::ALL, ConfigStyle::as_str),
            config_path: path("config_path", from_layer),
            plain: table.given_flag("plain_local_listener"),
        }
    }

    /// These, and what they leave out as in `cluster`, unless these rule that out.
    pub(super) fn over(self, cluster: &Self) -> Self {
        let source = or(self.source.clone(), &cluster.source);
        let run = or(self.run.clone(), &cluster.run);
        let other_home = is_debian(&source) != is_debian(&cluster.source);
        let other_run = value(&run) != value(&cluster.run);
        let config = or_unless(other_run, self.config, &cluster.config);
        let other_style = style(&config, &run) != style(&cluster.config, &cluster.run);
        let mut version = or(self.version.clone(), &cluster.version);
        if let (true, Ok(None), Ok(Some(shared))) =
            (is_debian(&source), &self.version, &mut version)
        {
            // It is the others'.
            shared.written = false;
        }
        Self {
            source,
            version,
            bin_dir: or_unless(other_home, self.bin_dir, &cluster.bin_dir),
            data_dir: or(self.data_dir, &cluster.data_dir),
            wal_dir: or(self.wal_dir, &cluster.wal_dir),
            run,
            config_path: or_unless(other_style, self.config_path, &cluster.config_path),
            config,
            plain: or(self.plain, &cluster.plain),
        }
    }

    /// What they come to; `arch` is that of the machine, if it is known.
    pub(super) fn settle(&self, table: &Table<'_>, arch: Option<Arch>) -> Result<Etcd, Reported> {
        let debian = is_debian(&self.source);
        let source = self.source.clone().and_then(|source| match source {
            Some(found) => released(table, found, arch),
            None => Ok(default_source(arch)),
        });
        let version = self.version.clone().and_then(|version| match version {
            Some(found) if debian && found.written => Err(table.checker().report(
                mistake(
                    found.span,
                    format!(
                        "`{}` cannot be chosen with source = \"debian\": the suite has one",
                        table.path("version")
                    ),
                )
                .label("the suite decides")
                .help("leave it out, or use source = \"build\" or \"release\""),
            )),
            Some(found) => supported(table, &found),
            None => Err(super::refuse(table, "there is no version of etcd")),
        });
        let bin_dir = self.bin_dir.clone().and_then(|dir| match dir {
            Some(dir) => program_dir(table, dir, debian),
            None => fixed(table, if debian { "/usr/bin" } else { "/usr/local/bin" }),
        });
        let data_dir = self.data_dir.clone().and_then(|dir| match dir {
            Some(dir) => Ok(dir.value),
            None => fixed(table, "/var/lib/etcd"),
        });
        let wal_dir = self.wal_dir.clone().map(|dir| dir.map(|found| found.value));
        let wal_dir = wal_dir.and_then(|dir| log_dir(table, dir, data_dir.as_ref().ok()));
        let run = self.run.clone().and_then(|run| match run {
            Some(run) => standalone(table, &run, debian),
            None => Ok(Run::Service),
        });
        let config = self.config.clone();
        let config = config.and_then(|config| config_style(table, config, run.as_ref().ok()));
        let config_path = self.config_path.clone().and_then(|path| {
            let style = *config.as_ref().map_err(|&reported| reported)?;
            settle_config_path(table, style, path)
        });
        let plain = self.plain.clone()?;

        let version = version?;
        Ok(Etcd {
            source: match source? {
                EtcdSource::RELEASE => EtcdSource::Release { version },
                EtcdSource::DEBIAN => EtcdSource::Debian,
                _ => EtcdSource::Build { version },
            },
            bin_dir: bin_dir?,
            data_dir: data_dir?,
            wal_dir: wal_dir?,
            run: run?,
            config: config?,
            config_path: config_path?,
            plain_local_listener: plain.is_some_and(|found| found.value),
        })
    }
}

/// Looks at a path of the key.
type Check = fn(&Table<'_>, &str, &Found<AbsolutePath>) -> Result<Found<TreePath>, Reported>;

fn or_default<T>(given: Given<T>, default: impl Fn() -> Result<Found<T>, Reported>) -> Given<T> {
    match given {
        Ok(None) => default().map(Some),
        given => given,
    }
}

/// What is written, else what is inherited, unless that is ruled out.
fn or_unless<T: Clone>(ruled_out: bool, own: Given<T>, inherited: &Given<T>) -> Given<T> {
    match ruled_out {
        true => own,
        false => or(own, inherited),
    }
}

fn value<T: Copy>(given: &Given<T>) -> Option<T> {
    given.as_ref().ok()?.as_ref().map(|found| found.value)
}

fn is_debian(source: &Given<&'static str>) -> bool {
    value(source) == Some(EtcdSource::DEBIAN)
}

/// The way of configuring that these two come to.
fn style(config: &Given<ConfigStyle>, run: &Given<Run>) -> ConfigStyle {
    match (value(config), value(run)) {
        (Some(style), _) => style,
        (None, Some(Run::StaticPod)) => ConfigStyle::Flags,
        (None, _) => ConfigStyle::File,
    }
}

/// Upstream does not release for every architecture.
fn released(
    table: &Table<'_>,
    source: Found<&'static str>,
    arch: Option<Arch>,
) -> Result<&'static str, Reported> {
    if source.value != EtcdSource::RELEASE || arch != Some(Arch::Armhf) {
        return Ok(source.value);
    }
    let message = format!(
        "`{}`: upstream releases no etcd for armhf",
        table.path("source")
    );
    Err(table.checker().report(
        mistake(source.span, message)
            .label("there is no such archive")
            .help(
                "use source = \"build\" to cross-compile it, or source = \"debian\" for \
                 Debian's package",
            ),
    ))
}

fn program_dir(
    table: &Table<'_>,
    dir: Found<TreePath>,
    debian: bool,
) -> Result<TreePath, Reported> {
    if !debian || dir.value.as_str() == "usr/bin" {
        return Ok(dir.value);
    }
    let message = format!(
        "`{}`: Debian's packages put etcd into /usr/bin",
        table.path("bin_dir")
    );
    Err(table.checker().report(
        mistake(dir.span, message)
            .label("expected /usr/bin")
            .help("leave it out"),
    ))
}

fn log_dir(
    table: &Table<'_>,
    wal: Option<TreePath>,
    data: Option<&TreePath>,
) -> Result<Option<TreePath>, Reported> {
    if wal.is_none() || wal.as_ref() != data {
        return Ok(wal);
    }
    let message = format!(
        "`{}`: the write-ahead log cannot be in the data directory itself",
        table.path("wal_dir")
    );
    Err(table.checker().report(
        mistake(table.span(), message)
            .label("wal_dir = data_dir")
            .help("leave it out for the usual place, member/wal in the data directory"),
    ))
}

/// Debian's programs need Debian's libraries, which a container's image has not got.
fn standalone(table: &Table<'_>, run: &Found<Run>, debian: bool) -> Result<Run, Reported> {
    if run.value == Run::Service || !debian {
        return Ok(run.value);
    }
    Err(table.checker().report(
        mistake(
            run.span.clone(),
            format!(
                "`{}`: Debian's etcd cannot run in the container",
                table.path("run")
            ),
        )
        .label("its programs need Debian's libraries, which the image has not got")
        .help("use source = \"build\" or \"release\", or run = \"service\""),
    ))
}

/// What a manifest has no place for cannot be asked of a static pod.
fn config_style(
    table: &Table<'_>,
    config: Option<Found<ConfigStyle>>,
    run: Option<&Run>,
) -> Result<ConfigStyle, Reported> {
    let pod = run == Some(&Run::StaticPod);
    match config {
        Some(found) if pod && found.value != ConfigStyle::Flags => {
            let message = format!(
                "`{}` cannot be {:?} with run = \"static-pod\": a manifest has flags",
                table.path("config"),
                found.value.as_str()
            );
            Err(table.checker().report(
                mistake(found.span, message)
                    .label("expected \"flags\"")
                    .help("leave it out"),
            ))
        }
        Some(found) => Ok(found.value),
        None if pod => Ok(ConfigStyle::Flags),
        None => Ok(ConfigStyle::File),
    }
}

fn supported(table: &Table<'_>, version: &Found<EtcdVersion>) -> Result<EtcdVersion, Reported> {
    let EtcdVersion { major, minor, .. } = version.value;
    if Series::of(version.value).is_some() {
        return Ok(version.value);
    }
    let known: Vec<String> = Series::ALL.iter().map(ToString::to_string).collect();
    let message = format!(
        "`{}`: imgbuild does not know etcd {major}.{minor}",
        table.path("version")
    );
    Err(table.checker().report(
        mistake(version.span.clone(), message)
            .label(format!("expected a release of {}", known.join(", ")))
            .help("older ones get no security fixes any more; newer ones may have other options"),
    ))
}

fn settle_config_path(
    table: &Table<'_>,
    style: ConfigStyle,
    path: Option<Found<TreePath>>,
) -> Result<Option<TreePath>, Reported> {
    match (path, style.default_path()) {
        (None, default) => default.map(|path| fixed(table, path)).transpose(),
        (Some(path), Some(_)) => Ok(Some(path.value)),
        (Some(path), None) => {
            let message = format!(
                "`{}`: with config = \"flags\" there is no such file",
                table.path("config_path")
            );
            Err(table.checker().report(
                mistake(path.span, message)
                    .label("no file")
                    .help("leave it out, or use config = \"file\" or \"environment\""),
            ))
        }
    }
}

fn from_layer(
    table: &Table<'_>,
    key: &str,
    path: &Found<AbsolutePath>,
) -> Result<Found<TreePath>, Reported> {
    persistent_path(table, key, path).map(|value| path.with(value))
}

fn below_var(
    table: &Table<'_>,
    key: &str,
    dir: &Found<AbsolutePath>,
) -> Result<Found<TreePath>, Reported> {
    let path = dir.value.tree_path();
    if path.is_within("var") && path.as_str() != "var" {
        return Ok(dir.with(path.clone()));
    }
    let message = format!(
        "`{}`: {} would be lost at every reboot",
        table.path(key),
        path.absolute()
    );
    Err(table.checker().report(
        mistake(dir.span.clone(), message)
            .label("expected a directory below /var")
            .help("only /var is on the state partition; for example \"/var/lib/etcd\""),
    ))
}
