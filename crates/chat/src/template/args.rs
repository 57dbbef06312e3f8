//! Binds the arguments of a call to parameters, by Python's rules.

use super::error::{R, fail};
use super::text::Text;
use super::value::Value;

#[derive(Default)]
pub(super) struct Args {
    pub(super) positional: Vec<Value>,
    pub(super) named: Vec<(Text, Value)>,
}

impl Args {
    /// Binds the arguments to the parameters `names` of the function `what`. Arguments may be missing.
    pub(super) fn bind<const N: usize>(self, what: &str, names: [&str; N]) -> R<[Option<Value>; N]> {
        let mut out = [const { None }; N];
        let given = self.positional.len();
        if given > N {
            return fail(format!("{what}() takes at most {N} arguments ({given} given)"));
        }
        for (slot, value) in out.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        for (name, value) in self.named {
            let slot = names.iter().position(|n| *n == name.as_str()).and_then(|i| out.get_mut(i));
            match slot {
                Some(slot @ None) => *slot = Some(value),
                Some(_) => {
                    return fail(format!("{what}() got multiple values for argument '{}'", name.as_str()));
                }
                None => {
                    return fail(format!("{what}() got an unexpected keyword argument '{}'", name.as_str()));
                }
            }
        }
        Ok(out)
    }

    /// Does the same as [`bind`](Self::bind), but no argument may be missing.
    pub(super) fn all<const N: usize>(self, what: &str, names: [&str; N]) -> R<[Value; N]> {
        let mut out = [const { Value::None }; N];
        for ((slot, value), name) in out.iter_mut().zip(self.bind(what, names)?).zip(names) {
            match value {
                Some(value) => *slot = value,
                None => return fail(format!("{what}() missing 1 required argument: '{name}'")),
            }
        }
        Ok(out)
    }
}

/// Returns an argument that is given and not none.
pub(super) fn given(value: Option<Value>) -> Option<Value> {
    value.filter(|value| !matches!(value, Value::None))
}
