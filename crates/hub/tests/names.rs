//! From names to files: quantizations, split models, companions, mirrors, offline; and headers before the download.

mod support;

use std::fs;

use happy_gguf::{GgmlType, GgufSetFile, GgufWriter, SplitBy};
use happy_hub::{Config, Error, Hub, Role, UreqTransport, Verdict};
use support::*;

#[test]
fn a_verdict_on_4_gb_costs_21_mib_at_most() {
    // A header of 20 MB, as large vocabularies make it, and weights of 4 GB, of which the server has only zeros.
    let token = |i: usize| format!("{i:0>72}");
    let tokens: Vec<String> = (0..250_000).map(token).collect();
    let header = GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("tokenizer.ggml.tokens", tokens)
        .tensor_from("w", GgmlType::F32, &[1 << 30], |_| Ok(()));
    // Only the header is written: the producer of the weights gives none, which fails after it.
    let mut bytes = Vec::new();
    let _ = header.write_to(&mut bytes);
    assert!((19_000_000..=20_971_520).contains(&bytes.len()), "{}", bytes.len());
    let len = (bytes.len() as u64).next_multiple_of(32) + (4 << 30);
    let (folder, server) = (Folder::new("verdict"), Server::start());
    server.put_sparse("model.gguf", &bytes, len);
    let hub = hub(&folder, &server);
    let name = "hf:o/r/model.gguf".parse().unwrap();
    let offer = hub.inspect(&name, &options(), quiet).unwrap();
    let view = offer.files[0].header.view();
    assert_eq!((offer.total(), offer.missing()), (len, len));
    assert_eq!(view.tensor("w").unwrap().byte_len(), 4 << 30);
    assert_eq!(view.metadata().get_strings("tokenizer.ggml.tokens").unwrap().len(), 250_000);
    let sent = server.take_sent();
    assert!(sent <= 21 << 20, "{sent} bytes for a header of {}", bytes.len());
    assert_eq!(tree(folder.path()), [""; 0]);

    // The judge refuses: as little is fetched, and nothing is left.
    let refused =
        hub.pull(&name, &options(), |offer| Verdict::Refuse(format!("{} bytes", offer.total())), quiet);
    let error = refused.unwrap_err();
    assert!(matches!(&error, Error::Refused { reason, .. } if *reason == format!("{len} bytes")), "{error}");
    assert!(server.take_sent() <= 21 << 20);
    assert_eq!(leftovers(folder.path()), [""; 0]);
}

#[test]
fn headers_that_are_none_cost_one_request() {
    let (folder, server) = (Folder::new("noheader"), Server::with(&noise(1, 10 << 20)));
    let hub = hub(&folder, &server);
    assert!(matches!(pull(&hub, "hf:o/r/model.gguf"), Err(Error::Header { .. })));
    assert!(server.take_sent() <= 64 << 10);
    assert_eq!(leftovers(folder.path()), [""; 0]);
    // One that claims to be endless.
    let mut bytes = GgufWriter::new().kv("a.b", "x").to_vec().unwrap();
    let at = bytes.windows(9).position(|w| w == b"\x01\0\0\0\0\0\0\0x").unwrap();
    bytes[at..at + 8].copy_from_slice(&(1u64 << 40).to_le_bytes());
    server.put_sparse("model.gguf", &bytes, 1 << 45);
    let result = hub.inspect(&"hf:o/r/model.gguf".parse().unwrap(), &options(), quiet);
    assert!(matches!(result, Err(Error::HeaderTooLarge { .. } | Error::Header { .. })), "{result:?}");
    assert!(server.take_sent() <= 64 << 10);
}

#[test]
fn quantizations_parts_and_companions_come_together() {
    let folder = Folder::new("companions");
    let whole = GgufWriter::new()
        .kv("general.architecture", "llama")
        .tensor("a", GgmlType::F32, &[20_000], noise(1, 80_000))
        .tensor("b", GgmlType::F32, &[20_000], noise(2, 80_000))
        .to_vec()
        .unwrap();
    let parts = folder.path().join("parts");
    fs::create_dir_all(&parts).unwrap();
    let set = happy_gguf::Gguf::parse(&whole).unwrap().into();
    GgufWriter::write_split(&set, SplitBy::Tensors(1), parts.join("m-Q8_0")).unwrap();
    let server = Server::start();
    for name in ["m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf"] {
        server.put(&format!("Q8_0/{name}"), &fs::read(parts.join(name)).unwrap());
    }
    for (i, name) in
        ["m-Q4_K_M.gguf", "mmproj-F16.gguf", "mmproj-F32.gguf", "fun-lora.gguf"].into_iter().enumerate()
    {
        server.put(name, &model(i as u64, 70_000));
    }
    let hub = hub(&folder, &server);
    let files = |name: &str, options| -> Vec<(String, Role)> {
        let pulled = pull_with(&hub, name, &options).unwrap();
        let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        pulled.files.iter().map(|file| (name(&file.path), file.role)).collect()
    };
    assert_eq!(files("hf:o/r", options()), [("m-Q4_K_M.gguf".to_owned(), Role::Model)]);
    let mut more = options();
    (more.projector, more.also) = (true, vec!["fun-lora.gguf".into()]);
    let expected = [
        ("m-Q8_0-00001-of-00002.gguf", Role::Model),
        ("m-Q8_0-00002-of-00002.gguf", Role::Model),
        ("mmproj-F16.gguf", Role::Projector),
        ("fun-lora.gguf", Role::Adapter),
    ];
    assert_eq!(files("hf:o/r:q8_0", more.clone()), expected.map(|(name, role)| (name.to_owned(), role)));
    // A part stands for all, and the parts make a model that the GGUF crate opens.
    let pulled = pull(&hub, "hf:o/r/Q8_0/m-Q8_0-00002-of-00002.gguf").unwrap();
    let set = GgufSetFile::read(pulled.path()).unwrap();
    assert!(pulled.files.len() == 2 && set.view().data("b") == Some(&noise(2, 80_000)[..]));
    // The headers of an offer make the same model.
    let name = "hf:o/r:Q8_0".parse().unwrap();
    let offer = hub.inspect(&name, &options(), quiet).unwrap();
    let headers = offer.files.iter().map(|file| (file.path.clone(), file.header.clone().into()));
    assert_eq!(GgufSetFile::from_parts(headers).unwrap().view().tensors().count(), 2);
    assert_eq!(hub.find(&name).unwrap().unwrap().path(), pulled.path());
    // What is missing is said.
    more.also = vec!["nope.gguf".into()];
    for (name, options, what) in [
        ("hf:o/r:Q9", options(), "m-Q4_K_M"),
        ("hf:o/r/nope.gguf", options(), "nope.gguf"),
        ("hf:o/nope", options(), "404"),
        ("hf:o/r", more, "nope.gguf"),
    ] {
        let error = pull_with(&hub, name, &options).unwrap_err().to_string();
        assert!(error.contains(what), "{name}: {error}");
    }
}

#[test]
fn mirrors_without_the_api_and_addresses_outside_the_hub() {
    let bytes = model(20, 200_000);
    let (folder, server) = (Folder::new("mirror"), Server::with(&bytes));
    let hub = hub(&folder, &server);
    server.forget_api();
    let pulled = pull(&hub, "hf:o/r/model.gguf").unwrap();
    assert!(pulled.files[0].verified && fs::read(pulled.path()).unwrap() == bytes);
    assert!(matches!(pull(&hub, "hf:o/r"), Err(Error::Status { status: 404, .. })));
    let url = format!("{}?signature=1", server.url("model.gguf"));
    let first = pull(&hub, &url).unwrap();
    assert!(!first.files[0].verified && first.path().ends_with("model.gguf"));
    server.take_sent();
    // Another signature is the same file.
    let again = pull(&hub, &url.replace("=1", "=2")).unwrap();
    assert_eq!((again.path(), server.take_sent()), (first.path(), 0));
    let listed = hub.list().unwrap();
    let names: Vec<&str> = listed.models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, [server.url("model.gguf").as_str(), "hf:o/r/model.gguf"]);
    assert!(!format!("{listed:?}").contains("signature"));
    assert_eq!(hub.remove(&url.parse().unwrap()).unwrap().files, 1);
    assert_eq!(hub.find(&url.parse().unwrap()).unwrap().map(|found| found.files.len()), None);
}

#[test]
fn without_a_network_the_cache_serves() {
    let bytes = model(21, 100_000);
    let (folder, server) = (Folder::new("offline"), Server::with(&bytes));
    let path = pull(&hub(&folder, &server), "hf:o/r").unwrap().path().to_path_buf();
    let mut config = Config::new(folder.path());
    config.endpoint = server.endpoint();
    drop(server);
    let transport = || std::sync::Arc::new(UreqTransport::new().unwrap());
    let gone = Hub::new(config.clone(), transport()).unwrap();
    let pulled = pull(&gone, "hf:o/r").unwrap();
    assert!(pulled.path() == path && pulled.stale.is_some(), "{pulled:?}");
    assert!(matches!(pull(&gone, "hf:o/other"), Err(Error::Transport { .. })));
    config.offline = true;
    let offline = Hub::new(config, transport()).unwrap();
    assert!(pull(&offline, "hf:o/r:nope").is_err());
    let pulled = pull(&offline, "hf:o/r/model.gguf").unwrap();
    assert!(pulled.path() == path && pulled.stale.is_none());
    assert!(matches!(pull(&offline, "hf:o/other"), Err(Error::Offline { .. })));
    assert!(matches!(
        offline.inspect(&"hf:o/r".parse().unwrap(), &options(), quiet),
        Err(Error::Offline { .. })
    ));
    // A path needs no network.
    let name = path.to_str().unwrap();
    assert_eq!(pull(&offline, name).unwrap().path(), path);
    assert_eq!(offline.inspect(&name.parse().unwrap(), &options(), quiet).unwrap().missing(), 0);
    assert!(matches!(pull(&offline, "/no/such.gguf"), Err(Error::NotFound { .. })));
}

#[test]
fn hostile_listings_lead_nowhere() {
    let bytes = model(22, 70_000);
    let (folder, server) = (Folder::new("hostile"), Server::with(&bytes));
    let hub = hub(&folder, &server);
    let commit = "00112233445566778899aabbccddeeff00112233";
    let listing = |file: &str, commit: &str| {
        format!(
            r#"{{"sha":"{commit}","siblings":[{{"rfilename":"{file}","size":5,"lfs":{{"sha256":"{}","size":5}}}}]}}"#,
            "a".repeat(64)
        )
    };
    for file in [
        "../../../evil.gguf",
        "/tmp/evil.gguf",
        "a/../../evil.gguf",
        "C:\\\\evil.gguf",
        "con.gguf",
        "a\\u0000.gguf",
    ] {
        server.set_listing(listing(file, commit));
        assert!(matches!(pull(&hub, "hf:o/r"), Err(Error::NotFound { .. })), "{file}");
    }
    for commit in ["../../../../tmp/x", "", "00112233445566778899AABBCCDDEEFF00112233"] {
        server.set_listing(listing("model.gguf", commit));
        assert!(matches!(pull(&hub, "hf:o/r"), Err(Error::Protocol { .. })), "{commit}");
    }
    // The listing lies about the hash and the size of a file that is there.
    server.set_listing(listing("model.gguf", commit));
    assert!(pull(&hub, "hf:o/r").is_err());
    server.set_listing(format!(r#"{{"sha":"{commit}","x":{}"#, "[".repeat(1 << 20)));
    assert!(matches!(pull(&hub, "hf:o/r"), Err(Error::Protocol { .. })));
    server.set_listing(" ".repeat(33 << 20));
    assert!(matches!(pull(&hub, "hf:o/r"), Err(Error::Protocol { .. })));
    assert!(!folder.path().join("../evil.gguf").exists() && leftovers(folder.path()).is_empty());
    let outside = tree(folder.path()).into_iter().find(|path| path.ends_with("evil.gguf"));
    assert_eq!(outside, None);
}
