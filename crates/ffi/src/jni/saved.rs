//! The methods of `HappySession` for files, branches and reused computations.

use super::arrays::{give, give_numbers, text};
use super::call::call;
use super::library::from_java;
use super::numbers;
use super::session::session;
use crate::capi::saved::trim_level;
use crate::core::{CancelToken, registry};
use crate::failure::{Failure, Outcome};
use jni::EnvUnowned;
use jni::objects::{JByteArray, JClass, JLongArray};
use jni::sys::{jint, jlong};

/// A number that Java counts with.
fn counted(number: jint) -> Outcome<usize> {
    usize::try_from(number).map_err(|_| Failure::argument(format!("number: {number}, expected 0 or more")))
}

/// Writes a file.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionSave<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    session: jlong,
    path: JByteArray<'l>,
) {
    call(env, |env| Ok(self::session(session)?.save(&text(env, &path, "path")?)?));
}

/// Continues with a file.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionRestore<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    session: jlong,
    path: JByteArray<'l>,
) {
    call(env, |env| Ok(self::session(session)?.restore(&text(env, &path, "path")?)?));
}

/// Computes the tokens of a file again, and continues with it.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionReplay<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    session: jlong,
    path: JByteArray<'l>,
    cancel: jlong,
) {
    call(env, |env| {
        let session = self::session(session)?;
        let cancel = registry::get_optional::<CancelToken>(from_java(cancel))?;
        Ok(session.replay(&text(env, &path, "path")?, cancel.as_deref())?)
    });
}

/// Saves the turns and messages that the session's file does not have yet.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionAppend(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    session: jlong,
) {
    call(env, |_| Ok(self::session(session)?.append()?));
}

/// Compacts the file.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionCompact(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    session: jlong,
) {
    call(env, |_| Ok(self::session(session)?.compact()?));
}

/// Closes the file and continues without one.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionCloseFile(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    session: jlong,
) {
    call(env, |_| Ok(self::session(session)?.close_file()?));
}

/// Describes the file as JSON.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionFile<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    session: jlong,
) -> JByteArray<'l> {
    call(env, |env| give(env, self::session(session)?.file()?.as_bytes()))
}

/// Takes the last answer back.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionRegenerate(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    session: jlong,
) {
    call(env, |_| Ok(self::session(session)?.regenerate()?));
}

/// Goes back to before a message of the user.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionEdit(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    session: jlong,
    number: jint,
) {
    call(env, |_| Ok(self::session(session)?.edit(counted(number)?)?));
}

/// Goes on in a copy, and gives its number.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionBranch(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    session: jlong,
) -> jint {
    call(env, |_| Ok(jint::try_from(self::session(session)?.branch()?).unwrap_or(jint::MAX)))
}

/// Goes on with a branch.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionGoToBranch(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    session: jlong,
    number: jint,
) {
    call(env, |_| Ok(self::session(session)?.go_to_branch(counted(number)?)?));
}

/// Keeps what is computed.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionPin(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    session: jlong,
) {
    call(env, |_| Ok(self::session(session)?.pin()?));
}

/// What was pinned goes like the rest.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionUnpin(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    session: jlong,
) {
    call(env, |_| Ok(self::session(session)?.unpin()?));
}

/// What was reused.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionReuse<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    session: jlong,
) -> JLongArray<'l> {
    call(env, |env| give_numbers(env, &numbers::reuse(self::session(session)?.reuse()?)))
}

/// Gives memory back.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_sessionTrim(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    session: jlong,
    level: jint,
) {
    call(env, |_| Ok(self::session(session)?.trim(trim_level(level)?)?));
}
