//! The `happy` command.

fn main() {}
