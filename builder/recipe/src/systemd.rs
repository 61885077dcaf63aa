//! What systemd's unit files say, as far as a builder has to understand them
//! (systemd.unit(5), systemd.syntax(7)).

use crate::values::UnitName;

/// What is wrong with the text of a unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct UnitTextError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what was expected.
    pub problem: String,
}

/// The `Key=value` lines of a section of a unit.
#[must_use]
pub fn section<'a>(text: &'a str, name: &str) -> Vec<(&'a str, &'a str)> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(section) = header(line) {
            inside = section == name;
        } else if inside && !line.starts_with(['#', ';']) {
            found.extend(
                line.split_once('=')
                    .map(|(key, value)| (key.trim(), value.trim())),
            );
        }
    }
    found
}

fn header(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']')
}

/// The name of the section that says what a unit of a type is.
fn own_section(kind: &str) -> Option<&'static str> {
    match kind {
        "service" => Some("Service"),
        "socket" => Some("Socket"),
        "timer" => Some("Timer"),
        "path" => Some("Path"),
        "mount" => Some("Mount"),
        "automount" => Some("Automount"),
        "swap" => Some("Swap"),
        "slice" => Some("Slice"),
        _ => None,
    }
}

/// Finds what systemd would refuse or ignore in the text of a unit that a person wrote, and
/// that is for certain: lines that are none, sections that a unit of the type has not. With
/// `whole` it must be a unit by itself; without, what a drop-in adds to one.
///
/// # Errors
/// [`UnitTextError`] for the first such line.
pub fn check(name: &UnitName, text: &str, whole: bool) -> Result<(), UnitTextError> {
    let own = own_section(name.kind());
    let known = |section: &str| {
        matches!(section, "Unit" | "Install") || section.starts_with("X-") || own == Some(section)
    };
    let (mut sections, mut continued) = (Vec::new(), false);
    for (line, number) in text.lines().zip(1..) {
        let wrong = |problem: String| {
            Err(UnitTextError {
                line: number,
                problem,
            })
        };
        let (part_of_last, line) = (continued, line.trim());
        let comment = line.starts_with(['#', ';']);
        continued = line.ends_with('\\') && !comment || part_of_last && comment;
        if line.is_empty() || comment || part_of_last {
            continue;
        }
        if let Some(section) = header(line) {
            if !known(section) {
                return wrong(match own {
                    Some(own) => format!(
                        "a .{} unit has no section [{section}]: expected [Unit], [{own}] or \
                         [Install]",
                        name.kind()
                    ),
                    None => format!(
                        "a .{} unit has no section [{section}]: expected [Unit] or [Install]",
                        name.kind()
                    ),
                });
            }
            sections.push(section);
        } else if sections.is_empty() {
            return wrong(format!(
                "{line:?} stands in no section: expected [Unit] first"
            ));
        } else if line
            .split_once('=')
            .is_none_or(|(key, _)| key.trim().is_empty())
        {
            return wrong(format!("{line:?} is neither [Section] nor Key=value"));
        }
    }
    let lacks = own.filter(|own| !sections.contains(own));
    match lacks {
        // A slice or a swap is complete without; the others say what they do there.
        Some(own) if whole && own != "Slice" => Err(UnitTextError {
            line: text.lines().count().max(1),
            problem: format!("a .{} unit needs a section [{own}]", name.kind()),
        }),
        None if text.trim().is_empty() => Err(UnitTextError {
            line: 1,
            problem: "there is nothing in it".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// What a unit's `[Install]` section says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Install {
    wanted_by: Vec<String>,
    required_by: Vec<String>,
    upheld_by: Vec<String>,
    aliases: Vec<String>,
    also: Vec<String>,
    default_instance: Option<String>,
}

impl Install {
    /// That of a unit's text, if it says anything.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let lines = section(text, "Install");
        let values = |wanted: &str| -> Vec<String> {
            lines
                .iter()
                .filter(|(key, _)| *key == wanted)
                .flat_map(|(_, value)| value.split_whitespace())
                .map(str::to_owned)
                .collect()
        };
        (!lines.is_empty()).then(|| Self {
            wanted_by: values("WantedBy"),
            required_by: values("RequiredBy"),
            upheld_by: values("UpheldBy"),
            aliases: values("Alias"),
            also: values("Also"),
            default_instance: values("DefaultInstance").into_iter().next(),
        })
    }

    /// One that only says what wants the unit.
    #[must_use]
    pub fn wanted_by<'a>(by: impl IntoIterator<Item = &'a UnitName>) -> Self {
        Self {
            wanted_by: by.into_iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }

    /// Whether a template can be enabled by its bare name.
    #[must_use]
    pub fn has_default_instance(&self) -> bool {
        self.default_instance.is_some()
    }

    /// Units that are enabled with it.
    #[must_use]
    pub fn also(&self) -> &[String] {
        &self.also
    }

    /// The links by which `systemctl enable` would enable `unit`, as paths below
    /// /etc/systemd/system; each leads to the unit's file. A template without an instance is
    /// enabled as its default one; `%i` and `%p` are known.
    #[must_use]
    pub fn links(&self, unit: &str) -> Vec<String> {
        let name = match (template(unit), &self.default_instance) {
            (Some((_, "")), Some(instance)) => unit.replace("@.", &format!("@{instance}.")),
            _ => unit.to_owned(),
        };
        let instance = template(&name).map_or("", |(_, instance)| instance);
        let prefix = name.split(['@', '.']).next().unwrap_or_default();
        let spell = |text: &String| text.replace("%i", instance).replace("%p", prefix);
        let mut links = Vec::new();
        for (by, suffix) in [
            (&self.wanted_by, "wants"),
            (&self.required_by, "requires"),
            (&self.upheld_by, "upholds"),
        ] {
            links.extend(by.iter().map(|by| format!("{}.{suffix}/{name}", spell(by))));
        }
        links.extend(self.aliases.iter().map(spell));
        links
    }
}

/// Splits `name@instance.type` into `name@.type` and the instance.
#[must_use]
pub fn template(unit: &str) -> Option<(String, &str)> {
    let (prefix, rest) = unit.split_once('@')?;
    let (instance, kind) = rest.rsplit_once('.')?;
    Some((format!("{prefix}@.{kind}"), instance))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(name: &str, text: &str, whole: bool) -> String {
        let name: UnitName = name.parse().unwrap();
        check(&name, text, whole).unwrap_err().to_string()
    }

    #[test]
    fn what_systemd_would_ignore_is_found() {
        let right = "# what\n[Unit]\nDescription=a \\\n  b [c\n\n[Service]\nExecStart=/bin/true\n\
                     [X-Note]\na=b\n[Install]\nWantedBy=multi-user.target\n";
        let name: UnitName = "a.service".parse().unwrap();
        check(&name, right, true).unwrap();
        check(&name, "[Service]\nMemoryMax=1G\n", false).unwrap();
        assert_eq!(
            wrong("a.service", "ExecStart=/bin/true\n", true),
            "line 1: \"ExecStart=/bin/true\" stands in no section: expected [Unit] first"
        );
        assert_eq!(
            wrong("a.timer", "[Unit]\n\n[Service]\n", true),
            "line 3: a .timer unit has no section [Service]: expected [Unit], [Timer] or [Install]"
        );
        assert_eq!(
            wrong("a.service", "[Service]\nExecStart /bin/true\n", false),
            "line 2: \"ExecStart /bin/true\" is neither [Section] nor Key=value"
        );
        assert_eq!(
            wrong("a.service", "[Unit]\nDescription=x\n", true),
            "line 2: a .service unit needs a section [Service]"
        );
        assert_eq!(
            wrong("a.target", "", true),
            "line 1: there is nothing in it"
        );
        check(&name, "[Unit]\nDescription=x\n", false).unwrap();
    }

    #[test]
    fn links_as_systemctl_makes_them() {
        let install = Install::of(
            "[Unit]\nWantedBy=no.target\n[Install]\n# WantedBy=no.target\nWantedBy=x.target y.target\n\
             RequiredBy=z.target\nAlias=%p-too.service\nAlso=b@.service\n",
        )
        .unwrap();
        assert_eq!(
            install.links("a.service"),
            [
                "x.target.wants/a.service",
                "y.target.wants/a.service",
                "z.target.requires/a.service",
                "a-too.service",
            ]
        );
        assert_eq!(install.also(), ["b@.service"]);
        let template = Install::of("[Install]\nWantedBy=%i.target\nDefaultInstance=one\n").unwrap();
        assert_eq!(
            template.links("b@.service"),
            ["one.target.wants/b@one.service"]
        );
        assert_eq!(
            template.links("b@two.service"),
            ["two.target.wants/b@two.service"]
        );
        assert_eq!(Install::of("[Service]\nType=simple\n"), None);
    }
}
