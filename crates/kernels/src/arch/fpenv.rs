//! The floating-point environment: round to nearest, keep subnormals, mask exceptions.
//!
//! A host program may have changed MXCSR or FPCR (audio and game code flushes subnormals to zero), which would change
//! results. [`FpEnv::enter`] sets the environment that the kernels are defined for, and dropping the guard restores the
//! previous one.

use core::marker::PhantomData;

/// The architecture's default: round to nearest, no flush to zero, no exception traps.
#[cfg(target_arch = "x86_64")]
const DEFAULT: u32 = 0x1F80;
/// MXCSR without the six sticky exception flags, which say nothing about the mode.
#[cfg(target_arch = "x86_64")]
const MODE: u32 = !0x3F;

/// The architecture's default: round to nearest, no flush to zero, IEEE half precision, no exception traps.
#[cfg(target_arch = "aarch64")]
const DEFAULT: u64 = 0;

/// Keeps the thread in the environment that the kernels are defined for. Dropping it restores the previous state.
#[derive(Debug)]
#[must_use = "the environment is restored when this is dropped"]
pub struct FpEnv {
    #[cfg(target_arch = "x86_64")]
    before: u32,
    #[cfg(target_arch = "aarch64")]
    before: u64,
    /// The state belongs to a thread, so the guard must not move to another one.
    not_send: PhantomData<*const ()>,
}

impl FpEnv {
    /// Sets the environment on this thread.
    pub fn enter() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let before = read();
            if before & MODE != DEFAULT {
                write(DEFAULT);
            }
            Self { before, not_send: PhantomData }
        }
        #[cfg(target_arch = "aarch64")]
        {
            let before = read();
            if before != DEFAULT {
                write(DEFAULT);
            }
            Self { before, not_send: PhantomData }
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        Self { not_send: PhantomData }
    }
}

impl Drop for FpEnv {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        if self.before & MODE != DEFAULT {
            write(self.before);
        }
        #[cfg(target_arch = "aarch64")]
        if self.before != DEFAULT {
            write(self.before);
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn read() -> u32 {
    let mut value = 0u32;
    // SAFETY: SSE is part of x86-64; the instruction writes four bytes to `value`.
    unsafe { core::arch::asm!("stmxcsr [{}]", in(reg) &mut value, options(nostack, preserves_flags)) };
    value
}

#[cfg(target_arch = "x86_64")]
fn write(value: u32) {
    // SAFETY: `value` is the default or was read from the register, so no reserved bit is set. The default masks all
    // traps; a state with traps is the caller's own, restored after the kernels have run.
    unsafe { core::arch::asm!("ldmxcsr [{}]", in(reg) &value, options(nostack, preserves_flags)) };
}

#[cfg(target_arch = "aarch64")]
fn read() -> u64 {
    let value: u64;
    // SAFETY: user code may read FPCR.
    unsafe { core::arch::asm!("mrs {}, fpcr", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

#[cfg(target_arch = "aarch64")]
fn write(value: u64) {
    // SAFETY: user code may write FPCR; `value` is the default or was read from it.
    unsafe { core::arch::asm!("msr fpcr, {}", in(reg) value, options(nostack, preserves_flags)) };
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn flush_to_zero_is_undone_inside_and_restored_after() {
        // FTZ and DAZ with round-up on x86-64, FZ with round-up on AArch64.
        #[cfg(target_arch = "x86_64")]
        let odd = DEFAULT | 1 << 15 | 1 << 6 | 2 << 13;
        #[cfg(target_arch = "aarch64")]
        let odd = 1 << 24 | 1 << 22;
        let half_of_least = || black_box(f32::MIN_POSITIVE) * black_box(0.5);
        let before = read();
        write(odd);
        let flushed = half_of_least();
        let inside = {
            let _guard = FpEnv::enter();
            (half_of_least(), black_box(1.0f32) + black_box(1e-10))
        };
        let after = read();
        write(before);
        assert_eq!(flushed, 0.0);
        assert_eq!((inside.0.to_bits(), inside.1), (1 << 22, 1.0));
        #[cfg(target_arch = "x86_64")]
        assert_eq!(after & MODE, odd & MODE);
        #[cfg(target_arch = "aarch64")]
        assert_eq!(after, odd);
    }
}
