//! Tests every rule with a file that satisfies it and with files that break it, made by [`super::write`].

use super::bionic::Bionic;
use super::image::{Abi, Image, Import};
use super::write::Spec;
use super::{Wanted, judge, parse_size};
use object::elf;

const LINKER: &str = "/system/bin/linker64";
const STACK: (u32, u32) = (elf::PT_GNU_STACK.0, elf::PF_R.0 | elf::PF_W.0);
const RELRO: (u32, u32) = (elf::PT_GNU_RELRO.0, elf::PF_R.0);

fn write(spec: &Spec) -> Vec<u8> {
    super::write::write(spec).expect("a small file")
}

/// Returns a library that breaks no rule.
fn library() -> Spec<'static> {
    Spec {
        soname: Some("libhappy.so"),
        exports: &["happy_version"],
        imports: &[("malloc", false), ("getrandom", true)],
        needed: &["libc.so"],
        ..Spec::default()
    }
}

/// Returns a program that breaks no rule.
fn program() -> Spec<'static> {
    Spec { interpreter: Some(LINKER), imports: &[("malloc", false)], needed: &["libc.so"], ..Spec::default() }
}

/// A file that breaks a rule: its name, the file, the API level, the rule, and a part of the message.
type Case = (&'static str, Spec<'static>, u32, &'static str, &'static str);

fn cases() -> Vec<Case> {
    let so = "libhappy.so";
    vec![
        (so, Spec { file_type: elf::ET_EXEC.0, ..library() }, 26, "position", "not ET_DYN"),
        (so, Spec { interpreter: Some(LINKER), ..library() }, 26, "interpreter", "a library with"),
        ("happy", Spec { interpreter: None, ..program() }, 26, "interpreter", "without an interpreter"),
        (
            "happy",
            Spec { interpreter: Some("/lib/ld-linux-aarch64.so.1"), ..program() },
            26,
            "interpreter",
            "expected /system/bin/linker64",
        ),
        (so, Spec { soname: None, ..library() }, 26, "soname", "no DT_SONAME"),
        (so, Spec { soname: Some("libffi.so"), ..library() }, 26, "soname", "DT_SONAME is libffi.so"),
        (
            so,
            Spec { needed: &["libc.so", "libc++_shared.so"], ..library() },
            26,
            "needed",
            "needs libc++_shared.so",
        ),
        (so, Spec { needed: &["libc.so.6", "libc.so"], ..library() }, 26, "needed", "needs libc.so.6"),
        (
            so,
            Spec { imports: &[("getrandom", false)], ..library() },
            26,
            "imports",
            "`getrandom` needs API 28, you asked for 26",
        ),
        (
            so,
            Spec { imports: &[("pthread_cancel", false)], ..library() },
            36,
            "imports",
            "`pthread_cancel` is in none of",
        ),
        (
            so,
            Spec { imports: &[("fmaf", false)], ..library() },
            26,
            "imports",
            "`fmaf` is in libm, which is not among the needed",
        ),
        (so, Spec { exports: &["happy_version", "main"], ..library() }, 26, "exports", "exports `main`"),
        (so, Spec { exports: &[], ..library() }, 26, "exports", "exports nothing"),
        (so, Spec { align: 0x1000, ..library() }, 26, "pages", "aligned to 0x1000, expected 0x4000"),
        (so, Spec { align: 0x6000, ..library() }, 26, "pages", "aligned to 0x6000"),
        (
            so,
            Spec { load_flags: elf::PF_W.0 | elf::PF_X.0, ..library() },
            26,
            "protection",
            "writable and executable",
        ),
        (so, Spec { segments: &[RELRO], ..library() }, 26, "protection", "no PT_GNU_STACK"),
        (
            so,
            Spec { segments: &[(elf::PT_GNU_STACK.0, 7), RELRO], ..library() },
            26,
            "protection",
            "an executable stack",
        ),
        (so, Spec { segments: &[STACK], ..library() }, 26, "protection", "no PT_GNU_RELRO"),
        (so, Spec { dynamic: &[(elf::DT_TEXTREL.0, 0)], ..library() }, 26, "relocations", "DT_TEXTREL"),
        (so, Spec { dynamic: &[(elf::DT_FLAGS.0, 4)], ..library() }, 26, "relocations", "DT_TEXTREL"),
        (so, Spec { dynamic: &[(elf::DT_RELR.0, 0)], ..library() }, 29, "relocations", "needs API 30"),
        (
            so,
            Spec { dynamic: &[(elf::DT_ANDROID_RELA.0, 0)], ..library() },
            22,
            "relocations",
            "needs API 23",
        ),
        (
            so,
            Spec { segments: &[STACK, RELRO, (elf::PT_TLS.0, 4)], ..library() },
            28,
            "thread-local",
            "PT_TLS needs API 29, you asked for 28",
        ),
        (so, Spec { runpath: Some("/data/local/tmp"), ..library() }, 26, "search-path", "/data/local/tmp"),
        (so, Spec { symtab: true, ..library() }, 26, "stripped", "it has .symtab"),
        ("libhappy.so", Spec { exports: LONG, ..library() }, 26, "size", "bytes, at most 1200"),
    ]
}

/// Enough names to make the file larger than the tests allow.
const LONG: &[&str] = &["happy_version"; 40];

fn wanted(platform: u32) -> Wanted {
    Wanted {
        platform,
        max_size: Some(1200),
        exports: vec!["happy_".into(), "Java_".into()],
        beside: Vec::new(),
    }
}

/// Returns the rules that a file breaks, with their messages.
fn broken(spec: &Spec, name: &str, platform: u32) -> Vec<(&'static str, String)> {
    let image = Image::parse(&write(spec)).expect("a file that can be read");
    let bionic = Bionic::load().expect("the table reads");
    let mut limits = wanted(platform);
    if !name.ends_with(".so") {
        limits.exports.clear();
    }
    let judged = judge(&image, name, &limits, &[], &bionic);
    judged.into_iter().flat_map(|(rule, said)| said.into_iter().map(|said| (rule.name, said))).collect()
}

#[test]
fn faultless_files_keep_all_rules() {
    let faultless = [
        ("libhappy.so", library(), 26),
        ("happy", program(), 26),
        ("happy", Spec { machine: elf::EM_X86_64.0, ..program() }, 26),
        // What is broken at one level is fine at a later one.
        ("libhappy.so", Spec { imports: &[("getrandom", false)], ..library() }, 28),
        ("libhappy.so", Spec { dynamic: &[(elf::DT_RELR.0, 0)], ..library() }, 30),
        ("libhappy.so", Spec { dynamic: &[(elf::DT_ANDROID_RELA.0, 0)], ..library() }, 23),
        ("libhappy.so", Spec { segments: &[STACK, RELRO, (elf::PT_TLS.0, 4)], ..library() }, 29),
        ("libhappy.so", Spec { align: 0x10000, ..library() }, 26),
        ("libhappy.so", Spec { needed: NEEDED_ALL, imports: &[("fmaf", false)], ..library() }, 26),
    ];
    for (name, spec, platform) in faultless {
        assert_eq!(broken(&spec, name, platform), [], "{name} for {platform}");
    }
}

const NEEDED_ALL: &[&str] = &["liblog.so", "libdl.so", "libm.so", "libc.so"];

#[test]
fn every_rule_can_fail() {
    let mut failures = Vec::new();
    for (name, spec, platform, rule, part) in cases() {
        let found = broken(&spec, name, platform);
        if found.len() != 1 || found[0].0 != rule || !found[0].1.contains(part) {
            failures.push(format!("expected {rule}: ..{part}.., found {found:?}"));
        }
    }
    for rule in super::RULES {
        if !cases().iter().any(|case| case.3 == rule.name) {
            failures.push(format!("no case breaks the rule {}", rule.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_segment_off_its_page_is_caught() {
    let mut bytes = write(&library());
    // p_vaddr of the first program header (PT_LOAD), at 64 + 16.
    bytes[80..88].copy_from_slice(&0x1000u64.to_le_bytes());
    let image = Image::parse(&bytes).expect("a file that can be read");
    let bionic = Bionic::load().expect("the table reads");
    let judged = judge(&image, "libhappy.so", &wanted(26), &[], &bionic);
    let (_, said) = judged.iter().find(|(rule, _)| rule.name == "pages").expect("the rule");
    assert!(said.len() == 1 && said[0].contains("differ modulo 0x4000"), "{said:?}");
}

/// An app's own library needs libhappy.so, which is shipped with it.
#[test]
fn a_library_beside_may_be_needed() {
    let app = Spec {
        soname: Some("libhappy.so"),
        needed: &["libhappy.so", "libc.so"],
        imports: &[("happy_version", false)],
        ..library()
    };
    let app = Image::parse(&write(&app)).expect("a file that can be read");
    let beside = [Image::parse(&write(&library())).expect("a file that can be read")];
    let bionic = Bionic::load().expect("the table reads");
    let said = |beside: &[Image]| -> Vec<String> {
        let judged = judge(&app, "libhappy.so", &wanted(26), beside, &bionic);
        judged.into_iter().flat_map(|(_, said)| said).collect()
    };
    assert_eq!(said(&beside), [""; 0]);
    let alone = said(&[]);
    assert!(alone.len() == 2 && alone[0].contains("needs libhappy.so"), "{alone:?}");
    assert!(alone[1].contains("`happy_version` is in none of"), "{alone:?}");
}

#[test]
fn an_image_is_read_whole() {
    let spec = Spec {
        machine: elf::EM_X86_64.0,
        interpreter: Some(LINKER),
        runpath: Some("/x"),
        symtab: true,
        ..library()
    };
    let image = Image::parse(&write(&spec)).expect("a file that can be read");
    assert_eq!(image.abi, Abi::X86_64);
    assert!(image.position_independent && !image.text_relocations && !image.compact_relocations);
    assert_eq!(image.interpreter.as_deref(), Some(LINKER));
    assert_eq!(image.soname.as_deref(), Some("libhappy.so"));
    assert_eq!(image.needed, ["libc.so"]);
    assert_eq!(image.search_paths, ["/x"]);
    assert_eq!(image.exports, ["happy_version"]);
    let import = |name: &str, weak| Import { name: name.into(), weak };
    assert_eq!(image.imports, [import("malloc", false), import("getrandom", true)]);
    assert_eq!(image.debug_sections, [".symtab"]);
}

#[test]
fn what_is_no_such_file_is_an_error() {
    let whole = write(&library());
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    for (bytes, part) in [
        (b"#!/bin/sh\n".to_vec(), "not an ELF file"),
        (Vec::new(), "not an ELF file"),
        (with(4, 1), "64 bits and little-endian"),
        (with(5, 2), "64 bits and little-endian"),
        (with(18, 40), "for machine 40: expected 183 (aarch64) or 62 (x86-64)"),
    ] {
        let refused = Image::parse(&bytes);
        assert!(refused.as_ref().is_err_and(|e| e.contains(part)), "{part}: {refused:?}");
    }
}

/// If a file is cut anywhere, or any byte is flipped, there is a result or an error, never a panic.
#[test]
fn damaged_files_do_not_panic() {
    let whole = write(&Spec { interpreter: Some(LINKER), symtab: true, ..library() });
    for length in 0..whole.len() {
        assert!(Image::parse(&whole[..length]).is_err(), "{length} of {} bytes were taken", whole.len());
    }
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            let _ = Image::parse(&bytes);
        }
    }
}

#[test]
fn sizes_are_read() {
    for (text, expected) in [("3MiB", 3 << 20), ("500 KiB", 500 << 10), ("1000", 1000)] {
        assert_eq!(parse_size(text), Ok(expected), "{text}");
    }
    for text in ["", "3MB", "-1", "MiB", "99999999999999999999", "18446744073709551615KiB"] {
        assert!(parse_size(text).is_err(), "{text}");
    }
}
