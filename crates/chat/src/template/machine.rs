//! The stack machine that runs a compiled template.
//!
//! Nothing here recurses: macros, loops and blocks that call each other are entries of `frames`, so the caller's stack need
//! not be deep, however deep a template calls.

use std::collections::BTreeSet;

use super::args::Args;
use super::budget::{gathered, push, reserve};
use super::context::Context;
use super::error::{R, fail};
use super::program::{Argument, Op, Program};
use super::scopes::Scopes;
use super::text::{Builder, Text};
use super::value::{Cx, Id, Loop, Macro, Source, Value};
use super::{filters, functions, lookup, operators, tests};

/// Deepest nesting of calls of macros, recursive loops and blocks.
const MAX_FRAMES: usize = 300;

/// A call that is to be returned from.
struct Frame {
    back: usize,
    /// The caller's scope, and how many loops it has open.
    scope: Id,
    loops: usize,
    outputs: usize,
    /// Whether `loop(..)` called.
    of_loop: bool,
}

/// A loop that runs.
struct Running {
    id: Id,
    outer: Id,
    inner: Id,
    outputs: usize,
    stack: usize,
    /// Whether an iteration came to its end.
    done: bool,
    /// While the loop's filter is asked: the next item's index, the current item, those that are kept.
    asked: usize,
    item: Value,
    kept: Vec<Value>,
}

pub(super) struct Machine<'a> {
    program: &'a Program,
    pub(super) cx: Cx<'a>,
    context: Context<'a>,
    /// Variables of the context that have been read, by number of name.
    roots: Vec<Option<Value>>,
    used: BTreeSet<u32>,
    at: usize,
    stack: Vec<Value>,
    outputs: Vec<Builder>,
    scopes: Scopes,
    frames: Vec<Frame>,
    loops: Vec<Running>,
    /// Depth of the recursive loop that begins next.
    depth: usize,
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

    /// The line of the instruction that ran last.
    pub(super) fn line(&self) -> usize {
        let at = self.at.saturating_sub(1);
        self.program.code.get(at).map_or(1, |(_, line)| *line as usize)
    }

    /// What was written, and the names of the variables that were read.
    pub(super) fn finish(mut self) -> (Builder, BTreeSet<String>) {
        let names = &self.program.names;
        let used = self.used.iter().filter_map(|name| names.get(*name as usize));
        let used = used.map(|name| name.as_str().to_owned()).collect();
        (self.outputs.drain(..).next().unwrap_or_default(), used)
    }

    fn pop(&mut self) -> R<Value> {
        self.stack.pop().map_or_else(|| fail("the stack is empty"), Ok)
    }

    /// The last `count` values of the stack.
    fn pop_many(&mut self, count: u32) -> R<Vec<Value>> {
        let start = self.stack.len().saturating_sub(count as usize);
        gathered(self.stack.len() - start, self.stack.drain(start..))
    }

    fn push(&mut self, value: Value) -> R<()> {
        push(&mut self.stack, value)
    }

    fn name(&self, name: u32) -> R<&'a Text> {
        self.program.names.get(name as usize).map_or_else(|| fail("no such name"), Ok)
    }

    fn constant(&self, constant: u32) -> Value {
        self.program.constants.get(constant as usize).cloned().unwrap_or(Value::None)
    }

    /// Moves by a jump's distance, which counts from the jump.
    fn jump(&mut self, distance: i32) {
        self.at = (self.at - 1).saturating_add_signed(distance as isize);
    }

    fn write(&mut self, value: &Value) -> R<()> {
        let Some(out) = self.outputs.last_mut() else { return fail("no output") };
        match value {
            Value::Str(text) => out.text(&self.cx.budget, text),
            value => self.cx.write_str(out, value),
        }
    }

    fn step(&mut self, op: Op) -> R<()> {
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

    /// Instructions that make or call something.
    fn large_step(&mut self, op: Op) -> R<()> {
        let value = match op {
            Op::StoreAttribute(name, attribute) => {
                let value = self.pop()?;
                let Value::Namespace(dict) = self.load(name)? else {
                    let name = self.name(name)?.as_str();
                    return fail(format!("cannot assign to an attribute of `{name}`, which is no namespace"));
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

    /// A variable: of the scopes, of the context, or a function.
    fn load(&mut self, name: u32) -> R<Value> {
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

    /// The arguments of a call, off the stack.
    fn arguments(&mut self, arguments: u32) -> R<Args> {
        let Some(kinds) = self.program.arguments.get(arguments as usize) else {
            return fail("no such arguments");
        };
        if kinds.is_empty() {
            return Ok(Args::default());
        }
        let values = self.pop_many(kinds.len() as u32)?;
        if kinds.iter().all(|kind| matches!(kind, Argument::Positional)) {
            return Ok(Args { positional: values, named: Vec::new() });
        }
        let mut args = Args::default();
        for (kind, value) in kinds.iter().zip(values) {
            match kind {
                Argument::Positional => args.positional.push(value),
                Argument::Named(name) => args.named.push((name.clone(), value)),
                Argument::Positionals => args.positional.append(&mut self.cx.collect(&value)?),
                Argument::Nameds => {
                    let Value::Dict(dict) = value else {
                        return fail("the argument after ** must be a mapping");
                    };
                    self.cx.budget.items(self.cx.dict_of(dict)?.len())?;
                    for (key, value) in self.cx.dict_of(dict)?.values() {
                        args.named.push((key.as_text()?.clone(), value.clone()));
                    }
                }
            }
        }
        Ok(args)
    }

    /// Calls a value: pushes the result, or goes to the code that will.
    fn call(&mut self, callee: &Value, args: Args) -> R<()> {
        match callee {
            Value::Macro(id) => self.call_macro(*id, args),
            Value::Loop(id) => self.call_loop(*id, args),
            _ => {
                let value = functions::call(&mut self.cx, callee, args)?;
                self.push(value)?;
                Ok(())
            }
        }
    }

    fn enter(&mut self, entry: usize, of_loop: bool) -> R<()> {
        if self.frames.len() >= MAX_FRAMES {
            return fail(format!("macros call each other more than {MAX_FRAMES} deep"));
        }
        let (scope, loops, outputs) = (self.scopes.current(), self.loops.len(), self.outputs.len());
        push(&mut self.frames, Frame { back: self.at, scope, loops, outputs, of_loop })?;
        push(&mut self.outputs, Builder::default())?;
        self.at = entry;
        Ok(())
    }

    fn ret(&mut self) -> R<()> {
        let Some(frame) = self.frames.pop() else { return fail("nothing to return to") };
        self.outputs.truncate(frame.outputs + 1);
        let text = self.outputs.pop().unwrap_or_default().finish();
        self.loops.truncate(frame.loops);
        self.scopes.back_to(frame.scope);
        self.at = frame.back;
        self.push(Value::Str(text))?;
        Ok(())
    }

    fn call_loop(&mut self, id: Id, args: Args) -> R<()> {
        let [iterable] = args.all("loop", ["iterable"])?;
        let state = self.cx.heap.loops.get(id as usize);
        let Some((depth, Some((entry, scope)))) = state.map(|state| (state.depth, state.entry)) else {
            return fail("a loop that is not recursive cannot be called");
        };
        self.enter(entry, true)?;
        self.scopes.go_to(scope)?;
        self.depth = depth + 1;
        self.push(iterable)?;
        Ok(())
    }

    fn call_macro(&mut self, id: Id, args: Args) -> R<()> {
        let program = self.program;
        let object = self.cx.heap.macros.get(id as usize).map(|object| (object.code, object.scope));
        let Some((code, scope)) = object else { return fail("no such macro") };
        let Some(code) = program.macros.get(code as usize) else { return fail("no such macro") };
        let known = program.known;
        self.enter(code.entry, false)?;
        self.scopes.go_to(scope)?;
        let given = args.positional.len();
        let mut positional = args.positional.into_iter();
        let mut named = args.named;
        for (parameter, default) in &code.parameters {
            let name = self.name(*parameter)?;
            let by_name = named.iter().position(|(key, _)| key == name).map(|i| named.swap_remove(i).1);
            let value = match (positional.next(), by_name) {
                (Some(_), Some(_)) => {
                    let (code, name) = (&code.name, name.as_str());
                    return fail(format!("macro `{code}` got two values for the argument `{name}`"));
                }
                (Some(value), None) | (None, Some(value)) => value,
                (None, None) if *default => continue,
                (None, None) => Value::Undefined(name.clone()),
            };
            self.scopes.store(*parameter, value)?;
        }
        let rest = gathered(positional.len(), positional)?;
        if code.varargs {
            let rest = self.cx.tuple(rest)?;
            self.scopes.store(known.varargs, rest)?;
        } else if !rest.is_empty() {
            let most = code.parameters.len();
            return fail(format!("macro `{}` takes at most {most} arguments, found {given}", code.name));
        }
        if code.caller && !code.parameters.iter().any(|(parameter, _)| *parameter == known.caller) {
            let caller = named.iter().position(|(key, _)| key.as_str() == "caller");
            let caller = caller.map_or(Value::undefined("caller"), |i| named.swap_remove(i).1);
            self.scopes.store(known.caller, caller)?;
        }
        if code.kwargs {
            let rest = self.cx.named_dict(named)?;
            self.scopes.store(known.kwargs, Value::Dict(rest))?;
        } else if let Some((name, _)) = named.first() {
            return fail(format!("macro `{}` has no argument `{}`", code.name, name.as_str()));
        }
        Ok(())
    }

    fn loop_begin(&mut self, recursive: bool) -> R<()> {
        let entry = recursive.then_some((self.at - 1, self.scopes.current()));
        if recursive {
            // The scope is come back to.
            self.scopes.share();
        }
        let source = match self.pop()? {
            Value::List(list) => Source::List(list),
            Value::Range(start, stop, step) => Source::Range(start, stop, step),
            value => {
                let items = self.cx.collect(&value)?;
                Source::Items(self.cx.new_list(items)?)
            }
        };
        let depth = std::mem::take(&mut self.depth);
        let id = self.cx.new_loop(Loop { source, index: None, depth, last: None, entry })?;
        let outer = self.scopes.current();
        self.scopes.push()?;
        let running = Running {
            id,
            outer,
            inner: self.scopes.current(),
            outputs: self.outputs.len(),
            stack: self.stack.len(),
            done: false,
            asked: 0,
            item: Value::None,
            kept: Vec::new(),
        };
        push(&mut self.loops, running)
    }

    /// A fresh scope for an iteration of the innermost loop.
    fn iteration(&mut self) -> R<Option<(Id, usize)>> {
        let Some(running) = self.loops.last_mut() else { return fail("no loop") };
        running.inner = self.scopes.fresh(running.outer)?;
        Ok(Some((running.id, running.asked)))
    }

    fn filter_next(&mut self, distance: i32) -> R<()> {
        let Some((id, index)) = self.iteration()? else { return Ok(()) };
        match lookup::loop_item(&self.cx, id, index) {
            Some(item) => {
                if let Some(running) = self.loops.last_mut() {
                    running.asked += 1;
                    running.item = item.clone();
                }
                self.push(item)?;
            }
            None => self.jump(distance),
        }
        Ok(())
    }

    fn loop_next(&mut self, distance: i32) -> R<()> {
        let Some((id, _)) = self.iteration()? else { return Ok(()) };
        let state = self.cx.heap.loops.get(id as usize);
        let index = state.and_then(|state| state.index).map_or(0, |index| index + 1);
        match lookup::loop_item(&self.cx, id, index) {
            Some(item) => {
                if let Some(state) = self.cx.heap.loops.get_mut(id as usize) {
                    state.index = Some(index);
                }
                self.scopes.store(self.program.known.looping, Value::Loop(id))?;
                self.push(item)?;
            }
            None => self.jump(distance),
        }
        Ok(())
    }
}

/// An operation on an undefined value.
pub(super) fn undefined(value: &Value) -> Box<super::error::Fail> {
    let name = match value {
        Value::Undefined(name) => name.as_str().chars().take(100).collect(),
        _ => String::new(),
    };
    Box::new(super::error::Fail::Runtime(format!("`{name}` is undefined")))
}
