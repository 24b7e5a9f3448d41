//! engines
fn main() {}
