//! Calls of macros, loops and functions, on the machine's frames.

use super::args::Args;
use super::budget::{gathered, push};
use super::error::{R, fail};
use super::heap::{Loop, Source};
use super::machine::{Frame, MAX_FRAMES, Machine, Running};
use super::program::Argument;
use super::text::Builder;
use super::value::{Id, Value};
use super::{functions, lookup};

impl Machine<'_> {
    /// Pops the arguments of a call off the stack.
    pub(super) fn arguments(&mut self, arguments: u32) -> R<Args> {
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

    /// Calls a value: pushes the result, or jumps to the code that will push it.
    pub(super) fn call(&mut self, callee: &Value, args: Args) -> R<()> {
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

    pub(super) fn enter(&mut self, entry: usize, of_loop: bool) -> R<()> {
        if self.frames.len() >= MAX_FRAMES {
            return fail(format!("macros call each other more than {MAX_FRAMES} deep"));
        }
        let (scope, loops, outputs) = (self.scopes.current(), self.loops.len(), self.outputs.len());
        push(&mut self.frames, Frame { back: self.at, scope, loops, outputs, of_loop })?;
        push(&mut self.outputs, Builder::default())?;
        self.at = entry;
        Ok(())
    }

    pub(super) fn ret(&mut self) -> R<()> {
        let Some(frame) = self.frames.pop() else { return fail("nothing to return to") };
        self.outputs.truncate(frame.outputs + 1);
        let text = self.outputs.pop().unwrap_or_default().finish();
        self.loops.truncate(frame.loops);
        self.scopes.back_to(frame.scope);
        self.at = frame.back;
        self.push(Value::Str(text))?;
        Ok(())
    }

    pub(super) fn call_loop(&mut self, id: Id, args: Args) -> R<()> {
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

    pub(super) fn call_macro(&mut self, id: Id, args: Args) -> R<()> {
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

    pub(super) fn loop_begin(&mut self, recursive: bool) -> R<()> {
        let entry = recursive.then_some((self.at - 1, self.scopes.current()));
        if recursive {
            // The caller's scope is needed again after the call.
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

    /// Makes a fresh scope for an iteration of the innermost loop.
    pub(super) fn iteration(&mut self) -> R<Option<(Id, usize)>> {
        let Some(running) = self.loops.last_mut() else { return fail("no loop") };
        running.inner = self.scopes.fresh(running.outer)?;
        Ok(Some((running.id, running.asked)))
    }

    pub(super) fn filter_next(&mut self, distance: i32) -> R<()> {
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

    pub(super) fn loop_next(&mut self, distance: i32) -> R<()> {
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
