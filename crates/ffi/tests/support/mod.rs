//! What the tests share: a tiny model, the built library, and other people's compilers and interpreters.
#![allow(dead_code, unreachable_pub, unused_imports)] // each test binary uses a part

use happy_engine::chat::Message;
use happy_engine::{Conversation, Engine, Event, GenerateOptions, LoadOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

mod tiny;

pub use tiny::{TEMPLATE, tiny_adapter, tiny_embedding_model, tiny_model};

/// A folder that goes away with its owner.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("happy-ffi-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The package's folder.
pub fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the `libhappy.so` that cargo made together with this test: both lie in `deps`.
pub fn library_folder() -> PathBuf {
    let test = std::env::current_exe().expect("the test's path");
    let folder = test.parent().expect("a folder").to_path_buf();
    let library = folder.join("libhappy.so");
    assert!(library.is_file(), "no {}: cargo puts it beside the package's tests", library.display());
    folder
}

/// Whether a program is there.
pub fn have(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    if !found {
        happy_testkit::skip_without_root(&format!("there is no `{program}`"));
    }
    found
}

/// Runs a program to its end.
///
/// # Panics
/// If it fails; with what it wrote.
pub fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// The real model, where it is.
pub fn smollm2() -> Option<String> {
    Some(happy_testkit::model("SmolLM2-135M-Instruct.Q4_1.gguf")?.display().to_string())
}

/// What the engine answers by itself, always taking the best token: as many tokens at most.
pub fn greedy_answer(model: &str, question: &str, most: usize) -> String {
    let engine = Engine::open(model, &LoadOptions::default()).expect("a model");
    let mut conversation = Conversation::new(&engine).expect("a template");
    conversation.push(Message::new("user", question));
    let options = GenerateOptions { max_tokens: Some(most), ..GenerateOptions::default() };
    let mut context = engine.context().expect("a context");
    let mut answer = String::new();
    for event in conversation.answer(&mut context, 0, options).expect("an answer") {
        if let Event::Text(text) = event.expect("an event") {
            answer.push_str(&text);
        }
    }
    answer
}
