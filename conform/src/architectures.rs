//! Corpus `architectures`: small models of every architecture of llama.cpp, and the logits that they must give. Each is
//! computed twice on all cores: in one piece with the best kernels, and in pieces of 7 tokens with scalar code, which
//! must give the same bits. An architecture that is not in the registry must be refused by name.

use crate::data;
use crate::missing;
use crate::recipe::Recipe;
use crate::report::{Report, Verdict};
use crate::runner::{Runner, best};
use happy_kernels::Kernels;
use happy_model::{KvType, arch};
use happy_testkit::Corpus;

/// Maximum normalized mean squared error.
const MAX_NMSE: f64 = 1e-5;
/// If the reference's best two logits are further apart than this, the best token must be the same.
const CLEAR_LEAD: f32 = 0.01;
/// Number of tokens that are computed at once in the second computation.
pub(crate) const PIECE: usize = 7;

pub(crate) fn run(corpus: &Corpus, report: &mut Report) -> Result<(), String> {
    let files = corpus.open("architectures")?;
    let mut paths = files.list("")?;
    paths.retain(|path| path.ends_with(".json"));
    // An emulated CPU takes minutes for all of them: HAPPY_RECIPES=llama,gemma3 selects some.
    if let Ok(names) = std::env::var("HAPPY_RECIPES") {
        let wanted: Vec<String> = names.split(',').map(|name| format!("{name}.json")).collect();
        paths.retain(|path| wanted.contains(path));
        if paths.len() != wanted.len() {
            return Err(format!("HAPPY_RECIPES names recipes that do not exist: {names}"));
        }
        report.notes.push(format!("only these recipes ran: {names}"));
    }
    let mut worst = (0.0, String::new());
    report.holds(paths.len());
    for path in paths {
        let recipe: Recipe = data::json(&files, &path)?;
        let known = arch::find(&recipe.architecture).is_some();
        report.case(&recipe.name, || match (known, missing::block(&recipe.architecture)) {
            (true, None) => match missing::wrong_reference(&recipe.name) {
                None => judge(&recipe, &mut worst).into(),
                Some(why) => differs(&recipe, why).unwrap_or_else(Verdict::Failed),
            },
            (false, Some(block)) => refused(&recipe, block).unwrap_or_else(Verdict::Failed),
            (true, Some(block)) => {
                Verdict::Failed(format!("loads, although the table says it lacks {block}"))
            }
            (false, None) => Verdict::Failed("is not in the table of missing blocks".into()),
        });
    }
    report.notes.push(format!("greatest error of those that passed: {:.1e} ({})", worst.0, worst.1));
    Ok(())
}

/// Checks that an architecture that the registry lacks is refused by name.
fn refused(recipe: &Recipe, block: &str) -> Result<Verdict, String> {
    match Runner::new(&recipe.build()?, Kernels::scalar(), 1, KvType::F32, recipe.tokens.len()) {
        Ok(_) => Err("it loads, although the registry lacks its architecture".into()),
        Err(message) if message.contains("unsupported") && message.contains(&recipe.architecture) => {
            Ok(Verdict::Unsupported(block.into()))
        }
        Err(message) => Err(format!("expected to be refused by name, found: {message}")),
    }
}

fn judge(recipe: &Recipe, worst: &mut (f64, String)) -> Result<(), String> {
    let nmse = error_of(&logits(recipe)?, &recipe.logits()?)?;
    if nmse >= worst.0 {
        *worst = (nmse, recipe.name.clone());
    }
    Ok(())
}

/// Checks that logits differ from those of the reference, which is known to be wrong.
fn differs(recipe: &Recipe, why: &str) -> Result<Verdict, String> {
    match error_of(&logits(recipe)?, &recipe.logits()?) {
        Ok(nmse) => {
            Err(format!("error {nmse:.1e}, although the table says that the reference is wrong: {why}"))
        }
        Err(_) => Ok(Verdict::Unsupported(format!("wrong reference: {why}"))),
    }
}

/// Returns the logits of all positions, after checking that pieces and scalar code give the same.
fn logits(recipe: &Recipe) -> Result<Vec<Vec<f32>>, String> {
    let file = recipe.build()?;
    let n_ctx = recipe.tokens.len();
    let mut runner = Runner::best(&file, KvType::F32, n_ctx)?;
    if runner.n_vocab() != recipe.n_vocab {
        return Err(format!("n_vocab {}, the recipe's {}", runner.n_vocab(), recipe.n_vocab));
    }
    let ours = runner.rows(&recipe.tokens, n_ctx)?;
    let pieces =
        Runner::on_all_cores(&file, Kernels::scalar(), KvType::F32, n_ctx)?.rows(&recipe.tokens, PIECE)?;
    if bits(&ours) != bits(&pieces) {
        return Err("pieces of 7 tokens and scalar code give other bits".into());
    }
    Ok(ours)
}

pub(crate) fn bits(rows: &[Vec<f32>]) -> Vec<u32> {
    rows.iter().flatten().map(|x| x.to_bits()).collect()
}

/// Returns the normalized mean squared error compared with the reference's positions, if it and the best tokens are
/// good enough.
pub(crate) fn error_of(ours: &[Vec<f32>], reference: &[(usize, Vec<f32>)]) -> Result<f64, String> {
    let (mut error, mut norm, mut other_best) = (0.0, 0.0, 0);
    for (position, theirs) in reference {
        let ours = ours.get(*position).ok_or("logits of a position that the recipe does not have")?;
        for (a, b) in ours.iter().zip(theirs) {
            error += (f64::from(*a) - f64::from(*b)).powi(2);
            norm += f64::from(*b).powi(2);
        }
        let top = best(theirs);
        let others = theirs.iter().enumerate().filter(|(i, _)| *i != top);
        let lead = others.map(|(_, x)| theirs[top] - x).fold(f32::INFINITY, f32::min);
        other_best += usize::from(lead > CLEAR_LEAD && best(ours) != top);
    }
    let nmse = error / norm;
    if nmse.is_nan() || nmse > MAX_NMSE {
        return Err(format!("error {nmse:.1e}, at most {MAX_NMSE:.0e}"));
    }
    if other_best > 0 {
        return Err(format!("{other_best} positions with another best token, error {nmse:.1e}"));
    }
    Ok(nmse)
}
