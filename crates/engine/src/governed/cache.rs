//! A small file of measured speeds: a line for each device and class of models.

use crate::Engine;
use happy_governor::{Core, RateTable};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Maximum number of bytes that are read and of lines that are kept. The lines written last are kept.
const MOST_BYTES: u64 = 64 << 10;
const MOST_LINES: usize = 64;

/// The file.
pub(super) struct Cache {
    pub(super) path: PathBuf,
}

impl Cache {
    /// Returns what was measured on a device with a class of models. Lines that are not tables are ignored.
    pub(super) fn read(&self, device: &str, class: &str) -> Option<RateTable> {
        let names = RateTable::new(device, class);
        self.tables().into_iter().rev().find(|table| is_same(table, &names))
    }

    fn tables(&self) -> Vec<RateTable> {
        let mut text = Vec::new();
        let read = fs::File::open(&self.path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut text));
        let text = String::from_utf8_lossy(&text);
        if read.is_err() {
            return Vec::new();
        }
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Replaces the older table of the same device and class, if `table` holds anything. Failures are ignored: it is a
    /// cache.
    pub(super) fn write(&self, table: &RateTable) {
        if table.rates().next().is_none() {
            return;
        }
        let mut tables = self.tables();
        tables.retain(|other| !is_same(other, table));
        let skipped = (tables.len() + 1).saturating_sub(MOST_LINES);
        let text: String =
            tables.iter().skip(skipped).chain([table]).map(|table| format!("{table}\n")).collect();
        if let Some(folder) = self.path.parent() {
            let _ = fs::create_dir_all(folder);
        }
        // Written whole or not at all: another process may read it.
        let new = self.path.with_extension(format!("{}.tmp", std::process::id()));
        let written = fs::File::create(&new).and_then(|mut file| file.write_all(text.as_bytes()));
        if written.and_then(|()| fs::rename(&new, &self.path)).is_err() {
            let _ = fs::remove_file(&new);
        }
    }
}

fn is_same(a: &RateTable, b: &RateTable) -> bool {
    (a.device(), a.model_class()) == (b.device(), b.model_class())
}

/// Describes the device from its files: kinds of cores, and the version of the system.
pub(super) fn device(cores: &[Core]) -> String {
    let mut kinds: Vec<(u32, u32, usize)> = Vec::new();
    for core in cores {
        let kind = (core.capacity, core.max_khz.unwrap_or(0));
        match kinds.iter_mut().find(|(capacity, khz, _)| (*capacity, *khz) == kind) {
            Some((.., count)) => *count += 1,
            None => kinds.push((kind.0, kind.1, 1)),
        }
    }
    let kinds: Vec<String> =
        kinds.iter().map(|(capacity, khz, count)| format!("{count}x{capacity}@{khz}")).collect();
    let release = fs::read_to_string(Path::new("/proc/sys/kernel/osrelease")).unwrap_or_default();
    format!("{} {}", kinds.join("+"), release.trim())
}

/// Describes what the speed of a model depends on: its architecture, the bytes that a token reads, the formats, and the
/// instruction set.
pub(super) fn model_class(engine: &Engine) -> String {
    let (model, kernels) = (engine.model(), engine.kernels());
    let names = model.kernel_names();
    let formats: Vec<&str> = names
        .iter()
        .filter_map(|name| name.strip_prefix("gemv_"))
        .filter_map(|name| name.split("_q8x").next())
        .collect();
    format!(
        "{} {} MiB {} {}",
        model.spec().architecture,
        model.bytes_per_token() >> 20,
        formats.join("+"),
        kernels.isa
    )
}
