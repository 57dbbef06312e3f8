//! `kill -9` at any moment, and two processes at once. This test has a main of its own: it starts itself as the process that
//! downloads and is killed.
//!
//! A killed process may have asked for a chunk that it did not write any more. Nothing else comes twice.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use happy_hub::{Config, Event, Hub, UreqTransport};
use support::*;

const CHILD: &str = "HAPPY_HUB_TEST_CHILD";
const NAME: &str = "hf:o/r/model.gguf";

fn main() {
    if let Some(cache) = std::env::var_os(CHILD) {
        return child(Path::new(&cache), &std::env::args().nth(1).unwrap_or_default());
    }
    // What the test runner asks of a binary: its list, or to run what a filter names.
    let args: Vec<String> = std::env::args().skip(1).collect();
    let tests: [(&str, fn()); 3] = [
        ("killed_by_bytes", killed_by_bytes),
        ("killed_by_events", killed_by_events),
        ("two_processes_fetch_one_file_once", two_processes_fetch_one_file_once),
    ];
    let filter = args.iter().find(|arg| !arg.starts_with('-'));
    for (name, test) in tests {
        if args.iter().any(|arg| arg == "--list") {
            println!("{name}: test");
        } else if filter.is_none_or(|filter| name.contains(filter.as_str())) {
            test();
            println!("test {name} ... ok");
        }
    }
}

/// Downloads, and tells each step in a line.
fn child(cache: &Path, endpoint: &str) {
    let mut config = Config::new(cache);
    config.endpoint = endpoint.to_owned();
    let hub = Hub::new(config, Arc::new(UreqTransport::new().unwrap())).unwrap().with_disk(Arc::new(NoSync));
    let pulled = hub.pull(&NAME.parse().unwrap(), &options(), accept, |event| {
        let line = match event {
            Event::Resolved { .. } => "resolved",
            Event::Header { .. } => "header",
            Event::Progress(progress) if progress.done == progress.total => "whole",
            Event::Progress(_) => "progress",
            Event::Verifying { .. } => "verifying",
            Event::Placed { .. } => "placed",
            Event::Waiting => "waiting",
            _ => "other",
        };
        println!("{line}");
    });
    println!("{}", pulled.map_or_else(|e| e.to_string(), |pulled| format!("done {}", pulled.fetched)));
}

fn start(folder: &Folder, server: &Server) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .arg(server.endpoint())
        .env(CHILD, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The next run in this process completes the file; nothing came twice beyond a chunk for each kill.
fn completes(folder: &Folder, server: &Server, bytes: &[u8], kills: u64, when: &str) {
    let pulled = pull(&hub(folder, server), NAME).unwrap_or_else(|error| panic!("{when}: {error}"));
    assert!(std::fs::read(pulled.path()).unwrap() == bytes, "{when}");
    let left: Vec<String> = leftovers(folder.path());
    assert!(
        left.iter().all(|path| path.ends_with(".happy-link") || path.ends_with(".new")),
        "{when}: {left:?}"
    );
    let (sent, once) = (server.take_sent(), bytes.len() as u64);
    assert!(sent <= once + kills * CHUNK, "{when}: {sent} bytes sent for {once}, {kills} kills");
}

fn killed_by_bytes() {
    let bytes = model(40, 1 << 20);
    let size = bytes.len() as u64;
    // After so many bytes that were sent; some points twice over the same file.
    let points: [&[u64]; 8] = [
        &[1],
        &[66_000],
        &[150_000],
        &[300_000, 500_000],
        &[size / 2, size * 3 / 4, size - 1],
        &[size - 70_000],
        &[size - 1],
        &[size],
    ];
    for points in points {
        let (folder, server) = (Folder::new("bytes"), Server::with(&bytes));
        server.plan(|_, _| Fault::Drip(8 << 10));
        let mut kills = 0;
        for point in points {
            let mut child = start(&folder, &server);
            server.wait_for_sent(*point, || child.try_wait().unwrap().is_some());
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
        }
        server.heal();
        completes(&folder, &server, &bytes, kills, &format!("killed after {points:?} bytes"));
    }
}

fn killed_by_events() {
    let bytes = model(41, 400_000);
    for (event, times) in
        [("resolved", 1), ("header", 1), ("progress", 1), ("progress", 3), ("whole", 1), ("placed", 1)]
    {
        let (folder, server) = (Folder::new("events"), Server::with(&bytes));
        let mut child = start(&folder, &server);
        let mut left = times;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            left -= usize::from(line.unwrap() == event);
            if left == 0 {
                child.kill().unwrap();
                break;
            }
        }
        child.wait().unwrap();
        completes(&folder, &server, &bytes, 1, &format!("killed at event {event}"));
    }
}

fn two_processes_fetch_one_file_once() {
    let bytes = model(42, 1 << 20);
    let (folder, server) = (Folder::new("two"), Server::with(&bytes));
    server.plan(|_, _| Fault::Drip(16 << 10));
    let children = [start(&folder, &server), start(&folder, &server), start(&folder, &server)];
    let outputs = children.map(|child| String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap());
    let mut fetched: Vec<u64> = outputs
        .iter()
        .map(|output| {
            output.lines().last().and_then(|line| line.strip_prefix("done ")).expect(output).parse().unwrap()
        })
        .collect();
    fetched.sort_unstable();
    assert_eq!(fetched, [0, 0, bytes.len() as u64], "{outputs:?}");
    completes(&folder, &server, &bytes, 0, "two processes");

    // One of two is killed: the other one takes over.
    let (folder, server) = (Folder::new("heir"), Server::with(&bytes));
    server.plan(|_, _| Fault::Drip(8 << 10));
    let mut first = start(&folder, &server);
    server.wait_for_sent(200_000, || false);
    let second = start(&folder, &server);
    server.wait_for_sent(400_000, || false);
    first.kill().unwrap();
    first.wait().unwrap();
    let output = String::from_utf8(second.wait_with_output().unwrap().stdout).unwrap();
    assert!(output.contains("done "), "{output}");
    completes(&folder, &server, &bytes, 1, "the heir of a killed process");
}
