//! The methods of `HappyModel`.

use super::arrays::{self, give, give_numbers, give_tokens, text, tokens};
use super::call::{Trouble, call};
use super::library::{free, from_java, to_java};
use super::{numbers, options};
use crate::capi::descriptor;
use crate::core::model::{Model, Place};
use crate::core::{CancelToken, registry};
use crate::failure::{Failure, Outcome};
use jni::objects::{JByteArray, JClass, JIntArray, JLongArray, JObject};
use jni::refs::Reference;
use jni::sys::{jboolean, jint, jlong};
use jni::{Env, EnvUnowned, JValue, jni_sig, jni_str};
use std::sync::Arc;

fn model(handle: jlong) -> Outcome<Arc<Model>> {
    registry::get::<Model>(from_java(handle))
}

fn path(env: &Env<'_>, path: &JByteArray<'_>) -> Result<Place, Trouble> {
    Ok(Place::path(&text(env, path, "path")?)?)
}

/// A part of a file by its descriptor. Android's asset descriptors say -1 for "to the end".
fn part(fd: jint, offset: jlong, length: jlong) -> Result<Place, Trouble> {
    let (fd, offset, length) = checked(fd.into(), offset, length)?;
    // SAFETY: the descriptor is the Java program's to use: it got it from its system.
    Ok(unsafe { descriptor::place(fd, offset, length)? })
}

/// The parts of a split model, three numbers each: descriptor, offset, length.
fn parts(env: &Env<'_>, parts: &JLongArray<'_>) -> Result<Place, Trouble> {
    let numbers = arrays::numbers(env, parts, "parts")?;
    let mut all = Vec::new();
    for part in numbers.chunks_exact(3) {
        all.push(checked(part[0], part[1], part[2])?);
    }
    // SAFETY: the descriptors are the Java program's to use: it got them from its system.
    Ok(unsafe { descriptor::places(all)? })
}

fn checked(fd: i64, offset: jlong, length: jlong) -> Outcome<(i32, u64, u64)> {
    let fd = i32::try_from(fd).map_err(|_| Failure::argument(format!("fd: {fd}, expected a descriptor")))?;
    let offset = u64::try_from(offset)
        .map_err(|_| Failure::argument(format!("offset: {offset}, expected 0 or more")))?;
    Ok((fd, offset, u64::try_from(length).unwrap_or(0)))
}

/// Loads a model. `progress` is null or a `HappyProgress`: it is called on this thread, and what it throws ends
/// loading.
fn open(
    env: &mut Env<'_>,
    place: &Place,
    options: &JByteArray<'_>,
    cancel: jlong,
    progress: &JObject<'_>,
) -> Result<jlong, Trouble> {
    let options = options::load(&text(env, options, "options")?)?;
    let cancel = registry::get_optional::<CancelToken>(from_java(cancel))?;
    let listens = !progress.is_null();
    let mut call = |share: f32| {
        let arguments = [JValue::Float(share)];
        let said = env.call_method(progress, jni_str!("onProgress"), jni_sig!("(F)Z"), &arguments);
        // An exception stays pending: it is thrown when this function returns.
        said.and_then(|value| value.z()).unwrap_or(false)
    };
    let model =
        Model::open(place, &options, cancel.as_deref(), if listens { Some(&mut call) } else { None })?;
    Ok(to_java(registry::insert(model)?))
}

/// What a file takes.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_planFile<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    path: JByteArray<'l>,
    options: JByteArray<'l>,
) -> JLongArray<'l> {
    call(env, |env| {
        let place = self::path(env, &path)?;
        let planned = place.plan(&options::load(&text(env, &options, "options")?)?)?;
        give_numbers(env, &numbers::plan(planned))
    })
}

/// What a part of a file takes.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_planFd<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    fd: jint,
    offset: jlong,
    length: jlong,
    options: JByteArray<'l>,
) -> JLongArray<'l> {
    call(env, |env| {
        let place = part(fd, offset, length)?;
        let planned = place.plan(&options::load(&text(env, &options, "options")?)?)?;
        give_numbers(env, &numbers::plan(planned))
    })
}

/// What parts of files take.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_planFds<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    parts: JLongArray<'l>,
    options: JByteArray<'l>,
) -> JLongArray<'l> {
    call(env, |env| {
        let place = self::parts(env, &parts)?;
        let planned = place.plan(&options::load(&text(env, &options, "options")?)?)?;
        give_numbers(env, &numbers::plan(planned))
    })
}

/// Loads a file.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_openFile<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    path: JByteArray<'l>,
    options: JByteArray<'l>,
    cancel: jlong,
    progress: JObject<'l>,
) -> jlong {
    call(env, |env| {
        let place = self::path(env, &path)?;
        open(env, &place, &options, cancel, &progress)
    })
}

/// Loads parts of files.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_openFds<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    parts: JLongArray<'l>,
    options: JByteArray<'l>,
    cancel: jlong,
    progress: JObject<'l>,
) -> jlong {
    call(env, |env| {
        let place = self::parts(env, &parts)?;
        open(env, &place, &options, cancel, &progress)
    })
}

/// Loads a part of a file.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_openFd<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    fd: jint,
    offset: jlong,
    length: jlong,
    options: JByteArray<'l>,
    cancel: jlong,
    progress: JObject<'l>,
) -> jlong {
    call(env, |env| {
        let place = part(fd, offset, length)?;
        open(env, &place, &options, cancel, &progress)
    })
}

/// Frees a model.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_modelFree(env: EnvUnowned<'_>, _: JClass<'_>, model: jlong) {
    call(env, |_| free::<Model>(model));
}

/// Makes the sessions wait.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_modelPause(env: EnvUnowned<'_>, _: JClass<'_>, model: jlong) {
    call(env, |_| {
        self::model(model)?.engine().pause();
        Ok(())
    });
}

/// Lets the sessions go on.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_modelResume(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    model: jlong,
) {
    call(env, |_| {
        self::model(model)?.engine().resume();
        Ok(())
    });
}

/// What a session takes.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_modelPlan<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    model: jlong,
) -> JLongArray<'l> {
    call(env, |env| give_numbers(env, &numbers::plan(self::model(model)?.plan())))
}

/// What a model is, as JSON.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_modelInfo<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    model: jlong,
    metadata: jboolean,
) -> JByteArray<'l> {
    call(env, |env| give(env, self::model(model)?.info(metadata).as_bytes()))
}

/// Returns what other devices are verified against, as JSON.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_modelReference<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    model: jlong,
    cancel: jlong,
) -> JByteArray<'l> {
    call(env, |env| {
        let cancel = registry::get_optional::<CancelToken>(from_java(cancel))?;
        give(env, self::model(model)?.reference(cancel.as_deref())?.as_bytes())
    })
}

/// Returns the first difference from a reference, as JSON.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_modelVerify<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    model: jlong,
    reference: JByteArray<'l>,
    cancel: jlong,
) -> JByteArray<'l> {
    call(env, |env| {
        let cancel = registry::get_optional::<CancelToken>(from_java(cancel))?;
        let reference = text(env, &reference, "reference")?;
        give(env, self::model(model)?.verify(&reference, cancel.as_deref())?.as_bytes())
    })
}

/// Returns the tokens of a text.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_tokenize<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    model: jlong,
    text: JByteArray<'l>,
    special: jboolean,
) -> JIntArray<'l> {
    call(env, |env| {
        let found = self::model(model)?.tokenize(&self::text(env, &text, "text")?, special)?;
        give_tokens(env, &found)
    })
}

/// Text of tokens.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_detokenize<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    model: jlong,
    tokens: JIntArray<'l>,
    special: jboolean,
) -> JByteArray<'l> {
    call(env, |env| {
        let found = self::model(model)?.detokenize(&self::tokens(env, &tokens, "tokens")?, special)?;
        give(env, found.as_bytes())
    })
}

/// Bytes of a token.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_tokenPiece<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    model: jlong,
    token: jint,
) -> JByteArray<'l> {
    call(env, |env| give(env, &self::model(model)?.piece(token as u32)?))
}

/// A prompt of messages.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_applyTemplate<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    model: jlong,
    messages: JByteArray<'l>,
    tools: JByteArray<'l>,
    answer: jboolean,
) -> JByteArray<'l> {
    call(env, |env| {
        let (messages, tools) = (text(env, &messages, "messages")?, text(env, &tools, "tools")?);
        give(env, self::model(model)?.apply_template(&messages, &tools, answer)?.as_bytes())
    })
}
