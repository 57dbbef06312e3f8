//! Draws the measurements: a bar for each number of threads, prompts and generation side by side, with the smallest and
//! the largest run as a line.

use super::Report;
use std::fmt::Write;

/// Sizes in pixels: a panel, the space for a bar and its name, the space above.
const PANEL: f64 = 360.0;
const ROW: f64 = 30.0;
const TOP: f64 = 64.0;
/// Where bars begin, and their maximum length. The value is written after a bar.
const LEFT: f64 = 84.0;
const LONGEST: f64 = 180.0;

/// Returns the picture as SVG, which adapts to light and dark pages.
pub(super) fn svg(reports: &[Report]) -> String {
    let panels = [
        ("prefill", reports.iter().map(|r| (r.threads, r.prefill_tok_s, r.prefill_tok_s_range)).collect()),
        ("decode", reports.iter().map(|r| (r.threads, r.decode_tok_s, r.decode_tok_s_range)).collect()),
    ];
    let panels: Vec<(&str, Vec<Bar>)> =
        panels.into_iter().filter(|(_, bars): &(_, Vec<Bar>)| bars.iter().any(|bar| bar.1 > 0.0)).collect();
    let (width, height) = (PANEL * panels.len().max(1) as f64, TOP + ROW * reports.len() as f64 + 12.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <style>text {{ fill: #222 }} .soft {{ fill: #777 }} rect {{ fill: #d99a12 }} line {{ stroke: #222 }} \
         @media (prefers-color-scheme: dark) {{ text {{ fill: #eee }} .soft {{ fill: #aaa }} line {{ stroke: #eee }} }}</style>\n"
    );
    let title = reports.first().map_or_else(String::new, |r| {
        format!("{}, {}, {} prompt and {} generated tokens", r.model, r.isa, r.n_prompt, r.n_gen)
    });
    let _ = writeln!(out, "<text x=\"12\" y=\"22\" font-weight=\"bold\">{}</text>", escaped(&title));
    for (i, (name, bars)) in panels.iter().enumerate() {
        panel(&mut out, PANEL * i as f64, name, bars);
    }
    out.push_str("</svg>\n");
    out
}

/// Threads, tokens per second, smallest and largest.
type Bar = (usize, f64, [f64; 2]);

fn panel(out: &mut String, x: f64, name: &str, bars: &[Bar]) {
    let most = bars.iter().map(|(_, value, [_, high])| value.max(*high)).fold(f64::MIN_POSITIVE, f64::max);
    let at = |value: f64| x + LEFT + LONGEST * value / most;
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<text class=\"soft\" x=\"{}\" y=\"{}\">{name}, tokens per second</text>",
        x + 12.0,
        TOP - 16.0
    );
    for (i, (threads, value, [low, high])) in bars.iter().enumerate() {
        let y = TOP + ROW * i as f64;
        let (middle, base) = (y + 9.0, y + 13.0);
        let s = if *threads == 1 { "" } else { "s" };
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{base:.1}\">{threads} thread{s}</text>\n\
             <rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"18\"/>\n\
             <line x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\"/>\n\
             <text x=\"{:.1}\" y=\"{base:.1}\">{value:.1}</text>",
            x + 12.0,
            x + LEFT,
            at(*value) - x - LEFT,
            at(*low),
            at(*high),
            at(value.max(*high)) + 6.0,
        );
    }
}

/// A text within an element.
fn escaped(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_element() {
        assert_eq!(escaped("a<b>&\x07c"), "a&lt;b&gt;&amp;c");
        let mut out = String::new();
        panel(&mut out, 0.0, "decode", &[(1, 50.0, [40.0, 60.0]), (2, 100.0, [100.0, 100.0])]);
        // The longest bar takes all of the space, and half the speed takes half of it.
        assert!(out.contains("width=\"180.0\"") && out.contains("width=\"90.0\""), "{out}");
        assert!(out.contains("1 thread<") && out.contains("2 threads<"), "{out}");
    }
}
