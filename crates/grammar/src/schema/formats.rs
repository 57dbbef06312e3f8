//! The formats of JSON Schema that are regular, as patterns.

/// Whether the pattern of a format is known to leave out some valid texts.
pub(super) fn is_narrow(format: &str) -> bool {
    matches!(format, "time" | "date-time" | "ipv6" | "email" | "hostname" | "uri")
}

/// What the patterns leave out.
pub(super) const LEFT_OUT: &str = "rare spellings of a format";

/// The pattern of a format; `None` if the format is not known here.
///
/// Sources: RFC 3339 (date, time, date-time; 2000-02-30 and 1900-02-29 are not dates; leap seconds are left out), RFC
/// 3339 appendix A (duration), RFC 4122 (uuid), RFC 2673 and 4291 (ipv4, ipv6 without zone and embedded ipv4), RFC 5321
/// (email: dot-atoms only), RFC 1123 (hostname), RFC 3986 (uri with a host or a path, no IP literals), RFC 6901
/// (json-pointer).
pub(super) fn pattern(format: &str) -> Option<String> {
    let date = "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)\
                |02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)";
    let time = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
    let label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
    // No "--" in the third and fourth position: such labels are encoded and follow other rules.
    let host = format!("(?!(?:.*\\.)?..--){label}(?:\\.{label}){{0,8}}");
    let byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    let group = "[0-9A-Fa-f]{1,4}";
    Some(match format {
        "date" => format!("^{date}$"),
        "time" => format!("^{time}$"),
        "date-time" => format!("^{date}T{time}$"),
        "duration" => {
            let time = "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)";
            let day = "[0-9]+D";
            let date = format!("(?:{day}|[0-9]+M(?:{day})?|[0-9]+Y(?:[0-9]+M(?:{day})?)?)");
            format!("^P(?:{date}(?:{time})?|{time}|[0-9]+W)$")
        }
        "uuid" => "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$".to_owned(),
        "ipv4" => format!("^(?:{byte}\\.){{3}}{byte}$"),
        "ipv6" => {
            // All eight groups, or "::" for at least one of them.
            let mut ways = vec![format!("(?:{group}:){{7}}{group}")];
            for before in 0..=7u32 {
                let head = match before {
                    0 => String::new(),
                    n => format!("{group}(?::{group}){{{}}}", n - 1),
                };
                let most = 7 - before;
                let tail = match most {
                    0 => String::new(),
                    n => format!("(?:{group}(?::{group}){{0,{}}})?", n - 1),
                };
                ways.push(format!("{head}::{tail}"));
            }
            format!("^(?:{})$", ways.join("|"))
        }
        "email" => {
            let atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}";
            format!("^{atom}(?:\\.{atom}){{0,2}}@(?:{label}\\.){{1,8}}{label}$")
        }
        "hostname" => format!("^{host}$"),
        "uri" => {
            let c = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})";
            let host = "(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})";
            format!(
                "^[A-Za-z][A-Za-z0-9+.-]*:(?://{host}*(?::[0-9]*)?(?:/{c}*)*|/(?:{c}+(?:/{c}*)*)?|{c}+(?:/{c}*)*)\
                 (?:\\?(?:{c}|[/?])*)?(?:#(?:{c}|[/?])*)?$"
            )
        }
        "json-pointer" => "^(?:/(?:[^~/]|~[01])*)*$".to_owned(),
        _ => return None,
    })
}
