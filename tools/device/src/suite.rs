//! The packages' tests on one device. They are pushed package by package, run one program at a time, and reported as
//! cargo does.

use crate::environment::environment;
use crate::folder::{Folder, Program, megabytes};
use crate::libtest::{self, Results};
use crate::packages::{self, Package, Workspace};
use crate::report::{Report, Row};
use happy_tool_emulated::toolchain::Toolchain;
use happy_tool_kit::Result;
use happy_tool_kit::process::{self, Built};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// The tests that run on every device.
pub(crate) struct Suite<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) packages: Vec<&'a Package>,
    /// Test programs by package name.
    pub(crate) programs: BTreeMap<String, Vec<Built>>,
    /// More arguments of the test programs.
    pub(crate) arguments: &'a [String],
    /// The time after which a program is killed.
    pub(crate) limit: Duration,
}

/// Builds the test programs of `packages`.
pub(crate) fn build(
    toolchain: &Toolchain,
    manifest: Option<&Path>,
    workspace: &Workspace,
    members: &[&Package],
) -> Result<BTreeMap<String, Vec<Built>>> {
    // Packages with the same kinds of targets are built together.
    let mut groups: BTreeMap<Vec<&str>, Vec<&Package>> = BTreeMap::new();
    for package in members {
        groups.entry(package.selection()).or_default().push(package);
    }
    let mut programs: BTreeMap<String, Vec<Built>> = BTreeMap::new();
    for (selection, members) in groups {
        let mut command = toolchain.cargo("test");
        command.arg("--no-run").args(selection);
        if let Some(manifest) = manifest {
            command.arg("--manifest-path").arg(packages::absolute(manifest)?);
            // Another workspace has its own target folder, so it need not wait for a build here.
            command.env("CARGO_TARGET_DIR", workspace.root.join("target"));
        }
        for package in &members {
            command.args(["--package", &package.name]);
        }
        for built in process::build(&mut command)? {
            let Some(package) = members.iter().find(|p| p.folder == built.package_dir) else { continue };
            programs.entry(package.name.clone()).or_default().push(built);
        }
    }
    Ok(programs)
}

impl Suite<'_> {
    /// Runs everything on one device. The rows of the table are added to `report` as they come.
    pub(crate) fn run(&self, folder: &Folder, report: &mut Report) -> Result<()> {
        for package in &self.packages {
            let programs = self.programs.get(&package.name).map_or(&[][..], Vec::as_slice);
            if !programs.is_empty() {
                let row = self.package(folder, package, programs)?;
                report.rows.push(row);
            }
            if !package.left_out().is_empty() {
                report.notes.push(format!(
                    "{}: not built, because they start programs of this machine: {}",
                    package.name,
                    package.left_out().join(", ")
                ));
            }
        }
        Ok(())
    }

    fn package(&self, folder: &Folder, package: &Package, programs: &[Built]) -> Result<Row> {
        let start = Instant::now();
        let files: Vec<_> = programs.iter().map(|program| program.executable.clone()).collect();
        let mut pushed = folder.push_programs(&files)?;
        pushed += push_data(folder, &package.folder, &self.workspace.root)?;
        pushed += push_corpora(folder, package.corpora())?;
        println!(
            "\n     Pushed {} of {} to {} in {:.1} s",
            megabytes(pushed),
            package.name,
            folder.device.serial,
            start.elapsed().as_secs_f64()
        );
        let mut row = Row { name: package.name.clone(), ..Row::default() };
        for program in programs {
            self.program(folder, package, program, &mut row)?;
        }
        folder.remove("bin")?;
        Ok(row)
    }

    /// Runs one test program and prints what cargo would print.
    fn program(&self, folder: &Folder, package: &Package, program: &Built, row: &mut Row) -> Result<()> {
        let file = program.executable.file_name().unwrap_or_default().to_string_lossy();
        println!("     Running {} of {} on {}\n", program.target, package.name, folder.device.serial);
        let place = package.place(&self.workspace.root);
        let mut arguments = vec!["--show-output".to_owned()];
        arguments.extend_from_slice(self.arguments);
        let start = Instant::now();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let ending = folder.run(
            &Program {
                name: &file,
                arguments: &arguments,
                environment: &environment(folder, &place),
                directory: &place,
            },
            self.limit,
            &mut stdout,
            &mut stderr,
        )?;
        row.seconds += start.elapsed().as_secs_f64();
        row.programs += 1;
        let text = String::from_utf8_lossy(&stdout);
        let output = libtest::read(&text);
        for line in &output.lines {
            println!("{line}");
        }
        let Results { passed, failed, .. } = output.results;
        row.coverage.read(&text);
        if !output.failures.is_empty() {
            println!("{}", output.failures);
        }
        match output.summary {
            Some(summary) => println!("\n{summary}\n"),
            // A program that was killed or crashed: its last output is the best information.
            None => {
                println!("{}\n", process::tail(&format!("{text}{}", String::from_utf8_lossy(&stderr)), 20))
            }
        }
        row.results.add(output.results);
        if !ending.is_success() && failed > 0 && output.summary.is_some() {
            row.failures.push(format!("{} of {}: {failed} test(s) failed", program.target, package.name));
        } else if !ending.is_success() || output.summary.is_none() {
            let how = format!("{} of {}: {ending}, after {passed} passed", program.target, package.name);
            println!("error: {how}\n");
            row.failures.push(how);
        }
        Ok(())
    }
}

/// Pushes a package's `tests` folder, where proptest looks for cases that failed before, and the folder in which its
/// tests run.
pub(crate) fn push_data(folder: &Folder, package: &Path, workspace: &Path) -> Result<u64> {
    let place = packages::place(package, workspace);
    let tests = package.join("tests");
    if tests.is_dir() {
        return folder.push(&[tests], &place);
    }
    folder.push(&[package.join("Cargo.toml")], &place)
}

/// Pushes archives of the selection in the repository.
pub(crate) fn push_corpora(folder: &Folder, names: &[&str]) -> Result<u64> {
    let corpora: Vec<_> = names.iter().map(|name| packages::corpus(name)).collect();
    if corpora.is_empty() { Ok(0) } else { folder.push(&corpora, crate::environment::CORPUS) }
}
