//! Turns complaints of `adb` into one sentence that says what to do.

/// Words of `adb` (in its messages, and its names of states), and what they mean.
///
/// The first match counts, so special cases come first.
const COMPLAINTS: &[(&[&str], &str)] = &[
    (
        &["unauthorized", "failed to authenticate", "authorizing"],
        "does not trust this computer: unlock it and accept the question about USB debugging",
    ),
    (
        &["no permissions"],
        "may not be used by this user: udev rules for it are missing (Debian's package android-sdk-platform-tools-common has them)",
    ),
    (&["No space left on device", "ENOSPC"], "has no space left: free some, or push less (`--filter NAME`)"),
    (&["recovery", "sideload", "bootloader", "rescue"], "has not booted Android: restart it"),
    (
        &["not found", "no devices", "Connection refused", "No route to host", "timed out", "resolve host"],
        "is not there: `adb devices` lists what is connected",
    ),
    // A device that accepts the connection and sends nothing causes a failure to connect without a reason.
    (&["offline", "failed to connect"], "is offline: plug it in again, or run `adb reconnect offline`"),
    (&["Read-only file system", "Permission denied"], "does not let adb write to /data/local/tmp"),
    (&["closed", "protocol fault", "Connection reset", "Broken pipe", "EOF"], "went away: was it unplugged?"),
];

/// Returns what is wrong with the device `serial`, from what `adb` said; `None` for unknown words.
pub(crate) fn explain(serial: &str, said: &str) -> Option<String> {
    let known = |words: &&[&str]| words.iter().any(|word| said.contains(word));
    let (_, meaning) = COMPLAINTS.iter().find(|(words, _)| known(words))?;
    Some(format!("device {serial} {meaning}"))
}

/// Does the same, but uses `adb`'s own words if they are not known.
pub(crate) fn sentence(serial: &str, action: &str, said: &str) -> String {
    explain(serial, said).unwrap_or_else(|| {
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        format!("device {serial}: cannot {action}: {}", last.unwrap_or("adb says nothing").trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of adb 29 to 36, and how they must be understood.
    const CASES: &[(&str, &str)] = &[
        ("error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set", "does not trust"),
        ("failed to authenticate to 127.0.0.1:5555", "does not trust"),
        ("error: device offline", "is offline"),
        ("failed to connect to 127.0.0.1:5555", "is offline"),
        ("adb: error: failed to get feature set: device offline", "is offline"),
        ("error: device '127.0.0.1:5555' not found", "is not there"),
        ("adb: device '127.0.0.1:5555' not found", "is not there"),
        ("error: no devices/emulators found", "is not there"),
        ("failed to connect to '127.0.0.1:5555': Connection refused", "is not there"),
        (
            "adb: error: failed to copy 'a' to 'b': remote write failed: No space left on device",
            "no space left",
        ),
        (
            "adb: error: failed to copy 'a' to 'b': couldn't create file: Permission denied",
            "does not let adb write",
        ),
        ("error: closed", "went away"),
        ("adb: error: failed to read copy response: EOF", "went away"),
        ("error: protocol fault (couldn't read status): Success", "went away"),
        ("no permissions (missing udev rules? user is in the plugdev group)", "may not be used"),
        ("recovery", "has not booted"),
    ];

    #[test]
    fn every_known_message_has_its_meaning() {
        let wrong: Vec<String> = CASES
            .iter()
            .filter_map(|(said, meaning)| {
                let found = sentence("S1", "push a file", said);
                let right =
                    found.contains(meaning) && found.starts_with("device S1 ") && !found.contains('\n');
                (!right).then(|| format!("{said:?}: {found}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn other_words_are_shown_as_they_are() {
        assert_eq!(
            sentence("S1", "push a file", "adb: line one\nadb: line two\n\n"),
            "device S1: cannot push a file: adb: line two"
        );
        assert_eq!(sentence("S1", "push a file", ""), "device S1: cannot push a file: adb says nothing");
    }
}
