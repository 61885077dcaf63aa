use super::index::{self, Entries, IndexError};
use super::module::key_values;
use super::{Module, Modules, canonical};
use imgbuild_base::Tree;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The files that `depmod` makes for these modules, by their names below
/// `usr/lib/modules/VERSION`. `tree` is where the kernel's own lists (`modules.order`,
/// `modules.builtin`, `modules.builtin.modinfo`) are read from.
///
/// # Errors
/// [`IndexError`].
pub fn depmod(
    tree: &Tree,
    version: &str,
    modules: &Modules,
) -> Result<Vec<(&'static str, Vec<u8>)>, IndexError> {
    let dir = format!("usr/lib/modules/{version}");
    let list = |name: &str| {
        tree.file(&format!("{dir}/{name}"))
            .cloned()
            .unwrap_or_default()
    };
    let ranks = ranks(&String::from_utf8_lossy(&list("modules.order")));
    let mut sorted: Vec<(u32, &Module)> = modules
        .all
        .iter()
        .map(|module| {
            (
                ranks.get(&module.name).copied().unwrap_or(u32::MAX >> 1),
                module,
            )
        })
        .collect();
    sorted.sort_by(|(a, x), (b, y)| (a, &x.file).cmp(&(b, &y.file)));

    let mut dep = String::new();
    let mut dep_index = Entries::new();
    let mut alias = "# Aliases of modules, from the modules themselves.\n".to_owned();
    let mut alias_index = Entries::new();
    let mut symbols = "# Symbols that modules offer.\n".to_owned();
    let mut symbol_index = Entries::new();
    let mut softdep = "# Modules that modules wish to be loaded before or after them.\n".to_owned();
    let mut devname = "# Device nodes that load a module when they are opened.\n".to_owned();
    for (rank, module) in &sorted {
        let name = &module.name;
        let mut line = format!("{}:", module.file);
        for need in needs(modules, module) {
            let _ = write!(line, " {}", need.file);
        }
        let _ = writeln!(dep, "{line}");
        add(&mut dep_index, name.clone(), *rank, line);
        for text in module.values("alias") {
            let _ = writeln!(alias, "alias {text} {name}");
            add(&mut alias_index, normalised(text), *rank, name.clone());
        }
        for symbol in &module.exports {
            let _ = writeln!(symbols, "alias symbol:{symbol} {name}");
            add(
                &mut symbol_index,
                format!("symbol:{symbol}"),
                *rank,
                name.clone(),
            );
        }
        for text in module.values("softdep") {
            let _ = writeln!(softdep, "softdep {name} {text}");
        }
        if let Some(line) = device(module) {
            let _ = writeln!(devname, "{line}");
        }
    }

    let mut built_in = Entries::new();
    for name in super::select::built_in(tree, &dir) {
        add(&mut built_in, name, 0, String::new());
    }
    let mut built_in_alias = Entries::new();
    for (key, text) in key_values(&list("modules.builtin.modinfo")) {
        if let Some((name, "alias")) = key.split_once('.') {
            add(&mut built_in_alias, normalised(&text), 0, canonical(name));
        }
    }

    Ok(vec![
        ("modules.alias", alias.into_bytes()),
        ("modules.alias.bin", index::write(&alias_index)?),
        ("modules.builtin.alias.bin", index::write(&built_in_alias)?),
        ("modules.builtin.bin", index::write(&built_in)?),
        ("modules.dep", dep.into_bytes()),
        ("modules.dep.bin", index::write(&dep_index)?),
        ("modules.devname", devname.into_bytes()),
        ("modules.softdep", softdep.into_bytes()),
        ("modules.symbols", symbols.into_bytes()),
        ("modules.symbols.bin", index::write(&symbol_index)?),
    ])
}

fn add(index: &mut Entries, key: String, priority: u32, value: String) {
    let values = index.entry(key).or_default();
    if !values.iter().any(|(_, found)| *found == value) {
        values.push((priority, value));
    }
}

/// Place of each module in `modules.order`, by canonical name.
fn ranks(order: &str) -> BTreeMap<String, u32> {
    let names = order.lines().filter_map(|line| {
        let file = line.rsplit('/').next()?;
        Some(canonical(file.split('.').next()?))
    });
    names.zip(0..).collect()
}

/// Everything a module needs, each before what it needs itself: kmod loads from the end.
fn needs<'a>(modules: &'a Modules, module: &Module) -> Vec<&'a Module> {
    let mut wanted = std::collections::BTreeSet::new();
    let mut open: Vec<String> = module.depends().collect();
    while let Some(name) = open.pop() {
        if let Some(found) = modules.get(&name)
            && wanted.insert(name)
        {
            open.extend(found.depends());
        }
    }
    // `all` has each module after those it depends on.
    let all = modules.all.iter().rev();
    all.filter(|found| wanted.contains(&found.name)).collect()
}

/// An alias as it is looked up: hyphens are underscores, except in a set such as `[a-f]`.
fn normalised(alias: &str) -> String {
    let mut in_set = false;
    alias
        .chars()
        .map(|c| {
            in_set = (in_set || c == '[') && c != ']';
            if c == '-' && !in_set { '_' } else { c }
        })
        .collect()
}

/// The line of `modules.devname`: a module whose aliases name both a device file and its
/// numbers.
fn device(module: &Module) -> Option<String> {
    let mut node = None;
    let mut numbers = None;
    for alias in module.values("alias") {
        if let Some(name) = alias.strip_prefix("devname:") {
            node = Some(name);
        }
        for (prefix, letter) in [("char-major-", 'c'), ("block-major-", 'b')] {
            if let Some((major, minor)) = alias.strip_prefix(prefix).and_then(|n| n.split_once('-'))
                && major
                    .bytes()
                    .chain(minor.bytes())
                    .all(|b| b.is_ascii_digit())
            {
                numbers = Some(format!("{letter}{major}:{minor}"));
            }
        }
    }
    Some(format!("{} {} {}", module.name, node?, numbers?))
}
