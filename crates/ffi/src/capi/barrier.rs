//! What every function of the header is wrapped in: no panic crosses to C, and errors go out as handles.

use super::types::HappyError;
use crate::core::{Failed, log, registry};
use crate::failure::{Failure, Outcome};
use crate::log_level::LogLevel;
use crate::status::Status;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// Runs a call; its failure, or its panic, becomes a status and an error.
///
/// What a panic leaves half done is under a lock that it poisons: later calls for the same session get an error.
///
/// # Safety
/// `error` is NULL or can be written.
pub(super) unsafe fn guard(error: *mut *mut HappyError, call: impl FnOnce() -> Outcome<()>) -> Status {
    let mut call = Some(call);
    // SAFETY: the caller's promise.
    unsafe { guard_shared(error, &mut || call.take().map_or(Ok(()), |call| call())) }
}

/// Does what [`guard`] does. It is no generic function, so that the library holds it once and not for every function.
///
/// # Safety
/// `error` is NULL or can be written.
unsafe fn guard_shared(error: *mut *mut HappyError, call: &mut dyn FnMut() -> Outcome<()>) -> Status {
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the caller's promise.
        unsafe { tell(error, ptr::null_mut()) };
        call()
    }));
    let failure = match result {
        Ok(Ok(())) => return Status::Ok,
        Ok(Err(failure)) => failure,
        Err(panic) => Failure::new(Status::Internal, contained(panic)),
    };
    let status = failure.status;
    value((), || {
        log::say(LogLevel::Error, || failure.message.clone());
        if !error.is_null()
            && let Ok(handle) = registry::insert(Failed::from(failure))
        {
            // SAFETY: the caller's promise.
            unsafe { tell(error, handle as *mut HappyError) };
        }
    });
    status
}

/// Runs a call that cannot fail; `otherwise` if it panics all the same.
pub(super) fn value<T>(otherwise: T, call: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        contained(panic);
        otherwise
    })
}

/// What a panic says. Its payload is dropped where another panic does no harm.
pub(crate) fn contained(panic: Box<dyn Any + Send>) -> String {
    let said = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "no message".to_owned(),
    };
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
    format!("an internal error, please report it: {said}")
}

/// # Safety
/// `error` is NULL or can be written.
unsafe fn tell(error: *mut *mut HappyError, handle: *mut HappyError) {
    if !error.is_null() {
        // SAFETY: the caller's promise; C programs may pack their structs.
        unsafe { error.write_unaligned(handle) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn panics_become_errors() {
        struct Nasty;
        impl Drop for Nasty {
            fn drop(&mut self) {
                panic!("while dropping");
            }
        }
        let calls: [(fn(), &str); 3] = [
            (|| panic!("a text"), "a text"),
            (|| panic!("a number: {}", 7), "a number: 7"),
            (|| std::panic::panic_any(Nasty), "no message"),
        ];
        for (call, expected) in calls {
            let mut error = ptr::null_mut();
            // SAFETY: `error` can be written.
            let status = unsafe {
                guard(&mut error, || {
                    call();
                    Ok(())
                })
            };
            assert_eq!(status, Status::Internal);
            let failed = registry::get::<Failed>(error as usize).unwrap();
            assert!(failed.text().to_str().unwrap().ends_with(expected), "{:?}", failed.text());
            assert_eq!(registry::free::<Failed>(error as usize), Status::Ok);
            // Nowhere to tell it: still a status.
            // SAFETY: NULL is allowed.
            let status = unsafe { guard(ptr::null_mut(), || panic!("again")) };
            assert_eq!(status, Status::Internal);
        }
        assert_eq!(value(3, || panic!("no status")), 3);
    }

    /// Reads the sources: a function without the barrier would pass every other test.
    #[test]
    fn every_function_has_the_barrier() {
        let folders = ["/src/capi", "/src/capi/options"].map(|f| env!("CARGO_MANIFEST_DIR").to_owned() + f);
        let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
        let (mut functions, mut failures) = (Vec::new(), Vec::new());
        for path in files.map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
            let text = fs::read_to_string(&path).unwrap();
            for part in text.split("#[unsafe(no_mangle)]\n").skip(1) {
                let name = part.split("fn ").nth(1).and_then(|rest| rest.split('(').next()).unwrap_or("?");
                functions.push(name.to_owned());
                // The body begins after the line that ends the signature.
                let body = part.split_once(" {\n").map_or("", |(_, body)| body);
                let comment = |line: &&str| !line.starts_with("//") && *line != "unsafe {";
                let first = body.lines().map(str::trim).find(comment).unwrap_or("");
                let guarded =
                    ["guard(", "value(", "unsafe { guard("].iter().any(|call| first.starts_with(call));
                // And it ends where the barrier does.
                let last = body.split("\n}\n").next().unwrap_or("").lines().last().unwrap_or("").trim();
                let whole = ["})", "}", "value(0, || HAPPY_ABI_VERSION)"].contains(&last)
                    || last.starts_with("value(")
                    || last.starts_with("unsafe { guard(");
                if !guarded || !whole || !part.trim_start().contains("extern \"C\" fn") {
                    failures.push(format!("{}: {name}: {first:?} .. {last:?}", path.display()));
                }
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
        let header = include_str!("../../include/happy.h");
        let code = header.lines().filter(|line| !line.trim_start().starts_with(['*', '/']));
        let mut declared: Vec<&str> = code
            .filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next())
            .filter(|name| name.starts_with("happy_"))
            .collect();
        functions.sort_unstable();
        declared.sort_unstable();
        assert_eq!(functions, declared);
        assert!(functions.len() > 40);
    }
}
