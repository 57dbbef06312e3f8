//! The stack machine that runs a compiled template.
//!
//! Nothing here recurses: macros, loops and blocks that call each other are entries of `frames`. So a template's calls need no
//! space on the caller's stack.

use std::collections::BTreeSet;

use super::args::Args;
use super::budget::{gathered, push, reserve};
use super::context::Context;
use super::error::{R, fail};
use super::heap::{Cx, Macro, Source};
use super::program::{Op, Program};
use super::scopes::Scopes;
use super::text::{Builder, Text};
use super::value::{Id, Value};
use super::{filters, functions, lookup, operators, tests};

/// Maximum nesting of calls of macros, recursive loops and blocks.
pub(super) const MAX_FRAMES: usize = 300;

/// A call that has not returned yet.
pub(super) struct Frame {
    pub(super) back: usize,
    /// The caller's scope, and its number of open loops.
    pub(super) scope: Id,
    pub(super) loops: usize,
    pub(super) outputs: usize,
    /// Whether this is a call of `loop(..)`.
    pub(super) of_loop: bool,
}

/// A running loop.
pub(super) struct Running {
    pub(super) id: Id,
    pub(super) outer: Id,
    pub(super) inner: Id,
    pub(super) outputs: usize,
    pub(super) stack: usize,
    /// Whether an iteration was completed.
    pub(super) done: bool,
    /// While the loop's filter runs: the next item's index, the current item, and the items that are kept.
    pub(super) asked: usize,
    pub(super) item: Value,
    pub(super) kept: Vec<Value>,
}

pub(super) struct Machine<'a> {
    pub(super) program: &'a Program,
    pub(super) cx: Cx<'a>,
    pub(super) context: Context<'a>,
    /// Variables of the context that have been read, by the number of their name.
    pub(super) roots: Vec<Option<Value>>,
    pub(super) used: BTreeSet<u32>,
    pub(super) at: usize,
    pub(super) stack: Vec<Value>,
    pub(super) outputs: Vec<Builder>,
    pub(super) scopes: Scopes,
    pub(super) frames: Vec<Frame>,
    pub(super) loops: Vec<Running>,
    /// Depth of the next recursive loop.
    pub(super) depth: usize,
}

impl<'a> Machine<'a> {
    pub(super) fn new(program: &'a Program, cx: Cx<'a>, context: Context<'a>) -> R<Self> {
        let names = program.names.len();
        Ok(Machine {
            program,
            cx,
            context,
            roots: gathered(names, std::iter::repeat_n(None, names))?,
            used: BTreeSet::new(),
            at: 0,
            stack: Vec::new(),
            outputs: vec![Builder::default()],
            scopes: Scopes::default(),
            frames: Vec::new(),
            loops: Vec::new(),
            depth: 0,
        })
    }

    /// Runs to the end.
    pub(super) fn run(&mut self) -> R<()> {
        while let Some((op, _)) = self.program.code.get(self.at) {
            self.cx.budget.charge(1)?;
            self.at += 1;
            if matches!(op, Op::Return) && self.frames.is_empty() {
                break;
            }
            self.step(*op)?;
        }
        Ok(())
    }

    /// Returns the line of the last instruction that ran.
    pub(super) fn line(&self) -> usize {
        let at = self.at.saturating_sub(1);
        self.program.code.get(at).map_or(1, |(_, line)| *line as usize)
    }

    /// Returns the output, and the names of the variables that were read.
    pub(super) fn finish(mut self) -> (Builder, BTreeSet<String>) {
        let names = &self.program.names;
        let used = self.used.iter().filter_map(|name| names.get(*name as usize));
        let used = used.map(|name| name.as_str().to_owned()).collect();
        (self.outputs.drain(..).next().unwrap_or_default(), used)
    }

    pub(super) fn pop(&mut self) -> R<Value> {
        self.stack.pop().map_or_else(|| fail("the stack is empty"), Ok)
    }

    /// Pops the last `count` values off the stack.
    pub(super) fn pop_many(&mut self, count: u32) -> R<Vec<Value>> {
        let start = self.stack.len().saturating_sub(count as usize);
        gathered(self.stack.len() - start, self.stack.drain(start..))
    }

    pub(super) fn push(&mut self, value: Value) -> R<()> {
        push(&mut self.stack, value)
    }

    pub(super) fn name(&self, name: u32) -> R<&'a Text> {
        self.program.names.get(name as usize).map_or_else(|| fail("no such name"), Ok)
    }

    pub(super) fn constant(&self, constant: u32) -> Value {
        self.program.constants.get(constant as usize).cloned().unwrap_or(Value::None)
    }

    /// Jumps by a distance, which counts from the jump.
    pub(super) fn jump(&mut self, distance: i32) {
        self.at = (self.at - 1).saturating_add_signed(distance as isize);
    }

    pub(super) fn write(&mut self, value: &Value) -> R<()> {
        let Some(out) = self.outputs.last_mut() else { return fail("no output") };
        match value {
            Value::Str(text) => out.text(&self.cx.budget, text),
            value => self.cx.write_str(out, value),
        }
    }

    pub(super) fn step(&mut self, op: Op) -> R<()> {
        match op {
            Op::Data(constant) => {
                let program = self.program;
                if let Some(data) = program.constants.get(constant as usize) {
                    self.write(data)?;
                }
            }
            Op::Write => {
                let value = self.pop()?;
                self.write(&value)?;
            }
            Op::Const(constant) => {
                let value = self.constant(constant);
                self.push(value)?;
            }
            Op::Load(name) => {
                let value = self.load(name)?;
                self.push(value)?;
            }
            Op::Store(name) => {
                let value = self.pop()?;
                self.scopes.store(name, value)?;
            }
            Op::Attribute(name) => {
                let value = self.pop()?;
                let name = self.name(name)?;
                let value = lookup::attribute(&mut self.cx, self.program, &value, name)?;
                self.push(value)?;
            }
            Op::Item => {
                let key = self.pop()?;
                let value = self.pop()?;
                let value = lookup::item(&mut self.cx, self.program, &value, &key)?;
                self.push(value)?;
            }
            Op::Binary(op) => {
                let right = self.pop()?;
                let left = self.pop()?;
                let value = operators::binary(&mut self.cx, op, &left, &right)?;
                self.push(value)?;
            }
            Op::Compare(op) => {
                let right = self.pop()?;
                let left = self.pop()?;
                let value = self.cx.compare(op, &left, &right)?;
                self.push(Value::Bool(value))?;
            }
            Op::Chain(op, distance) => {
                let right = self.pop()?;
                let left = self.pop()?;
                if self.cx.compare(op, &left, &right)? {
                    self.push(right)?;
                } else {
                    self.push(Value::Bool(false))?;
                    self.jump(distance);
                }
            }
            Op::Not => {
                let value = self.pop()?;
                let truth = self.cx.truth(&value);
                self.push(Value::Bool(!truth))?;
            }
            Op::Negative | Op::Positive => {
                let value = self.pop()?;
                self.push(operators::sign(matches!(op, Op::Negative), &value)?)?;
            }
            Op::Jump(distance) => self.jump(distance),
            Op::Unless(distance) => {
                let value = self.pop()?;
                if !self.cx.truth(&value) {
                    self.jump(distance);
                }
            }
            Op::And(distance) | Op::Or(distance) => {
                let value = self.pop()?;
                if self.cx.truth(&value) == matches!(op, Op::Or(_)) {
                    self.push(value)?;
                    self.jump(distance);
                }
            }
            Op::Pop => drop(self.pop()?),
            Op::Undefined => self.push(Value::undefined("the value of an `if` without `else`"))?,
            Op::PushScope => self.scopes.push()?,
            Op::PopScope => self.scopes.pop(),
            Op::CaptureBegin => push(&mut self.outputs, Builder::default())?,
            Op::CaptureEnd => {
                let text = self.outputs.pop().unwrap_or_default().finish();
                self.push(Value::Str(text))?;
            }
            Op::IfGiven(name, distance) => {
                if self.scopes.has(name) {
                    self.jump(distance);
                }
            }
            Op::Return => self.ret()?,
            _ => self.large_step(op)?,
        }
        Ok(())
    }

    /// Runs an instruction that makes or calls something.
    pub(super) fn large_step(&mut self, op: Op) -> R<()> {
        let value = match op {
            Op::StoreAttribute(name, attribute) => {
                let value = self.pop()?;
                let Value::Namespace(dict) = self.load(name)? else {
                    let name = self.name(name)?.as_str();
                    return fail(format!("cannot assign to an attribute of `{name}`: it is not a namespace"));
                };
                let key = Value::Str(self.name(attribute)?.clone());
                return self.cx.set_item(dict, key, value);
            }
            Op::Unpack(count) => {
                let value = self.pop()?;
                if value.is_undefined() {
                    return Err(undefined(&value));
                }
                let mut items = self.cx.collect(&value)?;
                if items.len() != count as usize {
                    return fail(format!("expected {count} values to unpack, found {}", items.len()));
                }
                items.reverse();
                reserve(&mut self.stack, items.len())?;
                self.stack.append(&mut items);
                return Ok(());
            }
            Op::Slice => {
                let parts = self.pop_many(3)?;
                Value::Slice(self.cx.new_list(parts)?)
            }
            Op::List(count) => {
                let items = self.pop_many(count)?;
                self.cx.list(items)?
            }
            Op::Tuple(count) => {
                let items = self.pop_many(count)?;
                self.cx.tuple(items)?
            }
            Op::Dict(count) => {
                let dict = self.cx.new_dict()?;
                let mut items = self.pop_many(count.saturating_mul(2))?.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    self.cx.set_item(dict, key, value)?;
                }
                Value::Dict(dict)
            }
            Op::Concat(count) => {
                let mut out = Builder::default();
                for value in self.pop_many(count)? {
                    self.cx.write_str(&mut out, &value)?;
                }
                Value::Str(out.finish())
            }
            Op::Filter(name, arguments) => {
                let args = self.arguments(arguments)?;
                let value = self.pop()?;
                let name = self.name(name)?.as_str();
                filters::apply(&mut self.cx, name, value, args)?
            }
            Op::Test(name, arguments) => {
                let args = self.arguments(arguments)?;
                let value = self.pop()?;
                let name = self.name(name)?.as_str();
                Value::Bool(tests::apply(&mut self.cx, name, &value, args)?)
            }
            Op::Call(arguments) => {
                let args = self.arguments(arguments)?;
                let callee = self.pop()?;
                return self.call(&callee, args);
            }
            Op::Method(name, arguments) => {
                let args = self.arguments(arguments)?;
                let receiver = self.pop()?;
                let name = self.name(name)?;
                match lookup::method(&receiver, name.as_str()) {
                    Some(method) => functions::method(&mut self.cx, &receiver, method, args)?,
                    None => {
                        let callee = lookup::attribute(&mut self.cx, self.program, &receiver, name)?;
                        if callee.is_undefined() {
                            let kind = receiver.type_name();
                            return fail(format!("'{kind}' has no method `{}`", name.as_str()));
                        }
                        return self.call(&callee, args);
                    }
                }
            }
            Op::Macro(code) => Value::Macro(self.cx.new_macro(Macro { code, scope: self.scopes.share() })?),
            Op::Block(code, scoped) => {
                let scope = if scoped { self.scopes.current() } else { 0 };
                let block = Value::Macro(self.cx.new_macro(Macro { code, scope })?);
                return self.call(&block, Args::default());
            }
            Op::LoopBegin(recursive) => return self.loop_begin(recursive),
            Op::FilterNext(distance) => return self.filter_next(distance),
            Op::FilterKeep => {
                let value = self.pop()?;
                let keep = self.cx.truth(&value);
                if let Some(running) = self.loops.last_mut().filter(|_| keep) {
                    push(&mut running.kept, running.item.clone())?;
                }
                return Ok(());
            }
            Op::FilterEnd => {
                let Some(running) = self.loops.last_mut() else { return Ok(()) };
                let (id, kept) = (running.id, std::mem::take(&mut running.kept));
                let kept = self.cx.new_list(kept)?;
                if let Some(state) = self.cx.heap.loops.get_mut(id as usize) {
                    state.source = Source::Items(kept);
                }
                return Ok(());
            }
            Op::LoopNext(distance) => return self.loop_next(distance),
            Op::LoopDone => {
                if let Some(running) = self.loops.last_mut() {
                    running.done = true;
                }
                return Ok(());
            }
            Op::LoopEnd => {
                let Some(running) = self.loops.pop() else { return fail("no loop") };
                self.scopes.leave(running.outer);
                Value::Bool(running.done)
            }
            Op::LoopReturn => {
                let returns = |frame: &Frame| frame.of_loop && frame.loops == self.loops.len();
                return if self.frames.last().is_some_and(returns) { self.ret() } else { Ok(()) };
            }
            Op::LoopUnwind => {
                if let Some(running) = self.loops.last() {
                    self.outputs.truncate(running.outputs);
                    self.stack.truncate(running.stack);
                    self.scopes.leave(running.inner);
                }
                return Ok(());
            }
            _ => return fail("an instruction that the machine does not know"),
        };
        self.push(value)?;
        Ok(())
    }

    /// Loads a variable: from the scopes, from the context, or a global function.
    pub(super) fn load(&mut self, name: u32) -> R<Value> {
        if let Some(value) = self.scopes.load(name) {
            return Ok(value.clone());
        }
        if let Some(Some(value)) = self.roots.get(name as usize) {
            return Ok(value.clone());
        }
        let text = self.name(name)?;
        let value = match self.context.get(&mut self.cx, text.as_str())? {
            Some(value) => {
                self.used.insert(name);
                value
            }
            None => match functions::global(text.as_str()) {
                Some(value) => value,
                None => {
                    if !matches!(text.as_str(), "loop" | "caller" | "varargs" | "kwargs") {
                        self.used.insert(name);
                    }
                    Value::Undefined(text.clone())
                }
            },
        };
        if let Some(root) = self.roots.get_mut(name as usize) {
            *root = Some(value.clone());
        }
        Ok(value)
    }
}

/// Returns the error for an operation on an undefined value.
pub(super) fn undefined(value: &Value) -> Box<super::error::Fail> {
    let name = match value {
        Value::Undefined(name) => name.as_str().chars().take(100).collect(),
        _ => String::new(),
    };
    Box::new(super::error::Fail::Runtime(format!("`{name}` is undefined")))
}
