//! A compiled template: instructions of a stack machine.
//!
//! The parser writes them as it reads. There is no tree, so nothing has to be visited or dropped by recursion. Jumps are
//! relative, so that a part of the code can be moved (`a if b else c` runs `b` first).

use super::text::Text;
use super::value::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}

impl Binary {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Binary::Add => "+",
            Binary::Sub => "-",
            Binary::Mul => "*",
            Binary::Div => "/",
            Binary::FloorDiv => "//",
            Binary::Mod => "%",
            Binary::Pow => "**",
        }
    }
}

/// An instruction. Numbers refer to names, constants, argument lists and macros of the [`Program`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// Writes a constant.
    Data(u32),
    /// Pops a value and writes it.
    Write,
    Const(u32),
    Load(u32),
    Store(u32),
    /// Pops a value and sets an attribute of a namespace, which is given by name.
    StoreAttribute(u32, u32),
    /// Pops a sequence and pushes its items, the first one on top.
    Unpack(u32),
    Attribute(u32),
    Item,
    /// Pops start, stop and step.
    Slice,
    List(u32),
    Tuple(u32),
    /// Pops this many pairs.
    Dict(u32),
    Concat(u32),
    Binary(Binary),
    Compare(Compare),
    /// `a < b < c`: if the result is false, keeps it and jumps; otherwise keeps the right operand.
    Chain(Compare, i32),
    Not,
    Negative,
    Positive,
    Jump(i32),
    /// Pops a value and jumps if it is false.
    Unless(i32),
    /// `and`: jumps and keeps the value if it decides the result; otherwise pops it. `or` does the same.
    And(i32),
    Or(i32),
    Pop,
    Undefined,
    Call(u32),
    /// Calls a method, given by its name and the kinds of its arguments. The receiver is below the arguments.
    Method(u32, u32),
    Filter(u32, u32),
    Test(u32, u32),
    PushScope,
    PopScope,
    /// Pops the iterable. The flag says whether the loop is recursive.
    LoopBegin(bool),
    /// Pushes the next item for the loop's filter, or jumps.
    FilterNext(i32),
    /// Pops the filter's result, which says whether the item is kept.
    FilterKeep,
    FilterEnd,
    /// Pushes the next item or jumps.
    LoopNext(i32),
    /// Notes that an iteration was completed.
    LoopDone,
    /// Ends the loop and pushes whether an iteration was completed.
    LoopEnd,
    /// At the end of a recursive loop: returns if `loop(..)` called it.
    LoopReturn,
    /// Restores the state at the start of an iteration, before `break` and `continue`.
    LoopUnwind,
    CaptureBegin,
    CaptureEnd,
    /// Pushes a macro that knows the current scope.
    Macro(u32),
    /// Jumps if the parameter was given.
    IfGiven(u32, i32),
    /// Calls a block. The flag says whether it sees the scope around it.
    Block(u32, bool),
    Return,
}

/// The kind of an argument of a call, in the order of the values on the stack.
pub(super) enum Argument {
    Positional,
    Named(Text),
    /// `*values`
    Positionals,
    /// `**values`
    Nameds,
}

/// The code of a macro, a call block or a block.
#[derive(Default)]
pub(super) struct MacroCode {
    pub(super) name: String,
    pub(super) entry: usize,
    /// Names of parameters, and whether they have a default.
    pub(super) parameters: Vec<(u32, bool)>,
    /// Whether the body reads these.
    pub(super) varargs: bool,
    pub(super) kwargs: bool,
    pub(super) caller: bool,
}

/// A compiled template.
#[derive(Default)]
pub(super) struct Program {
    pub(super) code: Vec<(Op, u32)>,
    pub(super) names: Vec<Text>,
    pub(super) constants: Vec<Value>,
    pub(super) arguments: Vec<Vec<Argument>>,
    pub(super) macros: Vec<MacroCode>,
    /// Blocks by name, with the number of their macro.
    pub(super) blocks: Vec<(String, u32)>,
    /// The names that the machine itself needs.
    pub(super) known: Known,
}

#[derive(Default, Clone, Copy)]
pub(super) struct Known {
    pub(super) looping: u32,
    pub(super) caller: u32,
    pub(super) varargs: u32,
    pub(super) kwargs: u32,
}
