//! The program that `cargo xtask test-arm`, `arm-cycles`, `arm-verify`, `test-avx512`, `test-foreign` and their setups start.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    happy_tool_emulated::main()
}
