//! What `device-test` says and leaves behind, for every way in which a run can end.

use super::adbd::Fault;
use super::support::{World, file, finish, left_behind, programs, start, wait_for};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};

#[test]
fn the_daemon_moves_files_and_runs_commands_as_adb_expects() {
    let world = World::get();
    let phone = world.phone("sync", Fault::None);
    let adb = |arguments: &[&str]| finish(world.command("adb").args(["-s", &phone.serial()]).args(arguments));
    finish(world.command("adb").args(["connect", &phone.serial()])).expect(0, &["connected to"]);
    // More than a message holds, and of no even length.
    let content: Vec<u8> = (0..1_000_003_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let [there, back] = [file(&world, "sync-in/a", &content), world.folder.join("sync-back")];
    adb(&["push", &there.display().to_string(), "/data/local/tmp/a"]).expect(0, &["pushed"]);
    adb(&["pull", "/data/local/tmp/a", &back.display().to_string()]).expect(0, &["pulled"]);
    assert_eq!(fs::read(&back).expect("a file"), content);
    // A folder goes as a whole; one that is there receives it.
    let folder = there.parent().expect("a folder").display().to_string();
    adb(&["push", &folder, "/data/local/tmp"]).expect(0, &[]);
    adb(&["shell", "cmp /data/local/tmp/a /data/local/tmp/sync-in/a && echo same"]).expect(0, &["same"]);
    adb(&["pull", "/data/local/tmp/none", &back.display().to_string()]).expect(1, &["does not exist"]);
    adb(&["shell", "echo out; echo err >&2; exit 7"]).expect(7, &["out\n", "err\n"]);
    adb(&["shell", "kill -SEGV $$"]).expect(139, &[]);
    // No exit code, and both outputs in one.
    adb(&["shell", "-x", "echo out; echo err >&2; exit 7"]).expect(0, &["out\n", "err\n"]);
}

#[test]
fn a_crate_passes_and_the_phone_is_left_clean() {
    let world = World::get();
    let phone = world.phone("pass", Fault::None);
    let done = finish(&mut world.device_test(&["--serial", &phone.serial(), "--filter", "sampler"]));
    done.expect(
        0,
        &["(Test, Android 15, arm64-v8a", "Running happy_sampler of happy-sampler", "test result: ok."],
    );
    let line = done.text.lines().find(|line| line.starts_with("total")).expect("a table");
    let numbers: Vec<&str> = line.split_whitespace().collect();
    assert!(numbers[1].parse::<usize>().expect("a number") > 20, "{line}");
    assert_eq!(numbers[2], "0", "{line}");
    assert!(!done.text.contains("NOT RUN"), "{}", done.text);
    assert_eq!(left_behind(&phone), [""; 0]);
}

#[test]
fn tests_find_their_corpus_on_the_phone() {
    let world = World::get();
    let phone = world.phone("corpus", Fault::None);
    let arguments = ["--serial", &phone.serial(), "--filter", "gguf", "--", "corpus"];
    let done = finish(world.device_test(&arguments).env("HAPPY_MUTATIONS", "100"));
    done.expect(0, &["test shards_of_the_corpus ... ok", "test the_corpus_is_written_as_it_was ... ok"]);
    assert!(!done.text.contains("NOT RUN"), "{}", done.text);
    assert_eq!(left_behind(&phone), [""; 0]);
}

#[test]
fn tests_are_listed_and_see_their_data_and_environment() {
    let world = World::get();
    let phone = world.phone("tiny", Fault::None);
    let done = finish(&mut world.test_tiny(&phone.serial(), &[]));
    done.expect(
        0,
        &["test passes ... ok", "test reads_its_environment ... ok", "tiny: NOT RUN: only to be listed"],
    );
    let done = finish(&mut world.test_tiny(&phone.serial(), &["--", "--exact", "passes"]));
    done.expect(0, &["4 filtered out"]);
    let done = finish(&mut world.test_tiny(&phone.serial(), &["--", "--exact", "none-such"]));
    done.expect(1, &["no test ran on"]);
    let done = finish(&mut world.test_tiny(&phone.serial(), &["--filter", "tinny"]));
    done.expect(1, &["no package has 'tinny' in its name: expected a part of tiny"]);
    assert_eq!(left_behind(&phone), [""; 0]);
}

#[test]
fn a_failing_test_is_shown_with_its_output() {
    let world = World::get();
    let phone = world.phone("fail", Fault::None);
    let done = finish(world.test_tiny(&phone.serial(), &[]).env("HAPPY_TEST_FAIL", "1"));
    done.expect(
        1,
        &[
            "test fails ... FAILED",
            "this test fails when it is asked to",
            "4 passed; 1 failed",
            "all of tiny: 1 test(s) failed",
        ],
    );
    assert_eq!(left_behind(&phone), [""; 0]);
}

#[test]
fn a_crash_is_told_by_its_signal() {
    let world = World::get();
    let phone = world.phone("crash", Fault::None);
    let done = finish(world.test_tiny(&phone.serial(), &[]).env("HAPPY_TEST_CRASH", "1"));
    done.expect(1, &["all of tiny: killed by signal 6, SIGABRT"]);
    assert_eq!(left_behind(&phone), [""; 0]);
}

#[test]
fn a_program_that_never_ends_is_killed_on_the_phone() {
    let world = World::get();
    let phone = world.phone("hang", Fault::None);
    let done = finish(world.test_tiny(&phone.serial(), &["--timeout", "5"]).env("HAPPY_TEST_HANG", "1"));
    done.expect(1, &["all of tiny: killed: it ran longer than 5 s"]);
    wait_for("the program's end", || programs(&phone).is_empty());
    assert_eq!(left_behind(&phone), [""; 0]);
}

#[test]
fn ctrl_c_leaves_the_phone_clean() {
    let world = World::get();
    let phone = world.phone("interrupt", Fault::None);
    let running = start(world.test_tiny(&phone.serial(), &[]).env("HAPPY_TEST_HANG", "1"));
    wait_for("the program's start", || !programs(&phone).is_empty() || running.text().contains("error:"));
    let mut kill = world.command("kill");
    finish(kill.args(["-INT", &running.id().to_string()])).expect(0, &[]);
    running.finish().expect(1, &["interrupted"]);
    wait_for("the program's end", || programs(&phone).is_empty());
    assert_eq!(left_behind(&phone), [""; 0]);
}

#[test]
fn a_second_run_is_refused_and_the_first_goes_on() {
    let world = World::get();
    let phone = world.phone("busy", Fault::None);
    let running = start(world.test_tiny(&phone.serial(), &[]).env("HAPPY_TEST_HANG", "1"));
    wait_for("the program's start", || !programs(&phone).is_empty() || running.text().contains("error:"));
    finish(&mut world.test_tiny(&phone.serial(), &[])).expect(1, &["is used by another run on this machine"]);
    assert!(!programs(&phone).is_empty(), "the first run's program is gone");
    finish(world.command("kill").args(["-INT", &running.id().to_string()])).expect(0, &[]);
    running.finish().expect(1, &["interrupted"]);
}

#[test]
fn what_an_interrupted_run_left_is_removed_by_the_next() {
    let world = World::get();
    let phone = world.phone("stale", Fault::None);
    let stale = phone.files().join("happy-phone-llm.0123abcd");
    fs::create_dir_all(stale.join("bin")).expect("a folder");
    fs::write(stale.join("bin/old"), "old").expect("a file");
    fs::write(phone.files().join("not-ours"), "stays").expect("a file");
    let done = finish(&mut world.test_tiny(&phone.serial(), &[]));
    done.expect(0, &["happy-phone-llm.0123abcd, which an interrupted run left"]);
    assert_eq!(left_behind(&phone), ["not-ours"]);
}

/// A fault of a phone, and the sentence that tells it.
const FAULTS: &[(Fault, &str)] = &[
    (
        Fault::Unauthorized,
        "does not trust this computer: unlock it and accept the question about USB debugging",
    ),
    (Fault::Offline, "is offline"),
    (Fault::Abi, "runs programs for x86_64,x86, and these are for arm64-v8a"),
    (Fault::Small, "has no space left: 1.0 MB are free"),
    (Fault::DiskFull, "has no space left: free some"),
    (Fault::Unplugged, "went away: was it unplugged?"),
    (Fault::Mute, "does not answer within 20 s"),
];

#[test]
fn every_fault_is_one_sentence() {
    for (name, fault) in Fault::NAMES.iter().filter(|(_, fault)| *fault != Fault::None) {
        assert!(FAULTS.iter().any(|(listed, _)| listed == fault), "{name} has no sentence");
    }
    let world = World::get();
    // Waiting takes most of the time: all at once.
    let running: Vec<_> = FAULTS
        .iter()
        .map(|(fault, sentence)| {
            let phone = world.phone(&format!("fault-{fault:?}"), *fault);
            let running = start(&mut world.test_tiny(&phone.serial(), &[]));
            (phone, running, sentence)
        })
        .collect();
    let mut wrong = Vec::new();
    for (phone, running, sentence) in running {
        let done = running.finish();
        let expected = format!("device {} {sentence}", phone.serial());
        if done.code != Some(1) || !done.text.contains(&expected) {
            wrong.push(format!("expected {expected:?}, exit code {:?}, printed:\n{}", done.code, done.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_a_serial_number_every_device_has_its_turn() {
    let world = World::new();
    let listed = finish(world.command("adb").arg("devices")).text;
    assert_eq!(listed.trim(), "List of devices attached", "unplug them: this test must know all devices");
    finish(&mut world.test_tiny_everywhere()).expect(1, &["no device is connected: plug one in"]);
    let [one, two, x86] =
        [("one", Fault::None), ("two", Fault::None), ("x86", Fault::Abi)].map(|(name, fault)| {
            let phone = world.phone(name, fault);
            finish(world.command("adb").args(["connect", &phone.serial()])).expect(0, &["connected to"]);
            phone
        });
    let done = finish(&mut world.test_tiny_everywhere());
    let refusal = format!("error: device {} runs programs for x86_64,x86", x86.serial());
    let ran = [&one, &two].map(|phone| format!("\non {}\n", phone.serial()));
    done.expect(1, &[&refusal, &ran[0], &ran[1]]);
    drop(x86);
    finish(world.command("adb").arg("disconnect")).expect(0, &[]);
    finish(&mut world.test_tiny(&one.serial(), &[])).expect(0, &[&ran[0]]);
    let missing = format!("no device 0123: connected are {}", one.serial());
    finish(&mut world.test_tiny("0123", &[])).expect(1, &[&missing]);
}

#[test]
fn a_device_that_is_not_there_is_said_to_be_missing() {
    let world = World::get();
    let cases = [("0123456789", "no device 0123456789"), ("127.0.0.1:1", "device 127.0.0.1:1 is not there")];
    for (serial, sentence) in cases {
        finish(&mut world.test_tiny(serial, &[])).expect(1, &[sentence]);
    }
}

#[test]
fn a_port_that_somebody_else_has_is_said_to_be_the_reason() {
    let world = World::get();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port().to_string();
    let done = finish(world.test_tiny("0123", &[]).env("ANDROID_ADB_SERVER_PORT", port));
    done.expect(1, &["adb's server does not start within 20 s: does another program listen on its port"]);
}
