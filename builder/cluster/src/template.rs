use crate::ComposeError;
use minijinja::{Environment, UndefinedBehavior, Value};

/// A file of `overlays/` with `{{ … }}` in it, compiled in. Unknown names are errors.
pub(crate) struct Template {
    /// Where it is below `overlays/`, for errors.
    pub(crate) name: &'static str,
    /// Its text.
    pub(crate) text: &'static str,
}

/// The template in the file `overlays/$name`.
macro_rules! overlay {
    ($name:literal) => {
        $crate::template::Template {
            name: $name,
            text: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../overlays/",
                $name
            )),
        }
    };
}
pub(crate) use overlay;

impl Template {
    /// The file's text with `values` filled in.
    pub(crate) fn render(&self, values: Value) -> Result<String, ComposeError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_keep_trailing_newline(true);
        environment
            .render_str(self.text, values)
            .map_err(|error| ComposeError::Template(self.name, error))
    }
}
