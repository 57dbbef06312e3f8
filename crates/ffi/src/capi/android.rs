//! What Android tells of heat, and is told of work: functions of its NDK that are looked up at run time, so that the library also runs
//! where they are missing.
//!
//! ```text
//! AThermal_*           libandroid.so, from API level 30 on (headroom: 31)     android/thermal.h
//! APerformanceHint_*   libandroid.so, from API level 33 on                    android/performance_hint.h
//! ```
//! On other systems there is no such library, and nothing is known.

use happy_engine::Hint;
use happy_engine::governor::{Source, ThermalStatus};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::time::Duration;

/// The library that has them.
const LIBRARY: &CStr = c"libandroid.so";

/// What the system tells of heat, as far as it has the functions.
pub(crate) fn source() -> Box<dyn Source + Send> {
    match Library::open(LIBRARY).as_ref().and_then(Thermal::new) {
        Some(thermal) => Box::new(thermal),
        None => Box::new(()),
    }
}

/// What tells the system how long tokens take, if it wants to know.
pub(crate) fn hint() -> Option<Box<dyn Hint>> {
    let functions = HintFunctions::new(&Library::open(LIBRARY)?)?;
    Some(Box::new(Hints { functions, session: None, target: 0, refused: false }))
}

#[cfg(any(target_os = "android", target_os = "linux"))]
mod system {
    use super::{c_char, c_int, c_void};

    unsafe extern "C" {
        pub(super) fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
        pub(super) fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    }
}

/// Systems without this library.
#[cfg(not(any(target_os = "android", target_os = "linux")))]
mod system {
    use super::{c_char, c_int, c_void};

    pub(super) unsafe fn dlopen(_: *const c_char, _: c_int) -> *mut c_void {
        std::ptr::null_mut()
    }

    pub(super) unsafe fn dlsym(_: *mut c_void, _: *const c_char) -> *mut c_void {
        std::ptr::null_mut()
    }
}

/// RTLD_LAZY, which has this value in bionic and in glibc.
const LAZY: c_int = 1;

/// A library that stays loaded, so that its functions do.
struct Library(*mut c_void);

/// The address of a function, and the function.
union Symbol<F: Copy> {
    address: *mut c_void,
    function: F,
}

impl Library {
    fn open(name: &CStr) -> Option<Self> {
        // SAFETY: the name is a string of C. What the library does when it is loaded is the system's own.
        let library = unsafe { system::dlopen(name.as_ptr(), LAZY) };
        (!library.is_null()).then_some(Self(library))
    }

    /// Looks a function up.
    ///
    /// # Safety
    /// `F` is the function's type: `unsafe extern "C" fn(..)` as in the NDK's header.
    unsafe fn function<F: Copy>(&self, name: &CStr) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>(), "a function's address") };
        // SAFETY: the library is open, and the name is a string of C.
        let address = unsafe { system::dlsym(self.0, name.as_ptr()) };
        if address.is_null() {
            return None;
        }
        // SAFETY: it is the address of a function of this type, says the caller, and not null.
        Some(unsafe { Symbol { address }.function })
    }
}

/// Looks a function up in the libraries that the process has loaded.
///
/// # Safety
/// As [`Library::function`].
#[cfg(all(target_os = "android", target_pointer_width = "64"))]
pub(super) unsafe fn function_of_process<F: Copy>(name: &CStr) -> Option<F> {
    // RTLD_DEFAULT is NULL there.
    // SAFETY: the caller's promise.
    unsafe { Library(std::ptr::null_mut()).function(name) }
}

/// `AThermalManager *`.
type Manager = *mut c_void;

/// Heat by a thermal manager of the NDK.
struct Thermal {
    manager: Manager,
    status: unsafe extern "C" fn(Manager) -> c_int,
    headroom: Option<unsafe extern "C" fn(Manager, c_int) -> f32>,
    release: unsafe extern "C" fn(Manager),
}

// SAFETY: the manager may be used by any thread, one at a time, as `&mut self` ensures.
unsafe impl Send for Thermal {}

impl Thermal {
    fn new(library: &Library) -> Option<Self> {
        // SAFETY: the types are those of android/thermal.h.
        let (acquire, status, headroom, release) = unsafe {
            (
                library.function::<unsafe extern "C" fn() -> Manager>(c"AThermal_acquireManager")?,
                library.function(c"AThermal_getCurrentThermalStatus")?,
                library.function(c"AThermal_getThermalHeadroom"),
                library.function(c"AThermal_releaseManager")?,
            )
        };
        // SAFETY: it takes nothing.
        let manager = unsafe { acquire() };
        (!manager.is_null()).then_some(Self { manager, status, headroom, release })
    }
}

impl Drop for Thermal {
    fn drop(&mut self) {
        // SAFETY: the manager is ours, and not used after this.
        unsafe { (self.release)(self.manager) }
    }
}

impl Source for Thermal {
    fn headroom(&mut self, forecast: Duration) -> Option<f64> {
        let seconds = c_int::try_from(forecast.as_secs()).unwrap_or(0);
        // SAFETY: the manager is live.
        let headroom = unsafe { (self.headroom?)(self.manager, seconds) };
        // Not supported, or asked too often: NaN. Some devices always say 0.
        (headroom.is_finite() && headroom > 0.0).then_some(f64::from(headroom))
    }

    fn status(&mut self) -> Option<ThermalStatus> {
        // SAFETY: the manager is live.
        ThermalStatus::from_number(unsafe { (self.status)(self.manager) })
    }
}

/// `APerformanceHintSession *`.
type Session = *mut c_void;

/// The functions of hint sessions.
#[derive(Clone, Copy)]
struct HintFunctions {
    manager: *mut c_void,
    create: unsafe extern "C" fn(*mut c_void, *const i32, usize, i64) -> Session,
    update: unsafe extern "C" fn(Session, i64) -> c_int,
    report: unsafe extern "C" fn(Session, i64) -> c_int,
    close: unsafe extern "C" fn(Session),
}

impl HintFunctions {
    fn new(library: &Library) -> Option<Self> {
        // SAFETY: the types are those of android/performance_hint.h.
        unsafe {
            let manager =
                library.function::<unsafe extern "C" fn() -> *mut c_void>(c"APerformanceHint_getManager")?;
            let functions = Self {
                manager: manager(),
                create: library.function(c"APerformanceHint_createSession")?,
                update: library.function(c"APerformanceHint_updateTargetWorkDuration")?,
                report: library.function(c"APerformanceHint_reportActualWorkDuration")?,
                close: library.function(c"APerformanceHint_closeSession")?,
            };
            (!functions.manager.is_null()).then_some(functions)
        }
    }
}

/// Tells the system how long tokens take and should take. The session begins with the first token whose time is expected, since it
/// wants the threads that compute.
struct Hints {
    functions: HintFunctions,
    session: Option<Session>,
    /// Nanoseconds that a token should take, as the system was told last.
    target: i64,
    refused: bool,
}

// SAFETY: a session may be used by any thread, one at a time, as `&mut self` ensures.
unsafe impl Send for Hints {}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX).max(1)
}

/// The ids of this thread and of those of our pools, by their names.
#[cfg(any(target_os = "android", target_os = "linux"))]
fn computing_threads() -> Vec<i32> {
    let own = std::fs::read_link("/proc/thread-self").ok();
    let own = own.and_then(|path| path.file_name()?.to_str()?.parse().ok());
    let id_of = |entry: std::io::Result<std::fs::DirEntry>| -> Option<i32> {
        let entry = entry.ok()?;
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        name.starts_with("happy-").then(|| entry.file_name().to_str()?.parse().ok())?
    };
    let others = std::fs::read_dir("/proc/self/task").into_iter().flatten().filter_map(id_of);
    own.into_iter().chain(others.filter(|id| Some(*id) != own)).collect()
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn computing_threads() -> Vec<i32> {
    Vec::new()
}

impl Hints {
    fn begin(&mut self, target: i64) -> Option<Session> {
        if self.refused {
            return None;
        }
        let threads = computing_threads();
        // SAFETY: the manager is live, and the list has so many ids.
        let session = unsafe {
            (self.functions.create)(self.functions.manager, threads.as_ptr(), threads.len(), target)
        };
        self.refused = session.is_null();
        self.session = Some(session).filter(|session| !session.is_null());
        self.target = target;
        self.session
    }
}

impl Hint for Hints {
    fn passed(&mut self, took: Duration, expected: Option<Duration>) {
        let Some(target) = expected.map(nanoseconds) else { return };
        let Some(session) = self.session.or_else(|| self.begin(target)) else { return };
        // SAFETY: the session is live.
        unsafe {
            // A twentieth is not worth a call to another process.
            if target.abs_diff(self.target) > self.target.unsigned_abs() / 20 {
                (self.functions.update)(session, target);
                self.target = target;
            }
            (self.functions.report)(session, nanoseconds(took));
        }
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // SAFETY: the session is ours, and not used after this.
            unsafe { (self.functions.close)(session) }
        }
    }
}

/// With a library in the place of Android's, which a compiler of C makes.
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::process::Command;

    const SOURCE: &str = r"
        #include <stddef.h>
        #include <stdint.h>
        int64_t calls[8];
        static int manager;
        void *AThermal_acquireManager(void) { calls[0]++; return &manager; }
        void AThermal_releaseManager(void *m) { calls[0] -= m == &manager; }
        int AThermal_getCurrentThermalStatus(void *m) { return m == &manager ? 3 : -1; }
        float AThermal_getThermalHeadroom(void *m, int seconds) { return m == &manager ? seconds / 10.0f : -1; }
        void *APerformanceHint_getManager(void) { return &manager; }
        void *APerformanceHint_createSession(void *m, const int32_t *ids, size_t n, int64_t target) {
            calls[1] = n; calls[2] = ids[0]; calls[3] = target; return m == &manager ? calls : 0;
        }
        int APerformanceHint_updateTargetWorkDuration(void *s, int64_t target) { calls[3] = target; return s != calls; }
        int APerformanceHint_reportActualWorkDuration(void *s, int64_t took) { calls[4]++; calls[5] = took; return s != calls; }
        void APerformanceHint_closeSession(void *s) { calls[6] += s == calls; }
        int64_t call(int i) { return calls[i]; }
    ";

    #[test]
    fn what_the_system_has_is_found_and_called() {
        let folder = std::env::temp_dir().join(format!("happy-ffi-android-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (source, library) = (folder.join("android.c"), folder.join("libandroid.so"));
        std::fs::write(&source, SOURCE).unwrap();
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        if !built.is_ok_and(|status| status.success()) {
            happy_testkit::skip("no C compiler");
            return;
        }
        let name = CString::new(library.to_str().unwrap()).unwrap();
        let library = Library::open(&name).unwrap();
        // SAFETY: it is the function above.
        let call = unsafe { library.function::<unsafe extern "C" fn(c_int) -> i64>(c"call") }.unwrap();
        // SAFETY: there are 8 numbers.
        let call = |i| unsafe { call(i) };
        let mut thermal = Thermal::new(&library).unwrap();
        assert_eq!((thermal.status(), call(0)), (Some(ThermalStatus::Severe), 1));
        assert_eq!(thermal.headroom(Duration::from_secs(5)), Some(0.5));
        assert_eq!(thermal.headroom(Duration::ZERO), None, "some devices always say 0");
        drop(thermal);
        assert_eq!(call(0), 0);

        let functions = HintFunctions::new(&library).unwrap();
        let mut hints = Hints { functions, session: None, target: 0, refused: false };
        let ms = Duration::from_millis;
        hints.passed(ms(50), None);
        assert_eq!(call(4), 0, "nothing is expected yet");
        hints.passed(ms(50), Some(ms(40)));
        let own: i64 = std::fs::read_link("/proc/thread-self")
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(call(1) >= 1 && call(2) == own);
        assert_eq!((call(3), call(4), call(5)), (40_000_000, 1, 50_000_000));
        hints.passed(ms(45), Some(ms(41)));
        assert_eq!((call(3), call(4)), (40_000_000, 2), "almost the same target");
        hints.passed(ms(45), Some(ms(80)));
        assert_eq!((call(3), call(4), call(6)), (80_000_000, 3, 0));
        drop(hints);
        assert_eq!(call(6), 1);
        assert!(Library::open(c"libno-such-library.so").is_none());
        let _ = std::fs::remove_dir_all(folder);
    }
}
