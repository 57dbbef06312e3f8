//! Refused memory: whichever large allocation fails, compiling or rendering returns an error.

use happy_chat::{ChatTemplate, Message, TemplateError, TemplateInput, messages_from_json};
use happy_testkit::{Meter, refusing};

#[global_allocator]
static METER: Meter = Meter;

#[test]
fn refused_memory_is_an_error() {
    let turns = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}\n{% endfor %}";
    let sources = [
        // A long template of many tags.
        "{% if messages %}{{ messages[0].role ~ '!' }}{% endif %}".repeat(400) + turns,
        // Lists, dicts, slices and JSON.
        "{% set n = namespace(l=[], d={}) %}{% for m in messages %}{% set n.l = n.l + [m, m.content] %}\
         {% do n.d.update({loop.index: m}) %}{% endfor %}{{ n.l[1:] | tojson }}{{ n.d.items() | list | length }}\
         {{ range(2000) | list | length }}{{ n.l | string }}"
            .replace("{% do n.d.update({loop.index: m}) %}", "{{ n.d.update({loop.index: m}) or '' }}"),
        // Macros, captured text and long literals.
        format!(
            "{{% macro f(x) %}}{{% set t %}}{{{{ x }}}}{}{{% endset %}}{{{{ t | upper }}}}{{% endmacro %}}\
             {{% for m in messages %}}{{{{ f(m.content) }}}}{{% endfor %}}",
            "a long text ".repeat(600)
        ),
    ];
    let input = TemplateInput::new((0..100).map(|i| Message::new("user", format!("text {i} of a user"))));
    let mut wrong = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let whole = ChatTemplate::new(source).unwrap().render(&input).unwrap();
        let mut refusals = 0;
        for n in 1.. {
            let (result, reached) =
                refusing(n, || ChatTemplate::new(source).and_then(|t| t.render_marked(&input, &|| false)));
            match result {
                Err(TemplateError::OutOfMemory { .. }) if reached => refusals += 1,
                // If a dict cannot double its size, it requests less.
                Ok(rendered) if rendered.text == whole => {}
                other => wrong
                    .push(format!("template {number}, allocation {n}: {:?}", other.map(|r| r.text.len()))),
            }
            if !reached {
                break;
            }
        }
        println!("template {number}: {refusals} refusals");
        assert!(refusals > 5, "template {number}: {refusals} large allocations only");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Messages with calls of many numbers that a value cannot hold.
#[test]
fn messages_without_memory_are_an_error() {
    let numbers = vec!["1.10"; 2000].join(",");
    let text = format!(
        r#"[{{"role":"assistant","tool_calls":[{{"function":{{"name":"f","arguments":{{"a":[{numbers}]}}}}}}]}}]"#
    );
    let whole = messages_from_json(&text).unwrap();
    assert!(whole[0]["tool_calls"][0]["function"]["arguments_text"].as_str().unwrap().contains("1.10,1.10"));
    let mut refusals = 0;
    for n in 1.. {
        let (result, reached) = refusing(n, || messages_from_json(&text));
        match result {
            Err(error) if reached => assert!(error.is_data(), "{error}"),
            result => assert_eq!(result.unwrap(), whole),
        }
        if !reached {
            break;
        }
        refusals += 1;
    }
    assert!(refusals > 10, "{refusals} large allocations only");
}
