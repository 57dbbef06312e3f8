//! Variables by scope.
//!
//! A scope knows its parent. A macro stores the number of the scope in which it was made. A scope that no macro stored is
//! reused after it has been left, so that a loop needs one scope for all iterations.

use super::budget::{push, reserve};
use super::error::{R, fail};
use super::value::{Id, Value};

struct Scope {
    variables: Vec<(u32, Value)>,
    parent: Option<Id>,
    /// Whether a macro or a call may return to it.
    shared: bool,
}

pub(super) struct Scopes {
    all: Vec<Scope>,
    free: Vec<Id>,
    current: Id,
}

impl Default for Scopes {
    fn default() -> Self {
        Scopes {
            all: vec![Scope { variables: Vec::new(), parent: None, shared: true }],
            free: Vec::new(),
            current: 0,
        }
    }
}

impl Scopes {
    pub(super) fn current(&self) -> Id {
        self.current
    }

    fn get(&self, id: Id) -> Option<&Scope> {
        self.all.get(id as usize)
    }

    pub(super) fn load(&self, name: u32) -> Option<&Value> {
        let mut scope = self.get(self.current);
        while let Some(Scope { variables, parent, .. }) = scope {
            if let Some((_, value)) = variables.iter().find(|(known, _)| *known == name) {
                return Some(value);
            }
            scope = parent.and_then(|parent| self.get(parent));
        }
        None
    }

    /// Returns whether the current scope itself has the variable.
    pub(super) fn has(&self, name: u32) -> bool {
        self.get(self.current).is_some_and(|scope| scope.variables.iter().any(|(known, _)| *known == name))
    }

    /// Sets a variable of the current scope.
    pub(super) fn store(&mut self, name: u32, value: Value) -> R<()> {
        let Some(scope) = self.all.get_mut(self.current as usize) else { return Ok(()) };
        match scope.variables.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => push(&mut scope.variables, (name, value))?,
        }
        Ok(())
    }

    /// Opens a scope in the current one.
    pub(super) fn push(&mut self) -> R<()> {
        self.go_to(self.current)
    }

    /// Opens a scope in `parent`.
    pub(super) fn go_to(&mut self, parent: Id) -> R<()> {
        let scope = Scope { variables: Vec::new(), parent: Some(parent), shared: false };
        if let Some(id) = self.free.pop() {
            if let Some(old) = self.all.get_mut(id as usize) {
                old.parent = Some(parent);
                old.shared = false;
            }
            self.current = id;
            return Ok(());
        }
        let Ok(id) = Id::try_from(self.all.len()) else { return fail("too many scopes") };
        push(&mut self.all, scope)?;
        // Room for all scopes to be free at the same time, so that leaving one cannot fail.
        reserve(&mut self.free, self.all.len())?;
        self.current = id;
        Ok(())
    }

    /// Closes the current scope.
    pub(super) fn pop(&mut self) {
        let Some(parent) = self.get(self.current).and_then(|scope| scope.parent) else { return };
        self.release();
        self.current = parent;
    }

    /// Lets the current scope be reused, unless something may return to it.
    fn release(&mut self) {
        if let Some(scope) = self.all.get_mut(self.current as usize)
            && !scope.shared
        {
            scope.variables.clear();
            self.free.push(self.current);
        }
    }

    /// Closes scopes until `ancestor` is the current one.
    pub(super) fn leave(&mut self, ancestor: Id) {
        while self.current != ancestor && self.get(self.current).is_some_and(|scope| scope.parent.is_some()) {
            self.pop();
        }
    }

    /// Returns from a macro, whose scope is the current one, to the caller's scope.
    pub(super) fn back_to(&mut self, caller: Id) {
        if self.current != caller {
            self.release();
        }
        self.current = caller;
    }

    /// Replaces the current scope by an empty one in `parent`, for the next iteration of a loop.
    pub(super) fn fresh(&mut self, parent: Id) -> R<Id> {
        self.leave(parent);
        self.go_to(parent)?;
        Ok(self.current)
    }

    /// Protects the current scope and its ancestors from reuse, since something may return to them.
    pub(super) fn share(&mut self) -> Id {
        let mut at = Some(self.current);
        while let Some(scope) = at.and_then(|id| self.all.get_mut(id as usize)).filter(|scope| !scope.shared)
        {
            scope.shared = true;
            at = scope.parent;
        }
        self.current
    }
}
