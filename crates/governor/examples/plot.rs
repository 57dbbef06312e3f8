//! Draws half an hour on three simulated phones as an SVG: `cargo run -p happy-governor --example plot > docs/governor.svg`
//!
//! The upper part shows tokens per second for three cases: all threads at full speed with the phone's own throttling (naive), the
//! best constant setting, and governed. The lower part shows the case's temperature. The phones are those of the tests.

#[path = "../tests/phone/mod.rs"]
mod phone;

use phone::{Phone, models, run};
use std::fmt::Write;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 12.0;
const SPEED: f64 = 150.0;
const HEAT: f64 = 80.0;
const PANEL: f64 = 300.0;
/// Seconds over which speeds are averaged.
const SMOOTH: f64 = 15.0;
const NAMES: [(&str, &str); 3] =
    [("naive", "#c0392b"), ("best constant", "#7f8c8d"), ("governed", "#1f6fb2")];

/// Speed and temperature per [`SMOOTH`] seconds, and the total number of tokens.
struct Curve {
    points: Vec<(f64, f64)>,
    tokens: f64,
}

impl Curve {
    fn new(samples: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        let mut points = Vec::new();
        let (mut next, mut before, mut all) = (SMOOTH, 0.0, 0.0);
        for (time, tokens, skin) in samples {
            all = tokens;
            if time + 1e-9 >= next {
                points.push(((tokens - before) / SMOOTH, skin));
                before = tokens;
                next += SMOOTH;
            }
        }
        Self { points, tokens: all }
    }

    fn constant(phone: &Phone, threads: usize, cap: Option<f64>) -> Self {
        let mut samples = Vec::new();
        run::constant(phone, threads, cap, |device, tokens| samples.push((device.time, tokens, device.case)));
        Self::new(samples)
    }
}

fn panel(svg: &mut String, top: f64, phone: &Phone) -> Result<(), std::fmt::Error> {
    let (threads, cap, _) = run::best_constant(phone);
    let governed = run::governed(phone, &mut run::governor(phone), true, run::HALF_AN_HOUR, |_| ());
    let curves = [
        Curve::constant(phone, phone.n_cores(), None),
        Curve::constant(phone, threads, cap),
        Curve::new(governed.iter().map(|point| (point.time, point.tokens, point.skin))),
    ];
    let most = (1..=phone.n_cores()).map(|n| phone.full_rate(n)).fold(0.0, f64::max) * 1.1;
    let (speed_top, heat_top) = (top + 34.0, top + 34.0 + SPEED + 16.0);
    let x = |i: usize| LEFT + (WIDTH - LEFT - RIGHT) * (i as f64 + 1.0) * SMOOTH / run::HALF_AN_HOUR;
    let speed_y = |speed: f64| speed_top + SPEED * (1.0 - speed / most);
    let heat_y = |skin: f64| heat_top + HEAT * (1.0 - (skin - 20.0) / 30.0);
    writeln!(svg, r#"<text x="{LEFT}" y="{:.0}" class="b">{}</text>"#, top + 12.0, phone.name)?;
    let setting = cap
        .map_or(format!("{threads} threads"), |cap| format!("{threads} threads, at most {cap:.0} tokens/s"));
    let mut at = LEFT;
    for ((name, color), curve) in NAMES.iter().zip(&curves) {
        let what = if *name == "best constant" { format!("{name} ({setting})") } else { (*name).to_owned() };
        let text = format!("{what}: {:.1} thousand tokens", curve.tokens / 1000.0);
        writeln!(svg, r#"<text x="{at:.0}" y="{:.0}" fill="{color}">{text}</text>"#, top + 27.0)?;
        at += 12.0 + text.chars().count() as f64 * 5.6;
    }
    for (y, height) in [(speed_top, SPEED), (heat_top, HEAT)] {
        let width = WIDTH - LEFT - RIGHT;
        writeln!(
            svg,
            r##"<rect x="{LEFT}" y="{y:.0}" width="{width:.0}" height="{height:.0}" fill="none" stroke="#ccc"/>"##
        )?;
    }
    let mut tick = |y: f64, text: String| {
        writeln!(svg, r#"<text x="{:.0}" y="{:.0}" text-anchor="end">{text}</text>"#, LEFT - 4.0, y + 4.0)
    };
    tick(speed_y(0.0), "0".into())?;
    let round = (most / 1.1 / 5.0).floor() * 5.0;
    tick(speed_y(round), format!("{round:.0} t/s"))?;
    tick(heat_y(25.0), "25 °C".into())?;
    tick(heat_y(40.0), "40 °C".into())?;
    for minute in (0..=30).step_by(10) {
        let place = LEFT + (WIDTH - LEFT - RIGHT) * f64::from(minute) / 30.0;
        let y = heat_top + HEAT + 12.0;
        writeln!(svg, r#"<text x="{place:.0}" y="{y:.0}" text-anchor="middle">{minute} min</text>"#)?;
    }
    for ((_, color), curve) in NAMES.iter().zip(&curves) {
        for line in 0..2 {
            let path: Vec<String> = curve
                .points
                .iter()
                .enumerate()
                .map(|(i, (speed, skin))| {
                    format!("{:.1},{:.1}", x(i), if line == 0 { speed_y(*speed) } else { heat_y(*skin) })
                })
                .collect();
            writeln!(
                svg,
                r#"<polyline points="{}" fill="none" stroke="{color}" stroke-width="1.3"/>"#,
                path.join(" ")
            )?;
        }
    }
    Ok(())
}

fn main() -> Result<(), std::fmt::Error> {
    let phones = models::all();
    let height = PANEL * phones.len() as f64;
    let mut svg = String::new();
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">"#
    )?;
    writeln!(svg, "<style>.b {{ font-weight: bold; font-size: 13px }}</style>")?;
    writeln!(svg, r#"<rect width="{WIDTH}" height="{height}" fill="white"/>"#)?;
    for (i, phone) in phones.iter().enumerate() {
        panel(&mut svg, PANEL * i as f64 + 4.0, phone)?;
    }
    svg.push_str("</svg>\n");
    print!("{svg}");
    Ok(())
}
