//! Sets a string in the metadata of a GGUF file on disk:
//! `cargo run -p happy-gguf --example set_key -- model.gguf general.name "My model"`

use happy_gguf::{EditMode, Edited, WriteError, edit_file};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, key, value] = &args[..] else { return Err("usage: set_key FILE.gguf KEY VALUE".into()) };
    // In place if the new header takes the same space as the old one; no other program may have the file mapped then.
    let done = edit_file(path, EditMode::InPlace, |edit| {
        edit.set(key.as_str(), value.as_str());
        Ok::<_, WriteError>(())
    })?;
    println!(
        "{path}: {}",
        match done {
            Edited::Unchanged => "the key already has this value",
            Edited::InPlace => "the header was overwritten",
            Edited::Rewritten => "the file was rewritten, since the header no longer fits",
        }
    );
    Ok(())
}
