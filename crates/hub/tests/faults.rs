//! Everything that a server, a network and a disk can do to a download. After each fault the next run completes the file with
//! the right hash, and no byte comes twice beyond one chunk.

mod support;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use happy_hub::{Disk, Error, Event, SystemDisk, Verdict};
use support::*;

const NAME: &str = "hf:o/r/model.gguf";
const SIZE: usize = 1 << 20;

/// The file that a pull gave is `expected`, and nothing is left beside it.
fn check(folder: &Folder, pulled: &happy_hub::Pulled, expected: &[u8]) {
    assert!(fs::read(pulled.path()).unwrap() == expected, "the bytes are other ones");
    assert_eq!(leftovers(folder.path()), [""; 0]);
}

#[test]
fn a_download_asks_for_each_byte_once_and_places_it_as_the_cache_wants() {
    let (folder, bytes) = (Folder::new("clean"), model(1, SIZE));
    let server = Server::with(&bytes);
    let hub = hub(&folder, &server).with_disk(Arc::new(SystemDisk));
    let (mut events, mut last) = (Vec::new(), None);
    let judge = |offer: &happy_hub::Offer| {
        assert_eq!((offer.total(), offer.license.as_deref()), (bytes.len() as u64, Some("mit")));
        assert!(offer.missing() < offer.total() && offer.files[0].header.view().tensor("w").is_some());
        Verdict::Accept
    };
    let pulled = hub
        .pull(&NAME.parse().unwrap(), &options(), judge, |event| match event {
            Event::Progress(progress) => last = Some(progress),
            event => events.push(format!("{event:?}").split([' ', '{']).next().unwrap().to_owned()),
        })
        .unwrap();
    check(&folder, &pulled, &bytes);
    assert_eq!(server.take_sent(), bytes.len() as u64);
    assert_eq!((pulled.fetched, pulled.files[0].verified), (bytes.len() as u64, true));
    assert_eq!(events.first().map(String::as_str), Some("Resolved"));
    assert_eq!(events.last().map(String::as_str), Some("Placed"));
    let last = last.unwrap();
    assert_eq!((last.done, last.total), (bytes.len() as u64, bytes.len() as u64));
    let sha = sha256(&bytes);
    let commit = "00112233445566778899aabbccddeeff00112233";
    let expected = [
        format!(".locks/models--o--r/{sha}.lock"),
        format!("models--o--r/blobs/{sha}"),
        "models--o--r/refs/main".to_owned(),
        format!("models--o--r/snapshots/{commit}/model.gguf"),
    ];
    assert_eq!(tree(folder.path()), expected);
    let link = fs::read_link(folder.path().join(&expected[3])).unwrap();
    assert_eq!(link, Path::new(&format!("../../blobs/{sha}")));
    assert_eq!(fs::read_to_string(folder.path().join(&expected[2])).unwrap(), commit);
    // Again: only the hub is asked.
    let again = pull(&hub, NAME).unwrap();
    assert_eq!((again.path(), again.fetched, server.take_sent()), (pulled.path(), 0, 0));
}

#[test]
fn answers_that_break_the_rules_are_asked_for_again() {
    let bytes = model(2, SIZE);
    let cases = [
        (Fault::Cut(20_000), 12),
        (Fault::Cut(0), 8),
        (Fault::Status(500), 5),
        (Fault::Busy, 5),
        (Fault::WrongRange, 5),
        (Fault::WrongLabel, 5),
        (Fault::NoLabel, 5),
        (Fault::Gzip, 5),
        (Fault::Garbage, 5),
        (Fault::WrongTotal, 1),
        (Fault::Status(416), 1),
        (Fault::OtherTag, 1),
        (Fault::RangeAs200, usize::MAX),
        (Fault::Drip(900), 3),
        (Fault::Stall, 2),
    ];
    for (fault, times) in cases {
        let folder = Folder::new("rules");
        let server = Server::with(&bytes);
        let hub = match fault {
            Fault::Stall => hub_with_patience(&folder, &server, 200),
            _ => hub(&folder, &server),
        };
        let planned = fault.clone();
        // The header's request is left alone for statuses that are final if they come first.
        server.plan(move |_, n| if n > 0 && n <= times { planned.clone() } else { Fault::None });
        let pulled = pull(&hub, NAME).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        check(&folder, &pulled, &bytes);
        // An answer that is refused by its headers may have its body on its way already, a piece; if the file itself is in
        // doubt, all connections begin again.
        let refused = match fault {
            Fault::WrongRange | Fault::WrongLabel | Fault::NoLabel | Fault::Gzip => times as u64 * CHUNK / 4,
            Fault::WrongTotal | Fault::Status(416) | Fault::OtherTag | Fault::Stall => CHUNK,
            _ => 0,
        };
        let (sent, once) = (server.take_sent(), bytes.len() as u64);
        assert!((once..=once + refused).contains(&sent), "{fault:?}: {sent} of {once}");
    }
}

#[test]
fn an_address_that_has_ended_is_asked_for_again() {
    let bytes = model(17, SIZE);
    let (folder, server) = (Folder::new("signed"), Server::with(&bytes));
    let hub = hub(&folder, &server);
    // Each signed address serves three requests.
    let mut uses = std::collections::BTreeMap::new();
    server.plan(move |request, _| {
        let uses = uses.entry(request.target.clone()).or_insert(0);
        *uses += 1;
        if *uses > 3 { Fault::Status(403) } else { Fault::None }
    });
    check(&folder, &pull(&hub, NAME).unwrap(), &bytes);
    assert_eq!(server.take_sent(), bytes.len() as u64);
}

#[test]
fn a_run_goes_on_where_the_last_one_stopped() {
    let bytes = model(3, SIZE);
    let mut total_runs = 0;
    for (i, fault) in
        [Fault::Status(500), Fault::Cut(3_000), Fault::Garbage, Fault::Status(404)].into_iter().enumerate()
    {
        let folder = Folder::new("resume");
        let server = Server::with(&bytes);
        let hub = hub(&folder, &server);
        let mut options = options();
        options.retry.attempts = 1;
        // Each run gets two answers more than the one before, until one is enough.
        let mut runs = 0;
        let pulled = loop {
            runs += 1;
            let (planned, good) = (fault.clone(), runs * 2 + i);
            server.plan(move |_, n| if n < good { Fault::None } else { planned.clone() });
            match pull_with(&hub, NAME, &options) {
                Ok(pulled) => break pulled,
                Err(error) => {
                    assert!(matches!(error, Error::Transport { .. } | Error::Status { .. }), "{error}")
                }
            }
            assert!(runs < 40, "{fault:?} never ends");
        };
        check(&folder, &pulled, &bytes);
        let (sent, once) = (server.take_sent(), bytes.len() as u64);
        assert!(sent <= once + CHUNK * runs as u64 && runs > 1, "{fault:?}: {sent} of {once} in {runs} runs");
        total_runs += runs;
    }
    assert!(total_runs > 10);
}

#[test]
fn a_file_that_changes_is_never_mixed() {
    let (old, new) = (model(4, SIZE), model(5, SIZE));
    let folder = Folder::new("changed");
    let server = Server::with(&old);
    let hub = hub(&folder, &server);
    let url = server.url("model.gguf");
    let mut options = options();
    options.retry.attempts = 2;
    server.plan(|_, n| if n < 6 { Fault::None } else { Fault::Status(500) });
    assert!(pull_with(&hub, &url, &options).is_err());
    assert_eq!(leftovers(folder.path()).len(), 2);
    // Another file of the same length under the same address: its tag differs, so nothing of the old one is used.
    server.heal();
    server.put("model.gguf", &new);
    let pulled = pull(&hub, &url).unwrap();
    assert!(fs::read(pulled.path()).unwrap() == new && !pulled.files[0].verified);
    assert_eq!(leftovers(folder.path()).len(), 2, "the old one's beginning has another name");
    assert_eq!(hub.remove(&url.parse().unwrap()).unwrap().files, 1);
    assert_eq!(leftovers(folder.path()), [""; 0]);

    // It changes while it is fetched.
    let (folder, server) = (Folder::new("changing"), Server::with(&old));
    let server = Arc::new(server);
    let hub = support::hub(&folder, &server);
    let (there, later) = (Arc::downgrade(&server), new.clone());
    let changed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&changed);
    let result = hub.pull(&server.url("model.gguf").parse().unwrap(), &options, accept, |event| {
        if matches!(event, Event::Progress(_)) && !seen.swap(true, Ordering::Relaxed) {
            there.upgrade().unwrap().put("model.gguf", &later);
        }
    });
    assert!(changed.load(Ordering::Relaxed));
    match result {
        // The rest was under way already.
        Ok(pulled) => assert!(fs::read(pulled.path()).unwrap() == old),
        Err(error) => assert!(matches!(error, Error::Changed { .. }), "{error}"),
    }
    let pulled = pull(&hub, &server.url("model.gguf")).unwrap();
    assert!(fs::read(pulled.path()).unwrap() == new);
}

#[test]
fn wrong_bytes_never_reach_their_place() {
    let (folder, bytes) = (Folder::new("hash"), model(6, SIZE));
    let server = Server::with(&bytes);
    let hub = hub(&folder, &server);
    server.plan(|_, n| if n == 7 { Fault::Flip } else { Fault::None });
    let error = pull(&hub, NAME).unwrap_err();
    assert!(matches!(&error, Error::Hash { expected, .. } if *expected == sha256(&bytes)), "{error}");
    assert_eq!(tree(&folder.path().join("models--o--r")), [""; 0]);
    server.heal();
    check(&folder, &pull(&hub, NAME).unwrap(), &bytes);

    // An address outside the hub, whose hash the caller knows.
    let mut options = options();
    options.sha256 = Some(sha256(b"other"));
    assert!(matches!(pull_with(&hub, &server.url("model.gguf"), &options), Err(Error::Hash { .. })));
    options.sha256 = Some(sha256(&bytes));
    assert!(pull_with(&hub, &server.url("model.gguf"), &options).unwrap().files[0].verified);
    // The hub promises another one: nothing is fetched.
    options.sha256 = Some(sha256(b"other"));
    server.take_sent();
    assert!(matches!(pull_with(&hub, NAME, &options), Err(Error::Changed { .. })));
    assert_eq!(server.take_sent(), 0);
}

#[test]
fn bytes_that_the_disk_lost_come_again() {
    let (folder, bytes) = (Folder::new("power"), model(7, SIZE));
    let server = Server::with(&bytes);
    let hub = hub(&folder, &server);
    let mut options = options();
    options.retry.attempts = 1;
    server.plan(|_, n| if n < 8 { Fault::None } else { Fault::Status(503) });
    assert!(pull_with(&hub, NAME, &options).is_err());
    // The journal reached the disk, some bytes did not.
    let partial = folder.path().join(format!("models--o--r/blobs/{}.happy-partial", sha256(&bytes)));
    let mut there = fs::read(&partial).unwrap();
    there[40_000..50_000].fill(0);
    fs::write(&partial, there).unwrap();
    server.heal();
    let mut restarted = 0;
    let pulled = hub.pull(&NAME.parse().unwrap(), &options, accept, |event| {
        restarted += usize::from(matches!(event, Event::Restarted { .. }));
    });
    check(&folder, &pulled.unwrap(), &bytes);
    assert_eq!(restarted, 1);
}

#[test]
fn the_token_stays_with_the_hub() {
    let bytes = model(8, 200_000);
    let (folder, server) = (Folder::new("token"), Server::with(&bytes));
    let hub = hub(&folder, &server);
    // The host sends the client on: to itself, back to the hub, and to the hub by another name.
    let back = format!("{}/o/r/resolve/main/model.gguf", server.endpoint());
    let other_name = back.replace("127.0.0.1", "localhost");
    server.plan(move |_, n| match n {
        1 => Fault::Redirect(back.clone()),
        2 => Fault::Redirect(other_name.clone()),
        3 => Fault::Redirect("/host/model.gguf".into()),
        _ => Fault::None,
    });
    check(&folder, &pull(&hub, NAME).unwrap(), &bytes);
    let log = server.take_log();
    let with_token = |at_host: bool| {
        let requests = log.iter().filter(|r| r.at_host == at_host);
        let (with, without): (Vec<_>, Vec<_>) =
            requests.partition(|r| r.headers.contains_key("authorization"));
        (with.len(), without.len())
    };
    assert_eq!(with_token(true).0, 0, "the host of bytes saw the token");
    let (with, without) = with_token(false);
    assert!(with >= 2 && without == 2, "{with} requests to the hub had the token, {without} had not");
    assert!(
        log.iter().all(|r| r.headers.get("authorization").is_none_or(|value| value == "Bearer hf_secret"))
    );
    assert!(log.iter().all(|r| r.headers.get("accept-encoding").is_some_and(|value| value == "identity")));
    // A file outside the hub.
    pull(&hub, &server.url("model.gguf")).unwrap();
    assert!(server.take_log().iter().all(|r| !r.headers.contains_key("authorization")));
    // Redirects without end.
    server.plan(|_, _| Fault::Redirect("/host/model.gguf".into()));
    server.put("model.gguf", &model(9, 200_000));
    assert!(matches!(pull(&hub, NAME), Err(Error::Protocol { .. })));
}

/// A disk that takes so many bytes.
struct SmallDisk {
    left: AtomicU64,
    /// What it says is free.
    told: Option<u64>,
    links: bool,
}

impl Disk for SmallDisk {
    fn free(&self, _folder: &Path) -> Option<u64> {
        self.told
    }

    fn write_at(&self, file: &fs::File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let take = |left: u64| left.checked_sub(bytes.len() as u64);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => SystemDisk.write_at(file, bytes, offset),
            Err(_) => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn sync(&self, _file: &fs::File) -> io::Result<()> {
        Ok(())
    }

    fn link(&self, target: &Path, link: &Path) -> io::Result<()> {
        if self.links { SystemDisk.link(target, link) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

#[test]
fn a_full_disk_keeps_what_it_took() {
    let bytes = model(10, SIZE);
    let (folder, server) = (Folder::new("full"), Server::with(&bytes));
    let disk = |left, told| Arc::new(SmallDisk { left: AtomicU64::new(left), told, links: true });
    // It says so before.
    let small = hub(&folder, &server).with_disk(disk(u64::MAX, Some(SIZE as u64)));
    let error = pull(&small, NAME).unwrap_err();
    assert!(matches!(error, Error::DiskFull { free, .. } if free == SIZE as u64), "{error}");
    assert!(server.take_sent() < CHUNK && leftovers(folder.path()).is_empty());
    // It notices while writing, three times.
    for _ in 0..3 {
        let small = hub(&folder, &server).with_disk(disk(300_000, None));
        assert!(matches!(pull(&small, NAME), Err(Error::DiskFull { .. })));
    }
    let pulled = pull(&hub(&folder, &server), NAME).unwrap();
    check(&folder, &pulled, &bytes);
    let sent = server.take_sent();
    assert!(sent <= bytes.len() as u64 + 3 * CHUNK, "{sent}");
}

#[test]
fn a_place_without_links_works_too() {
    let (folder, bytes) = (Folder::new("links"), model(11, 300_000));
    let server = Server::with(&bytes);
    let disk = Arc::new(SmallDisk { left: AtomicU64::new(u64::MAX), told: None, links: false });
    let hub = hub(&folder, &server).with_disk(disk);
    let pulled = pull(&hub, NAME).unwrap();
    check(&folder, &pulled, &bytes);
    assert!(fs::symlink_metadata(pulled.path()).unwrap().is_file());
    assert!(tree(&folder.path().join("models--o--r/blobs")).is_empty());
    server.take_sent();
    assert_eq!((pull(&hub, NAME).unwrap().fetched, server.take_sent()), (0, 0));
    let removed = hub.remove(&NAME.parse().unwrap()).unwrap();
    assert!(removed.files == 1 && removed.bytes >= 300_000 && !folder.path().join("models--o--r").exists());
}

#[test]
fn a_server_of_whole_files_is_read_once() {
    let bytes = model(12, SIZE);
    let (folder, server) = (Folder::new("whole"), Server::with(&bytes));
    let hub = hub(&folder, &server);
    server.plan(|_, _| Fault::Whole);
    check(&folder, &pull(&hub, NAME).unwrap(), &bytes);
    assert_eq!(server.take_log().iter().filter(|r| r.at_host).count(), 1);
    assert_eq!(server.take_sent(), bytes.len() as u64);
    // It forgets how ranges work in the middle of a download.
    let other = model(13, SIZE);
    server.put("model.gguf", &other);
    server.plan(|_, n| if n < 5 { Fault::None } else { Fault::Whole });
    check(&folder, &pull(&hub, NAME).unwrap(), &other);
}

#[test]
fn cancelling_is_quick_and_loses_nothing() {
    let bytes = model(14, SIZE);
    let (folder, server) = (Folder::new("cancel"), Server::with(&bytes));
    let hub = hub(&folder, &server);
    let mut options = options();
    let flag = Arc::new(AtomicBool::new(false));
    options.cancel = Some(Arc::clone(&flag));
    // Two of the four connections hang when the flag is set: nobody waits for them.
    server.plan(|_, n| if n % 2 == 1 && n > 3 { Fault::Stall } else { Fault::None });
    let result = hub.pull(&NAME.parse().unwrap(), &options, accept, |event| {
        if let Event::Progress(progress) = event {
            flag.store(progress.fetched > 0, Ordering::Relaxed);
        }
    });
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    flag.store(true, Ordering::Relaxed);
    assert!(matches!(pull_with(&hub, NAME, &options), Err(Error::Cancelled)));
    server.heal();
    check(&folder, &pull(&hub, NAME).unwrap(), &bytes);
    let sent = server.take_sent();
    assert!(sent <= bytes.len() as u64 + CHUNK, "{sent}");
}

#[test]
fn a_server_that_bears_few_connections_is_enough() {
    let bytes = model(15, SIZE);
    let (folder, server) = (Folder::new("one"), Server::with(&bytes));
    let hub = hub(&folder, &server);
    let mut options = options();
    options.retry.attempts = 100;
    // Two of three requests are refused.
    server.plan(|_, n| if n % 3 == 0 { Fault::None } else { Fault::Busy });
    check(&folder, &pull_with(&hub, NAME, &options).unwrap(), &bytes);
    assert_eq!(server.take_sent(), bytes.len() as u64);
}

#[test]
fn random_faults_end_in_the_file_or_an_error() {
    let bytes = model(16, 400_000);
    let (mut ok, mut failed) = (0, 0);
    let server = Server::with(&bytes);
    for seed in 0..60u64 {
        let folder = Folder::new("random");
        let hub = hub(&folder, &server);
        let mut dice = noise(seed, 4096).into_iter().cycle();
        let bad = 20 + (seed % 5) as u8 * 25;
        server.plan(move |_, _| {
            if dice.next() > Some(bad) {
                return Fault::None;
            }
            match dice.next().unwrap_or(0) % 13 {
                0 | 1 => Fault::Cut(u64::from(dice.next().unwrap_or(0)) * 256),
                2 => Fault::Status(500),
                3 => Fault::Busy,
                4 => Fault::WrongRange,
                5 => Fault::WrongLabel,
                6 => Fault::NoLabel,
                7 => Fault::WrongTotal,
                8 => Fault::OtherTag,
                9 => Fault::RangeAs200,
                10 => Fault::Flip,
                11 => Fault::Garbage,
                _ => Fault::Whole,
            }
        });
        for _ in 0..2 {
            match pull(&hub, NAME) {
                Ok(pulled) => {
                    check(&folder, &pulled, &bytes);
                    ok += 1;
                }
                Err(_) => failed += 1,
            }
        }
        server.heal();
        let pulled = pull(&hub, NAME).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        check(&folder, &pulled, &bytes);
    }
    assert!(ok > 20 && failed > 10, "{ok} runs succeeded, {failed} failed");
}
