//! Rendered text knows where it comes from, whatever a template does with it.

mod corpus;

use corpus::{Corpus, now};
use happy_chat::{ChatTemplate, Message, Origin, Rendered, TemplateError, TemplateInput};
use serde_json::{Value, json};

/// The text with its marked stretches in brackets: `[0:..]` of message 0, `[t:..]` tools, `[d:..]` documents, `[v:..]` variables.
fn shown(rendered: &Rendered) -> String {
    let mut out = String::new();
    let mut at = 0;
    for span in &rendered.spans {
        assert!(at <= span.range.start && span.range.start < span.range.end, "{:?}", rendered.spans);
        let origin = match span.origin {
            Origin::Message(i) => i.to_string(),
            Origin::Tools => "t".into(),
            Origin::Documents => "d".into(),
            _ => "v".into(),
        };
        out += &format!(
            "{}[{origin}:{}]",
            &rendered.text[at..span.range.start],
            &rendered.text[span.range.clone()]
        );
        at = span.range.end;
    }
    out + &rendered.text[at..]
}

fn input() -> TemplateInput {
    let messages = json!([
        {"role": "user", "content": "Hi there"},
        {"role": "assistant", "content": [{"type": "text", "text": "a\"b"}],
         "tool_calls": [{"function": {"name": "f", "arguments": {"key": "v", "n": 12}}}]},
        {"role": "user", "content": "  x,y  \n<b> É"},
    ]);
    let tools = json!([{"type": "function", "function": {"name": "get"}}]);
    let mut input = TemplateInput {
        messages: messages.as_array().unwrap().clone(),
        tools: tools.as_array().cloned(),
        add_generation_prompt: true,
        bos_token: "<s>".into(),
        eos_token: "</s>".into(),
        now: now(),
        ..TemplateInput::default()
    };
    input.vars.insert("extra".into(), json!("E"));
    input.vars.insert("documents".into(), json!([{"title": "T"}]));
    input
}

#[test]
fn marks_survive_every_operation() {
    // `c` is message 0's content, `p` message 2's.
    let cases = [
        ("{{ c }}", "[0:Hi there]"),
        ("<{{ c }}>{{ p|trim }}", "<[0:Hi there]>[2:x,y  \n<b> É]"),
        ("{{ bos_token }}{{ messages[0].role }}{{ eos_token }}", "<s>[0:user]</s>"),
        ("{{ extra }}{{ tools[0].function.name }}{{ documents[0].title }}", "[v:E][t:get][d:T]"),
        // A literal of the template's own, even if a message says the same.
        ("{% if messages[0].role == 'user' %}user{% endif %}{{ 'Hi there' }}", "userHi there"),
        // Concatenation.
        ("{{ '<' + c + '>' }}", "<[0:Hi there]>"),
        ("{{ '<' ~ c ~ 1 ~ p[2] }}", "<[0:Hi there]1[2:x]"),
        ("{{ c * 2 }}", "[0:Hi thereHi there]"),
        ("{{ ('-' ~ c[:2]) * 2 }}", "-[0:Hi]-[0:Hi]"),
        ("{{ c + p.strip() + c }}", "[0:Hi there][2:x,y  \n<b> É][0:Hi there]"),
        // Indices, slices, characters.
        ("{{ c[0] }}{{ c[-1] }}{{ c[1:4] }}{{ c[::-1] }}{{ c[::3] }}", "[0:Hei tereht iHHtr]"),
        ("{{ ('<' ~ c ~ '>')[::-1] }}", ">[0:ereht iH]<"),
        ("{{ ('<' ~ c ~ '>')[1:3] }}{{ ('<' ~ c)[0] }}", "[0:Hi]<"),
        ("{% for x in '<' ~ c[:2] %}{{ x }}.{% endfor %}", "<.[0:H].[0:i]."),
        ("{{ ('<' ~ c[:2])|list|join('-') }}{{ c|first }}{{ c|last }}", "<-[0:H]-[0:iHe]"),
        // Methods.
        ("{{ c.upper() }}{{ c|upper }}{{ c.lower()|title }}", "[0:HI THEREHI THEREHi There]"),
        ("{{ ('ß' ~ c[:2]).upper() }}{{ p.lower()[-1] }}", "SS[0:HI][2:é]"),
        (
            "{{ c|capitalize }}{{ c.swapcase() }}{{ c.title() }}{{ c.casefold() }}",
            "[0:Hi therehI THEREHi Therehi there]",
        ),
        ("{{ p.strip().split(',')[0] }}{{ p.split()[1] }}", "[2:x<b>]"),
        ("{{ ('a ' ~ c).split() }}", "['a', '[0:Hi]', '[0:there]']"),
        ("{{ ('a ' ~ c).rsplit(' ', 1)[0] }}{{ p.splitlines()[1] }}", "a [0:Hi][2:<b> É]"),
        ("{{ c.partition(' ')|join('|') }}", "[0:Hi]|[0: ]|[0:there]"),
        ("{{ c.replace('Hi', 'Yo') }}{{ 'a-b'.replace('-', c) }}", "Yo[0: there]a[0:Hi there]b"),
        ("{{ c|replace('there', p[2:5]) }}", "[0:Hi ][2:x,y]"),
        ("{{ '-'.join([c, 'x', p[2]]) }}{{ c.join(['a', 'b']) }}", "[0:Hi there]-x-[2:x]a[0:Hi there]b"),
        (
            "{{ [c, 'x']|join(', ') }}{{ messages|map(attribute='role')|join('/') }}",
            "[0:Hi there], x[0:user]/[1:assistant]/[2:user]",
        ),
        (
            "{{ c.center(12, '*') }}{{ c.ljust(9) }}|{{ c.zfill(10) }}",
            "**[0:Hi there]**[0:Hi there] |00[0:Hi there]",
        ),
        ("{{ c.removeprefix('Hi ') }}{{ c.removesuffix('re') }}{{ c.rstrip('er') }}", "[0:thereHi theHi th]"),
        ("{{ '{}-{a}'.format(c, a=p[2]) }}{{ '{:>4}|'.format(c[:2]) }}", "[0:Hi there]-[2:x]  [0:Hi]|"),
        (
            "{{ '%s/%5s' % (c, p[2]) }}{{ '%s'|format(c) }}{{ '%(k)s' % {'k': c} }}",
            "[0:Hi there]/    [2:x][0:Hi thereHi there]",
        ),
        // Filters.
        ("{{ c|truncate(5, true, '..', 0) }}{{ c|center(10) }}", "[0:Hi ].. [0:Hi there] "),
        ("{{ ('a\n' ~ c)|indent(2) }}{{ c|indent(1, true) }}", "a\n  [0:Hi there] [0:Hi there]"),
        ("{{ p|e|trim }}{{ p|striptags }}", "[2:x,y  \n&lt;b&gt; Éx,y] [2:É]"),
        (
            "{{ c|urlencode }}{{ c|string }}{{ c|safe }}{{ c|default('d') }}",
            "[0:Hi%20thereHi thereHi thereHi there]",
        ),
        (
            "{{ c|wordwrap(3) }}{{ c|reverse }}{{ undefined|default(c) }}",
            "[0:Hi]\n[0:the]\n[0:reereht iHHi there]",
        ),
        (
            "{{ [c]|map('upper')|first }}{{ [c, 'a']|sort|last }}{{ [c]|unique|list }}",
            "[0:HI THEREHi there]['[0:Hi there]']",
        ),
        // JSON and printing: also keys.
        ("{{ c|tojson }}{{ messages[1].content[0].text|tojson }}", "\"[0:Hi there]\"\"[1:a\\\"b]\""),
        (
            "{{ messages[1].tool_calls[0].function|tojson }}",
            "{\"[1:name]\": \"[1:f]\", \"[1:arguments]\": {\"[1:key]\": \"[1:v]\", \"[1:n]\": 12}}",
        ),
        ("{{ messages[1].tool_calls[0].function.arguments }}", "{'[1:key]': '[1:v]', '[1:n]': 12}"),
        (
            "{% for k, v in messages[1].tool_calls[0].function.arguments.items() %}{{ k }}={{ v }};{% endfor %}",
            "[1:key]=[1:v];[1:n]=12;",
        ),
        (
            "{{ {c: 1}|tojson }}{{ {'k': c} }}{{ (c,) }}",
            "{\"[0:Hi there]\": 1}{'k': '[0:Hi there]'}('[0:Hi there]',)",
        ),
        ("{{ ('{\"a\": \"' ~ c ~ '\"}')|from_json }}", "{'[0:a]': '[0:Hi there]'}"),
        // Captures, macros, namespaces, lists.
        ("{% set x %}<{{ c }}>{% endset %}{{ x|upper }}", "<[0:HI THERE]>"),
        (
            "{% macro f(a) %}({{ a }}){% endmacro %}{{ f(c) }}{{ f('x') ~ f(p[2]) }}",
            "([0:Hi there])(x)([2:x])",
        ),
        (
            "{% macro f() %}({{ caller() }}){% endmacro %}{% call f() %}{{ c }}!{% endcall %}",
            "([0:Hi there]!)",
        ),
        ("{% filter lower %}A{{ c }}{% endfilter %}", "a[0:hi there]"),
        (
            "{% set n = namespace(l=[]) %}{% for m in messages %}{{ n.l.append(m.role) or '' }}{% endfor %}{{ n.l[0] }}",
            "[0:user]",
        ),
        (
            "{% set n = namespace(s='') %}{% for m in messages %}{% set n.s = n.s ~ '|' ~ m.role %}{% endfor %}{{ n.s }}",
            "|[0:user]|[1:assistant]|[2:user]",
        ),
        (
            "{% for m in messages[1:] %}{{ m.role }}{{ loop.previtem.role if loop.previtem else '' }}{% endfor %}",
            "[1:assistant][2:user][1:assistant]",
        ),
        (
            "{{ dict(messages[0], x='y')|tojson }}",
            "{\"[0:role]\": \"[0:user]\", \"[0:content]\": \"[0:Hi there]\", \"x\": \"y\"}",
        ),
        ("{{ strftime_now('%Y') }}{{ strftime_now(extra) }}", "2026[v:E]"),
        ("{{ c.nothing is defined }}{{ c|length }}{{ c == 'Hi there' }}", "False8True"),
    ];
    let (input, mut wrong) = (input(), Vec::new());
    for (body, expect) in cases {
        let source = format!("{{% set c = messages[0].content %}}{{% set p = messages[2].content %}}{body}");
        let template = ChatTemplate::new(&source);
        let got = template.and_then(|template| template.render_marked(&input, &|| false)).map(|r| shown(&r));
        if got.as_deref() != Ok(expect) {
            wrong.push(format!("{body}\n    got    {got:?}\n    expect {expect:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Appends a word to every text of a message that identifies the message.
fn sign(value: &mut Value, key: &str, message: usize) {
    match value {
        Value::String(s) if !matches!(key, "role" | "type" | "name" | "id" | "tool_call_id") => {
            // A string that is a JSON object stays one.
            match s.strip_suffix('}') {
                Some(open) if s.len() > 2 => *s = format!("{open}, \"Qx{message}xQ\": 1}}"),
                _ => *s += &format!("Qx{message}xQ"),
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| sign(item, key, message)),
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| sign(value, key, message)),
        _ => {}
    }
}

/// Every text of a message that a template of the corpus writes is marked with that message.
#[test]
fn corpus_marks() {
    let corpus = Corpus::open();
    let (mut checked, mut signs, mut wrong) = (0, 0, Vec::new());
    for mut case in corpus.renderings() {
        let id = format!("{} {}", case["template"], case["conv"]);
        let template = ChatTemplate::new(&corpus.source(&case["template"])).unwrap();
        let marked = template.render_context_marked(&case["vars"], now(), &|| false);
        if let Some(expect) = case["output"].as_str() {
            assert_eq!(marked.unwrap().text, expect, "{id}");
        }
        for (i, message) in case["vars"]["messages"].as_array_mut().unwrap().iter_mut().enumerate() {
            sign(message, "", i);
        }
        let Ok(rendered) = template.render_context_marked(&case["vars"], now(), &|| false) else { continue };
        shown(&rendered);
        checked += 1;
        for (at, _) in rendered.text.match_indices("Qx") {
            signs += 1;
            let word = &rendered.text[at..];
            let end = word.find("xQ").unwrap() + 2;
            let message: usize = word[2..end - 2].parse().unwrap();
            let covered = rendered.spans.iter().any(|span| {
                span.range.start <= at
                    && at + end <= span.range.end
                    && span.origin == Origin::Message(message)
            });
            if !covered {
                wrong.push(format!("{id}: {}", &word[..end]));
            }
        }
    }
    println!("{checked} renderings, {signs} texts of messages");
    let (least, texts) = if corpus.full { (800, 2000) } else { (100, 500) };
    assert!(checked > least && signs > texts, "{checked} {signs}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A variable is used if rendering reads it, whether it is given or not.
#[test]
fn used_variables() {
    let cases = [
        ("{{ messages }}", "messages"),
        ("{% if tools %}{{ eos_token }}{% endif %}", "eos_token tools"),
        ("{% if enable_thinking is defined %}x{% endif %}", "enable_thinking"),
        ("{% if false %}{{ tools }}{% endif %}x", ""),
        ("{% set tools = 1 %}{{ tools }}{% for m in [1] %}{{ m }}{{ loop.index }}{% endfor %}", ""),
        ("{{ nope|default('x') }}{{ range(3)|list }}", "nope"),
        ("{% macro f(tools) %}{{ tools }}{{ extra }}{% endmacro %}{{ f(1) }}", "extra"),
        ("{# {{ tools }} #}{% raw %}{{ tools }}{% endraw %}", ""),
    ];
    for (source, expect) in cases {
        let rendered = ChatTemplate::new(source).unwrap().render_marked(&input(), &|| false).unwrap();
        assert_eq!(rendered.used.into_iter().collect::<Vec<_>>().join(" "), expect, "{source}");
    }
}

/// `cancelled` is called again and again while a template runs, and stops it.
#[test]
fn cancelling() {
    let sources = [
        "{% for i in range(99999) %}{% endfor %}",
        "{{ ('a' * 9999999)|upper }}",
        "{{ range(99999)|list|sort }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
        "{{ ('a ' * 99999).split()|join }}",
    ];
    for source in sources {
        let template = ChatTemplate::new(source).unwrap();
        let asked = std::cell::Cell::new(0);
        let cancelled = || {
            asked.set(asked.get() + 1);
            asked.get() > 3
        };
        let result = template.render_marked(&input(), &cancelled);
        assert_eq!(result, Err(TemplateError::Cancelled), "{source}");
        assert_eq!(asked.get(), 4, "{source}");
    }
    // For a short template, it is called once, before the start.
    let input = TemplateInput::new([Message::new("user", "Hi")]);
    let result = ChatTemplate::new("x").unwrap().render_marked(&input, &|| true);
    assert_eq!(result, Err(TemplateError::Cancelled));
}
