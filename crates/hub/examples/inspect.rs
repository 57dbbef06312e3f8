//! Shows what a model is without downloading it: `cargo run -p happy-hub --features tls --example inspect -- qwen3-0.6b`

use happy_hub::{Hub, PullOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).ok_or("usage: inspect NAME")?;
    let offer = Hub::from_env()?.inspect(&name.parse()?, &PullOptions::default(), |_| ())?;
    println!("{} at {}, license {}", offer.name, offer.commit, offer.license.as_deref().unwrap_or("unknown"));
    for file in &offer.files {
        // The header has all metadata and tensor shapes: enough to plan the memory.
        let view = file.header.view();
        let metadata = view.metadata();
        let architecture = metadata.get_str("general.architecture").unwrap_or("unknown");
        println!("{:?} {}: {} bytes, {} to fetch", file.role, file.path, file.bytes, file.missing);
        println!("    {architecture}, {} tensors, {} keys", view.tensors().len(), metadata.iter().count());
        println!("    SHA-256 {}", file.sha256.as_deref().unwrap_or("not published"));
    }
    Ok(())
}
