//! Arrays: items by their place, their number, and that they differ.

use super::emit::{Compiler, Spelling};
use super::shape::{self, types::*};
use super::source::{Loc, Result};
use crate::rules::{Expr, RuleId, UniqueStep};
use serde_json::Value;

/// The schemas of an array's items.
pub(super) struct ArrayLayout<'a> {
    /// For each schema: those of the first items, and that of the others.
    sources: Vec<(Vec<Loc<'a>>, Option<Loc<'a>>)>,
    /// How many items come before all are alike.
    pub(super) prefix: usize,
    /// Nothing is known of items that a `prefixItems` does not speak of, so none are made.
    closed: bool,
    /// A `prefixItems` that is none: no item can be checked against it.
    unknown: bool,
}

impl<'a> ArrayLayout<'a> {
    /// The schemas that item `i` must satisfy.
    pub(super) fn item(&self, i: usize) -> Vec<Loc<'a>> {
        let one =
            |(first, rest): &(Vec<Loc<'a>>, Option<Loc<'a>>)| first.get(i).cloned().or_else(|| rest.clone());
        self.sources.iter().filter_map(one).collect()
    }
}

impl<'a> Compiler<'a> {
    pub(super) fn array_layout(&mut self, plain: &[Loc<'a>]) -> Result<ArrayLayout<'a>> {
        let mut layout = ArrayLayout { sources: Vec::new(), prefix: 0, closed: false, unknown: false };
        let mut open = false;
        for schema in plain {
            // `items` as an array is what older drafts call `prefixItems`; `additionalItems` is the rest then.
            let old = schema.get("items").is_some_and(Value::is_array);
            let first = match (old, schema.get("prefixItems")) {
                (true, _) => schema.children("items")?.unwrap_or_default(),
                (false, Some(Value::Object(_))) => {
                    layout.unknown = true;
                    Vec::new()
                }
                (false, _) => schema.children("prefixItems")?.unwrap_or_default(),
            };
            let rest = schema.child(if old { "additionalItems" } else { "items" });
            layout.prefix = layout.prefix.max(first.len());
            layout.closed |= !first.is_empty() && rest.is_none();
            open |= rest.is_some();
            layout.sources.push((first, rest));
        }
        layout.closed &= !open;
        Ok(layout)
    }

    /// An array.
    pub(super) fn array(&mut self, plain: &[Loc<'a>]) -> Result<Expr> {
        let layout = self.array_layout(plain)?;
        let (min, max) = shape::lengths(plain, "Items")?;
        self.check_counts(plain, "Items", min, max)?;
        let max = if layout.unknown { Some(0) } else { max };
        let unique = match plain
            .iter()
            .map(|schema| Ok(schema.flag("uniqueItems")?.then_some(schema)))
            .find_map(Result::transpose)
        {
            Some(schema) if max.is_none_or(|max| max > 1) => Some(schema?),
            _ => None,
        };
        let space = Expr::Rule(self.space());
        let spelling = if unique.is_some() { Spelling::One } else { Spelling::Any };
        let item = |this: &mut Self, i: usize| -> Result<Expr> {
            let schemas = layout.item(i);
            let Some(place) = unique else { return Ok(Expr::Rule(this.rule(&schemas, spelling)?)) };
            this.check_scalar(&schemas, place)?;
            let rule = Expr::Rule(this.rule(&schemas, spelling)?);
            let step = Expr::Unique;
            Ok(Expr::Seq(vec![step(UniqueStep::Begin), rule, step(UniqueStep::End)]))
        };
        let comma = || Expr::Seq(vec![Expr::literal(","), space.clone()]);
        // The items after the prefix, then the prefix from its end; each part is optional from the minimum on.
        let prefix = layout.prefix.min(max.map_or(usize::MAX, |max| max as usize)) as u32;
        let (low, high) = (min.saturating_sub(prefix), max.map(|max| max - prefix));
        let mut tail = if layout.closed || high == Some(0) {
            if low == 0 { Expr::EMPTY } else { Expr::Alt(Vec::new()) }
        } else {
            let one = item(self, layout.prefix)?;
            let more = Expr::Seq(vec![comma(), one.clone()]);
            if prefix > 0 {
                Expr::repeat(more, low, high)
            } else {
                let more = Expr::repeat(more, low.saturating_sub(1), high.map(|high| high - 1));
                let some = Expr::Seq(vec![one, more]);
                if low == 0 { Expr::optional(some) } else { some }
            }
        };
        for i in (0..prefix).rev() {
            let before = if i == 0 { Expr::EMPTY } else { comma() };
            let rest: RuleId = self.new_rule("items", tail);
            let some = Expr::Seq(vec![before, item(self, i as usize)?, Expr::Rule(rest)]);
            tail = if i >= min { Expr::Alt(vec![some, Expr::EMPTY]) } else { some };
        }
        let step = |step| if unique.is_some() { Expr::Unique(step) } else { Expr::EMPTY };
        Ok(Expr::Seq(vec![
            Expr::literal("["),
            step(UniqueStep::Enter),
            space.clone(),
            tail,
            space.clone(),
            step(UniqueStep::Leave),
            Expr::literal("]"),
        ]))
    }

    /// Refuses items that have several spellings: only by their text can they be told apart.
    fn check_scalar(&mut self, schemas: &[Loc<'a>], place: &Loc<'a>) -> Result<()> {
        for branch in self.branches(schemas)? {
            let types = shape::types_of(&branch.plain, true)?;
            if shape::listed(&branch.plain, self.limits)?.is_none()
                && types & !(NULL | BOOL | INTEGER | STRING) != 0
            {
                let message =
                    "supported for items that are strings, integers, booleans, null or listed values only";
                return Err(place.unsupported("uniqueItems", message));
            }
        }
        Ok(())
    }
}
