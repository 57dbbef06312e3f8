//! Tools on the command line: templates by name, replies taken apart.

mod support;

use serde_json::{Value, json};
use support::{Folder, Tiny, happy, output, succeed};

fn reply(args: &[&str], text: &str) -> Value {
    let out = succeed(&[&["reply"], args].concat(), text.as_bytes());
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
}

#[test]
fn replies_become_json() {
    let folder = Folder::new();
    let template = folder.file("f.jinja", "{{ '<tool_call>' }}");
    let tools = r#"[{"function": {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}}}]"#;
    let tools = folder.file("tools.json", tools);
    let call = "<think>hm</think>Hi <tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call>";
    let whole = json!({
        "content": "Hi",
        "reasoning": "hm",
        "tool_calls": [{"name": "f", "arguments": {"a": 1}}],
    });
    assert_eq!(reply(&["--format", "hermes"], call), whole);
    assert_eq!(reply(&["--file", &template], call), whole);
    assert_eq!(reply(&["--format", "hermes", "--after", "<think>\n"], &call["<think>".len()..]), whole);
    let tags = "<function=f><parameter=a>1</parameter></function>";
    let typed = reply(&["--format", "qwen3-coder", "--tools", &tools], tags);
    assert_eq!(typed, json!({"content": "", "tool_calls": [{"name": "f", "arguments": {"a": "1"}}]}));
    let broken = reply(&["--format", "hermes"], "<tool_call>x</tool_call>");
    assert_eq!(
        broken["malformed"],
        json!([{"reason": "expected a call, found `x`", "text": "<tool_call>x</tool_call>"}])
    );
    let names = succeed(&["reply", "--list"], b"");
    assert!(names.lines().any(|name| name == "harmony"), "{names}");
    for (args, says) in [(&["reply", "--format", "x"][..], "hermes"), (&["reply"], "--format")] {
        let done = output(&mut happy(args), b"");
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(2) && stderr.contains(says), "{args:?}: {stderr}");
    }
}

#[test]
fn tools_choose_their_template() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let messages = folder.file("messages.json", r#"[{"role": "user", "content": "hi"}]"#);
    let tools = folder.file("tools.json", r#"[{"name": "f"}]"#);
    let missing =
        output(&mut happy(&["template", "-m", &tiny, "--name", "rag", "--messages", &messages]), b"");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("tokenizer.chat_template.rag"));
    let pair = "tokenizer.chat_template.tool_use={{ tools[0].name }}:{{ messages[0].content }}";
    succeed(&["gguf", "set", &tiny, pair, "--type", "string"], b"");
    let render =
        |more: &[&str]| succeed(&[&["template", "-m", &tiny, "--messages", &messages], more].concat(), b"");
    let plain = "<|turn|>user: hi\n<|turn|>assistant:";
    assert_eq!(render(&[]), plain);
    assert_eq!(render(&["--tools", &tools]), "f:hi");
    assert_eq!(render(&["--name", "tool_use", "--var", "tools=[{\"name\": \"g\"}]"]), "g:hi");
    // The model says something; what matters here is that it was asked with its tools.
    let run = ["run", "-m", &tiny, "--temp", "0", "-n", "4", "hi"];
    let prompted = |more: &[&str]| {
        let done = output(&mut happy(&[&run, more].concat()), b"");
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{stderr}");
        let line = stderr.lines().find_map(|line| line.strip_prefix("prompt")).map(str::to_owned);
        line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok())
    };
    assert_eq!(prompted(&["--tools", &tools, "--reply-format", "llama3"]), Some("f:hi".len()));
    assert!(prompted(&[]) > Some("f:hi".len()));
}
