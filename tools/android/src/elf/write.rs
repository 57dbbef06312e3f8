//! Writes the smallest ELF files that a linker or Android's loader accepts: shared objects without code.
//!
//! The linker learns from them what a system library exports, which is all that it needs (`android/stub.rs`). The tests
//! of the rules make files with every kind of error with them. A single read-only segment holds everything:
//!
//! ```text
//! header, program headers, interpreter, dynamic symbols, strings, dynamic section, section names, section headers
//! ```
//! Layout and numbers are those of the System V ABI, chapters 4 and 5 ("Object Files", "Program Loading and Dynamic
//! Linking").

use happy_tool_kit::Result;
use object::write::elf::{FileHeader, ProgramHeader, Sym, Writer};
use object::{Endianness, elf};

/// Bytes of a symbol.
const SYMBOL: u64 = 24;

/// What to write.
pub(crate) struct Spec<'a> {
    pub(crate) machine: u16,
    pub(crate) file_type: u16,
    pub(crate) soname: Option<&'a str>,
    pub(crate) exports: &'a [&'a str],
    /// Undefined symbols, and whether they are weak.
    pub(crate) imports: &'a [(&'a str, bool)],
    pub(crate) needed: &'a [&'a str],
    pub(crate) interpreter: Option<&'a str>,
    /// Further entries of the dynamic section: tag and value.
    pub(crate) dynamic: &'a [(i64, u64)],
    pub(crate) runpath: Option<&'a str>,
    /// Alignment of the loadable segment.
    pub(crate) align: u64,
    pub(crate) load_flags: u32,
    /// Further segments: kind and flags.
    pub(crate) segments: &'a [(u32, u32)],
    /// Whether to write an (empty) table of all symbols, which marks a file that was not stripped.
    pub(crate) symtab: bool,
}

impl Default for Spec<'_> {
    fn default() -> Self {
        Self {
            machine: elf::EM_AARCH64.0,
            file_type: elf::ET_DYN.0,
            soname: None,
            exports: &[],
            imports: &[],
            needed: &[],
            interpreter: None,
            dynamic: &[],
            runpath: None,
            align: 0x4000,
            load_flags: elf::PF_R.0,
            segments: &[(elf::PT_GNU_STACK.0, elf::PF_R.0 | elf::PF_W.0), (elf::PT_GNU_RELRO.0, elf::PF_R.0)],
            symtab: false,
        }
    }
}

/// Returns the file's bytes.
///
/// # Errors
/// If the strings take more than 4 GiB.
pub(crate) fn write(spec: &Spec) -> Result<Vec<u8>> {
    assemble(spec).map_err(|e| format!("cannot write an ELF file: {e}"))
}

fn assemble(spec: &Spec) -> object::write::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut out = Writer::new_single_phase(Endianness::Little, true, &mut bytes);
    out.write_file_header(&FileHeader {
        e_type: elf::FileType(spec.file_type),
        e_machine: elf::Machine(spec.machine),
        ..FileHeader::default()
    })?;
    // PT_LOAD, PT_DYNAMIC, perhaps PT_INTERP, then the further ones.
    let n_programs = 2 + usize::from(spec.interpreter.is_some()) + spec.segments.len();
    out.write_program_headers_placeholder(n_programs as u32);

    let interpreter = spec.interpreter.map(|path| [path.as_bytes(), b"\0"].concat());
    let interpreter_at = out.write_align(8);
    out.write(interpreter.as_deref().unwrap_or_default());

    let symbols_at = out.write_null_dynamic_symbol();
    let imports = spec.imports.iter().map(|(name, weak)| {
        let bind = if *weak { elf::STB_WEAK } else { elf::STB_GLOBAL };
        (*name, bind, None, 0)
    });
    // The place of a definition does not matter, since nobody runs it: it is in the first section.
    let exports = spec.exports.iter().map(|name| (*name, elf::STB_GLOBAL, Some(1), 64));
    for (name, bind, section, st_value) in imports.chain(exports) {
        let name = out.add_dynamic_string(name.as_bytes());
        let st_name = out.dynamic_string_offset(Some(name));
        out.write_dynamic_symbol(&Sym {
            section,
            st_name,
            st_info: elf::SymbolInfo::new(bind, elf::STT_FUNC),
            st_other: elf::SymbolOther(0),
            st_shndx: elf::SHN_UNDEF,
            st_value,
            st_size: 0,
        });
    }
    let named = spec.needed.iter().map(|name| (elf::DT_NEEDED, *name));
    let named = named.chain(spec.soname.map(|name| (elf::DT_SONAME, name)));
    let named = named.chain(spec.runpath.map(|path| (elf::DT_RUNPATH, path)));
    let named: Vec<_> = named.map(|(tag, name)| (tag, out.add_dynamic_string(name.as_bytes()))).collect();
    let (strings_at, strings_size) = out.write_dynstr()?;

    let dynamic_at = out.write_align_dynamic();
    for (tag, name) in named {
        out.write_dynamic_string(tag, name)?;
    }
    for (tag, value) in spec.dynamic {
        out.write_dynamic(elf::DynamicTag(*tag), *value)?;
    }
    out.write_dynamic(elf::DT_STRTAB, strings_at)?;
    out.write_dynamic(elf::DT_STRSZ, strings_size.into())?;
    out.write_dynamic(elf::DT_SYMTAB, symbols_at)?;
    out.write_dynamic(elf::DT_SYMENT, SYMBOL)?;
    out.write_dynamic(elf::DT_NULL, 0)?;
    let dynamic = (dynamic_at, out.offset() - dynamic_at);

    if spec.symtab {
        out.write_null_symbol();
        out.write_strtab()?;
    }
    out.write_shstrtab()?;
    let sections_at = out.write_null_section_header();
    out.write_dynstr_section_header(strings_at);
    out.write_dynsym_section_header(symbols_at, 1);
    out.write_dynamic_section_header(dynamic_at);
    out.write_strtab_section_header();
    out.write_symtab_section_header(1);
    out.write_shstrtab_section_header();

    let segment = |kind, flags, (at, size), p_align| ProgramHeader {
        p_type: elf::ProgramType(kind),
        p_flags: elf::ProgramFlags(flags),
        p_offset: at,
        p_vaddr: at,
        p_paddr: at,
        p_filesz: size,
        p_memsz: size,
        p_align,
    };
    let mut programs = vec![
        segment(elf::PT_LOAD.0, spec.load_flags, (0, sections_at), spec.align),
        segment(elf::PT_DYNAMIC.0, elf::PF_R.0, dynamic, 8),
    ];
    programs.extend(
        interpreter
            .map(|path| segment(elf::PT_INTERP.0, elf::PF_R.0, (interpreter_at, path.len() as u64), 1)),
    );
    programs.extend(spec.segments.iter().map(|(kind, flags)| segment(*kind, *flags, (0, 0), 1)));
    // Written last, when the offsets of the tables are known.
    let mut headers = Vec::new();
    out.write_headers_to(&mut headers, &programs)?;
    bytes[..headers.len()].copy_from_slice(&headers);
    Ok(bytes)
}
