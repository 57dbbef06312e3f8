//! Names of tools and parameters that a notation without quotes cannot carry.

use super::*;

/// A name that would not be read back is refused by name, and left alone where no call is asked for.
#[test]
fn names_that_no_notation_carries() {
    let names = ["", " a", "a ", "a b", "a\nb", "a>b", "a<b", "{a", "[a", "a(b", "a\"b", &"a".repeat(257)];
    let fine = ["a", "get_weather", "a.b", "a:b", "a-1", "wetter_für", "天气", "a/b", "json"];
    let tool = |name: &str, key: &str| {
        [
            json!({"name": name, "parameters": {"type": "object", "properties": {key: {"type": "integer"}}, "required": [key]}}),
        ]
    };
    let mut wrong = Vec::new();
    for format in constrained() {
        let in_json = [Hermes, ToolCalls, Nemotron, Llama3, Granite3, Phi4Mini, Cohere].contains(&format);
        for name in names.iter().chain(&fine) {
            let keys_in_json = in_json
                || matches!(
                    format,
                    Harmony | Mistral | Functionary | DeepSeekR1 | DeepSeekV31 | KimiK2 | Apertus | Hunyuan
                );
            for (tools, carried) in [(tool(name, "k"), in_json), (tool("f", name), keys_in_json)] {
                let carried =
                    carried || fine.contains(name) && !(name.contains(':') && tools[0]["name"] == "f");
                let required = reply_grammar(&shape(format, &tools, ToolChoice::Required));
                let refused = match &required {
                    Err(ConstraintError::Name(error)) => {
                        let found = error.parameter.as_ref().unwrap_or(&error.tool);
                        let said = error.to_string();
                        found == name && said.contains(&format!("`{name}`")) && said.contains(&error.tool)
                    }
                    _ => false,
                };
                let auto = reply_grammar(&shape(format, &tools, ToolChoice::Auto)).is_ok_and(|g| g.is_some());
                if (refused, auto) != (!carried, carried) {
                    wrong.push(format!("{format} {name:?} {}: refused {refused}, auto {auto}", tools[0]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}

/// One tool whose name or whose parameter's name a notation cannot carry leaves the others constrained, and is told by name.
#[test]
fn a_tool_with_an_impossible_name_falls_out_alone() {
    let bad = [
        (json!({"name": "a b>", "parameters": {"type": "object", "properties": {}}}), "a b>", None),
        (
            json!({"name": "fetch", "parameters": {"type": "object", "properties": {"a (b)": {"type": "integer"}}}}),
            "fetch",
            Some("a (b)"),
        ),
    ];
    let shown = |(tool, parameter): (&str, Option<&str>)| match parameter {
        Some(parameter) => format!("the parameter `{parameter}` of the tool `{tool}`"),
        None => format!("the name of the tool `{tool}`"),
    };
    let mut wrong = Vec::new();
    for format in constrained() {
        let left: Vec<_> = bad
            .iter()
            .filter(|(tool, ..)| {
                let alone = shape(format, std::slice::from_ref(tool), ToolChoice::Auto);
                reply_grammar(&alone).unwrap().is_none()
            })
            .map(|(_, tool, parameter)| shown((tool, *parameter)))
            .collect();
        let mut tools = tools();
        tools.splice(1..1, bad.iter().map(|(tool, ..)| tool.clone()));
        for choice in [ToolChoice::Auto, ToolChoice::Required, named("book"), named("a b>"), named("fetch")] {
            let shape = shape(format, &tools, choice.clone());
            let asked = if let ToolChoice::Named(name) = &choice { name } else { "" };
            let own = left.iter().find(|left| !asked.is_empty() && left.ends_with(&format!("`{asked}`")));
            let (grammar, own) = match (reply_grammar(&shape), own) {
                (Err(ConstraintError::Name(error)), Some(own)) if error.to_string().starts_with(own) => {
                    continue;
                }
                (Ok(Some(grammar)), None) => (grammar, asked),
                (other, _) => {
                    wrong.push(format!("{format} {choice:?}: {other:?}"));
                    continue;
                }
            };
            let told: Vec<String> = grammar.left_out.iter().map(ToString::to_string).collect();
            let right = told.len() == if own.is_empty() { left.len() } else { 0 }
                && told.iter().zip(&left).all(|(told, left)| told.starts_with(left));
            if !right {
                wrong.push(format!("{format} {choice:?}: left out {told:?}, expected {left:?}"));
            }
            let mut reply = Reply::new(&shape, &[]).unwrap().unwrap();
            for (name, arguments, right) in calls() {
                let text = call(format, name, &arguments, Style::Spaced);
                let allowed = right && (asked.is_empty() || asked == name);
                if reply.accepts(&text) != allowed {
                    wrong.push(format!("{format} {choice:?}: {text:?} should be {allowed}"));
                }
            }
        }
        // None is left: an error that says which, where a call is asked for.
        let tools = [bad[0].0.clone(), bad[1].0.clone()];
        let all = left.len() == tools.len();
        let required = reply_grammar(&shape(format, &tools, ToolChoice::Required));
        let auto = reply_grammar(&shape(format, &tools, ToolChoice::Auto)).unwrap();
        let told =
            matches!(&required, Err(ConstraintError::Name(error)) if error.to_string().starts_with(&left[0]));
        if (told, auto.is_none()) != (all, all) {
            wrong.push(format!("{format}, no tool is left: {required:?} {auto:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}

/// In every notation a tool without its schema takes calls with the values that its schema would not, and its neighbors do not.
#[test]
fn tools_without_their_schema_take_any_arguments() {
    let mut wrong = Vec::new();
    for format in constrained() {
        for (i, tool) in tools().iter().enumerate() {
            let mut all = tools();
            all[i] = without_schema(tool).unwrap();
            let shape = shape(format, &all, ToolChoice::Auto);
            let mut reply = Reply::new(&shape, &[]).unwrap().unwrap();
            let own = tool.get("function").unwrap_or(tool)["name"].as_str().unwrap();
            for (name, arguments, right) in calls() {
                let text = call(format, name, &arguments, Style::Spaced);
                let found = reply.accepts(&text);
                if found != (right || name == own) {
                    wrong.push(format!("{format}, {own} is free: {text:?} is {found}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}
