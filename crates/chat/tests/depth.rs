//! Depth: no recursion over a template or its data needs more than a small stack.

use happy_chat::{ChatTemplate, TemplateError, TemplateInput};
use serde_json::{Value, json};

/// A stack as small as that of a thread in an app.
const STACK: usize = 256 << 10;

fn on_small_stack(f: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK).spawn(f).unwrap().join().unwrap();
}

/// Makes nested JSON. It is leaked, since dropping it recurses. So does `json!`, which serializes its arguments.
fn deep(depth: usize) -> &'static Value {
    let mut value = json!("x");
    for i in 0..depth {
        value = if i % 2 == 0 {
            Value::Array(vec![value])
        } else {
            Value::Object([("k".to_owned(), value)].into_iter().collect())
        };
    }
    Box::leak(Box::new(value))
}

#[test]
fn deep_data() {
    on_small_stack(|| {
        let ways = [
            "{{ v }}",
            "{{ v|tojson }}",
            "{{ v|tojson(indent=2) }}",
            "{{ v == w }}",
            "{{ v in [w] }}",
            "{{ v < w }}",
            "{{ v|string|length }}",
            "{{ [v]|join }}",
            "{{ '%s' % v }}",
            "{{ '{}'.format(v) }}",
            "{{ v|pprint }}",
            "{{ [v, w]|sort|length }}",
            "{{ (v, w)|list }}",
        ];
        for way in ways {
            let template = ChatTemplate::new(way).unwrap();
            for (depth, fits) in [(120, true), (1_000, false), (100_000, false)] {
                let context: Value = Value::Object(
                    [
                        ("v".to_owned(), deep(depth).clone_shallow()),
                        ("w".to_owned(), deep(depth).clone_shallow()),
                    ]
                    .into_iter()
                    .collect(),
                );
                let result = template.render_context(&context, None);
                match result {
                    Ok(_) => assert!(fits, "{way} {depth}"),
                    // Dicts have no order.
                    Err(TemplateError::Runtime { message, .. }) => {
                        let expected = if fits { "have no order" } else { "deep" };
                        assert!(message.contains(expected), "{way} {depth}: {message}");
                    }
                    Err(e) => panic!("{way} {depth}: {e}"),
                }
                std::mem::forget(context);
            }
        }
    });
}

/// Moves a leaked value without cloning its contents.
trait CloneShallow {
    fn clone_shallow(&self) -> Value;
}

impl CloneShallow for Value {
    fn clone_shallow(&self) -> Value {
        // From the inside out, so that no recursion is needed.
        let mut depth = 0;
        let mut at = self;
        while let Some(inner) = at.get(0).or_else(|| at.get("k")) {
            at = inner;
            depth += 1;
        }
        let mut value = at.clone();
        for i in 0..depth {
            value = if i % 2 == 0 {
                Value::Array(vec![value])
            } else {
                Value::Object([("k".to_owned(), value)].into_iter().collect())
            };
        }
        value
    }
}

/// Values that a template nests, in all possible ways, and lists and dicts that contain themselves.
#[test]
fn deep_values_of_templates() {
    on_small_stack(|| {
        let starts = [
            "[n.x]",
            "(n.x,)",
            "{'k': n.x}",
            "[[n.x], 1]",
            "namespace(k=n.x)",
            "dict(k=n.x)",
            "[n.x] + []",
            "n.x.append",
        ];
        let ends = [
            "{{ n.x }}",
            "{{ n.x|tojson }}",
            "{{ n.x == n.y }}",
            "{{ n.x in [n.y] }}",
            "{{ {}[n.x] }}",
            "{{ {n.x: 1} }}",
            "x",
        ];
        for start in starts {
            for end in ends {
                let source = format!(
                    "{{% set n = namespace(x=[], y=[]) %}}{{% for i in range(20000) %}}{{% set n.x = {start} %}}{{% set n.y = {} %}}{{% endfor %}}{end}",
                    start.replace('x', "y")
                );
                // A text or an error: it returns.
                let _ = ChatTemplate::new(&source).and_then(|t| t.render(&TemplateInput::default()));
            }
        }
    });
}

/// What calls itself, in the ways there are.
#[test]
fn deep_calls() {
    on_small_stack(|| {
        let sources = [
            "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
            "{% macro f(n) %}{% for i in [1] %}{% if true %}{% set x %}{{ f(n + 1)|upper }}{% endset %}{% endif %}{% endfor %}{% endmacro %}{{ f(0) }}",
            "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}",
            "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
            "{% block a %}{{ self.a() }}{% endblock %}",
            "{% macro f(l) %}{{ f(l=[l]) }}{% endmacro %}{{ f([]) }}",
        ];
        for source in sources {
            let result = ChatTemplate::new(source).unwrap().render(&TemplateInput::default());
            assert!(matches!(result, Err(TemplateError::Runtime { .. })), "{source}: {result:?}");
        }
        // 250 deep are fine.
        let source =
            "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{% endif %}{{ n }}{% endmacro %}{{ f(250)|length }}";
        assert_eq!(ChatTemplate::new(source).unwrap().render(&TemplateInput::default()).unwrap(), "643");
    });
}

/// Sources that nest, all ways that the parser knows.
#[test]
fn deep_sources() {
    on_small_stack(|| {
        let nests = [
            ("(", ")"),
            ("[", "]"),
            ("{'k': ", "}"),
            ("f(", ")"),
            ("f(a=", ")"),
            ("x[", "]"),
            ("x|f(", ")"),
            ("x is f(", ")"),
            ("not ", ""),
            ("-", ""),
            ("x if ", " else 1"),
            ("x if 1 else ", ""),
            ("1 + (", ")"),
            ("x[1:", "]"),
            ("x and not (", ")"),
            ("x.f(*", ")"),
            ("1 ~ ", ""),
            ("1 < ", ""),
            ("2 ** ", ""),
            ("x is f ", ""),
            ("x or ", ""),
        ];
        for (open, close) in nests {
            for depth in [10, 60, 1_000, 20_000] {
                let source = format!("{{{{ {}1{} }}}}", open.repeat(depth), close.repeat(depth));
                let _ = ChatTemplate::new(&source).and_then(|t| t.render(&TemplateInput::default()));
            }
        }
        let tags = [
            ("{% if x %}", "{% endif %}"),
            ("{% for x in y %}", "{% endfor %}"),
            ("{% set x %}", "{% endset %}"),
            ("{% with %}", "{% endwith %}"),
            ("{% macro f() %}", "{% endmacro %}"),
            ("{% call f() %}", "{% endcall %}"),
            ("{% filter upper %}", "{% endfilter %}"),
            ("{% generation %}", "{% endgeneration %}"),
            ("{% if x %}{% else %}", "{% endif %}"),
            ("{% for x in y %}{% else %}", "{% endfor %}"),
        ];
        for (open, close) in tags {
            for depth in [10, 60, 1_000, 10_000] {
                let source = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                let _ = ChatTemplate::new(&source).and_then(|t| t.render(&TemplateInput::default()));
            }
        }
        // Targets nest, too.
        let source = format!("{{% for {}a{} in b %}}{{% endfor %}}", "(".repeat(9_000), ")".repeat(9_000));
        assert!(ChatTemplate::new(&source).is_err());
    });
}
