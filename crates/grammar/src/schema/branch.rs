//! Following `$ref` and `allOf`, and taking one way at each `anyOf` and `oneOf`.

use super::source::{Loc, Result};
use crate::error::SchemaErrorKind;
use crate::limits::Limits;
use serde_json::Value;
use std::rc::Rc;

/// Plain schemas that must all hold.
#[derive(Debug, Clone)]
pub(super) struct Branch<'a> {
    pub(super) plain: Vec<Loc<'a>>,
    /// The ways taken: the schema with a `oneOf`, and which of its schemas.
    pub(super) choices: Vec<(Loc<'a>, usize)>,
}

/// The way from a schema to one that holds in the same place.
struct Chain {
    pointer: Rc<str>,
    before: Option<Rc<Chain>>,
}

#[derive(Clone)]
enum Task<'a> {
    Schema(Loc<'a>, Option<Rc<Chain>>),
    /// One of the schemas in this keyword.
    Choose(Loc<'a>, &'static str, Rc<Chain>),
}

#[derive(Clone)]
struct Partial<'a> {
    branch: Branch<'a>,
    tasks: Vec<Task<'a>>,
}

/// All ways through schemas that must hold together.
///
/// # Errors
///
/// Keywords that are not supported, references that lead nowhere or in a circle, too many ways.
pub(super) fn branches<'a>(schemas: &[Loc<'a>], root: &Loc<'a>, limits: &Limits) -> Result<Vec<Branch<'a>>> {
    let tasks = schemas.iter().rev().map(|schema| Task::Schema(schema.clone(), None)).collect();
    let mut work = vec![Partial { branch: Branch { plain: Vec::new(), choices: Vec::new() }, tasks }];
    let mut found = Vec::new();
    'ways: while let Some(mut way) = work.pop() {
        while let Some(task) = way.tasks.pop() {
            let (schema, before) = match task {
                Task::Schema(schema, before) => (schema, before),
                Task::Choose(schema, keyword, chain) => {
                    let ways = schema.children(keyword)?.unwrap_or_default();
                    if ways.is_empty() {
                        return Err(schema.error(
                            keyword,
                            SchemaErrorKind::Malformed,
                            "expected at least one schema",
                        ));
                    }
                    // The last is pushed first, so that ways come out in the schema's order.
                    for (i, option) in ways.into_iter().enumerate().rev() {
                        let mut next = way.clone();
                        if keyword == "oneOf" {
                            next.branch.choices.push((schema.clone(), i));
                        }
                        next.tasks.push(Task::Schema(option, Some(Rc::clone(&chain))));
                        work.push(next);
                    }
                    if work.len() + found.len() > limits.schema_branches {
                        let limit = limits.schema_branches;
                        return Err(schema.limit(
                            keyword,
                            format!(
                                "more than {limit} combinations of alternatives (Limits::schema_branches)"
                            ),
                        ));
                    }
                    continue 'ways;
                }
            };
            let Some(_) = schema.keywords()? else {
                if *schema.value == Value::Bool(false) {
                    continue 'ways;
                }
                continue;
            };
            let mut link = before.as_deref();
            while let Some(chain) = link {
                if chain.pointer == schema.pointer {
                    return Err(schema.error(
                        "",
                        SchemaErrorKind::Reference,
                        "the schema refers back to itself without a property or an item between",
                    ));
                }
                link = chain.before.as_deref();
            }
            if way.branch.plain.iter().any(|known| known.pointer == schema.pointer) {
                continue;
            }
            way.branch.plain.push(schema.clone());
            let chain = Rc::new(Chain { pointer: Rc::clone(&schema.pointer), before });
            for keyword in ["oneOf", "anyOf"] {
                if schema.get(keyword).is_some() {
                    way.tasks.push(Task::Choose(schema.clone(), keyword, Rc::clone(&chain)));
                }
            }
            for part in schema.children("allOf")?.unwrap_or_default().into_iter().rev() {
                way.tasks.push(Task::Schema(part, Some(Rc::clone(&chain))));
            }
            if let Some(target) = schema.reference(root)? {
                way.tasks.push(Task::Schema(target, Some(Rc::clone(&chain))));
            }
        }
        found.push(way.branch);
    }
    Ok(found)
}
