//! A folder for one test, removed at its end.

use std::path::{Path, PathBuf};

/// A fresh folder that lives as long as this value.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes the folder. `name` tells the tests of one process apart.
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("happy-{name}-{}", std::process::id()));
        // Left over from a killed process with the same id.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        Self(folder)
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
