//! `happy embed`, `happy rerank` and `--lora` with a tiny model.

mod support;

use serde_json::Value;
use support::{Folder, N_EMBD, Tiny, adapter, happy, output, succeed};

const WIDTH: usize = N_EMBD as usize;

/// A model with a word on pooling and a classifier, and its path.
fn model(folder: &Folder, pooling: Option<u32>) -> String {
    folder.file("embed.gguf", Tiny { pooling, classifier: true, ..Tiny::default() }.bytes())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// The vector of a JSON line.
fn vector(line: &Value) -> Vec<f32> {
    line["embedding"]
        .as_array()
        .expect("a vector")
        .iter()
        .map(|x| x.as_f64().expect("a number") as f32)
        .collect()
}

fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt()
}

/// A command that fails: its exit code and its sentence.
fn failure(args: &[&str], stdin: &[u8]) -> (Option<i32>, String) {
    let done = output(&mut happy(args), stdin);
    assert!(done.stdout.is_empty(), "{args:?}: something on standard output");
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn texts_become_lines_of_numbers_and_of_json() {
    let folder = Folder::new();
    let tiny = model(&folder, Some(1));
    let embed = |more: &[&str], stdin: &[u8]| succeed(&[&["embed", "-m", &tiny][..], more].concat(), stdin);
    let json = lines(&embed(&["--json", "a small cat", "\u{1f408}"], b""));
    assert_eq!(json.iter().map(|line| line["index"].as_u64()).collect::<Vec<_>>(), [Some(0), Some(1)]);
    assert_eq!(json.iter().map(|line| line["tokens"].as_u64()).collect::<Vec<_>>(), [Some(11), Some(4)]);
    for line in &json {
        let vector = vector(line);
        assert!(vector.len() == WIDTH && (length(&vector) - 1.0).abs() < 1e-6, "{line}");
        assert_eq!(line.as_object().map(serde_json::Map::len), Some(3), "{line}");
    }
    // Lines of standard input are texts; numbers are written so that they are read back as they were.
    let text = embed(&[], "a small cat\n\u{1f408}\n".as_bytes());
    let plain: Vec<Vec<f32>> =
        text.lines().map(|line| line.split(' ').map(|x| x.parse().expect("a number")).collect()).collect();
    assert_eq!(plain, json.iter().map(vector).collect::<Vec<_>>());
    assert_eq!(lines(&embed(&["--json"], "a small cat\n\u{1f408}".as_bytes())), json);
    // In any number of threads and on any instruction set.
    for more in [["-t", "1"], ["-t", "3"], ["--isa", "scalar"]] {
        let again = embed(&[&more[..], &["--json", "a small cat", "\u{1f408}"]].concat(), b"");
        assert_eq!(lines(&again), json, "{more:?}");
    }
    let raw = lines(&embed(&["--json", "--no-normalize", "a small cat"], b""));
    let raw = vector(&raw[0]);
    assert!((length(&raw) - 1.0).abs() > 1e-3);
    let cut = lines(&embed(&["--json", "--no-normalize", "--dimensions", "5", "a small cat"], b""));
    assert_eq!(vector(&cut[0]), raw[..5]);
    let cut = lines(&embed(&["--json", "--dimensions", "5", "a small cat"], b""));
    assert!((length(&vector(&cut[0])) - 1.0).abs() < 1e-6);
    // The last of the two counts.
    for (flags, normalized) in
        [(["--no-normalize", "--normalize"], true), (["--normalize", "--no-normalize"], false)]
    {
        let found = lines(&embed(&[&flags[..], &["--json", "a small cat"]].concat(), b""));
        assert_eq!((length(&vector(&found[0])) - 1.0).abs() < 1e-6, normalized, "{flags:?}");
    }
    let each = lines(&embed(&["--json", "--pooling", "none", "cat"], b""));
    let rows = each[0]["embedding"].as_array().expect("vectors");
    assert!(rows.len() == 3 && rows.iter().all(|row| row.as_array().is_some_and(|row| row.len() == WIDTH)));
    assert_eq!(embed(&["--pooling", "none", "cat"], b"").lines().count(), 3);
}

#[test]
fn similarities_are_a_table() {
    let folder = Folder::new();
    let tiny = model(&folder, Some(3));
    let args = ["embed", "-m", &tiny, "--similarity", "cat", "dog", "cat"];
    let rows: Vec<Vec<f64>> = succeed(&args, b"")
        .lines()
        .map(|line| line.split(' ').map(|x| x.parse().expect("a number")).collect())
        .collect();
    assert!(rows.len() == 3 && rows.iter().all(|row| row.len() == 3));
    for (i, row) in rows.iter().enumerate() {
        for (j, cosine) in row.iter().enumerate() {
            assert_eq!(*cosine, rows[j][i]);
            assert_eq!(*cosine == 1.0, i == j || i + j == 2 && i != 1, "{rows:?}");
        }
    }
    let (code, says) = failure(&[&args[..], &["--pooling", "none"]].concat(), b"");
    assert!(code == Some(2) && says.contains("pooling `none`"), "{says}");
}

#[test]
fn token_sequences_become_a_file() {
    let folder = Folder::new();
    let tiny = model(&folder, Some(2));
    let cases = folder.file("cases", "99 97 116\n\n100\n");
    let out = folder.path("out");
    let write = |more: &[&str]| {
        let fixed = ["embed", "-m", &tiny, "--tokens", &cases, "--out", &out];
        assert_eq!(succeed(&[&fixed[..], more].concat(), b""), "");
        let bytes = std::fs::read(&out).expect("the file that was written");
        let words: Vec<[u8; 4]> = bytes.as_chunks::<4>().0.to_vec();
        assert_eq!(bytes.len(), 4 * words.len());
        let (count, width) = (u32::from_le_bytes(words[0]), u32::from_le_bytes(words[1]));
        let values: Vec<f32> = words[2..].iter().map(|word| f32::from_le_bytes(*word)).collect();
        assert_eq!(values.len(), (count * width) as usize);
        (count, width, values)
    };
    let of_texts = |more: &[&str]| -> Vec<f32> {
        let fixed = ["embed", "-m", &tiny, "--json", "cat", "d"];
        lines(&succeed(&[&fixed[..], more].concat(), b"")).iter().flat_map(vector).collect()
    };
    // The ids are the bytes of `cat` and `d`, to which the tokenizer adds nothing.
    for (more, same) in [
        (&[][..], &["--no-normalize"][..]),
        (&["--normalize"], &[]),
        (&["--normalize", "--no-normalize"], &["--no-normalize"]),
        (&["--pooling", "mean"], &["--pooling", "mean", "--no-normalize"]),
        (&["--pooling", "last", "-c", "9"], &["--pooling", "last", "--no-normalize"]),
    ] {
        assert_eq!(write(more), (2, N_EMBD as u32, of_texts(same)), "{more:?}");
    }
    let (count, width, values) = write(&["--pooling", "none"]);
    assert_eq!((count, width), (4, N_EMBD as u32));
    // The first token's vector is what `cls` gives.
    let (_, _, first) = write(&[]);
    assert_eq!((&values[..WIDTH], &values[3 * WIDTH..]), (&first[..WIDTH], &first[WIDTH..]));
    let (count, width, ranks) = write(&["--pooling", "rank"]);
    assert!((count, width) == (2, 1) && ranks[0] != ranks[1]);
    let long = folder.file("long", "1 2 3 4 5\n");
    let (code, says) = failure(&["embed", "-m", &tiny, "--tokens", &long, "--out", &out, "-c", "4"], b"");
    assert!(code == Some(1) && says.contains("text 0 has 5 tokens, the context holds 4"), "{says}");
    let wrong = folder.file("wrong", "1 259\n");
    let (code, says) = failure(&["embed", "-m", &tiny, "--tokens", &wrong, "--out", &out], b"");
    assert!(code == Some(1) && says.contains("259"), "{says}");
}

#[test]
fn texts_that_are_too_long_are_refused_or_cut() {
    let folder = Folder::new();
    let tiny = model(&folder, Some(3));
    let args = ["embed", "-m", &tiny, "--json", "-c", "4", "a cat", "dog"];
    let (code, says) = failure(&args, b"");
    assert!(code == Some(1) && says.contains("text 0 has 5 tokens, the context holds 4"), "{says}");
    let done = output(&mut happy(&[&args[..], &["--truncate"]].concat()), b"");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("text 0: the last 1 tokens were left out"), "{said}");
    let found = lines(&String::from_utf8_lossy(&done.stdout));
    assert_eq!(found.iter().map(|line| line["tokens"].as_u64()).collect::<Vec<_>>(), [Some(4), Some(3)]);
    // What was cut is as if it had not been there.
    let short = lines(&succeed(&["embed", "-m", &tiny, "--json", "a ca"], b""));
    assert_eq!(vector(&short[0]), vector(&found[0]));
}

#[test]
fn documents_come_best_first() {
    let folder = Folder::new();
    let tiny = model(&folder, None);
    let args = ["rerank", "-m", &tiny, "what do cats eat", "fish", "a stone", "fish", "grass"];
    let text = succeed(&args, b"");
    let json = lines(&succeed(&[&args[..], &["--json"]].concat(), b""));
    assert_eq!(
        lines(&succeed(&["rerank", "-m", &tiny, "--json", args[3]], b"fish\na stone\nfish\ngrass\n")),
        json
    );
    let ranks: Vec<(u64, f64)> = json
        .iter()
        .map(|line| {
            assert_eq!(line.as_object().map(serde_json::Map::len), Some(2), "{line}");
            (line["index"].as_u64().expect("an index"), line["score"].as_f64().expect("a score"))
        })
        .collect();
    assert!(ranks.is_sorted_by(|a, b| a.1 > b.1 || a.1 == b.1 && a.0 < b.0), "{ranks:?}");
    let mut places: Vec<u64> = ranks.iter().map(|rank| rank.0).collect();
    for (line, rank) in text.lines().zip(&ranks) {
        let (score, document) = line.split_once('\t').expect("score and document");
        assert_eq!(
            (score.parse::<f64>().expect("a score") as f32, document),
            (rank.1 as f32, args[4 + rank.0 as usize])
        );
    }
    places.sort_unstable();
    assert_eq!(places, [0, 1, 2, 3]);
    // A document's score does not depend on the others.
    let alone = lines(&succeed(&["rerank", "-m", &tiny, "--json", args[3], "grass"], b""));
    assert!(ranks.contains(&(3, alone[0]["score"].as_f64().expect("a score"))), "{alone:?}");
}

#[test]
fn what_cannot_be_embedded_or_ranked_says_why() {
    let folder = Folder::new();
    let silent = folder.file("silent.gguf", Tiny::default().bytes());
    let ids_only =
        folder.file("ids.gguf", Tiny { tokenizer: false, pooling: Some(1), ..Tiny::default() }.bytes());
    let tiny = model(&folder, Some(1));
    let cases: [(&[&str], i32, &str); 10] = [
        (&["embed", "-m", &silent, "cat"], 1, "pooling_type"),
        (&["embed", "-m", &ids_only, "cat"], 1, "no tokenizer"),
        (
            &["embed", "-m", &tiny, "--dimensions", "33", "cat"],
            1,
            "33 dimensions of an embedding, expected 1 to 32",
        ),
        (&["embed", "-m", &tiny, "--dimensions", "0", "cat"], 1, "expected 1 to 32"),
        (&["embed", "-m", &tiny, "--pooling", "max", "cat"], 2, "max"),
        (&["embed", "-m", &tiny, "--json", "--similarity", "cat"], 2, "cannot be used with"),
        (&["embed", "-m", &tiny, "--tokens", "cases"], 2, "--out"),
        (&["embed", "-m", &tiny], 2, "there are no texts"),
        (&["embed", "-m", &tiny, ""], 1, "text 0 has no tokens"),
        (&["rerank", "-m", &silent, "cats", "fish"], 1, "has no classifier"),
    ];
    for (args, expected, part) in cases {
        let (code, says) = failure(args, b"");
        assert!(code == Some(expected) && says.contains(part), "{args:?}: {code:?} {says}");
        assert!(says.starts_with("error: ") && !says.contains("panicked"), "{args:?}: {says}");
    }
}

#[test]
fn adapters_add_up_in_their_order_and_scale() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let cases = folder.file("cases", "1 2 3 4 5 6 7\n");
    let a = folder.file("a=1.gguf", adapter(N_EMBD, 5));
    let b = folder.file("b.gguf", adapter(N_EMBD, 6));
    let hash = |lora: &[String]| {
        let mut args = vec!["logits", "-m", &tiny, "--tokens", &cases, "--sha256"];
        lora.iter().for_each(|file| args.extend(["--lora", file]));
        succeed(&args, b"")
    };
    let alone = hash(&[]);
    let with = |texts: &[&str]| hash(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    // The last `=` that a number follows divides file and scale.
    let one = with(&[&a]);
    assert_eq!(with(&[&format!("{a}=1")]), one);
    assert_eq!(with(&[&format!("{a}=1.0")]), one);
    let half = with(&[&format!("{a}=0.5")]);
    let both = with(&[&a, &b]);
    let turned = with(&[&b, &format!("{a}=-5e-1")]);
    assert_eq!(with(&[&format!("{a}=0")]), alone);
    assert_eq!(with(&[&a, &format!("{b}=0")]), one);
    let mut all = vec![alone, one, half, both, turned];
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 5);
    for more in [["-t", "1"], ["-t", "3"], ["--chunk", "2"], ["--isa", "scalar"], ["--parallel", "3"]] {
        let fixed = ["logits", "-m", &tiny, "--tokens", &cases, "--sha256", "--lora", &a, "--lora", &b];
        assert_eq!(succeed(&[&fixed[..], &more].concat(), b""), with(&[&a, &b]), "{more:?}");
    }
    let run = |lora: &[&str]| {
        let fixed = ["run", "-m", &tiny, "--raw", "--temp", "0", "-n", "12", "-c", "64"];
        succeed(&[&fixed[..], lora, &["hello"]].concat(), b"")
    };
    assert_eq!(run(&["--lora", &format!("{a}=0")]), run(&[]));
    assert_ne!(run(&["--lora", &a, "--lora", &b]), run(&[]));
}

#[test]
fn adapters_of_other_models_are_refused_and_nothing_is_written() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let cases = folder.file("cases", "1 2 3\n");
    let out = folder.file("out", "what was there");
    let good = folder.file("good.gguf", adapter(N_EMBD, 5));
    let foreign = folder.file("foreign.gguf", adapter(2 * N_EMBD, 5));
    for (file, part) in [
        (foreign.clone(), "foreign.gguf"),
        (tiny.clone(), "tiny.gguf"),
        (folder.path("missing.gguf"), "missing.gguf"),
        (format!("{good}=inf"), "not a finite number"),
        ("=1".to_owned(), "there is no path"),
    ] {
        let args =
            ["logits", "-m", &tiny, "--tokens", &cases, "--out", &out, "--lora", &good, "--lora", &file];
        let (code, says) = failure(&args, b"");
        assert!(matches!(code, Some(1 | 2)) && says.contains(part), "{file}: {code:?} {says}");
        assert!(says.starts_with("error: ") && !says.contains("panicked"), "{file}: {says}");
        assert_eq!(std::fs::read(&out).expect("the file that was there"), b"what was there");
    }
    // Snapshots are planned for where a model needs them; here they change nothing.
    let plan = |more: &[&str]| succeed(&[&["inspect", &tiny, "--json"][..], more].concat(), b"");
    assert_eq!(plan(&["--snapshots", "0"]), plan(&[]));
}
