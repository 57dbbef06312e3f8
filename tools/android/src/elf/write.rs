//! Writes the smallest ELF files that a linker or Android's loader would take: shared objects without code.
//!
//! The linker learns from them what a library of the system exports, which is all that it wants of one
//! (`android/stub.rs`); the tests of the rules make files of every wrong kind with them. One read-only segment holds all:
//!
//! ```text
//! header, program headers, interpreter, strings, dynamic symbols, dynamic section, section names, section headers
//! ```
//! Layout and numbers: the System V ABI, chapters 4 and 5 ("Object Files", "Program Loading and Dynamic Linking").

use object::elf;

const HEADER: u64 = 64;
const PROGRAM: u64 = 56;
const SYMBOL: u64 = 24;
const SECTION_NAMES: &[u8] = b"\0.dynstr\0.dynsym\0.dynamic\0.shstrtab\0.symtab\0";

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
    /// Of the loadable segment.
    pub(crate) align: u64,
    pub(crate) load_flags: u32,
    /// Further segments: kind and flags.
    pub(crate) segments: &'a [(u32, u32)],
    /// With an (empty) table of all symbols, as a file has that was not stripped.
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

/// A string table under construction.
struct Strings(Vec<u8>);

impl Strings {
    fn add(&mut self, text: &str) -> u64 {
        let at = self.0.len() as u64;
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        at
    }
}

/// Little-endian numbers, one after the other.
#[derive(Default)]
struct Out(Vec<u8>);

impl Out {
    fn u16(&mut self, values: &[u16]) {
        self.0.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }
    fn u32(&mut self, values: &[u32]) {
        self.0.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }
    fn u64(&mut self, values: &[u64]) {
        self.0.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }
    /// Fills up to a multiple of 8 and hands back where that is.
    fn align(&mut self) -> u64 {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        self.0.len() as u64
    }
}

/// The file's bytes.
pub(crate) fn write(spec: &Spec) -> Vec<u8> {
    let mut strings = Strings(vec![0]);
    let symbols = symbols(spec, &mut strings);
    let dynamic_entries = dynamic(spec, &mut strings);

    // PT_LOAD, PT_DYNAMIC, perhaps PT_INTERP, then the further ones.
    let n_programs = 2 + usize::from(spec.interpreter.is_some()) + spec.segments.len();
    let mut body = Out(vec![0; (HEADER + PROGRAM * n_programs as u64) as usize]);
    let interpreter_at = body.align();
    let interpreter: Vec<u8> =
        spec.interpreter.map(|path| [path.as_bytes(), b"\0"].concat()).unwrap_or_default();
    body.0.extend_from_slice(&interpreter);
    let strings_at = body.align();
    body.0.extend_from_slice(&strings.0);
    let symbols_at = body.align();
    body.0.extend_from_slice(&symbols.0);
    let dynamic_at = body.align();
    let tables = [
        (elf::DT_STRTAB.0, strings_at),
        (elf::DT_STRSZ.0, strings.0.len() as u64),
        (elf::DT_SYMTAB.0, symbols_at),
        (elf::DT_SYMENT.0, SYMBOL),
        (elf::DT_NULL.0, 0),
    ];
    for (tag, value) in dynamic_entries.into_iter().chain(tables) {
        body.u64(&[tag as u64, value]);
    }
    let dynamic_size = body.0.len() as u64 - dynamic_at;
    let names_at = body.align();
    body.0.extend_from_slice(SECTION_NAMES);
    let sections_at = body.align();

    let section =
        |out: &mut Out, name: &str, kind: elf::SectionType, range: (u64, u64), link_info: [u32; 2], entry| {
            let allocated = u64::from(kind != elf::SHT_SYMTAB && name != ".shstrtab") * 2;
            out.u32(&[name_offset(name), kind.0]);
            out.u64(&[allocated, range.0, range.0, range.1]);
            out.u32(&link_info);
            out.u64(&[8, entry]);
        };
    body.u64(&[0; 8]);
    section(&mut body, ".dynstr", elf::SHT_STRTAB, (strings_at, strings.0.len() as u64), [0, 0], 0);
    section(&mut body, ".dynsym", elf::SHT_DYNSYM, (symbols_at, symbols.0.len() as u64), [1, 1], SYMBOL);
    section(&mut body, ".dynamic", elf::SHT_DYNAMIC, (dynamic_at, dynamic_size), [1, 0], 16);
    section(&mut body, ".shstrtab", elf::SHT_STRTAB, (names_at, SECTION_NAMES.len() as u64), [0, 0], 0);
    if spec.symtab {
        section(&mut body, ".symtab", elf::SHT_SYMTAB, (symbols_at, SYMBOL), [1, 1], SYMBOL);
    }

    let mut file = Out::default();
    file.0.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.u16(&[spec.file_type, spec.machine]);
    file.u32(&[1]);
    file.u64(&[0, HEADER, sections_at]);
    file.u32(&[0]);
    file.u16(&[HEADER as u16, PROGRAM as u16, n_programs as u16, 64, 5 + u16::from(spec.symtab), 4]);
    let mut segment = |kind: u32, flags: u32, (at, size): (u64, u64), align: u64| {
        file.u32(&[kind, flags]);
        file.u64(&[at, at, at, size, size, align]);
    };
    segment(elf::PT_LOAD.0, spec.load_flags, (0, sections_at), spec.align);
    segment(elf::PT_DYNAMIC.0, elf::PF_R.0, (dynamic_at, dynamic_size), 8);
    if spec.interpreter.is_some() {
        segment(elf::PT_INTERP.0, elf::PF_R.0, (interpreter_at, interpreter.len() as u64), 1);
    }
    for (kind, flags) in spec.segments {
        segment(*kind, *flags, (0, 0), 1);
    }
    body.0[..file.0.len()].copy_from_slice(&file.0);
    body.0
}

/// The dynamic symbols: a blank, then imports and exports.
fn symbols(spec: &Spec, strings: &mut Strings) -> Out {
    let mut out = Out::default();
    out.u64(&[0; 3]);
    let function = elf::STT_FUNC.0;
    let imports = spec.imports.iter().map(|(name, weak)| {
        let bind = if *weak { elf::STB_WEAK } else { elf::STB_GLOBAL };
        (*name, bind.0, elf::SHN_UNDEF.0, 0)
    });
    // Where a definition lies does not matter: nobody runs it. In the section of the strings, then.
    let exports = spec.exports.iter().map(|name| (*name, elf::STB_GLOBAL.0, 1, HEADER));
    for (name, bind, section, value) in imports.chain(exports) {
        out.u32(&[strings.add(name) as u32]);
        out.0.extend_from_slice(&[bind << 4 | function, 0]);
        out.u16(&[section]);
        out.u64(&[value, 0]);
    }
    out
}

/// The dynamic section's entries that the spec asks for.
fn dynamic(spec: &Spec, strings: &mut Strings) -> Vec<(i64, u64)> {
    let mut entries = Vec::new();
    let named = spec.needed.iter().map(|name| (elf::DT_NEEDED.0, *name));
    let named = named.chain(spec.soname.map(|name| (elf::DT_SONAME.0, name)));
    for (tag, name) in named.chain(spec.runpath.map(|path| (elf::DT_RUNPATH.0, path))) {
        entries.push((tag, strings.add(name)));
    }
    entries.extend_from_slice(spec.dynamic);
    entries
}

/// Where a section's name starts in [`SECTION_NAMES`]; 0 is the empty name.
fn name_offset(name: &str) -> u32 {
    let wanted = [b"\0", name.as_bytes(), b"\0"].concat();
    SECTION_NAMES.windows(wanted.len()).position(|window| window == wanted).map_or(0, |at| at as u32 + 1)
}
