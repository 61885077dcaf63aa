//! `[etcd]`: where etcd comes from and where its files are.

use super::default_source;
use super::paths::{fixed, persistent_path};
use crate::checker::{Found, Reported, Table, mistake};
use crate::etcd_options::Series;
use crate::forms::AbsolutePath;
use crate::resolved::{ConfigStyle, Etcd, EtcdSource, Run};
use crate::values::EtcdVersion;
use imgbuild_base::{Arch, TreePath};

pub(super) fn read(table: &Table<'_>, arch: Option<Arch>) -> Result<Etcd, Reported> {
    let source = table.given_choice("source", &EtcdSource::NAMES, |word| word);
    let given_version = table.given_text::<EtcdVersion>("version");
    let bin_dir = table.given_text::<AbsolutePath>("bin_dir");
    let data_dir = table
        .text::<AbsolutePath>("data_dir")
        .and_then(|dir| below_var(table, "data_dir", &dir));
    let wal_dir = table
        .given_text::<AbsolutePath>("wal_dir")
        .and_then(|dir| dir.map(|dir| below_var(table, "wal_dir", &dir)).transpose());
    let run = table.choice("run", &Run::ALL, Run::as_str);
    let config = table.given_choice("config", &ConfigStyle::ALL, ConfigStyle::as_str);
    let config_path = table.given_text::<AbsolutePath>("config_path");
    let plain = table.flag("plain_local_listener");

    let source = source.and_then(|source| {
        if let Some(found) = &source
            && found.value == EtcdSource::RELEASE
            && arch == Some(Arch::Armhf)
        {
            return Err(table.checker().report(
                mistake(
                    found.span.clone(),
                    "`etcd.source`: upstream releases no etcd for armhf",
                )
                .label("there is no such archive")
                .help(
                    "use source = \"build\" to cross-compile it, or source = \"debian\" for \
                     Debian's package",
                ),
            ));
        }
        Ok(source.map_or_else(|| default_source(arch), |found| found.value))
    });
    let debian = matches!(source, Ok(EtcdSource::DEBIAN));
    let version = match (&given_version, debian) {
        (Ok(Some(version)), true) => Err(table.checker().report(
            mistake(
                version.span.clone(),
                "`etcd.version` cannot be chosen with source = \"debian\": the suite has one",
            )
            .label("the suite decides")
            .help("leave it out, or use source = \"build\" or \"release\""),
        )),
        _ => given_version
            .and_then(|_| table.text::<EtcdVersion>("version"))
            .and_then(|version| supported(table, &version)),
    };
    let bin_dir = bin_dir.and_then(|dir| {
        let Some(dir) = dir else {
            return fixed(table, if debian { "/usr/bin" } else { "/usr/local/bin" });
        };
        let path = persistent_path(table, "bin_dir", &dir)?;
        if debian && path.as_str() != "usr/bin" {
            return Err(table.checker().report(
                mistake(
                    dir.span.clone(),
                    "`etcd.bin_dir`: Debian's packages put etcd into /usr/bin",
                )
                .label("expected /usr/bin")
                .help("leave it out"),
            ));
        }
        Ok(path)
    });

    let wal_dir = match (wal_dir, &data_dir) {
        (Ok(Some(wal)), Ok(data)) if wal == *data => Err(table.checker().report(
            mistake(
                table.span(),
                "`etcd.wal_dir`: the write-ahead log cannot be in the data directory itself",
            )
            .label("wal_dir = data_dir")
            .help("leave it out for the usual place, member/wal in the data directory"),
        )),
        (wal, _) => wal,
    };
    let run = run.and_then(|run| standalone(table, &run, debian));
    let config = config.and_then(|config| config_style(table, config, run.as_ref().ok()));
    let config_path = config_path.and_then(|path| {
        let style = *config.as_ref().map_err(|&reported| reported)?;
        read_config_path(table, style, path)
    });

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
        plain_local_listener: plain?.value,
    })
}

/// Debian's programs need Debian's libraries, which a container's image has not got.
fn standalone(table: &Table<'_>, run: &Found<Run>, debian: bool) -> Result<Run, Reported> {
    if run.value == Run::Service || !debian {
        return Ok(run.value);
    }
    Err(table.checker().report(
        mistake(
            run.span.clone(),
            "`etcd.run`: Debian's etcd cannot run in the container",
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
                "`etcd.config` cannot be {:?} with run = \"static-pod\": a manifest has flags",
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
    let message = format!("`etcd.version`: imgbuild does not know etcd {major}.{minor}");
    Err(table.checker().report(
        mistake(version.span.clone(), message)
            .label(format!("expected a release of {}", known.join(", ")))
            .help("older ones get no security fixes any more; newer ones may have other options"),
    ))
}

fn read_config_path(
    table: &Table<'_>,
    style: ConfigStyle,
    path: Option<Found<AbsolutePath>>,
) -> Result<Option<TreePath>, Reported> {
    match (path, style.default_path()) {
        (None, default) => default.map(|path| fixed(table, path)).transpose(),
        (Some(path), Some(_)) => persistent_path(table, "config_path", &path).map(Some),
        (Some(path), None) => Err(table.checker().report(
            mistake(
                path.span,
                "`etcd.config_path`: with config = \"flags\" there is no such file",
            )
            .label("no file")
            .help("leave it out, or use config = \"file\" or \"environment\""),
        )),
    }
}

fn below_var(
    table: &Table<'_>,
    key: &str,
    dir: &Found<AbsolutePath>,
) -> Result<TreePath, Reported> {
    let path = dir.value.tree_path();
    if path.is_within("var") && path.as_str() != "var" {
        return Ok(path.clone());
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
