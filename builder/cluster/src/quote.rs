//! Printable ASCII text, quoted for the files in which it stands. What needs no quotes gets none.

/// Whether `text` means itself in units, environment files and shells.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./:,=+@[]".contains(&byte))
}

/// `text` in double quotes, with a backslash before each of `special`.
fn double(text: &str, special: &[char]) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if special.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// A value in a file that systemd's `EnvironmentFile=` reads (systemd.exec(5)), and a shell too.
pub(crate) fn environment_file(text: &str) -> String {
    if is_plain(text) || text.is_empty() {
        text.to_owned()
    } else if text.contains('\'') {
        double(text, &['"', '\\', '$', '`'])
    } else {
        format!("'{text}'")
    }
}

/// A word of a unit's `ExecStart=` (systemd.service(5), "Command lines"): specifiers and
/// variables are not expanded.
pub(crate) fn unit_word(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    double(&text.replace('%', "%%").replace('$', "$$"), &['"', '\\'])
}

/// An assignment of a unit's `Environment=` (systemd.exec(5)), where `$` means nothing.
pub(crate) fn unit_assignment(name: &str, value: &str) -> String {
    let text = format!("{name}={value}");
    if is_plain(&text) {
        return text;
    }
    double(&text.replace('%', "%%"), &['"', '\\'])
}

/// A double-quoted scalar (YAML 1.2.2, 7.3.1).
pub(crate) fn yaml(text: &str) -> String {
    double(text, &['"', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const NASTY: &str = r#"{"a": "100% of $HOME\n", 'b': `c`; #d}"#;

    #[test]
    fn plain_text_stays() {
        assert_eq!(
            environment_file("https://[fd00::1]:2379"),
            "https://[fd00::1]:2379"
        );
        assert_eq!(unit_word("--name=e1"), "--name=e1");
        assert_eq!(unit_assignment("GOGC", "50"), "GOGC=50");
        assert_eq!(yaml("e1"), "\"e1\"");
    }

    #[test]
    fn specifiers_and_variables_are_not_expanded() {
        assert_eq!(unit_word("100% $x"), "\"100%% $$x\"");
        assert_eq!(unit_assignment("A", "100% $x"), "\"A=100%% $x\"");
        assert_eq!(yaml(r#"a"\"#), r#""a\"\\""#);
    }

    /// The shell reads what is written for `EnvironmentFile=` alike.
    #[test]
    fn a_shell_reads_it_back() {
        for text in [NASTY, "a b", "it's", "", "x\\", "\"", "!"] {
            let script = format!("A={}\nprintf %s \"$A\"", environment_file(text));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }
}
