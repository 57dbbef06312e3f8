//! Shows an importance matrix: which share of the weight the most important columns of each tensor have.
//! `cargo run -p happy-quantize --example show_imatrix -- imatrix.gguf`

use happy_quantize::Imatrix;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: show_imatrix IMATRIX")?;
    let imatrix = Imatrix::read(path)?;
    let mut names: Vec<&str> = imatrix.names().collect();
    names.sort_unstable();
    println!("{:<36} {:>8} {:>24}", "tensor", "weights", "share of the largest 1 %");
    for name in names {
        let mut weights = imatrix.get(name).unwrap_or_default().to_vec();
        weights.sort_unstable_by(|a, b| b.total_cmp(a));
        let sum = |weights: &[f32]| weights.iter().map(|w| f64::from(*w)).sum::<f64>();
        let largest = weights.len().div_ceil(100);
        let share = 100.0 * sum(&weights[..largest]) / sum(&weights).max(f64::MIN_POSITIVE);
        println!("{name:<36} {:>8} {share:>22.1} %", weights.len());
    }
    Ok(())
}
