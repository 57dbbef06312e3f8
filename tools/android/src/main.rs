//! The program that `cargo xtask dist`, `apk`, `elf-check` and `bionic-symbols` start.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    happy_tool_android::main()
}
