//! llama.cpp's kernels for Arm, with `peer.cpp` around them.

use super::{existing, process};
use happy_tool_kit::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A way to compile them.
pub(super) struct Peer {
    /// Our name of the instruction set that the peer's kernels may use.
    pub(super) isa: &'static str,
    march: &'static str,
}

/// Without SVE, for which llama.cpp has kernels as well.
pub(super) const PEERS: &[Peer] = &[
    Peer { isa: "dotprod", march: "armv8.2-a+dotprod" },
    Peer { isa: "i8mm", march: "armv8.6-a+i8mm+dotprod" },
];

/// The formats that llama.cpp interleaves when it loads them: ours, theirs, with dot products and with i8mm.
const REPACKED: &[(&str, &str, &str)] = &[
    ("q1_0", "q1_0_4x4", "q1_0_4x8"),
    ("q4_0", "q4_0_4x4", "q4_0_4x8"),
    ("q8_0", "q8_0_4x4", "q8_0_4x8"),
    ("iq4_nl", "iq4_nl_4x4", "iq4_nl_4x4"),
    ("mxfp4", "mxfp4_4x4", "mxfp4_4x4"),
    ("q4_k", "q4_K_8x4", "q4_K_8x8"),
    ("q5_k", "q5_K_8x4", "q5_K_8x8"),
    ("q6_k", "q6_K_8x4", "q6_K_8x8"),
];

/// Formats without interleaved rows whose kernel takes two rows and two tokens at a time with i8mm.
const PAIRED: &[&str] = &["q4_1"];

/// The kernels of a format that llama.cpp uses: of interleaved rows, else of rows as they lie in the file, which are counted for one
/// token in any case. Those know no more of many tokens than of one, except [`PAIRED`], and nothing of i8mm.
pub(super) fn kernels(format: &str, isa: &str, tokens: usize) -> Vec<Vec<String>> {
    let i8mm = isa == "i8mm";
    let in_place = match format.strip_suffix("_k") {
        Some(bits) => format!("{bits}_K"),
        None => format.to_owned(),
    };
    let counted = if tokens == 1 { !i8mm } else { i8mm && PAIRED.contains(&format) };
    let repacked = REPACKED.iter().filter(|(ours, _, _)| *ours == format);
    let repacked =
        repacked.map(|(_, dotprod, i8mm_too)| String::from(if i8mm { *i8mm_too } else { *dotprod }));
    counted.then_some(in_place).into_iter().chain(repacked).map(|kernel| vec![kernel]).collect()
}

/// Compiles the two files that have kernels for Arm. What they call in others is never reached and stays undefined.
pub(super) fn build(peer: &Peer, source: &Path, target: &Path) -> Result<PathBuf> {
    let ggml = source.join("ggml");
    let cpu = ggml.join("src/ggml-cpu");
    let folder = target.join("peer");
    fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
    let harness = folder.join("peer.cpp");
    fs::write(&harness, include_str!("peer.cpp"))
        .map_err(|e| format!("cannot write {}: {e}", harness.display()))?;
    let program = folder.join(format!("peer-{}", peer.isa));
    let compile = |compiler: &str, inputs: &[&Path], output: &Path, more: &[&str]| -> Result<()> {
        let mut command = Command::new(compiler);
        command.args(["-O3", "-DNDEBUG", &format!("-march={}", peer.march)]).args(more);
        for include in [ggml.join("include"), ggml.join("src"), cpu.clone()] {
            command.arg("-I").arg(include);
        }
        process::run(command.args(inputs).arg("-o").arg(output))
    };
    let quants = folder.join(format!("quants-{}.o", peer.isa));
    compile("aarch64-linux-gnu-gcc", &[existing(&cpu.join("arch/arm/quants.c"))?], &quants, &["-c"])?;
    let repack = cpu.join("arch/arm/repack.cpp");
    let link = ["-std=c++17", "-static", "-Wl,--unresolved-symbols=ignore-all"];
    compile("aarch64-linux-gnu-g++", &[&harness, existing(&repack)?, &quants], &program, &link)?;
    Ok(program)
}
