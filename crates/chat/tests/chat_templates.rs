//! Hostile templates, the precedence of operators, and the texts of errors. `conform` compares what real templates render.

use happy_chat::{ChatTemplate, LocalTime, Message, TemplateInput};

/// A frozen clock.
fn now() -> Option<LocalTime> {
    Some("2026-03-14T09:26:53".parse().unwrap())
}

/// Templates that try to hang, to fill the memory or to overflow the stack fail with an error, even on a small stack.
#[test]
fn hostile_templates() {
    let wrap = |open: &str, n: usize, close: &str| format!("{}1{}", open.repeat(n), close.repeat(n));
    let sources = [
        ("endless loops", "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}".to_owned()),
        ("huge string", "{{ 'x' * 999999999 }}".to_owned()),
        ("doubling", format!("{{% set x = 'xxxxxxxx' %}}{}", "{% set x = x ~ x %}".repeat(60))),
        ("huge range", "{% for i in range(10**9) %}{% endfor %}".to_owned()),
        ("huge range as a list", "{{ range(10**9)|list|length }}".to_owned()),
        ("huge power", "{{ 'a' * 10**9 }}".to_owned()),
        ("huge product", "{% for i in range(9999) %}{{ 'aaaaaaaaaaaaaaaa' * 60000 }}{% endfor %}".to_owned()),
        (
            "doubling in a loop",
            "{% set n = namespace(x='xxxxxxxx') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}"
                .to_owned(),
        ),
        (
            "doubling by plus, replace, join and format",
            "{% set n = namespace(x='xx') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}\
             {% set n.x = n.x|replace('x', 'xx') %}{% set n.x = [n.x, n.x]|join(n.x) %}\
             {% set n.x = '%s%s'|format(n.x, n.x) %}{% endfor %}{{ n.x }}"
                .to_owned(),
        ),
        (
            "doubling by tojson",
            "{% set n = namespace(x='\"') %}{% for i in range(60) %}{% set n.x = n.x|tojson %}{% endfor %}{{ n.x }}"
                .to_owned(),
        ),
        (
            "doubling lists",
            "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x|length }}"
                .to_owned(),
        ),
        (
            "macros in macros",
            "{% macro a(n) %}{{ b(n + 1) }}{% endmacro %}{% macro b(n) %}{{ a(n + 1) }}{% endmacro %}{{ a(0) }}".to_owned(),
        ),
        (
            "nested calls",
            "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}".to_owned(),
        ),
        ("caller recursion", "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}".to_owned()),
        ("include of itself", "{% include 'chat' %}".to_owned()),
        ("import of itself", "{% import 'chat' as c %}{{ c }}".to_owned()),
        ("extends itself", "{% extends 'chat' %}".to_owned()),
        ("block in itself", "{% block a %}{{ self.a() }}{% endblock %}".to_owned()),
        ("huge list", "{{ ([1] * 999999999)|length }}".to_owned()),
        ("huge padding", "{{ 'x'.center(999999999) }}{{ 'x'|indent(999999999) }}".to_owned()),
        ("macro recursion", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".to_owned()),
        ("loop recursion", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}".to_owned()),
        (
            "deep value",
            "{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = [n.x] %}{% endfor %}{{ '' ~ n.x }}"
                .to_owned(),
        ),
        (
            "wide value",
            "{% set n = namespace(x=[]) %}{% for i in range(45) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}".to_owned(),
        ),
        ("deep brackets", wrap("{{ ", 1, " }}").replace('1', &wrap("(", 3000, ")").replace('1', "x"))),
        ("deep lists", format!("{{{{ {}{} }}}}", "[".repeat(1900), "]".repeat(1900))),
        ("deep blocks", wrap("{% if x %}", 9000, "{% endif %}")),
        ("too many tags", "{% if x %}".repeat(30_000)),
        ("too large", "x".repeat(1 << 20)),
        ("unclosed", "{{ [1, ".to_owned()),
        ("unclosed string", "{% set x = 'abc".to_owned()),
        ("unknown filter", "{{ x|nothing }}".to_owned()),
        ("unknown tag", "{% nothing %}".to_owned()),
        ("include", "{% include '/etc/passwd' %}".to_owned()),
        ("division", "{{ 1 // 0 }}".to_owned()),
        ("overflow", "{{ 9223372036854775807 ** 99 }}".to_owned()),
    ];
    // Long chains that are valid, and values that contain themselves, must not overflow the stack either.
    let chains = [
        "{% set n = namespace() %}{% set n.x = n %}{{ 'a' ~ n }}{{ n == n }}".to_owned(),
        "{% set n = namespace() %}{% set n.x | default(n, true) %}{% endset %}{{ '' ~ n }}".to_owned(),
        format!("{{{{ 1{} }}}}", " + 1".repeat(50_000)),
        "{% set x = [] %}{{ x.append(x) }}{{ x }}{{ x == x }}{{ x in x }}{{ x|string|length }}".to_owned(),
        "{% set d = {} %}{{ d.update(d=d) }}{{ d }}{{ d == d }}{{ d|length }}".to_owned(),
        format!("{{{{ 1{} }}}}", " + 1".repeat(1900)),
        format!("{{{{ x{} }}}}", "|string".repeat(1900)),
        format!("{{{{ {}1 }}}}", "not ".repeat(3900)),
        format!("{{{{ {}1 }}}}", "-".repeat(3900)),
        format!("{{% if x %}}a{}{{% endif %}}", "{% elif x %}b".repeat(15_000)),
        format!("{{% set x = [] %}}{}{{{{ x|length }}}}", "{% set x = [x] %}".repeat(15_000)),
        format!(
            "{{% set x = [] %}}{}{{{{ ('' ~ x)|length }}}}{{{{ x == [x] }}}}",
            "{% set x = [x] %}".repeat(15_000)
        ),
    ];
    let run = move || {
        let render = |s: &str| {
            ChatTemplate::new(s).and_then(|t| t.render_context(&serde_json::json!({"x": ""}), now()))
        };
        let mut wrong = Vec::new();
        for (name, source) in &sources {
            match render(source) {
                Ok(out) => wrong.push(format!("{name}: rendered {} bytes", out.len())),
                Err(e) => println!("{name}: {}", e.to_string().chars().take(120).collect::<String>()),
            }
        }
        for source in &chains {
            let start: String = source.chars().take(30).collect();
            match render(source) {
                Ok(out) => println!("{start}: {} bytes", out.len()),
                Err(e) => println!("{start}: {}", e.to_string().chars().take(120).collect::<String>()),
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    };
    // The caller's thread may have a small stack.
    std::thread::Builder::new().stack_size(256 * 1024).spawn(run).unwrap().join().unwrap();
}

/// Expressions of several operators give what Python's Jinja2 makes of them.
#[test]
fn operators_bind_as_in_python() {
    let cases = [
        ("{{ a + b * c - d }}", "5"),
        ("{{ (a + b) * c - d }}", "7"),
        ("{{ -a + b ** c }}", "7"),
        ("{{ a ~ b + c ~ d }}", "1232"),
        ("{{ a ~ b ~ c * d }}", "126"),
        ("{{ 's' * b ~ t + 'u' }}", "sstu"),
        ("{{ a + b == c and not c in l }}", "False"),
        ("{{ l + [d] == [a, b, c, d] }}", "True"),
        ("{{ l + l[1:] * 2 }}", "[1, 2, 3, 2, 3, 2, 3]"),
        ("{{ (l + l)[::2] + l[-1:] }}", "[1, 3, 2, 3]"),
        ("{{ a < b < c != d }}", "True"),
        ("{{ a in l and d not in l or t }}", "t"),
        ("{{ l|length + m|length * b }}", "7"),
        ("{{ t + l|join('-')|upper ~ c }}", "t1-2-33"),
        ("{{ a if b == c else b ~ t }}", "2t"),
        ("{{ [a + b, l + l][1][4] + m[t + 'k'] }}", "11"),
        ("{{ {t + 'k': a + b}[t ~ 'k'] * c }}", "9"),
        ("{{ m.get(t + 'k', d) - m.get(t, c) }}", "6"),
        ("{{ a + b is eq c }}", "1"),
        ("{{ (a + b) is eq c and l is not in [m] }}", "True"),
        (
            "{% set n = namespace(x=[]) %}{% for i in l + l if i * 2 > a + b %}{% set n.x = n.x + [i * 2] %}{% endfor %}{{ n.x }}",
            "[4, 6, 4, 6]",
        ),
        ("{% set p, q = a + b, l + l %}{{ p ~ q|length }}", "36"),
        ("{% filter replace(t + '1', 'x' ~ a) %}t1t1{% endfilter %}", "x1x1"),
        ("{% set v | replace('t', 'x' ~ 1) %}tt{% endset %}{{ v }}", "x1x1"),
        ("{% macro f(a, b=l + l) %}{{ a + b|sum }}{% endmacro %}{{ f(a, b=l) ~ f(a=b + c) }}", "717"),
    ];
    let context =
        serde_json::json!({"a": 1, "b": 2, "c": 3, "d": 2, "l": [1, 2, 3], "t": "t", "m": {"tk": 9, "u": 1}});
    let mut wrong = Vec::new();
    for (source, expect) in cases {
        let got = ChatTemplate::new(source).and_then(|t| t.render_context(&context, now()));
        if got.as_deref() != Ok(expect) {
            wrong.push(format!("{source}: {got:?}, expected {expect:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Errors name the line and what is wrong.
#[test]
fn errors_name_the_line() {
    let cases = [
        ("a\n{% if x %}\n{{ x", "chat template, line 3: syntax error: unexpected end of the template"),
        ("a\nb\n{{ {}.y.z }}", "chat template, line 3: `y` is undefined"),
        ("{{ raise_exception('no ' ~ 1) }}", "the chat template refuses this conversation: no 1"),
        ("\n{% for %}", "chat template, line 2: syntax error: "),
        ("{{ 'a'.nothing() }}", "chat template, line 1: 'str' has no method `nothing`"),
    ];
    for (source, expect) in cases {
        let context = serde_json::json!({});
        let got = ChatTemplate::new(source)
            .and_then(|t| t.render_context(&context, now()))
            .unwrap_err()
            .to_string();
        assert!(got.starts_with(expect), "{source:?}: {got:?}, expected {expect:?}");
    }
    let e = ChatTemplate::new("").unwrap().render_context(&serde_json::json!([]), None).unwrap_err();
    assert_eq!(e.to_string(), "the context of a chat template must be a JSON object, found an array");
}

#[test]
fn messages_without_json() {
    let source = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}\
                  {% if add_generation_prompt %}<assistant>{% endif %}{{ strftime_now('%Y') }}{{ extra }}";
    let mut input =
        TemplateInput::new([Message::new("system", "Be brief."), Message::new("user", "{{ 1 }}")]);
    input.bos_token = "<s>".into();
    input.now = now();
    input.vars.insert("extra".into(), "!".into());
    let out = ChatTemplate::new(source).unwrap().render(&input).unwrap();
    assert_eq!(out, "<s><system>Be brief.\n<user>{{ 1 }}\n<assistant>2026!");
}
