//! `[etcd.options]` and `[etcd.environment]`, of the cluster and of a node.

use crate::checker::{Reported, Table, mistake};
use crate::error::nearest;
use crate::etcd_options::{self, EtcdOption, Keeper, OptionValue, Place, Series, ValueMistake};
use crate::resolved::{ConfigStyle, Etcd};
use crate::values::{VariableName, VariableValue};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::DeValue;

/// What decides which options there are; `None` where `[etcd]` has mistakes of its own.
#[derive(Clone, Copy)]
pub(super) struct Version {
    series: Option<Series>,
    style: Option<ConfigStyle>,
}

impl Version {
    pub(super) fn of(etcd: Option<&Etcd>) -> Self {
        Self {
            series: etcd.and_then(Etcd::series),
            style: etcd.map(|etcd| etcd.config),
        }
    }
}

/// The options a table says, over those it `inherits`.
pub(super) fn read(
    table: &Table<'_>,
    version: Version,
    inherits: BTreeMap<&'static str, OptionValue>,
) -> Result<BTreeMap<&'static str, OptionValue>, Reported> {
    let read_all: Vec<Result<_, Reported>> = table
        .entries("options")?
        .into_iter()
        .map(|(name, value)| {
            let option = known(table, version, &name)?;
            Ok((option.name, read_value(table, option, value)?))
        })
        .collect();
    let own: Vec<_> = read_all.into_iter().collect::<Result<_, _>>()?;
    let mut options = inherits;
    options.extend(own);
    Ok(options)
}

/// The option of that name, if this etcd has it and the recipe may set it.
fn known(
    table: &Table<'_>,
    version: Version,
    name: &Spanned<String>,
) -> Result<&'static EtcdOption, Reported> {
    let word = name.get_ref();
    let path = table.path("options");
    let complain = |message: String| mistake(name.span(), message);
    let options = || etcd_options::free(version.series).map(|option| option.name);
    let wrong = match etcd_options::find(word) {
        None => {
            let flag = word.trim_start_matches('-').replace('_', "-");
            let flag = flag.to_ascii_lowercase();
            let bare = flag.strip_prefix("etcd-").unwrap_or(&flag);
            let keyed = etcd_options::find(bare).filter(|option| option.keeper != Keeper::Recipe);
            let help = match (keyed, nearest(bare, options())) {
                (Some(option), _) => instead(option),
                (None, Some(name)) => format!("did you mean `{name}`?"),
                (None, None) => "`etcd --help` and the recipe reference list them".to_owned(),
            };
            complain(format!("`{path}`: etcd has no option `{word}`"))
                .label("unknown option")
                .help(help)
        }
        Some(option) if option.keeper != Keeper::Recipe => {
            complain(format!("`{path}`: `{word}` cannot be set here"))
                .label("not in options")
                .help(instead(option))
        }
        Some(option) => match (version.series, version.style) {
            (Some(series), _) if !option.is_in(series) => {
                let help = match nearest_in(word, series) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => "leave it out, or choose another version".to_owned(),
                };
                complain(format!("`{path}`: etcd {series} has no option `{word}`"))
                    .label(format!("only in etcd {}", option.series_text()))
                    .help(help)
            }
            (_, Some(ConfigStyle::File)) if option.place == Place::Nowhere => complain(format!(
                "`{path}`: etcd reads `{word}` from no configuration file"
            ))
            .label("only a flag or a variable")
            .help("use config = \"environment\" or config = \"flags\" in [etcd]"),
            _ => return Ok(option),
        },
    };
    Err(table.checker().report(wrong))
}

/// Complains about options of the cluster's that a node's own etcd does not have.
pub(super) fn check_inherited(
    table: &Table<'_>,
    version: Version,
    options: BTreeMap<&'static str, OptionValue>,
) -> Result<BTreeMap<&'static str, OptionValue>, Reported> {
    let misfit = |name: &&'static str| {
        let option = etcd_options::find(name)?;
        match (version.series, version.style) {
            (Some(series), _) if !option.is_in(series) => Some((
                format!("etcd {series} has no option `{name}`"),
                "version",
                format!("in etcd {}", option.series_text()),
            )),
            (_, Some(ConfigStyle::File)) if option.place == Place::Nowhere => Some((
                format!("etcd reads `{name}` from no configuration file"),
                "config",
                "with config = \"environment\" or \"flags\"".to_owned(),
            )),
            _ => None,
        }
    };
    let Some((message, key, where_known)) = options.keys().find_map(misfit) else {
        return Ok(options);
    };
    let span = [key, "source", "run"]
        .iter()
        .find_map(|key| table.written_at(key));
    let message = format!(
        "`{}`: {message}, which [etcd.options] sets",
        table.path(key)
    );
    Err(table.checker().report(
        mistake(span.unwrap_or_else(|| table.span()), message)
            .label("not with the cluster's options")
            .help(format!(
                "set it in [node.etcd.options] of those nodes that know it: {where_known}"
            )),
    ))
}

fn instead(option: &EtcdOption) -> String {
    match option.keeper {
        Keeper::Key(key) => format!("the recipe's key for it is `{key}`"),
        Keeper::Builder(why) => why.to_owned(),
        Keeper::Recipe => String::new(),
    }
}

/// What an option is called in a series in which it was renamed: `experimental-` came and went.
fn nearest_in(word: &str, series: Series) -> Option<&'static str> {
    let bare = word.strip_prefix("experimental-").unwrap_or(word);
    etcd_options::free(Some(series))
        .map(|option| option.name)
        .find(|name| name.strip_prefix("experimental-").unwrap_or(name) == bare)
}

fn read_value(
    table: &Table<'_>,
    option: &'static EtcdOption,
    value: &Spanned<DeValue<'_>>,
) -> Result<OptionValue, Reported> {
    let kind = option.kind;
    let read = match value.get_ref() {
        DeValue::Boolean(flag) => kind.flag(*flag),
        DeValue::Integer(number) => {
            kind.number(u64::from_str_radix(number.as_str(), number.radix()).ok())
        }
        DeValue::String(text) => kind.text(text),
        DeValue::Array(items) => match items
            .iter()
            .map(|item| item.get_ref().as_str())
            .collect::<Option<Vec<_>>>()
        {
            Some(texts) => kind.list(&texts),
            None => Err(other(option)),
        },
        _ => Err(other(option)),
    };
    read.map_err(|ValueMistake { expected, help }| {
        let message = format!(
            "`{}.{}` must be {}",
            table.path("options"),
            option.name,
            kind.describe()
        );
        table.checker().report(
            mistake(value.span(), message)
                .label(format!("expected {expected}"))
                .help(help),
        )
    })
}

/// A value of a type that no option has.
fn other(option: &EtcdOption) -> ValueMistake {
    ValueMistake {
        expected: option.kind.describe(),
        help: format!("for example {}", option.kind.example()),
    }
}

/// The variables a table says, over those it `inherits`.
pub(super) fn read_environment(
    table: &Table<'_>,
    inherits: BTreeMap<VariableName, VariableValue>,
) -> Result<BTreeMap<VariableName, VariableValue>, Reported> {
    let own = table.map::<VariableName, VariableValue>("environment")?;
    let mut variables = inherits;
    variables.extend(
        own.into_iter()
            .map(|(name, value)| (name.value, value.value)),
    );
    Ok(variables)
}
