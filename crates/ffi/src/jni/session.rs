//! The methods of `HappySession`.

use super::arrays::{give, give_numbers, optional, text, texts};
use super::call::{Trouble, call};
use super::library::{free, from_java, to_java};
use super::{events, numbers, options};
use crate::core::model::Model;
use crate::core::session::{Session, adapters as core_adapters};
use crate::core::{CancelToken, registry};
use crate::failure::{Failure, Outcome};
use jni::EnvUnowned;
use jni::objects::{JByteArray, JClass, JLongArray};
use jni::sys::jlong;
use std::sync::Arc;

/// The session of a handle.
pub(super) fn session(handle: jlong) -> Outcome<Arc<Session>> {
    registry::get::<Session>(from_java(handle))
}

/// Makes a session of a model. `options` is a JSON object.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionNew<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    model: jlong,
    options: JByteArray<'l>,
) -> jlong {
    call(env, |env| {
        let model = registry::get::<Model>(from_java(model))?;
        let settings = options::session(&text(env, &options, "options")?)?;
        Ok(to_java(registry::insert(Session::new(&model, &settings)?)?))
    })
}

/// Frees a session; a turn that runs ends by itself.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionFree(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    session: jlong,
) {
    call(env, |_| {
        self::session(session)?.close();
        free::<Session>(session)
    });
}

/// Adds a message.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionAdd<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    session: jlong,
    role: JByteArray<'l>,
    content: JByteArray<'l>,
) {
    call(env, |env| {
        let (role, content) = (text(env, &role, "role")?, text(env, &content, "content")?);
        Ok(self::session(session)?.add(&role, &content)?)
    });
}

/// Adds a message, given as a JSON object.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionAddJson<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    session: jlong,
    message: JByteArray<'l>,
) {
    call(env, |env| Ok(self::session(session)?.add_json(&text(env, &message, "message")?)?));
}

/// Returns the conversation as a JSON array of messages.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionMessages<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    session: jlong,
) -> JByteArray<'l> {
    call(env, |env| give(env, self::session(session)?.messages()?.as_bytes()))
}

/// Keeps the first `count` messages, and removes the others.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionTruncate(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    session: jlong,
    count: jlong,
) {
    call(env, |_| {
        let keep = usize::try_from(count)
            .map_err(|_| Failure::argument(format!("count: {count}, expected 0 or more")))?;
        Ok(self::session(session)?.truncate(keep)?)
    });
}

/// Removes all messages but the system message, and empties the KV cache.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionClear(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    session: jlong,
) {
    call(env, |_| Ok(self::session(session)?.clear()?));
}

/// Uses other adapters from now on: a JSON array of `FILE` or `FILE=SCALE`.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionSetAdapters<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    session: jlong,
    adapters: JByteArray<'l>,
) {
    call(env, |env| {
        let files = core_adapters(&texts(env, &adapters, "adapters")?)?;
        Ok(self::session(session)?.set_adapters(&files)?)
    });
}

/// Returns the tools that the last turn could not constrain, as a JSON array.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionLeftOut<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    session: jlong,
) -> JByteArray<'l> {
    call(env, |env| give(env, self::session(session)?.left_out()?.as_bytes()))
}

/// Returns what the governor decided, as JSON.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionGovernor<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    session: jlong,
) -> JByteArray<'l> {
    call(env, |env| give(env, self::session(session)?.governor()?.as_bytes()))
}

/// Returns the memory of the session and of the process: the fields of `HappyMemory` in order.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionMemory<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    session: jlong,
) -> JLongArray<'l> {
    call(env, |env| give_numbers(env, &numbers::memory(self::session(session)?.memory()?)))
}

/// Begins a turn.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_start<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    session: jlong,
    text: JByteArray<'l>,
    options: JByteArray<'l>,
    cancel: jlong,
) {
    call(env, |env| {
        let session = self::session(session)?;
        let said = optional(env, &text, "text")?;
        let mut settings = options::turn(&self::text(env, &options, "options")?)?;
        settings.cancel = Some(registry::get::<CancelToken>(from_java(cancel))?);
        Ok(session.start(said.as_deref(), &settings)?)
    });
}

/// Returns the next event. The array is made after the session is free again, since making it may run Java code.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_next<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    session: jlong,
) -> JByteArray<'l> {
    call(env, |env| {
        let mut record = Vec::new();
        self::session(session)?.next(&mut |event| record = events::encode(event))?;
        give(env, &record)
    })
}

/// Ends a turn.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_stop(env: EnvUnowned<'_>, _: JClass<'_>, session: jlong) {
    call(env, |_| -> Result<(), Trouble> { Ok(self::session(session)?.stop()?) });
}
