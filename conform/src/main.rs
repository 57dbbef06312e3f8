//! Conformance runner.

fn main() {}
