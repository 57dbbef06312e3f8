//! Arrays: items by their index, how many there are, how many there are of a kind, and whether they must differ.
//!
//! ```text
//! items(i, n1, n2, ..)  (i items so far, n1 of which meet the first counted goal, ..; all capped where they stop mattering):
//!   end, if the minima are reached
//!   an item that meets some of the goals (and fails the others that have a maximum), then items(i + 1, ..)
//! ```

use super::emit::{Compiler, Spelling};
use super::goal::Goal;
use super::shape::{Count, Items, Shape, Span};
use super::source::Result;
use crate::rules::{BY_COUNT, Expr, Plan, PlanState, PlanWay, RuleId, UniqueStep};
use std::rc::Rc;

/// The maximum number of goals of an array's items that may be counted, since all their combinations are examined.
const MAX_COUNTS: usize = 4;

/// The goals of an array's items.
pub(super) struct ArrayLayout<'a> {
    sources: Vec<Rc<Items<'a>>>,
    /// The number of items before all further ones are alike.
    pub(super) prefix: usize,
    /// Whether items that no `prefixItems` describes are left out.
    closed: bool,
}

impl<'a> ArrayLayout<'a> {
    /// The goals of item `i`.
    pub(super) fn item(&self, i: usize) -> Vec<Goal<'a>> {
        let one = |items: &Rc<Items<'a>>| match items.first.get(i) {
            Some(goal) => goal.clone(),
            None => items.rest.clone(),
        };
        self.sources.iter().filter_map(one).collect()
    }
}

impl<'a> Compiler<'a> {
    pub(super) fn array_layout(&mut self, shape: &Shape<'a>) -> ArrayLayout<'a> {
        let closes = |items: &Rc<Items<'a>>| items.chain.is_some() && items.rest.is_none();
        ArrayLayout {
            prefix: shape.items.iter().map(|items| items.first.len()).max().unwrap_or(0),
            closed: shape.items.iter().any(closes) && shape.items.iter().all(|items| items.rest.is_none()),
            sources: shape.items.clone(),
        }
    }

    /// Makes an array.
    pub(super) fn array(&mut self, shape: &Shape<'a>, spelling: Spelling) -> Result<Expr> {
        let mut layout = self.array_layout(shape);
        self.check_span(shape.item_count, "items")?;
        let Span { min, mut max } = shape.item_count;
        if layout.closed && !self.is_wide() {
            let prefix = layout.prefix as u32;
            max = Some(max.map_or(prefix, |max| max.min(prefix)));
        }
        let unique = shape.unique.as_ref().filter(|_| max.is_none_or(|max| max > 1));
        if let (Some(schema), Spelling::One) = (unique, spelling) {
            let message = "not supported in the items of an array that must differ, too";
            return Err(schema.unsupported("uniqueItems", message));
        }
        layout.prefix = layout.prefix.min(max.map_or(usize::MAX, |max| max as usize));
        let span = Span { min, max };
        // The code that makes the items fills in the plan.
        let plan = unique.is_some().then_some(self.plans.len() as u32);
        self.plans.extend(plan.map(|_| Plan::default()));
        let items = match span {
            _ if span.is_empty() => Expr::Alt(Vec::new()),
            _ if shape.counts.is_empty() => self.items(&layout, span, plan, spelling)?,
            _ => self.counted(&layout, &shape.counts, span, plan, spelling)?,
        };
        let space = self.space(spelling);
        let step = |step: fn(u32) -> UniqueStep| plan.map_or(Expr::EMPTY, |plan| Expr::Unique(step(plan)));
        Ok(Expr::Seq(vec![
            Expr::literal("["),
            step(|plan| UniqueStep::Enter { plan }),
            space.clone(),
            items,
            space,
            step(|_| UniqueStep::Leave),
            Expr::literal("]"),
        ]))
    }

    /// Makes an item. If the array has a plan, it is at `next` in it afterwards.
    fn item(&mut self, goals: &[Goal<'a>], plan: Option<u32>, next: u32, spelling: Spelling) -> Result<Expr> {
        let Some(plan) = plan else { return Ok(Expr::Rule(self.rule(goals, spelling)?)) };
        // Such items can be told apart only by their text.
        let kind = self.rule(goals, Spelling::One)?;
        let begin = Expr::Unique(UniqueStep::Begin { plan, kind, next });
        Ok(Expr::Seq(vec![begin, Expr::Rule(kind), Expr::Unique(UniqueStep::End)]))
    }

    /// Makes the comma before such an item.
    fn comma(
        &mut self,
        goals: &[Goal<'a>],
        plan: Option<u32>,
        next: u32,
        spelling: Spelling,
    ) -> Result<Expr> {
        let mut comma = vec![Expr::literal(","), self.space(spelling)];
        if let Some(plan) = plan {
            let kind = self.rule(goals, Spelling::One)?;
            comma.insert(0, Expr::Unique(UniqueStep::Follow { plan, kind, next }));
        }
        Ok(Expr::Seq(comma))
    }

    /// Makes items that are not counted by kind: those after the prefix, then the prefix from its end. From the minimum
    /// on, each part is optional.
    fn items(
        &mut self,
        layout: &ArrayLayout<'a>,
        span: Span,
        plan: Option<u32>,
        spelling: Spelling,
    ) -> Result<Expr> {
        let Span { min, max } = span;
        let prefix = layout.prefix as u32;
        let (low, high) = (min.saturating_sub(prefix), max.map(|max| max - prefix));
        if let Some(plan) = plan {
            let mut states = vec![PlanState::default(); min as usize + 1];
            for i in 0..min {
                let kind = self.rule(&layout.item(i as usize), Spelling::One)?;
                states[i as usize].ways.push(PlanWay { kind, needs: kind, next: i + 1 });
            }
            states[min as usize].ends = true;
            self.plans[plan as usize].states = states;
        }
        let mut tail = if high == Some(0) {
            Expr::EMPTY
        } else {
            let one = self.item(&layout.item(layout.prefix), plan, BY_COUNT, spelling)?;
            let comma = self.comma(&layout.item(layout.prefix), plan, BY_COUNT, spelling)?;
            let more = Expr::Seq(vec![comma, one.clone()]);
            if prefix > 0 {
                Expr::repeat(more, low, high)
            } else {
                let more = Expr::repeat(more, low.saturating_sub(1), high.map(|high| high - 1));
                let some = Expr::Seq(vec![one, more]);
                if low == 0 { Expr::optional(some) } else { some }
            }
        };
        for i in (0..prefix).rev() {
            let comma = self.comma(&layout.item(i as usize), plan, BY_COUNT, spelling)?;
            let before = if i == 0 { Expr::EMPTY } else { comma };
            let rest: RuleId = self.new_rule("items", tail);
            let item = self.item(&layout.item(i as usize), plan, BY_COUNT, spelling)?;
            let some = Expr::Seq(vec![before, item, Expr::Rule(rest)]);
            tail = if i >= min { Expr::Alt(vec![some, Expr::EMPTY]) } else { some };
        }
        Ok(tail)
    }

    /// Makes items that are counted by kind.
    fn counted(
        &mut self,
        layout: &ArrayLayout<'a>,
        counts: &[Count<'a>],
        span: Span,
        plan: Option<u32>,
        spelling: Spelling,
    ) -> Result<Expr> {
        for count in counts {
            self.check_span(count.span, "items of a kind")?;
        }
        if let Some(count) = counts.get(MAX_COUNTS) {
            let message = format!("more than {MAX_COUNTS} kinds of items to count are not supported");
            return Err(count.goal.loc.unsupported("", message));
        }
        // Up to where each number matters. A number at its maximum also stands for larger ones.
        let from = counts.iter().map(|count| count.from).max().unwrap_or(0).max(layout.prefix);
        let mut tops = vec![span.min.max(span.max.unwrap_or(0)).max(from as u32).max(1)];
        tops.extend(counts.iter().map(|Count { span, .. }| span.max.unwrap_or(span.min)));
        let states = tops.iter().fold(1u64, |all, top| all.saturating_mul(u64::from(*top) + 1));
        if states > self.limits.nodes as u64 / 10 {
            let message = "too many numbers of items to tell apart (Limits::nodes)";
            return Err(counts[0].goal.loc.limit("", message));
        }
        let base = self.reserve(states as usize);
        let number =
            |at: &[u32]| base + at.iter().zip(&tops).fold(0, |number, (n, top)| number * (top + 1) + n);
        if let Some(plan) = plan {
            self.plans[plan as usize].states = vec![PlanState::default(); states as usize];
        }
        let mut at = vec![0; tops.len()];
        loop {
            let mut ways = Vec::new();
            let mut state = PlanState::default();
            if at[0] >= span.min && counts.iter().zip(&at[1..]).all(|(count, n)| *n >= count.span.min) {
                ways.push(Expr::EMPTY);
                state.ends = true;
            }
            let room = span.max.is_none_or(|max| at[0] < max);
            for kinds in (0..1u32 << counts.len()).filter(|_| room) {
                let Some((goals, next)) = kind(layout, counts, &tops, &at, kinds) else { continue };
                let place = number(&next) - base;
                let comma = self.comma(&goals, plan, place, spelling)?;
                let before = if at[0] == 0 { Expr::EMPTY } else { comma };
                let item = self.item(&goals, plan, place, spelling)?;
                if plan.is_some() {
                    let kind = self.rule(&goals, Spelling::One)?;
                    state.ways.push(PlanWay { kind, needs: kind, next: place });
                }
                ways.push(Expr::Seq(vec![before, item, Expr::Rule(number(&next))]));
            }
            self.set_rule(number(&at), Expr::Alt(ways));
            if let Some(plan) = plan {
                self.plans[plan as usize].states[(number(&at) - base) as usize] = state;
            }
            // The next combination; the last number changes fastest.
            let Some(i) = (0..at.len()).rev().find(|&i| at[i] < tops[i]) else { break };
            at[i] += 1;
            at[i + 1..].fill(0);
        }
        Ok(Expr::Rule(number(&vec![0; tops.len()])))
    }
}

/// The goals of an item that is counted in the given kinds, and the numbers after it; `None` if such an item is not
/// possible.
fn kind<'a>(
    layout: &ArrayLayout<'a>,
    counts: &[Count<'a>],
    tops: &[u32],
    at: &[u32],
    kinds: u32,
) -> Option<(Vec<Goal<'a>>, Vec<u32>)> {
    let mut goals = layout.item(at[0] as usize);
    let mut next = vec![(at[0] + 1).min(tops[0])];
    for (i, Count { from, goal, span }) in counts.iter().enumerate() {
        let (n, is_counted) = (at[i + 1], kinds >> i & 1 != 0);
        let is_looked_at = at[0] as usize >= *from;
        match (is_counted, span.max) {
            (true, _) if !is_looked_at => return None,
            (true, Some(max)) if n >= max => return None,
            // There are enough of this kind already, so whether one more item is of the kind does not matter.
            (true, None) if n >= span.min => return None,
            (true, _) => goals.push(goal.clone()),
            (false, Some(_)) if is_looked_at => goals.push(goal.negated()),
            (false, _) => {}
        }
        next.push(n + u32::from(is_counted));
    }
    Some((goals, next))
}
