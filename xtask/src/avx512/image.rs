//! The bootable CD image: boot loader, kernel, and an initial RAM disk with the test binaries.

use super::{END, MARK};
use crate::process::Built;
use crate::{Result, process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian's isolinux and syslinux-common keep what a CD needs.
const LOADER: [(&str, &str); 2] = [
    ("/usr/lib/ISOLINUX/isolinux.bin", "isolinux.bin"),
    ("/usr/lib/syslinux/modules/bios/ldlinux.c32", "ldlinux.c32"),
];

/// A serial console, one processor, and nothing that waits for hardware that Bochs lacks. Bochs 2.7 announces protection keys
/// without the state that XSAVE keeps of them; Linux then gives up XSAVE, and AVX with it, unless the feature is hidden.
const KERNEL_OPTIONS: &str = "console=ttyS0 quiet clearcpuid=pku,ospke apparmor=0 mitigations=off tsc=reliable \
                              lpj=4000000 nosmp noapic acpi=off random.trust_cpu=on";

/// Writes the image and hands back its path.
pub(super) fn write(folder: &Path, binaries: &[Built], filter: Option<&str>) -> Result<PathBuf> {
    let tree = folder.join("image");
    let loader = tree.join("isolinux");
    fs::create_dir_all(&loader).map_err(|e| format!("cannot create {}: {e}", loader.display()))?;
    let copy = |from: &Path, to: PathBuf| {
        fs::copy(from, &to)
            .map(drop)
            .map_err(|e| format!("cannot copy {} to {}: {e}", from.display(), to.display()))
    };
    for (from, to) in LOADER {
        copy(Path::new(from), loader.join(to))?;
    }
    copy(&folder.join("vmlinuz"), tree.join("vmlinuz"))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = tree.join(name);
        fs::write(&path, bytes).map_err(|e| format!("cannot write {}: {e}", path.display()))
    };
    write(
        "isolinux/isolinux.cfg",
        format!("default tests\nprompt 0\nlabel tests\n kernel /vmlinuz\n append initrd=/initrd {KERNEL_OPTIONS}\n").as_bytes(),
    )?;
    write("initrd", &ram_disk(folder, binaries, filter)?)?;
    let image = folder.join("boot.iso");
    let mut make = Command::new("genisoimage");
    make.args(["-quiet", "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat"]);
    make.args(["-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "-o"]).arg(&image).arg(&tree);
    process::run(&mut make)?;
    Ok(image)
}

/// The RAM disk: busybox, the binaries, the script that runs them.
fn ram_disk(folder: &Path, binaries: &[Built], filter: Option<&str>) -> Result<Vec<u8>> {
    let read = |path: &Path| fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()));
    let mut disk = Archive::default();
    for name in ["bin", "dev", "proc", "tests"] {
        disk.folder(name);
    }
    disk.program("bin/busybox", &read(&folder.join("busybox"))?);
    for binary in binaries {
        disk.program(&format!("tests/{}", binary.target), &read(&binary.executable)?);
    }
    disk.program("init", script(binaries, filter).as_bytes());
    Ok(disk.finish())
}

/// The first process: runs each binary on one test thread, writes its exit code to the serial port, stops the machine.
fn script(binaries: &[Built], filter: Option<&str>) -> String {
    let mut text = String::from(
        "#!/bin/busybox sh\n\
         /bin/busybox mount -t devtmpfs dev /dev\n\
         /bin/busybox mount -t proc proc /proc\n\
         exec >/dev/ttyS0 2>&1\n\
         /bin/busybox grep -m1 'model name' /proc/cpuinfo\n\
         export HAPPY_REQUIRE_ISA=avx512 RUST_BACKTRACE=0\n\
         cd /tests\n",
    );
    // A filter comes from the command line: only characters that a shell takes literally.
    let filter: String = filter
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "_:-".contains(*c))
        .collect();
    for binary in binaries {
        let name = &binary.target;
        text += &format!("./{name} --nocapture --test-threads=1 {filter}\necho \"{MARK} {name} $?\"\n");
    }
    text + &format!("echo \"{END}\"\n/bin/busybox poweroff -f\n")
}

/// A cpio archive in the "newc" form that Linux unpacks (kernel: Documentation/driver-api/early-userspace/buffer-format.rst).
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    fn folder(&mut self, name: &str) {
        self.entry(name, 0o040_755, &[]);
    }

    fn program(&mut self, name: &str, contents: &[u8]) {
        self.entry(name, 0o100_755, contents);
    }

    /// Header of thirteen 8-digit hexadecimal fields, name with NUL, contents; both padded to 4 bytes.
    fn entry(&mut self, name: &str, mode: u32, contents: &[u8]) {
        self.inode += 1;
        let (size, name_size) = (contents.len() as u32, name.len() as u32 + 1);
        // inode, mode, uid, gid, links, mtime, size, device (2), special device (2), name size, checksum
        let fields = [self.inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_has_the_form_that_linux_reads() {
        let mut archive = Archive::default();
        archive.program("init", b"abcde");
        let bytes = archive.finish();
        let text = String::from_utf8(bytes.clone()).expect("ASCII here");
        assert!(
            text.starts_with("07070100000001000081ED00000000000000000000000100000000000000050000"),
            "{text}"
        );
        // 110 bytes of header, "init\0" padded from 115 to 116, 5 bytes padded from 121 to 124.
        assert_eq!(&bytes[110..121], b"init\0\0abcde");
        assert_eq!(&bytes[124..130], b"070701");
        assert!(text.contains("TRAILER!!!\0") && bytes.len().is_multiple_of(4));
    }

    #[test]
    fn a_filter_cannot_leave_its_word() {
        let binary = Built { target: "ops".into(), package_dir: PathBuf::new(), executable: PathBuf::new() };
        let text = script(&[binary], Some("rms; reboot $(x)"));
        assert!(text.contains("--test-threads=1 rmsrebootx\n"), "{text}");
    }
}
