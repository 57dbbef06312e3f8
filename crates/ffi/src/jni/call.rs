//! What every function here is wrapped in: failures and panics become exceptions, and nothing unwinds into the machine.
//!
//! ```text
//! work is done               -> its value
//! an exception is pending    -> left as it is: Java's own, thrown by a callback or for want of memory
//! a failure, a panic         -> dev.happyllm.HappyException(status, message as UTF-8)
//! not even that can be made  -> java.lang.RuntimeException
//! ```

use crate::capi::barrier::contained;
use crate::core::log;
use crate::failure::Failure;
use crate::log_level::LogLevel;
use crate::status::Status;
use jni::errors::{Error, ErrorPolicy, JniError};
use jni::objects::JThrowable;
use jni::{Env, EnvUnowned, JValue, jni_sig, jni_str};
use std::any::Any;

/// Why a function ends early.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The library says why.
    Failure(Failure),
    /// The virtual machine does, or has an exception pending.
    Machine(Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Machine(error)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Failure(failure) => failure,
            Trouble::Machine(Error::JniCall(JniError::NoMemory)) => {
                Self::new(Status::Memory, "the Java heap has no room for the result")
            }
            Trouble::Machine(error) => {
                Self::new(Status::Internal, format!("the Java virtual machine: {error}"))
            }
        }
    }
}

/// Runs the body of a native method. After an exception the value is of no matter: Java never sees it.
pub(super) fn call<'l, T: Default>(
    mut env: EnvUnowned<'l>,
    work: impl FnOnce(&mut Env<'l>) -> Result<T, Trouble>,
) -> T {
    let (mut work, mut value) = (Some(work), T::default());
    call_shared(&mut env, &mut |env| {
        if let Some(work) = work.take() {
            value = work(env)?;
        }
        Ok(())
    });
    value
}

/// Does what [`call`] does. It is no generic function, so that the library holds it once and not for every method.
fn call_shared<'l>(env: &mut EnvUnowned<'l>, work: &mut dyn FnMut(&mut Env<'l>) -> Result<(), Trouble>) {
    env.with_env(work).resolve::<Throw>();
}

/// Makes exceptions of failures and panics.
struct Throw;

impl ErrorPolicy<(), Trouble> for Throw {
    type Captures<'local: 'method, 'method> = ();

    fn on_error<'local: 'method, 'method>(
        env: &mut Env<'local>,
        (): &mut (),
        trouble: Trouble,
    ) -> Result<(), Error> {
        if !env.exception_check() {
            throw(env, &trouble.into());
        }
        Ok(())
    }

    fn on_panic<'local: 'method, 'method>(
        env: &mut Env<'local>,
        (): &mut (),
        panic: Box<dyn Any + Send>,
    ) -> Result<(), Error> {
        let failure = Failure::new(Status::Internal, contained(panic));
        if !env.exception_check() {
            throw(env, &failure);
        }
        Ok(())
    }
}

fn throw(env: &mut Env<'_>, failure: &Failure) {
    log::say(LogLevel::Error, || failure.message.clone());
    // What was thrown is an error to the crate `jni`, too: only what is pending tells.
    let _ = throw_ours(env, failure);
    if !env.exception_check() {
        let _ = env.throw(failure.message.as_str());
    }
}

fn throw_ours(env: &mut Env<'_>, failure: &Failure) -> Result<(), Error> {
    let class = env.find_class(jni_str!("dev/happyllm/HappyException"))?;
    let message = env.byte_array_from_slice(failure.message.as_bytes())?;
    let arguments = [JValue::Int(failure.status as i32), JValue::Object(&message)];
    let exception = env.new_object(class, jni_sig!("(I[B)V"), &arguments)?;
    let exception = env.cast_local::<JThrowable>(exception)?;
    env.throw(exception)
}
