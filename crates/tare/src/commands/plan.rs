//! `plan`: what `create` would do with a bundle, in order, for people or as JSON.
//!
//! [`view`] is the plan as a document; the JSON is that document, the text is drawn from it by
//! [`layout`], which leaves out only what is empty.

mod layout;
mod view;

use serde::Serialize;

use super::check::question;
use super::{Outcome, print};
use crate::args::Parsed;

/// `plan`.
pub(crate) fn plan(parsed: &Parsed) -> Outcome {
    let bundle = super::check::bundle(parsed)?;
    let view = engine::plan(&question(parsed, &bundle)?, view::of)?;
    if parsed.flags.on("json") {
        let mut text = Vec::new();
        let mut serializer = serde_json::Serializer::pretty(&mut text);
        view.serialize(&mut serializer).map_err(|error| error.to_string())?;
        text.push(b'\n');
        print(&text)?;
    } else {
        print(layout::text(&view).as_bytes())?;
    }
    Ok(0)
}
