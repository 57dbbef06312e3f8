//! `device-run`, as cargo starts it.

use super::adbd::Fault;
use super::support::{World, file, finish, left_behind};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A script stands in for a program: the phone runs both alike.
const PROGRAM: &str = "#!/bin/sh\necho \"out: $*\"\necho err >&2\nexit $1\n";

#[test]
fn output_and_exit_code_are_the_program_s() {
    let world = World::get();
    let phone = world.phone("runner", Fault::None);
    finish(world.command("adb").args(["connect", &phone.serial()])).expect(0, &["connected to"]);
    let program = file(&world, "runner-in/program", PROGRAM.as_bytes());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
    let run = |arguments: &[&str]| -> Command {
        let mut command = world.command(env!("CARGO_BIN_EXE_happy-tool-device"));
        command.arg("device-run").arg(&program).args(arguments).env("ANDROID_SERIAL", phone.serial());
        command
    };
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["0", "--bench", "two words", "it's"], 0, &["out: 0 --bench two words it's\n", "err\n"]),
        (&["101"], 101, &["out: 101\n"]),
        (&["139"], 1, &["program: killed by signal 11, SIGSEGV"]),
    ];
    for (arguments, code, parts) in cases {
        finish(&mut run(arguments)).expect(*code, parts);
    }
    finish(run(&["0"]).env("ANDROID_SERIAL", "none-such")).expect(1, &["no device none-such"]);
    assert_eq!(left_behind(&phone), [""; 0]);
}
