//! Templates that try to fill the memory: however they do it, fuel bounds what they use.

use std::time::Duration;

use happy_chat::ChatTemplate;
use happy_testkit::{Meter, Used, measured};

#[global_allocator]
static METER: Meter = Meter;

/// Fuel of each render. A unit pays for 64 bytes.
const FUEL: u64 = 30_000;
/// Maximum memory that a render may have in use: four times what its fuel pays for, since a growing buffer exists twice while it
/// moves and JSON is indented, plus the compiled template.
const MOST: u64 = 4 * 64 * FUEL + (4 << 20);
/// Much longer than any case takes, to detect cases that never end.
const PATIENCE: Duration = Duration::from_secs(300);

/// Sets `x`, then replaces it this many times.
fn again(start: &str, step: &str, times: usize, end: &str) -> String {
    format!("{{% set x = {start} %}}{}{end}", format!("{{% set x = {step} %}}").repeat(times))
}

/// The same in a loop, through a namespace.
fn looped(start: &str, step: &str, end: &str) -> String {
    format!(
        "{{% set n = namespace(x={start}) %}}{{% for i in range(60) %}}{{% set n.x = {step} %}}{{% endfor %}}{end}"
    )
}

/// The same in a macro that calls itself.
fn in_macro(start: &str, step: &str, end: &str) -> String {
    format!(
        "{{% macro f(x, n) %}}{{% if n > 0 %}}{{{{ f({step}, n - 1) }}}}{{% else %}}{end}{{% endif %}}{{% endmacro %}}\
         {{{{ f({start}, 45) }}}}"
    )
}

/// Templates that would need too much memory or time.
fn cases() -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut case = |name: &str, source: String| out.push((name.to_owned(), source));
    // Growing values, and expressions that use them at the end.
    let strings = [
        "x + x",
        "x ~ x",
        "x * 2",
        "[x, x]|join",
        "[x, x]|join(x)",
        "''.join([x, x])",
        "x.join([x, x])",
        "x|replace('a', 'aa')",
        "x.replace('a', 'aa')",
        "x|replace('a', x)",
        "x.replace('a', x)",
        "'%s%s'|format(x, x)",
        "'{}{}'.format(x, x)",
        "'{0}{0}'.format(x)",
        "'%(a)s%(a)s'|format(a=x)",
        "(x ~ '\\n')|indent(x|length)",
        "x.center(x|length * 2)",
        "x|tojson|tojson ~ x",
        "x.split('') | join",
        "[x, x]|string",
        "{'a': x, 'b': x}|tojson",
        "x|e|e ~ x",
        "x|urlencode ~ x",
        "x|upper ~ x|title",
        "x.encode() if false else x + x|reverse",
    ];
    for step in strings {
        case(&format!("string {step}"), again("'a\"<&aaaa'", step, 60, "{{ x }}"));
        case(&format!("string {step} in a macro"), in_macro("'a\"<&aaaa'", step, "{{ x }}"));
    }
    let lists = [
        "x + x",
        "x * 2",
        "(x + x)[:]",
        "x[:] + x[:]",
        "x|list + x|list",
        "(x + x)|reverse",
        "(x + x)|map('string')|list",
        "(x + x)|select|list",
        "(x + x)|batch(2)|list + x",
        "(x * 3)|sort",
        "(x, x)",
        "[x, x]",
        "[x] * 2",
        "{'a': x, 'b': x}",
        "[x, [x]]",
        "dict(a=x, b=x)",
        "[*x, *x]",
        "namespace(a=x, b=x).a + x",
        "(x + x) if x else []",
        "[x + x, 1][0]",
        "(x + x)|unique|list + x + x",
        "[(x + x)]|first",
        "(x + x)|default([])",
        "x|slice(2)|list + x + x",
    ];
    let ends = [
        "{{ x }}",
        "{{ x|string }}",
        "{{ x|tojson }}",
        "{{ x|tojson(indent=60) }}",
        "{{ x|join('aaaaaaaaaaaaaaaa') }}",
        "{{ '' ~ x }}",
        "{{ x == y }}",
        "{{ x in [x, y] }}",
        "{{ x is eq y }}",
        "{{ x|list|length }}",
        "{{ x|sort }}",
        "{{ x|unique|list }}",
        "{{ x|pprint }}",
        "{{ x|upper }}",
        "{{ 'a'|replace(x, 'b') }}",
        "{{ '%s'|format(x) }}",
        "{{ '{}'.format(x) }}",
        "{{ {}[x] }}",
        "{{ {x: 1} }}",
        "{{ x|map('upper')|list }}",
        "{{ raise_exception(x) }}",
        "{{ x + x == y + y }}",
        "{{ x < y }}",
        "{{ [x]|min }}",
        "{{ x|sum }}",
        "{{ x|last }}",
        "{{ (x + x + x)|length * 2 }}{{ x + x }}",
        "{% for i in x + x %}{{ i }}{% endfor %}",
        "{{ [x].count(y) }}",
        "{{ [x, y]|groupby(0) }}",
        "{{ x|truncate(9) }}",
        "{{ x|trim }}",
        "{{ x|indent }}",
        "{{ x|select('equalto', y)|list }}",
        "{% for i in [x, y] %}{{ loop.changed(i) }}{% endfor %}",
    ];
    for step in lists {
        for end in ends {
            let end = format!("{{% set y = x %}}{end}");
            case(&format!("list {step}, {end}"), again("[1]", step, 60, &end));
        }
        case(&format!("list {step} in a loop"), looped("[1]", &step.replace('x', "n.x"), "{{ n.x }}"));
        case(&format!("list {step} in a macro"), in_macro("[1]", step, "{{ x }}{{ x == x + [] }}"));
    }
    // Two trees that are equal, but not the same object.
    let twins = "{% set x = [1] %}{% set y = [1] %}".to_owned()
        + &"{% set x = [x, x] %}{% set y = [y, y] %}".repeat(60);
    for end in ends {
        case(&format!("twins, {end}"), format!("{twins}{end}"));
    }
    for (name, source) in [
        ("views of views", again("[1] * 9999", "x[:]", 3000, "{% for i in x %}{% for j in x %}{% endfor %}{% endfor %}")),
        ("subscripts", again("[1] * 99999", "x[1:-1][:][:][:][:]", 900, "{% for i in range(99999) %}{{ x|list }}{% endfor %}")),
        ("wide format", "{{ '{:>999999999}'.format(1) }}".into()),
        ("wide formats", "{{ ('{:>999999}' * 9999).format(*range(9999)) }}".into()),
        ("wide printf", "{{ '%999999999d'|format(1) }}".into()),
        ("precise printf", "{{ '%.999999999f'|format(1.5) }}".into()),
        ("many fields", "{% set a = 'a' * 999999 %}{{ ('{0}' * 99999).format(a) }}".into()),
        ("many keyed fields", "{% set a = 'a' * 999999 %}{{ ('%(a)s' * 99999)|format(a=a) }}".into()),
        ("separators", "{% set a = 'a' * 999999 %}{{ range(99999)|list|tojson(separators=(a, a)) }}".into()),
        ("separators of pairs", "{% set a = 'a' * 999999 %}{{ ([{'a': 1}] * 9999)|tojson(separators=(a, a)) }}".into()),
        ("indents", "{% set a = 'a' * 999999 %}{{ ([[1]] * 99999)|tojson(indent=a) }}".into()),
        ("shared strings", "{% set a = 'a' * 999999 %}{{ ([a] * 99999)|tojson }}".into()),
        ("shared strings in a text", "{% set a = 'a' * 999999 %}{{ [a] * 99999 }}".into()),
        ("shared strings joined", "{% set a = 'a' * 999999 %}{{ ([a] * 99999)|join }}".into()),
        ("joiners", "{% set a = 'a' * 999999 %}{{ a.join(['b'] * 99999) }}".into()),
        ("replacements", "{% set a = 'a' * 999999 %}{{ a.replace('a', a) }}".into()),
        ("replaced nothings", "{% set a = 'a' * 999999 %}{{ a.replace('', a) }}".into()),
        ("many lists from JSON", "{{ ('[' ~ '[],' * 900000 ~ '1]')|from_json }}".into()),
        ("dates", "{{ strftime_now('%c' * 900000) }}".into()),
        ("batches", "{{ [1]|batch(10**9, 'x')|list }}".into()),
        ("slices", "{{ [1]|slice(10**9, 'x')|list }}".into()),
        ("splits", "{% for i in range(99999) %}{{ ('a,' * 99999).split(',') }}{% endfor %}".into()),
        ("characters", "{{ ('a' * 9999999)|list }}{{ ('a' * 9999999)|list }}".into()),
        ("steps backwards", "{{ ('a' * 9999999)[::-1] * 99 }}".into()),
        ("padded runs", "{% for i in range(99999) %}{{ 'x'.ljust(999999) }}{% endfor %}".into()),
        ("captures", "{% macro f(n) %}{% set x %}{{ 'a' * 99999 }}{% endset %}{{ x }}{% if n %}{{ f(n - 1) ~ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}".into()),
        ("kept in a list", "{% for i in range(99999) %}{{ l.append('a' * 9999) }}{% endfor %}".into()),
        ("extended lists", "{% for i in range(60) %}{{ l.extend(l) }}{% endfor %}".into()),
        ("copied lists", "{% for i in range(60) %}{{ l.extend(l.copy() * 99999) }}{% endfor %}".into()),
        ("appended to itself", "{% for i in range(60) %}{{ l.append(l|string) }}{{ l.append(l|tojson) }}{% endfor %}".into()),
    ] {
        case(name, source);
    }
    out
}

#[test]
fn memory_is_bounded() {
    let (tell, told) = std::sync::mpsc::channel();
    let run = move || {
        let (mut refused, mut rendered, mut wrong, mut most) = (0, 0, Vec::new(), 0);
        for (name, source) in cases() {
            tell.send(name.clone()).unwrap();
            let (result, Used { peak, .. }) = measured(|| {
                ChatTemplate::new(&source).and_then(|mut template| {
                    template.set_fuel(FUEL);
                    let now = "2026-03-14T09:26:53".parse().ok();
                    template.render_context(&serde_json::json!({"l": [1]}), now)
                })
            });
            most = most.max(peak);
            match &result {
                Err(_) => refused += 1,
                Ok(_) => rendered += 1,
            }
            if peak > MOST {
                let outcome = result.map(|text| text.len()).map_err(|e| e.to_string());
                wrong.push(format!("{name}: {peak} bytes, at most {MOST} are allowed: {outcome:?}"));
            }
        }
        (refused, rendered, wrong, most)
    };
    let runner = std::thread::spawn(run);
    let mut last = String::new();
    loop {
        match told.recv_timeout(PATIENCE) {
            Ok(name) => last = name,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("does not end: {last}"),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    let (refused, rendered, wrong, most) = runner.join().unwrap();
    println!("{refused} templates were refused, {rendered} rendered, with at most {most} bytes in use");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Most of them must really try.
    assert!(refused > rendered, "{refused} refused, {rendered} rendered");
}
