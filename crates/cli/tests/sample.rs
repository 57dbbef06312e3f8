//! `happy sample`, and the sampling options of `happy run`.

mod support;

use serde_json::{Value, json};
use support::{Folder, Tiny, happy, output, succeed};

#[test]
fn a_line_of_ids_and_probabilities_for_each_row() {
    let input = concat!(
        "{\"logits\": [0, 1, \"-inf\", 1], \"history\": [3, 3], \"steps\": [",
        "{\"type\": \"penalties\", \"last_n\": 4, \"repeat\": 1, \"freq\": 0.5, \"present\": 0},",
        "{\"type\": \"top_k\", \"k\": 3}]}\n",
        "\n",
        "{\"logits\": [2.5]}\r\n",
        "{\"logits\": [-1, 5e0, 3], \"steps\": [{\"type\": \"top_p\", \"p\": 0.5}, {\"type\": \"temp\", \"t\": 0}]}",
    );
    // exp(1), exp(0), exp(0) over their sum.
    let (top, other) = (0.576_116_9f32, 0.211_941_56f32);
    let expect = [
        json!({"ids": [0, 1, 3], "p": [other, top, other]}),
        json!({"ids": [0], "p": [1.0f32]}),
        json!({"ids": [1], "p": [1.0f32]}),
    ];
    let printed = succeed(&["sample"], input.as_bytes());
    let got: Vec<Value> = printed.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!(got.len(), expect.len(), "{printed}");
    for (got, expect) in got.iter().zip(&expect) {
        assert_eq!(got["ids"], expect["ids"]);
        let numbers = |v: &Value| {
            v["p"].as_array().expect("a list").iter().map(|p| p.as_f64().expect("a number")).collect()
        };
        let (got, expect): (Vec<f64>, Vec<f64>) = (numbers(got), numbers(expect));
        assert!(got.iter().zip(&expect).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}, expected {expect:?}");
    }
}

/// Cases whose result the reference leaves to chance: its typical step computes 0 ln 0 as NaN.
const UNDEFINED: [&str; 9] = ["g670", "g732", "g744", "g785", "g796", "g798", "g814", "g820", "g839"];

#[test]
fn the_corpus() {
    let files = happy_testkit::Corpus::repository().open("sampling").expect("a corpus");
    let text = files.text("oracle_cases.jsonl.gz").expect("the cases");
    let cases: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    // Few enough at a time that the answers fit a pipe, which is read when all lines are written.
    let mut left: Vec<Value> = Vec::new();
    for batch in cases.chunks(30) {
        let lines: Vec<String> = batch.iter().map(Value::to_string).collect();
        let printed = succeed(&["sample"], lines.join("\n").as_bytes());
        left.extend(printed.lines().map(|l| serde_json::from_str::<Value>(l).expect("JSON")));
    }
    assert_eq!(left.len(), cases.len());
    let mut differ = Vec::new();
    for (case, left) in cases.iter().zip(&left) {
        let numbers = |v: &Value| -> Vec<f64> {
            let mut p: Vec<f64> =
                v["p"].as_array().expect("a list").iter().map(|p| p.as_f64().expect("a number")).collect();
            if case["ties"] == true {
                // Which of equals survives is the implementation's choice.
                p.sort_by(f64::total_cmp);
            }
            p
        };
        let (got, expect) = (numbers(left), numbers(case));
        let same_ids = case["ties"] == true || left["ids"] == case["ids"];
        let near = got.len() == expect.len() && got.iter().zip(&expect).all(|(a, b)| (a - b).abs() <= 1e-5);
        if !(same_ids && near) {
            differ.push(case["id"].as_str().unwrap_or_default());
        }
    }
    assert_eq!(differ, UNDEFINED, "of {} cases", cases.len());
}

#[test]
fn wrong_lines() {
    let good = "{\"logits\": [1, 2]}\n";
    let cases: [(&str, &[&str]); 16] = [
        ("x", &["line 2", "expected {\"logits\""]),
        ("{", &["line 2", "EOF"]),
        ("[]", &["line 2"]),
        ("{}", &["line 2", "logits"]),
        ("{\"logits\": []}", &["line 2", "empty row"]),
        ("{\"logits\": [1, \"x\"]}", &["line 2", "a logit must be a number or \"-inf\""]),
        ("{\"logits\": [1e39]}", &["line 2", "token 0", "inf"]),
        ("{\"logits\": [1], \"steps\": {}}", &["line 2", "invalid type"]),
        ("{\"logits\": [1], \"history\": [-1]}", &["line 2", "-1"]),
        ("{\"logits\": [1], \"history\": [4294967296]}", &["line 2", "4294967296"]),
        ("{\"logits\": [1], \"steps\": [{\"type\": \"top_q\"}]}", &["line 2", "top_q", "top_k"]),
        ("{\"logits\": [1], \"steps\": [{\"k\": 4}]}", &["line 2", "type"]),
        ("{\"logits\": [1], \"steps\": [{\"type\": \"top_k\"}]}", &["line 2", "k"]),
        ("{\"logits\": [1], \"steps\": [{\"type\": \"top_k\", \"k\": 4, \"p\": 1}]}", &["line 2", "`p`"]),
        (
            "{\"logits\": [1], \"steps\": [{\"type\": \"top_p\", \"p\": 1.5}]}",
            &["line 2", "top_p", "0..=1", "1.5"],
        ),
        (
            "{\"logits\": [1], \"steps\": [{\"type\": \"penalties\", \"last_n\": 99999999999, \"repeat\": 2, \"freq\": 0, \"present\": 0}]}",
            &["line 2", "last_n", "1048576"],
        ),
    ];
    let mut failures = Vec::new();
    for (line, says) in cases {
        let done = output(&mut happy(&["sample"]), format!("{good}{line}\n{good}").as_bytes());
        let stderr = String::from_utf8_lossy(&done.stderr);
        let mut wrong: Vec<String> =
            says.iter().filter(|s| !stderr.contains(*s)).map(|s| format!("does not say {s:?}")).collect();
        if done.status.code() != Some(1) {
            wrong.push(format!("exit code {:?}", done.status.code()));
        }
        if !stderr.starts_with("error: ") || stderr.trim_end().contains('\n') {
            wrong.push("not one sentence".to_owned());
        }
        if done.stdout.iter().filter(|b| **b == b'\n').count() != 1 {
            wrong.push("not the one line before".to_owned());
        }
        if !wrong.is_empty() {
            failures.push(format!("{line}: {}: {stderr}", wrong.join(", ")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What `happy run` generates with some options.
fn generate(tiny: &str, more: &[&str]) -> String {
    let fixed = ["run", "-m", tiny, "-n", "24", "--raw", "--seed", "3", "hello hello"];
    succeed(&[&fixed[..], more].concat(), b"")
}

#[test]
fn options_of_run_take_effect() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let plain = generate(&tiny, &[]);
    assert_eq!(plain, generate(&tiny, &[]), "the same seed, the same text");
    // The tiny model is nearly undecided, so every one of these chooses otherwise.
    let cases: [&[&str]; 20] = [
        &["--seed", "4"],
        &["--temp", "0"],
        &["--top-k", "2"],
        &["--top-k", "0", "--top-p", "0.1"],
        &["--top-k", "0", "--min-p", "0.9"],
        &["--top-k", "0", "--typical", "0.2"],
        &["--top-k", "0", "--top-n-sigma", "0.5"],
        &["--xtc-probability", "1", "--xtc-threshold", "0.01"],
        &["--dynatemp-range", "0.7", "--dynatemp-exp", "9"],
        &["--repeat-penalty", "30"],
        &["--frequency-penalty", "30", "--repeat-last-n", "200"],
        &["--presence-penalty", "30"],
        &[
            "--temp",
            "0",
            "--dry-multiplier",
            "50",
            "--dry-allowed-length",
            "1",
            "--dry-penalty-last-n",
            "200",
        ],
        &["--logit-bias", "65+100"],
        &["-l", "65+50", "-l", "66+50.5"],
        &["--mirostat", "1", "--mirostat-ent", "3"],
        &["--mirostat", "2", "--mirostat-lr", "0.5"],
        &["--adaptive-target", "0.02", "--adaptive-decay", "0.5"],
        &["--samplers", "temperature;top_k", "--temp", "0.1"],
        &["--samplers", "top-k;infill"],
    ];
    let mut same = Vec::new();
    for more in cases {
        let text = generate(&tiny, more);
        assert_eq!(text, generate(&tiny, more), "{more:?}: the same seed, the same text");
        if text == plain {
            same.push(more);
        }
    }
    assert!(same.is_empty(), "no effect: {same:?}");
    assert!(generate(&tiny, &["--logit-bias", "65+1000"]).contains("AAAA"), "token 65 is the letter A");
    // A breaker that is everywhere leaves DRY nothing to penalise.
    let dry = ["--temp", "0", "--dry-multiplier", "50", "--dry-allowed-length", "1"];
    let broken: Vec<String> = (b'!'..=b'~').map(|b| char::from(b).to_string()).collect();
    let breakers = broken.iter().flat_map(|text| ["--dry-sequence-breaker", text]);
    let texts = [
        generate(&tiny, &[&dry[..], &["--dry-sequence-breaker", "none"]].concat()),
        generate(&tiny, &dry.into_iter().chain(breakers).collect::<Vec<_>>()),
    ];
    assert_ne!(texts[0], texts[1]);
}

#[test]
fn wrong_options() {
    let folder = Folder::new();
    let missing = folder.path("missing.gguf");
    // The sentence comes before a model is looked for.
    let cases: [(&[&str], &[&str]); 19] = [
        (&["--typical", "2"], &["typical", "0..=1", "2"]),
        (&["--top-n-sigma", "nan"], &["top_n_sigma"]),
        (&["--xtc-probability", "-1"], &["xtc", "probability", "-1"]),
        (&["--xtc-probability", "0.5", "--xtc-threshold", "7"], &["xtc", "threshold", "7"]),
        (&["--dynatemp-range", "-1"], &["temperature", "delta", "-1"]),
        (&["--repeat-last-n", "-1"], &["--repeat-last-n", "-1"]),
        (&["--repeat-penalty", "1.1", "--repeat-last-n", "99999999"], &["last_n", "1048576", "99999999"]),
        (&["--frequency-penalty", "inf"], &["freq", "inf"]),
        (&["--presence-penalty", "x"], &["'x'", "--presence-penalty"]),
        (&["--dry-multiplier", "-1"], &["dry", "multiplier", "-1"]),
        (&["--dry-multiplier", "1", "--dry-base", "nan"], &["dry", "base"]),
        (&["--logit-bias", "5"], &["--logit-bias", "TOKEN+BIAS", "\"5\""]),
        (&["--logit-bias", "5+inf"], &["TOKEN+BIAS"]),
        (&["--mirostat", "3"], &["'3'", "--mirostat", "0, 1, 2"]),
        (&["--mirostat", "2", "--mirostat-ent", "-1"], &["mirostat_v2", "tau", "-1"]),
        (&["--adaptive-target", "1.5"], &["adaptive_p", "target", "1.5"]),
        (&["--samplers", "top_k;nope"], &["nope", "top_n_sigma"]),
        (&["--samplers", "adaptive_p"], &["adaptive_p", "target"]),
        (&["--min-keep", "-1"], &["--min-keep"]),
    ];
    let mut failures = Vec::new();
    for (more, says) in cases {
        let done = output(&mut happy(&[&["run", "-m", &missing, "hi"], more].concat()), b"");
        let stderr = String::from_utf8_lossy(&done.stderr);
        let silent: Vec<_> = says.iter().filter(|s| !stderr.contains(*s)).collect();
        let one = stderr.starts_with("error: ") && !stderr.trim_end().contains('\n');
        if done.status.code() != Some(2) || !silent.is_empty() || !one {
            failures.push(format!("{more:?}: {:?}, does not say {silent:?}: {stderr}", done.status.code()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
