//! Rounds over all peers, each round in another order; medians.

use crate::Error;
use crate::peers::Peer;
use crate::texts::Text;

/// What takes longer than this is not done again.
const PATIENCE: f64 = 10.0;

/// The figures of one peer on one text.
pub(crate) struct Cell {
    /// Median of the rounds.
    pub(crate) seconds: f64,
    /// Whether the ids are ours.
    pub(crate) equal: bool,
}

/// A text: ours first, then the peers.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) bytes: usize,
    /// As we have them.
    pub(crate) tokens: usize,
    pub(crate) cells: Vec<Cell>,
}

type Peers<'v> = [Box<dyn Peer + 'v>];

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Seconds of each peer, in rounds that go through them forwards and backwards by turns.
fn rounds<'v>(
    peers: &mut Peers<'v>,
    rounds: usize,
    first: &[f64],
    mut run: impl FnMut(&mut (dyn Peer + 'v)) -> Result<f64, Error>,
) -> Result<Vec<f64>, Error> {
    let mut times = vec![Vec::new(); peers.len()];
    for round in 0..rounds {
        for turn in 0..peers.len() {
            let i = if round % 2 == 0 { turn } else { peers.len() - 1 - turn };
            let seconds = if first[i] > PATIENCE { first[i] } else { run(&mut *peers[i])? };
            times[i].push(seconds);
        }
    }
    Ok(times.into_iter().map(median).collect())
}

/// Seconds that each peer takes to load.
pub(crate) fn load(peers: &mut Peers<'_>, n: usize) -> Result<Vec<f64>, Error> {
    let first = peers.iter_mut().map(|peer| peer.load()).collect::<Result<Vec<_>, _>>()?;
    rounds(peers, n, &first, |peer| peer.load())
}

/// All peers on all texts.
pub(crate) fn texts(peers: &mut Peers<'_>, texts: &[Text], n: usize) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for text in texts {
        eprintln!("{}", text.name);
        // The first time, everybody fills their caches; it is not counted.
        // A peer that fails takes forever.
        let first: Vec<(f64, Vec<u32>)> = peers
            .iter_mut()
            .map(|peer| {
                peer.encode(text).unwrap_or_else(|e| {
                    eprintln!("{} on {}: {e}", peer.name(), text.name);
                    (f64::INFINITY, Vec::new())
                })
            })
            .collect();
        let ours = first.first().map_or(&[][..], |(_, ids)| ids);
        let equal: Vec<bool> = first.iter().map(|(_, ids)| ids == ours).collect();
        let tokens = ours.len();
        let warm: Vec<f64> = first.iter().map(|(seconds, _)| *seconds).collect();
        let times = rounds(peers, n, &warm, |peer| peer.encode(text).map(|(seconds, _)| seconds))?;
        let cells = times.into_iter().zip(equal).map(|(seconds, equal)| Cell { seconds, equal }).collect();
        rows.push(Row { name: text.name, bytes: text.text.len(), tokens, cells });
    }
    Ok(rows)
}
