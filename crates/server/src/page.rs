//! The web page: one file, assembled from the sources in `web/`. It loads nothing else.

use std::sync::LazyLock;

const SCRIPTS: [&str; 7] = [
    include_str!("../web/settings.js"),
    include_str!("../web/api.js"),
    include_str!("../web/markdown.js"),
    include_str!("../web/chat.js"),
    include_str!("../web/history.js"),
    include_str!("../web/library.js"),
    include_str!("../web/main.js"),
];

/// The complete page.
pub(crate) static PAGE: LazyLock<String> = LazyLock::new(|| {
    include_str!("../web/page.html")
        .replace("/*STYLE*/", include_str!("../web/style.css"))
        .replace("/*SCRIPT*/", &SCRIPTS.concat())
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_loads_nothing() {
        assert!(!PAGE.contains("/*STYLE*/") && !PAGE.contains("/*SCRIPT*/"));
        for outside in ["src=\"http", "href=\"http", "@import", "import(", "innerHTML", "eval("] {
            assert!(!PAGE.contains(outside), "{outside}");
        }
        // A script ends at the first `</script`, even within a string.
        assert_eq!(PAGE.matches("</script").count(), 1);
        // Every id that a script looks up exists.
        for script in SCRIPTS {
            for id in script.split("byId(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(id == "set-" || PAGE.contains(&format!("id=\"{id}\"")), "{id}");
            }
        }
    }
}
