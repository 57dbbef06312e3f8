//! The code that a linker puts before everything else: Android's note and, in a program, the first instructions.
//!
//! This is not a module of this package: `stub.rs` compiles it for Android with `API_LEVEL` replaced. It replaces the
//! NDK's `crtbegin_dynamic.o` (with `--cfg program`) and `crtbegin_so.o`. The format of the note and the arguments of
//! `__libc_init` are those of bionic's `libc/arch-common/bionic/crtbrand.S` and `libc/bionic/libc_init_dynamic.cpp`.

#![no_std]

use core::arch::global_asm;

global_asm!(
    ".section .note.android.ident, \"a\", %note",
    ".balign 4",
    ".long 8, 4, 1",
    ".asciz \"Android\"",
    ".long API_LEVEL",
    ".hidden __dso_handle",
    ".globl __dso_handle",
    ".data",
    ".balign 8",
    "__dso_handle: .quad __dso_handle",
);

// The C library runs the constructors of a program that is linked dynamically; of the arrays it reads the last one's first
// word, where -1 means an empty array.
#[cfg(program)]
global_asm!(
    ".section .data.rel.ro.start, \"aw\", %progbits",
    ".balign 8",
    "empty_array: .quad -1, 0",
    "structors: .quad empty_array, empty_array, empty_array",
);

// __libc_init(stack pointer, null, main, structors)
#[cfg(all(program, target_arch = "aarch64"))]
global_asm!(
    ".text",
    ".globl _start",
    ".type _start, %function",
    "_start:",
    "bti j",
    "mov x29, #0",
    "mov x30, #0",
    "mov x0, sp",
    "mov x1, #0",
    "adrp x2, :got:main",
    "ldr x2, [x2, :got_lo12:main]",
    "adrp x3, structors",
    "add x3, x3, :lo12:structors",
    "b __libc_init",
    ".size _start, . - _start",
);

#[cfg(all(program, target_arch = "x86_64"))]
global_asm!(
    ".text",
    ".globl _start",
    ".type _start, %function",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "xor esi, esi",
    "mov rdx, qword ptr [rip + main@GOTPCREL]",
    "lea rcx, [rip + structors]",
    "call __libc_init",
    "ud2",
    ".size _start, . - _start",
);
