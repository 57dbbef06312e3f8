//! A table of ratios as a picture: a bar for each row, in the order of the table.

use super::report::Row;
use std::fmt::Write;

const LABEL: f64 = 300.0;
const WIDTH: f64 = 500.0;
const BAR: f64 = 15.0;
const TOP: f64 = 44.0;

/// Draws ours / llama.cpp of the rows that have both, and a line where both are as fast.
pub(super) fn ratios(title: &str, rows: &[Row]) -> String {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.ratio().is_finite()).collect();
    let most = rows.iter().map(|row| row.ratio()).fold(1.0, f64::max);
    let x = |ratio: f64| LABEL + ratio / most * WIDTH;
    let (width, height) = (LABEL + WIDTH + 60.0, TOP + rows.len() as f64 * BAR + 10.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"18\" font-size=\"14\">{title}</text>\n\
         <text x=\"10\" y=\"34\" fill=\"#555\">times as fast as llama.cpp; light: 1 thread, dark: 2 threads</text>\n"
    );
    let mut last = None;
    for (i, row) in rows.iter().enumerate() {
        let (y, ratio) = (TOP + i as f64 * BAR, row.ratio());
        let name = if last.replace(&row.model) == Some(&row.model) { "" } else { &row.model };
        let color = if row.threads == 1 { "#9bbcdc" } else { "#31689e" };
        let _ = writeln!(
            svg,
            "<text x=\"10\" y=\"{:.0}\" font-weight=\"bold\">{name}</text>\
             <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LABEL}\" y=\"{:.0}\" width=\"{:.1}\" height=\"{:.0}\" fill=\"{color}\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">{ratio:.2}</text>",
            y + 11.0,
            LABEL - 8.0,
            y + 11.0,
            row.what,
            y + 1.0,
            x(ratio) - LABEL,
            BAR - 3.0,
            x(ratio) + 4.0,
            y + 11.0,
        );
    }
    let one = x(1.0);
    let _ = writeln!(
        svg,
        "<line x1=\"{one:.1}\" x2=\"{one:.1}\" y1=\"{TOP}\" y2=\"{:.0}\" stroke=\"#c33\"/>\n</svg>",
        height - 10.0
    );
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_for_each_ratio_and_none_for_what_was_not_measured() {
        let row = |model: &str, threads, ours, peer| Row {
            model: model.to_owned(),
            what: "decode 64",
            threads,
            ours,
            peer,
            wanted: None,
            is_time: false,
            bytes_per_token: None,
            read_loop: None,
        };
        let rows = [row("a", 1, 20.0, 10.0), row("a", 2, 10.0, 10.0), row("b", 1, 10.0, f64::NAN)];
        let svg = ratios("speeds", &rows);
        let bars: Vec<&str> = svg.lines().filter(|line| line.contains("<rect x=")).collect();
        assert_eq!(bars.len(), 2, "{svg}");
        // The largest takes the whole width, the other half of it, to the line of equal speed.
        assert!(bars[0].contains("width=\"500.0\"") && bars[0].contains(">a</text>"), "{svg}");
        assert!(bars[1].contains("width=\"250.0\"") && !bars[1].contains(">a</text>"), "{svg}");
        assert!(svg.contains("x1=\"550.0\"") && svg.ends_with("</svg>\n"), "{svg}");
    }
}
