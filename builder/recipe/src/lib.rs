//! The recipe: as written by people, and as resolved for the builder.
//!
//! A recipe is a TOML file. [`language`] says as data which keys it may have, what they look
//! like, mean and default to; everything else follows from there:
//! - [`load()`] reads a text and returns a [`Recipe`] in which everything is settled and
//!   checked ([`resolved`], made of the types in [`values`]), or [`RecipeErrors`] with *every*
//!   mistake, each underlined and with a hint (render it with miette);
//! - [`schema()`] is its JSON Schema, [`reference()`] its documentation.
//!
//! [`etcd_options`] are the options of etcd itself that `[etcd.options]` may set.
//!
//! [`find()`] and [`list()`] look for recipes by name: files, `recipes/`, [`builtin`]s.
//! [`draft`] writes new ones.
//! [`LockInputs`] is the part of a recipe that its lock depends on.
//!
//! ```
//! let recipe = imgbuild_recipe::load(
//!     r#"
//!     [cluster]
//!     name = "home"
//!     [image]
//!     board = "raspberry-pi"
//!     [network]
//!     subnet = "192.168.1.0/24"
//!     [[node]]
//!     name = "controller-0"
//!     address = "192.168.1.20"
//!     "#,
//!     "home.toml",
//! )?;
//! assert_eq!(recipe.nodes[0].https(2379), "https://192.168.1.20:2379");
//! assert_eq!(recipe.nodes[0].tuning.heartbeat_ms, 500);
//! # Ok::<(), imgbuild_recipe::RecipeErrors>(())
//! ```

pub mod builtin;
mod checker;
pub mod draft;
mod error;
pub mod etcd_options;
pub mod find;
mod forms;
mod inputs;
pub mod language;
mod load;
mod mend;
pub mod resolved;
mod schema;
pub mod systemd;
pub mod values;

pub use error::{Mistake, RecipeErrors};
pub use find::{FindError, Origin, Source, find, list};
pub use inputs::{Difference, LockInputs};
pub use load::load;
pub use resolved::Recipe;
pub use schema::{reference, schema};
