//! `plan`: what `create` would do with a bundle, in order, for people or as JSON.
//!
//! [`view`] is the plan as a document; the JSON is that document, the text is drawn from it by
//! [`layout`], which leaves out only what is empty.

mod layout;
mod view;

use super::check::question;
use super::{Outcome, print};
use crate::args::Parsed;

/// `plan`.
pub(crate) fn plan(parsed: &Parsed) -> Outcome {
    let bundle = super::check::bundle(parsed)?;
    let view = engine::plan(&question(parsed, &bundle)?, view::of)?;
    let text = match parsed.flags.on("json") {
        true => format!("{view:#}\n"),
        false => layout::text(&view),
    };
    print(text.as_bytes())?;
    Ok(0)
}
