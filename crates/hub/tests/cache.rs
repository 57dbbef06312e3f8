//! The cache as other programs leave it: listing, finding and removing.

#![cfg(unix)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use happy_hub::{Config, Error, Hub, Role, UreqTransport};
use support::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn hub_of(folder: &Folder) -> Hub {
    let mut config = Config::new(folder.path());
    config.offline = true;
    Hub::new(config, std::sync::Arc::new(UreqTransport::new().unwrap())).unwrap()
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn link(target: &str, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

/// What Python's library leaves: two commits of one repository that share a file, a file of another kind, and a repository
/// whose file lies in the store that repositories share.
fn python_cache(folder: &Folder) -> (String, String) {
    let root = folder.path();
    let (one, two) = (noise(1, 40_960), noise(2, 8_192));
    let (one_sha, two_sha) = (sha256(&one), sha256(&two));
    let repo = root.join("models--o--r");
    write(&repo.join("blobs").join(&one_sha), &one);
    write(&repo.join("blobs").join(&two_sha), &two);
    write(&repo.join("blobs/0123456789012345678901234567890123456789"), b"{}");
    for commit in [A, B] {
        link(&format!("../../blobs/{one_sha}"), &repo.join(format!("snapshots/{commit}/m-Q4_0.gguf")));
        link(
            "../../blobs/0123456789012345678901234567890123456789",
            &repo.join(format!("snapshots/{commit}/config.json")),
        );
    }
    link(&format!("../../../blobs/{two_sha}"), &repo.join(format!("snapshots/{B}/sub/m-Q8_0.gguf")));
    write(&repo.join("refs/main"), B.as_bytes());
    write(&repo.join("refs/refs/pr/1"), A.as_bytes());
    let shared = root.join("blobs/cc").join("c".repeat(64));
    write(&shared, &noise(3, 12_288));
    write(&root.join("blobs/.huggingface-shared-blobs"), b"1\n");
    for repo in ["x", "y"] {
        let repo = root.join(format!("models--s--{repo}"));
        link(&format!("../../blobs/cc/{}", "c".repeat(64)), &repo.join("blobs").join("d".repeat(64)));
        link(
            &format!("../../blobs/{}", "d".repeat(64)),
            &repo.join(format!("snapshots/{A}/mmproj-F16.gguf")),
        );
        write(&repo.join("refs/main"), A.as_bytes());
    }
    write(&root.join("datasets--o--d/snapshots/a/x.gguf"), b"x");
    write(&root.join("models--broken/snapshots/../x"), b"x");
    write(&root.join("version.txt"), b"1");
    (one_sha, two_sha)
}

#[test]
fn what_is_shared_counts_once() {
    let folder = Folder::new("list");
    python_cache(&folder);
    let cached = hub_of(&folder).list().unwrap();
    let shown: Vec<_> =
        cached.models.iter().map(|m| (m.name.as_str(), m.role, m.bytes, m.refs.len())).collect();
    let pinned = format!("hf:o/r@{A}/m-Q4_0.gguf");
    let expected = [
        (pinned.as_str(), Role::Model, 40_960, 1),
        ("hf:o/r/m-Q4_0.gguf", Role::Model, 40_960, 1),
        ("hf:o/r/sub/m-Q8_0.gguf", Role::Model, 8_192, 1),
        ("hf:s/x/mmproj-F16.gguf", Role::Projector, 12_288, 1),
        ("hf:s/y/mmproj-F16.gguf", Role::Projector, 12_288, 1),
    ];
    assert_eq!(shown, expected);
    assert_eq!(cached.bytes_on_disk, 40_960 + 8_192 + 12_288);
    // Every name can be typed.
    let hub = hub_of(&folder);
    for model in &cached.models {
        let found = hub.find(&model.name.parse().unwrap()).unwrap();
        // A projector is found by its path, not as a model.
        assert_eq!(
            found.map(|found| found.path().to_path_buf()),
            Some(model.files[0].clone()),
            "{}",
            model.name
        );
    }
    assert!(hub.find(&"hf:o/r:Q8_0".parse().unwrap()).unwrap().unwrap().path().ends_with("sub/m-Q8_0.gguf"));
    assert!(hub.find(&format!("hf:o/r@{A}:Q8_0").parse().unwrap()).unwrap().is_none());
    let empty = Folder::new("empty");
    let config = Config::new(empty.path().join("no/such"));
    let hub = Hub::new(config, std::sync::Arc::new(UreqTransport::new().unwrap())).unwrap();
    assert!(hub.list().unwrap().models.is_empty());
}

#[test]
fn removing_takes_what_is_meant_and_nothing_else() {
    let folder = Folder::new("remove");
    let (one, two) = python_cache(&folder);
    let hub = hub_of(&folder);
    let remove = |name: &str| hub.remove(&name.parse().unwrap());
    let blob = |sha: &str| folder.path().join("models--o--r/blobs").join(sha);
    // One commit of two: the blob stays, because the other links to it.
    let removed = remove(&format!("hf:o/r@{A}/m-Q4_0.gguf")).unwrap();
    assert_eq!((removed.files, removed.bytes, removed.shared), (1, 0, 0));
    assert!(blob(&one).exists());
    // While another process writes the blob, it cannot be removed.
    let lock = folder.path().join(format!(".locks/models--o--r/{two}.lock"));
    write(&lock, b"");
    let held = fs::File::options().write(true).open(&lock).unwrap();
    held.lock().unwrap();
    assert!(matches!(remove("hf:o/r:Q8_0"), Err(Error::Locked { .. })));
    assert!(blob(&two).exists());
    drop(held);
    let removed = remove("hf:o/r:Q8_0").unwrap();
    assert_eq!((removed.files, removed.bytes), (1, 8_192));
    assert!(!folder.path().join(format!("models--o--r/snapshots/{B}/sub")).exists() && !blob(&two).exists());
    // The whole repository: files of other kinds stay, as do their snapshots.
    assert_eq!(remove("hf:o/r").unwrap().bytes, 40_960);
    let left = tree(&folder.path().join("models--o--r"));
    assert!(
        left.iter().any(|path| path.ends_with("config.json")) && left.contains(&"refs/main".to_owned()),
        "{left:?}"
    );
    assert!(matches!(remove("hf:o/r"), Err(Error::NotFound { .. })));
    // A link into the shared store: the link goes, the bytes stay.
    let removed = remove("hf:s/x/mmproj-F16.gguf").unwrap();
    assert_eq!((removed.files, removed.bytes, removed.shared), (1, 0, 12_288));
    assert!(!folder.path().join("models--s--x").exists());
    assert!(folder.path().join("blobs/cc").join("c".repeat(64)).exists());
    assert!(hub.find(&"hf:s/y/mmproj-F16.gguf".parse().unwrap()).unwrap().is_some());
    assert!(matches!(remove("/some/file.gguf"), Err(Error::Name { .. })));
}

#[test]
fn links_that_lead_out_are_not_followed_when_deleting() {
    let folder = Folder::new("out");
    let outside = folder.path().join("precious.gguf");
    write(&outside, b"precious");
    let cache = folder.path().join("cache");
    let snapshot = cache.join(format!("models--o--r/snapshots/{A}"));
    link("../../../../precious.gguf", &snapshot.join("m-Q4_0.gguf"));
    // A snapshot that is a link itself.
    fs::create_dir_all(folder.path().join("elsewhere")).unwrap();
    write(&folder.path().join("elsewhere/n-Q8_0.gguf"), b"n");
    link("../../../elsewhere", &cache.join(format!("models--o--r/snapshots/{B}")));
    write(&cache.join("models--o--r/refs/main"), A.as_bytes());
    let mut config = Config::new(&cache);
    config.offline = true;
    let hub = Hub::new(config, std::sync::Arc::new(UreqTransport::new().unwrap())).unwrap();
    assert_eq!(hub.remove(&"hf:o/r:Q4_0".parse().unwrap()).unwrap().files, 1);
    assert_eq!(fs::read(&outside).unwrap(), b"precious");
    let _ = hub.remove(&"hf:o/r".parse().unwrap());
    assert!(folder.path().join("elsewhere/n-Q8_0.gguf").exists(), "a file outside the cache is gone");
}

#[test]
fn downloads_that_began_are_listed_and_removed() {
    let bytes = model(30, 1 << 20);
    let (folder, server) = (Folder::new("begun"), Server::with(&bytes));
    let hub = hub(&folder, &server);
    let mut options = options();
    options.retry.attempts = 1;
    server.plan(|_, n| if n < 8 { Fault::None } else { Fault::Status(500) });
    assert!(pull_with(&hub, "hf:o/r", &options).is_err());
    let cached = hub.list().unwrap();
    assert!(cached.models.is_empty() && cached.partial.len() == 1);
    assert!(cached.partial[0].repo.as_deref() == Some("o/r") && cached.partial[0].bytes > 60_000);
    assert_eq!(cached.bytes_on_disk, cached.partial[0].bytes);
    let removed = hub.remove(&"hf:o/r".parse().unwrap()).unwrap();
    assert_eq!((removed.files, removed.bytes), (0, cached.bytes_on_disk));
    assert!(hub.list().unwrap().partial.is_empty() && !folder.path().join("models--o--r").exists());
}

#[test]
fn a_new_commit_of_the_same_file_costs_nothing() {
    let bytes = model(31, 200_000);
    let (folder, server) = (Folder::new("commit"), Server::with(&bytes));
    let hub = hub(&folder, &server);
    let first = pull(&hub, "hf:o/r").unwrap();
    server.take_sent();
    let sha = sha256(&bytes);
    let len = bytes.len();
    server.set_listing(format!(
        r#"{{"sha":"{A}","siblings":[{{"rfilename":"model.gguf","size":{len},"lfs":{{"sha256":"{sha}","size":{len}}}}}]}}"#
    ));
    let second = pull(&hub, "hf:o/r").unwrap();
    assert!(second.path() != first.path() && second.path().to_str().unwrap().contains(A));
    assert_eq!((second.fetched, server.take_sent()), (0, 0));
    assert_eq!(hub.list().unwrap().models.len(), 2);
    assert_eq!(hub.find(&"hf:o/r".parse().unwrap()).unwrap().unwrap().path(), second.path());
}
