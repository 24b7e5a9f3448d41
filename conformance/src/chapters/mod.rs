//! The chapters, in the order of the table.

mod lifecycle;

use crate::table::Chapter;

/// Every chapter.
pub const ALL: &[Chapter] = &[
    ("lifecycle", &[lifecycle::TESTS]),
];
