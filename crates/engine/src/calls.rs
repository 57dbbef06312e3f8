//! The grammar of a reply's calls: of all tools, or of those whose schema a grammar can follow.
//!
//! ```text
//! all schemas can be followed    every call is constrained
//! one cannot, tool choice auto   calls of that tool may have any arguments; the others are constrained
//! one cannot, a call is asked for  an error
//! all together are too much, auto  no call is constrained
//! ```

use crate::chat::{
    NameError, ReplyGrammar, ReplyParser, ReplyShape, ToolChoice, json, reply_grammar, without_schema,
};
use crate::constraint::{Constraint, compile_reply};
use crate::conversation::{tool_name, tools_of};
use crate::reserve::{copied_json, copied_text, reserve, text_of};
use crate::{Cancel, Conversation, EngineError, Form};
use happy_grammar::{Limits, PartsError};
use serde_json::Value as Json;

/// A tool whose schema no grammar can follow. Its calls may have any arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unconstrained {
    /// The tool's name.
    pub tool: String,
    /// Which part of the schema no grammar can follow, and why.
    pub reason: String,
}

/// What a reply must match.
#[derive(Default)]
pub(crate) struct Constrained {
    /// `None`: nothing.
    pub(crate) constraint: Option<Constraint>,
    /// The tools that no call can be of.
    pub(crate) left_out: Vec<NameError>,
    /// The tools whose calls may have any arguments.
    pub(crate) unconstrained: Vec<Unconstrained>,
}

const TOOLS: &str = "the tools";

impl Conversation {
    /// Returns what the reply must match: `form` applies from the beginning of the answer, and a tool's schema from the
    /// beginning of its call.
    pub(crate) fn constrained(
        &self,
        parser: &ReplyParser,
        form: Option<&Form>,
        cancel: &Cancel,
    ) -> Result<Constrained, EngineError> {
        let tools = tools_of(self.input());
        let Some(grammar) = self.grammar(parser, tools, form.is_some())? else {
            return Ok(Constrained::default());
        };
        let error = match self.compiled(grammar, form, Vec::new(), cancel) {
            Err(error) if is_of_parts(&error) => error,
            other => return other,
        };
        // If the form itself is at fault, its own error says so better.
        form.map_or(Ok(()), |form| self.engine.constraint(form, cancel).map(drop))?;
        if self.tool_choice != ToolChoice::Auto {
            return Err(error);
        }
        let (tools, unconstrained) = self.relaxed(parser, tools, cancel)?;
        if let Some(grammar) = self.grammar(parser, &tools, form.is_some())? {
            match self.compiled(grammar, form, unconstrained, cancel) {
                Err(error) if is_of_parts(&error) => {}
                other => return other,
            }
        }
        if form.is_some() {
            return Err(error);
        }
        // All of them together are too much.
        let mut unconstrained = Vec::new();
        for name in tools.iter().filter_map(tool_name) {
            reserve(&mut unconstrained, 1, TOOLS)?;
            let (tool, reason) = (copied_text(name, TOOLS)?, text_of(&error, TOOLS)?);
            unconstrained.push(Unconstrained { tool, reason });
        }
        Ok(Constrained { unconstrained, ..Constrained::default() })
    }

    fn grammar(
        &self,
        parser: &ReplyParser,
        tools: &[Json],
        answer: bool,
    ) -> Result<Option<ReplyGrammar>, EngineError> {
        let token = |marker: &str| self.marker_token(marker);
        let choice = match &self.tool_choice {
            ToolChoice::Named(name) => ToolChoice::Named(copied_text(name, "the tool choice")?),
            choice => choice.clone(),
        };
        Ok(reply_grammar(&ReplyShape {
            format: self.format,
            opened: parser.channel(),
            may_think: self.may_think(),
            tools,
            choice,
            answer,
            token: &token,
        })?)
    }

    fn compiled(
        &self,
        mut grammar: ReplyGrammar,
        form: Option<&Form>,
        unconstrained: Vec<Unconstrained>,
        cancel: &Cancel,
    ) -> Result<Constrained, EngineError> {
        let left_out = std::mem::take(&mut grammar.left_out);
        let constraint = Some(self.engine.reply_constraint(grammar, form, cancel)?);
        Ok(Constrained { constraint, left_out, unconstrained })
    }

    /// The tools, with any arguments for those whose schema alone cannot be followed, and which these are.
    fn relaxed(
        &self,
        parser: &ReplyParser,
        tools: &[Json],
        cancel: &Cancel,
    ) -> Result<(Vec<Json>, Vec<Unconstrained>), EngineError> {
        let (mut all, mut unconstrained) = (Vec::new(), Vec::new());
        reserve(&mut all, tools.len(), TOOLS)?;
        for tool in tools {
            let alone = self.grammar(parser, std::slice::from_ref(tool), false)?;
            let compiled = alone.map(|grammar| {
                compile_reply(&grammar, None, &Limits::default(), &|| cancel.is_cancelled()).map(drop)
            });
            match compiled {
                Some(Err(error)) if is_of_parts(&error) => {
                    let tool_name = copied_text(tool_name(tool).unwrap_or_default(), TOOLS)?;
                    reserve(&mut unconstrained, 1, TOOLS)?;
                    unconstrained.push(Unconstrained { tool: tool_name, reason: reason(&error)? });
                    all.push(without_schema(tool)?);
                }
                Some(Err(error)) => return Err(error),
                Some(Ok(())) | None => all.push(copied_json(json::copy(tool))?),
            }
        }
        Ok((all, unconstrained))
    }
}

/// Whether a grammar's own parts are at fault, and not memory or the caller.
fn is_of_parts(error: &EngineError) -> bool {
    matches!(error, EngineError::Parts(_)) && !error.is_out_of_memory()
}

/// What is wrong, without the name of a grammar's part, which means nothing to a caller.
fn reason(error: &EngineError) -> Result<String, EngineError> {
    match error {
        EngineError::Parts(PartsError::Schema { error, .. }) => text_of(error, TOOLS),
        error => text_of(error, TOOLS),
    }
}
