//! `happy chat` at a terminal: what is typed and pasted.
#![cfg(unix)]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use support::{Folder, Tiny, happy};

/// Longest wait for an answer of the command. Only a command that hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A chat, and the other side of its terminal.
struct Terminal {
    chat: Child,
    keys: File,
    shown: Receiver<Vec<u8>>,
    text: String,
}

impl Terminal {
    fn open(model: &str) -> Self {
        let pty = nix::pty::openpty(None, None).expect("a terminal");
        let side = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        let mut command = happy(&["chat", "-m", model, "-n", "1", "--temp", "0"]);
        command.env("TERM", "xterm").stdin(side()).stdout(side()).stderr(side());
        let chat = command.spawn().expect("the binary starts");
        let keys = File::from(pty.master);
        let mut screen = keys.try_clone().expect("a descriptor");
        let (send, shown) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = screen.read(&mut bytes) {
                if send.send(bytes[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { chat, keys, shown, text: String::new() }
    }

    fn type_in(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Waits until the screen has shown `expect` after what was waited for before.
    fn wait_for(&mut self, expect: &str) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.text.find(expect) {
                self.text.drain(..at + expect.len());
                return Ok(());
            }
            let left = end.saturating_duration_since(Instant::now());
            let bytes = self.shown.recv_timeout(left);
            let bytes = bytes.map_err(|e| format!("{expect:?} is not shown ({e}): {:?}", self.text))?;
            self.text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.chat.kill();
        let _ = self.chat.wait();
    }
}

#[test]
fn nothing_that_is_typed_or_pasted_is_lost() {
    let folder = Folder::new();
    let model = folder.file("tiny.gguf", Tiny::default().bytes());
    // Keys, and what is shown then; one list is one chat.
    let other = folder.file("other.gguf", Tiny::default().bytes());
    let change = format!("/model {other}\r/stats\r");
    let chats: [&[(&str, &str)]; 7] = [
        // What can be changed: an answer has a line about it, and what is wrong changes nothing.
        &[
            ("one\r", "[1 token"),
            ("/system be brief\r", "the system message is set"),
            ("/system\r", "be brief"),
            ("/params temp 0.25\r", "temp is 0.25"),
            ("/params temp hot\r", "invalid value 'hot'"),
            ("/params heat 1\r", "--heat"),
            ("/params temp\r", "temp 0.25"),
            ("/model /no/such.gguf\r", "error:"),
            (&change, "2 messages"),
            ("two\r/stats\r", "4 messages"),
        ],
        // Lines that arrive at once without the marks of a paste: each is a message.
        &[("one\rtwo\rthree\r/stats\r", "6 messages")],
        // A paste with marks is one message.
        &[("\x1b[200~one\ntwo\nthree\x1b[201~\r/stats\r", "2 messages")],
        // Several lines by a backslash, by Alt-Enter, between quotes.
        &[("one\\\rtwo\r/stats\r", "2 messages")],
        &[("one\x1b\rtwo\r/stats\r", "2 messages")],
        &[("\"\"\"\rone\r\rtwo\"\"\"\r/stats\r", "2 messages")],
        // Ctrl-C drops the line, and the chat goes on.
        &[
            ("half a que", "half a que"),
            ("\x03", "/quit or Ctrl-D leaves"),
            ("one\r/stats\r", "2 messages"),
            ("/undo\r/stats\r", "0 messages"),
            ("two\r/retry\r/stats\r", "2 messages"),
        ],
    ];
    let mut wrong = Vec::new();
    for chat in chats {
        let mut terminal = Terminal::open(&model);
        let done = terminal.wait_for("> ").and_then(|()| {
            chat.iter().try_for_each(|(keys, expect)| {
                terminal.type_in(keys);
                terminal.wait_for(expect)
            })
        });
        wrong.extend(done.err().map(|e| format!("{chat:?}: {e}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
