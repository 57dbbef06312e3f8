//! `--bench`: `happy bench` on the device, between two readings of its cores and thermal zones.
//!
//! A phone that is warm, or whose big cores are busy, gives other figures: without the readings a table says little.

use crate::checks::push_model;
use crate::environment::environment;
use crate::folder::{Folder, Program};
use crate::report::{Report, Row};
use happy_tool_kit::Result;
use std::path::Path;
use std::time::{Duration, Instant};

/// Prints one line for each core (number, capacity, highest and current frequency in kHz) and one for each thermal zone
/// (kind, millidegrees).
const READINGS: &str = "for c in /sys/devices/system/cpu/cpu[0-9]*; do
echo \"cpu ${c##*/cpu} $(cat $c/cpu_capacity 2>/dev/null || echo -) $(cat $c/cpufreq/cpuinfo_max_freq 2>/dev/null || echo -) $(cat $c/cpufreq/scaling_cur_freq 2>/dev/null || echo -)\"
done
for z in /sys/class/thermal/thermal_zone*; do
[ -r $z/temp ] && echo \"zone $(cat $z/type 2>/dev/null || echo -) $(cat $z/temp 2>/dev/null || echo -)\"
done
true";

/// What a device reports about its cores and its heat.
#[derive(Debug, Default, PartialEq)]
struct Readings {
    cores: Vec<Core>,
    /// Name and degrees Celsius.
    zones: Vec<(String, f64)>,
}

#[derive(Debug, PartialEq)]
struct Core {
    number: u32,
    /// 1024 is the fastest core of the device.
    capacity: Option<u32>,
    max_khz: Option<u32>,
    now_khz: Option<u32>,
}

/// Runs `happy bench` with `more` arguments and prints its table and the readings.
pub(crate) fn run(
    folder: &Folder,
    happy: &Path,
    model: &Path,
    more: &[String],
    limit: Duration,
    report: &mut Report,
) -> Result<()> {
    folder.push_programs(&[happy.to_owned()])?;
    let name = push_model(folder, model)?;
    let before = parse(&folder.device.shell(READINGS)?);
    let mut arguments = vec!["bench".to_owned(), "-m".into(), name];
    if !more.iter().any(|word| word.starts_with("-t") || word.starts_with("--threads")) {
        arguments.extend(["-t".into(), thread_counts(before.cores.len())]);
    }
    arguments.extend_from_slice(more);
    println!("\n     Running happy {} on {}\n", arguments.join(" "), folder.device.serial);
    let run = Program {
        name: "happy",
        arguments: &arguments,
        environment: &environment(folder, ""),
        directory: "",
    };
    let start = Instant::now();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let ending = folder.run(&run, limit, &mut stdout, &mut stderr)?;
    let seconds = start.elapsed().as_secs_f64();
    let after = parse(&folder.device.shell(READINGS)?);
    if !ending.is_success() {
        let said = String::from_utf8_lossy(&stderr).trim().to_owned();
        return Err(format!("happy bench on {}: {ending}: {said}", folder.device.serial));
    }
    println!("{}", String::from_utf8_lossy(&stdout));
    print!("{}", table(&before, &after));
    let mut row = Row { name: "bench".into(), programs: 1, seconds, ..Row::default() };
    row.results.passed = 1;
    report.rows.push(row);
    Ok(())
}

/// Returns the powers of two up to the number of cores.
fn thread_counts(cores: usize) -> String {
    let counts = [1, 2, 4, 8].into_iter().filter(|n| *n <= cores.max(1));
    counts.map(|n| n.to_string()).collect::<Vec<_>>().join(",")
}

fn parse(text: &str) -> Readings {
    let mut readings = Readings::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["cpu", number, capacity, max, now] => {
                if let Ok(number) = number.parse() {
                    let value = |word: &str| word.parse().ok();
                    readings.cores.push(Core {
                        number,
                        capacity: value(capacity),
                        max_khz: value(max),
                        now_khz: value(now),
                    });
                }
            }
            // A zone's kind may contain spaces. A zone that is switched off reads as nothing, or as far below zero.
            ["zone", kind @ .., temperature] => {
                if let Some(millidegrees) = temperature.parse::<f64>().ok().filter(|t| *t > -50_000.0) {
                    readings.zones.push((kind.join(" "), millidegrees / 1000.0));
                }
            }
            _ => {}
        }
    }
    readings.cores.sort_by_key(|core| core.number);
    readings
}

fn table(before: &Readings, after: &Readings) -> String {
    let megahertz = |khz: Option<u32>| khz.map_or("-".into(), |khz| (khz / 1000).to_string());
    let mut text = format!(
        "{:<5} {:>8} {:>9} {:>11} {:>10}\n",
        "core", "capacity", "max MHz", "before MHz", "after MHz"
    );
    for core in &before.cores {
        let later = after.cores.iter().find(|other| other.number == core.number);
        text += &format!(
            "{:<5} {:>8} {:>9} {:>11} {:>10}\n",
            core.number,
            core.capacity.map_or("-".into(), |capacity| capacity.to_string()),
            megahertz(core.max_khz),
            megahertz(core.now_khz),
            megahertz(later.and_then(|core| core.now_khz))
        );
    }
    if before.zones.is_empty() {
        return text + "no thermal zone can be read\n";
    }
    for (i, (name, celsius)) in before.zones.iter().enumerate() {
        // Names may repeat, so zones are matched by their index, too.
        let later = after.zones.get(i).filter(|(other, _)| other == name);
        let later = later.map_or("-".into(), |(_, celsius)| format!("{celsius:.1}"));
        text += &format!("{name}: {celsius:.1} °C before, {later} after\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_become_a_table() {
        let before = parse(
            "cpu 10 1024 2800000 300000\ncpu 0 - 1800000 -\nzone cpu big 41500\nzone off -274000\nzone x -\nnoise\n",
        );
        let after = parse("cpu 0 - 1800000 1800000\ncpu 10 1024 2800000 2700000\nzone cpu big 63000\n");
        assert_eq!(before.cores.iter().map(|core| core.number).collect::<Vec<_>>(), [0, 10]);
        assert_eq!(before.zones, [("cpu big".to_owned(), 41.5)]);
        let text = table(&before, &after);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["0", "-", "1800", "-", "1800"]);
        assert_eq!(lines[2], ["10", "1024", "2800", "300", "2700"]);
        assert!(text.contains("cpu big: 41.5 °C before, 63.0 after"), "{text}");
        assert!(table(&Readings::default(), &after).contains("no thermal zone"));
    }

    #[test]
    fn threads_follow_the_cores() {
        let cases = [(0, "1"), (1, "1"), (6, "1,2,4"), (8, "1,2,4,8"), (10, "1,2,4,8")];
        for (cores, expected) in cases {
            assert_eq!(thread_counts(cores), expected, "{cores}");
        }
    }
}
