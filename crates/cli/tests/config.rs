//! The configuration file, and what is made of the description of all options: completions and pages of the manual.

mod support;

use support::{Folder, Tiny, happy, output, succeed};

/// Runs `happy` with this configuration: exit code, output, errors.
fn run(folder: &Folder, config: &str, args: &[&str]) -> (Option<i32>, String, String) {
    std::fs::create_dir_all(folder.path("happy")).expect("a folder");
    folder.file("happy/config.toml", config);
    let done = output(happy(args).env("XDG_CONFIG_HOME", folder.path("")), b"");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

#[test]
fn the_configuration_sets_defaults_and_flags_win() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let config = format!(
        "model = '{tiny}'\nthreads = 1\ncontext = 128\nsystem = 'be brief'\n[sampling]\ntemp = 0\nseed = 7\n"
    );
    let config = config.as_str();
    let run_tiny = |flags: &[&str]| {
        let (code, text, errors) =
            run(&folder, config, &[&["run", "-n", "9", "-q", "hello"], flags].concat());
        assert_eq!(code, Some(0), "{errors}");
        text
    };
    let text = run_tiny(&[]);
    let by_flags = ["-m", &tiny, "-t", "1", "-c", "128", "--system", "be brief", "--temp", "0"];
    assert_eq!(text, succeed(&[&["run", "-n", "9", "-q", "hello"], &by_flags[..]].concat(), b""));
    assert_ne!(text, run_tiny(&["--system", "speak at length"]));
    // What conflicts with a flag does not conflict with the file.
    run_tiny(&["--raw"]);
    let help = run(&folder, config, &["run", "--help"]).1;
    assert!(help.contains("[default: 128]"), "{help}");
    // A command that must be told what to read is not told by the file.
    let (code, _, errors) = run(&folder, config, &["template"]);
    assert!(code == Some(2) && errors.contains("--model"), "{code:?} {errors}");

    let shown = run(&folder, config, &["config"]).1;
    for part in ["config.toml", "be brief", "line 6", "sampling.temp", "sampling.top-k", "default"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&run(&folder, config, &["config", "--json"]).1).expect("JSON");
    assert_eq!((&json["set"]["context"], &json["exists"]), (&"128".into(), &true.into()));
}

#[test]
fn a_wrong_configuration_is_named_with_its_line() {
    let folder = Folder::new();
    for (config, expected) in [
        ("threads = 2\nmodle = 'x'\n", "config.toml`, line 2: unknown key `modle`, expected one of model,"),
        ("[sampling]\ntemp = 'hot'\n", "config.toml`, line 2: `sampling.temp`: invalid value 'hot'"),
        ("threads = \n", "config.toml`, line 1: "),
    ] {
        for command in [&["run", "hello"][..], &["config"], &["chat"], &["serve"]] {
            let (code, _, errors) = run(&folder, config, command);
            assert!(code == Some(2) && errors.contains(expected), "{command:?}: {code:?} {errors}");
        }
        // Others don't read it.
        assert_eq!(run(&folder, config, &["cpu"]).0, Some(0));
    }
}

#[test]
fn completions_and_pages_know_every_command() {
    let help = succeed(&["--help"], b"");
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // Long descriptions go on in lines that are indented further.
        .filter_map(|line| {
            line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.split_whitespace().next()
        })
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase()) && *word != "help")
        .collect();
    assert!(commands.len() > 20, "{commands:?}");
    for (shell, part) in
        [("bash", "complete -F _happy"), ("zsh", "#compdef happy"), ("fish", "complete -c happy")]
    {
        let script = succeed(&["completions", shell], b"");
        assert!(script.contains(part), "{shell}");
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
    }
    let folder = Folder::new();
    let pages = folder.path("man1");
    succeed(&["man", "--out", &pages], b"");
    for command in &commands {
        let page = std::fs::read_to_string(format!("{pages}/happy-{command}.1")).expect(command);
        assert!(page.starts_with(".ie") && page.contains(".SH OPTIONS"), "{command}");
    }
    assert!(std::path::Path::new(&pages).join("happy-gguf-ls.1").is_file());
    assert!(succeed(&["man", "run"], b"").contains("happy\\-run"));
    assert_eq!(output(&mut happy(&["man", "nonsense"]), b"").status.code(), Some(2));
}

#[test]
fn search_finds_short_names() {
    let found = succeed(&["search", "QWEN", "0.6"], b"");
    assert!(found.starts_with("qwen3-0.6b ") && found.lines().count() == 1, "{found}");
    assert_eq!(succeed(&["search", "no-such-model"], b""), "");
}
