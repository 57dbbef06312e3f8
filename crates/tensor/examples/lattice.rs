//! Makes `src/formats/lattice/codes.rs` (the points of the IQ formats as packed codes) from the tables of a ggml source tree,
//! which list every coordinate. Only maintainers of this crate need it.
//!
//! ```text
//! cargo run -p happy-tensor --example lattice -- ggml/src/ggml-common.h > crates/tensor/src/formats/lattice/codes.rs
//! ```
//!
//! A coordinate becomes its index among the values that occur in its table: 2 bits in tables of 8 coordinates, 3 bits in
//! tables of 4. Coordinate 0 is in the lowest bits. The program refuses a table that is not in ascending order of its codes,
//! so that the result contains nothing but the set of points.

use std::error::Error;
use std::fmt::Write as _;

struct Table {
    /// Name of the table in the header.
    header: &'static str,
    name: &'static str,
    doc: &'static str,
    /// Number of coordinates of a point.
    dims: usize,
    /// The values of coordinates, as bytes, in the order of the codes.
    values: &'static [u8],
}

const TWO_BIT: &[u8] = &[8, 25, 43];

const TABLES: [Table; 6] = [
    Table { header: "iq2xxs_grid", name: "IQ2_XXS", doc: "256 points for IQ2_XXS", dims: 8, values: TWO_BIT },
    Table { header: "iq2xs_grid", name: "IQ2_XS", doc: "512 points for IQ2_XS", dims: 8, values: TWO_BIT },
    Table { header: "iq2s_grid", name: "IQ2_S", doc: "1024 points for IQ2_S", dims: 8, values: TWO_BIT },
    Table {
        header: "iq3xxs_grid",
        name: "IQ3_XXS",
        doc: "256 points for IQ3_XXS",
        dims: 4,
        values: &[4, 12, 20, 28, 36, 44, 52, 62],
    },
    Table {
        header: "iq3s_grid",
        name: "IQ3_S",
        doc: "512 points for IQ3_S",
        dims: 4,
        values: &[1, 3, 5, 7, 9, 11, 13, 15],
    },
    Table {
        header: "iq1s_grid",
        name: "IQ1",
        doc: "2048 points for IQ1_S and IQ1_M",
        dims: 8,
        values: &[255, 0, 1],
    },
];

fn main() {
    match std::env::args()
        .nth(1)
        .ok_or_else(|| "usage: lattice GGML-COMMON.H".into())
        .and_then(|path| codes(&path))
    {
        Ok(text) => print!("{text}"),
        Err(e) => {
            eprintln!("error: {e}");
            std::process::exit(1);
        }
    }
}

fn codes(path: &str) -> Result<String, Box<dyn Error>> {
    let header = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    let mut out = String::from(
        "//! Points of the IQ formats, a packed code each, in ascending order: made by `examples/lattice.rs`.\n",
    );
    for table in &TABLES {
        let points = points(&header, table.header)?;
        let bits = 16 / table.dims;
        // Tables of 4 coordinates use 3 of the 4 bits that a coordinate could have.
        let bits = if table.dims == 4 { bits - 1 } else { bits };
        let mut codes = Vec::new();
        for point in points {
            let mut code = 0u16;
            for i in 0..table.dims {
                let value = (point >> (8 * i)) as u8;
                let index = table.values.iter().position(|v| *v == value);
                let index =
                    index.ok_or_else(|| format!("{}: unexpected coordinate {value}", table.header))?;
                code |= (index as u16) << (bits * i);
            }
            codes.push(code);
        }
        if !codes.is_sorted_by(|a, b| a < b) {
            return Err(format!("{}: not in ascending order", table.header).into());
        }
        write!(out, "\n/// {}.\npub(super) const {}: [u16; {}] = [", table.doc, table.name, codes.len())?;
        for (i, code) in codes.iter().enumerate() {
            let separator = if i % 13 == 0 { "\n    " } else { " " };
            match table.dims {
                4 => write!(out, "{separator}0o{code:04o},")?,
                _ => write!(out, "{separator}0x{code:04X},")?,
            }
        }
        out.push_str("\n];\n");
    }
    Ok(out)
}

/// Reads the numbers of a table of the header.
fn points(header: &str, name: &str) -> Result<Vec<u64>, Box<dyn Error>> {
    let start = header.find(&format!(", {name},")).ok_or_else(|| format!("no table {name}"))?;
    let body = header[start..].split("GGML_TABLE_END").next().unwrap_or_default();
    let numbers = body.split("0x").skip(1).map(|text| {
        let digits: String = text.chars().take_while(char::is_ascii_hexdigit).collect();
        u64::from_str_radix(&digits, 16)
    });
    Ok(numbers.collect::<Result<_, _>>()?)
}
