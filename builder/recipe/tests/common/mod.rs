//! A good recipe, ways to spoil it, and how its mistakes look.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use imgbuild_recipe::load;
use miette::{GraphicalReportHandler, GraphicalTheme};

pub const GOOD: &str = r#"[cluster]
name = "home"

[image]
board = "vm"

[etcd]
source = "build"

[network]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"

[[node]]
name = "a"
address = "10.0.0.10"
"#;

pub fn rendered(text: &str) -> String {
    let errors = load(text, "recipes/home.toml").unwrap_err();
    let mut out = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::none())
        .with_width(100)
        .with_context_lines(1)
        .render_report(&mut out, &errors)
        .unwrap();
    out
}

/// The good recipe with each `(from, to)` replaced; `from` must be there.
pub fn changed(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(GOOD.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in the recipe");
        text.replacen(from, to, 1)
    })
}
