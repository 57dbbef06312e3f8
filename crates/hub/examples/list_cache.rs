//! Lists the models in the Hugging Face cache, whoever downloaded them: `cargo run -p happy-hub --example list_cache`

use happy_hub::Hub;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub = Hub::from_env()?;
    println!("{}", hub.config().cache.display());
    let cached = hub.list()?;
    for model in &cached.models {
        // The name works with `Hub::pull` and `Hub::remove`.
        println!("{:>10} MB  {:?}  {}", model.bytes / 1_000_000, model.role, model.name);
    }
    for partial in &cached.partial {
        println!("{:>10} MB  incomplete  {}", partial.bytes / 1_000_000, partial.path.display());
    }
    println!("{:>10} MB on the disk", cached.bytes_on_disk / 1_000_000);
    Ok(())
}
