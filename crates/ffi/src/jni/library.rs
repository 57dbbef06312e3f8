//! The methods of `Happy`, `HappyCancel`, and what the others have in common.

use super::arrays::give;
use super::call::{Trouble, call};
use crate::core::registry::{self, Kind};
use crate::core::{CancelToken, cpu, device, strings};
use crate::failure::Failure;
use crate::status::Status;
use jni::EnvUnowned;
use jni::objects::{JByteArray, JClass};
use jni::sys::{jfloat, jint, jlong};

/// What `Native.java` and these functions must agree on.
const VERSION: jint = 1;

/// A handle as Java holds it.
pub(super) fn to_java(handle: usize) -> jlong {
    handle as jlong
}

/// A handle from Java; a number that no pointer has names nothing.
pub(super) fn from_java(handle: jlong) -> usize {
    usize::try_from(handle as u64).unwrap_or(usize::MAX)
}

/// Takes a handle away.
pub(super) fn free<T: Kind>(handle: jlong) -> Result<(), Trouble> {
    match registry::free::<T>(from_java(handle)) {
        Status::Ok => Ok(()),
        status => Err(Failure::new(status, "the handle was freed before").into()),
    }
}

/// The version of the Java interface.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_bindingVersion(env: EnvUnowned<'_>, _: JClass<'_>) -> jint {
    call(env, |_| Ok(VERSION))
}

/// The library's version.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_version<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
) -> JByteArray<'l> {
    call(env, |env| give(env, env!("CARGO_PKG_VERSION").as_bytes()))
}

/// The processor, as JSON.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_cpu<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
) -> JByteArray<'l> {
    call(env, |env| give(env, cpu::describe()?.as_bytes()))
}

/// Handles and texts that are not freed.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_liveHandles(env: EnvUnowned<'_>, _: JClass<'_>) -> jlong {
    call(env, |_| Ok(to_java(registry::live() + strings::live())))
}

/// What the app knows of the device.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_reportDevice(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    headroom: jfloat,
    status: jint,
    saver: jint,
) {
    call(env, |_| Ok(device::tell(headroom, status, saver)?));
}

/// A cancel token.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_cancelNew(env: EnvUnowned<'_>, _: JClass<'_>) -> jlong {
    call(env, |_| Ok(to_java(registry::insert(CancelToken::new())?)))
}

/// Raises a cancel token.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_cancelRaise(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    cancel: jlong,
) {
    call(env, |_| {
        registry::get::<CancelToken>(from_java(cancel))?.cancel();
        Ok(())
    });
}

/// Lowers a cancel token.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_cancelLower(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    cancel: jlong,
) {
    call(env, |_| {
        registry::get::<CancelToken>(from_java(cancel))?.clear();
        Ok(())
    });
}

/// Frees a cancel token.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_cancelFree(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    cancel: jlong,
) {
    call(env, |_| free::<CancelToken>(cancel));
}
