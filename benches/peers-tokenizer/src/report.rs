//! The tables, in Markdown.

use crate::measure::{Cell, Row};
use crate::peers::Peer;

pub(crate) fn line(cells: impl IntoIterator<Item = String>) -> String {
    format!("| {} |\n", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

/// Two or three digits.
pub(crate) fn short(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

/// Speed of a peer, how many times faster we are, and whether its ids differ.
fn cell(row: &Row, cell: &Cell, ours: f64, is_ours: bool) -> String {
    if cell.seconds.is_infinite() {
        return "fails".to_owned();
    }
    let speed = short(row.bytes as f64 / 1e6 / cell.seconds);
    let differs = if cell.equal { "" } else { ", other ids" };
    if is_ours {
        format!("**{speed}**")
    } else {
        format!("{speed} ({}x{differs})", short(cell.seconds / ours))
    }
}

/// The table of a vocabulary.
pub(crate) fn table(name: &str, peers: &[Box<dyn Peer + '_>], loads: &[f64], rows: &[Row]) -> String {
    let mut out = line(
        ["MB/s".to_owned(), "bytes a token".to_owned()].into_iter().chain(peers.iter().map(|p| p.name())),
    );
    out = format!("{name}:\n\n{out}{}", line(vec!["---".to_owned(); peers.len() + 2]));
    for row in rows {
        let ours = row.cells.first().map_or(f64::NAN, |cell| cell.seconds);
        let density = format!("{:.2}", row.bytes as f64 / row.tokens.max(1) as f64);
        let cells = row.cells.iter().enumerate().map(|(i, c)| cell(row, c, ours, i == 0));
        out.push_str(&line([row.name.to_owned(), density].into_iter().chain(cells)));
    }
    let ours = loads.first().copied().unwrap_or(f64::NAN);
    let load = loads.iter().enumerate().map(|(i, seconds)| match i {
        0 => format!("**{} ms**", short(seconds * 1e3)),
        _ => format!("{} ms ({}x)", short(seconds * 1e3), short(seconds / ours)),
    });
    out.push_str(&line(["load".to_owned(), String::new()].into_iter().chain(load)));
    out
}
