//! The parts of an ELF file that Android's loader and the rules look at.

use happy_tool_kit::Result;
use object::LittleEndian;
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym};

type Header = elf::FileHeader64<LittleEndian>;
const LE: LittleEndian = LittleEndian;

/// An executable or a shared library of a 64-bit Android.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) abi: Abi,
    /// `ET_DYN`: loadable at any address.
    pub(crate) position_independent: bool,
    /// The path in `PT_INTERP`; libraries have none.
    pub(crate) interpreter: Option<String>,
    /// `DT_SONAME`.
    pub(crate) soname: Option<String>,
    /// `DT_NEEDED`, in order.
    pub(crate) needed: Vec<String>,
    /// `DT_RPATH` and `DT_RUNPATH`.
    pub(crate) search_paths: Vec<String>,
    /// `DT_TEXTREL`, or the flag that means the same.
    pub(crate) text_relocations: bool,
    /// `DT_RELR`: relative relocations in the compact form.
    pub(crate) compact_relocations: bool,
    /// `DT_ANDROID_RELA`: relocations in Android's packed form.
    pub(crate) packed_relocations: bool,
    pub(crate) segments: Vec<Segment>,
    /// The symbols that the loader must find in other libraries.
    pub(crate) imports: Vec<Import>,
    /// The symbols that other libraries can use.
    pub(crate) exports: Vec<String>,
    /// Sections that only debuggers use.
    pub(crate) debug_sections: Vec<String>,
    /// The size of the file in bytes.
    pub(crate) size: u64,
}

/// The kinds of machines on which 64-bit Android runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abi {
    /// aarch64: phones.
    Arm64,
    /// x86-64: emulators.
    X86_64,
}

impl Abi {
    pub(crate) const ALL: [Self; 2] = [Self::Arm64, Self::X86_64];

    /// Returns the machine that Android calls `name`.
    ///
    /// # Errors
    /// If Android does not know `name`, or the machine has 32 bits.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let known = Self::ALL.map(Self::name).join(" or ");
        let found = Self::ALL.into_iter().find(|abi| abi.name() == name);
        found.ok_or_else(|| format!("unknown ABI '{name}': expected {known}"))
    }

    /// Returns Android's name for it, which is also the folder in an app.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64-v8a",
            Self::X86_64 => "x86_64",
        }
    }

    /// Returns Rust's name for it.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-linux-android",
            Self::X86_64 => "x86_64-linux-android",
        }
    }

    /// Returns its number in an ELF header.
    pub(crate) fn machine(self) -> u16 {
        match self {
            Self::Arm64 => elf::EM_AARCH64.0,
            Self::X86_64 => elf::EM_X86_64.0,
        }
    }
}

/// An entry of the program headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) align: u64,
}

/// An undefined symbol.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) name: String,
    /// Whether the loader leaves it null if no library defines it.
    pub(crate) weak: bool,
}

impl Image {
    /// Reads the headers, the dynamic section and the dynamic symbols of `bytes`.
    ///
    /// # Errors
    /// If it is not a 64-bit little-endian ELF file for aarch64 or x86-64, or its tables are outside the file.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.get(..4) != Some(b"\x7fELF") {
            return Err("not an ELF file (it does not start with \\x7fELF)".into());
        }
        if bytes.get(4..6) != Some(&[elf::ELFCLASS64.0, elf::ELFDATA2LSB.0]) {
            return Err("not an ELF file of 64 bits and little-endian, which all of Android's are".into());
        }
        let header = Header::parse(bytes).map_err(broken("the header"))?;
        let machine = header.e_machine(LE).0;
        let abi = Abi::ALL.into_iter().find(|abi| abi.machine() == machine).ok_or_else(|| {
            format!(
                "for machine {machine}: expected {} (aarch64) or {} (x86-64)",
                Abi::Arm64.machine(),
                Abi::X86_64.machine()
            )
        })?;
        let programs = header.program_headers(LE, bytes).map_err(broken("the program headers"))?;
        let sections = header.sections(LE, bytes).map_err(broken("the section headers"))?;
        let mut image = Self {
            abi,
            position_independent: header.e_type(LE) == elf::ET_DYN,
            interpreter: None,
            soname: None,
            needed: Vec::new(),
            search_paths: Vec::new(),
            text_relocations: false,
            compact_relocations: false,
            packed_relocations: false,
            segments: Vec::new(),
            imports: Vec::new(),
            exports: Vec::new(),
            debug_sections: Vec::new(),
            size: bytes.len() as u64,
        };
        for program in programs {
            image.segments.push(Segment {
                kind: program.p_type(LE).0,
                flags: program.p_flags(LE).0,
                offset: program.p_offset(LE),
                address: program.p_vaddr(LE),
                align: program.p_align(LE),
            });
            if let Some(path) = program.interpreter(LE, bytes).map_err(broken("the interpreter"))? {
                image.interpreter = Some(text(path));
            }
        }
        let dynamic = sections.dynamic_table(LE, bytes).map_err(broken("the dynamic section"))?;
        for entry in dynamic.dynamics().iter().take_while(|entry| entry.tag(LE) != elf::DT_NULL) {
            let (tag, value) = (entry.tag(LE), entry.val(LE));
            let string = || {
                let found = entry.string(LE, *dynamic.strings());
                found.map(text).map_err(broken("a string of the dynamic section"))
            };
            match tag {
                elf::DT_SONAME => image.soname = Some(string()?),
                elf::DT_NEEDED => image.needed.push(string()?),
                elf::DT_RPATH | elf::DT_RUNPATH => image.search_paths.push(string()?),
                elf::DT_TEXTREL => image.text_relocations = true,
                elf::DT_FLAGS if value & u64::from(DF_TEXTREL) != 0 => image.text_relocations = true,
                elf::DT_RELR => image.compact_relocations = true,
                elf::DT_ANDROID_RELA => image.packed_relocations = true,
                _ => {}
            }
        }
        let symbols = sections.symbols(LE, bytes, elf::SHT_DYNSYM).map_err(broken("the dynamic symbols"))?;
        // The first symbol is empty by definition.
        for symbol in symbols.iter().skip(1).filter(|symbol| !symbol.is_local()) {
            let name = text(symbols.symbol_name(LE, symbol).map_err(broken("a symbol's name"))?);
            if symbol.is_undefined(LE) {
                image.imports.push(Import { name, weak: symbol.is_weak() });
            } else {
                image.exports.push(name);
            }
        }
        for section in sections.iter() {
            let name = text(sections.section_name(LE, section).map_err(broken("a section's name"))?);
            if name.starts_with(".debug") || section.sh_type(LE) == elf::SHT_SYMTAB {
                image.debug_sections.push(name);
            }
        }
        Ok(image)
    }

    /// Returns the segments of one kind (`PT_LOAD` ...).
    pub(crate) fn segments_of(&self, kind: u32) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(move |segment| segment.kind == kind)
    }
}

/// The flag in `DT_FLAGS` that code is written to while the file is loaded.
const DF_TEXTREL: u32 = 4;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Turns a reader's error into one that says what could not be read.
fn broken(what: &'static str) -> impl Fn(object::read::Error) -> String {
    move |e| format!("not a whole ELF file: {what}: {e}")
}
