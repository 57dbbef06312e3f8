//! Filters that convert texts to texts. Characters keep their origin.

use super::super::args::{Args, given};
use super::super::budget::gathered;
use super::super::error::{R, fail};
use super::super::heap::Cx;
use super::super::lexer::is_space;
use super::super::methods::string;
use super::super::text::{Builder, Text};
use super::super::value::Value;
use super::flag;

/// `markupsafe.escape`, for a text that is not safe.
pub(in super::super) fn escape(cx: &Cx<'_>, text: &Text) -> R<Text> {
    let mut escape = |c: char, push: &mut dyn FnMut(char)| match c {
        '&' => "&amp;".chars().for_each(push),
        '<' => "&lt;".chars().for_each(push),
        '>' => "&gt;".chars().for_each(push),
        '"' => "&#34;".chars().for_each(push),
        '\'' => "&#39;".chars().for_each(push),
        c => push(c),
    };
    text.map_chars(&cx.budget, &mut escape).map(|text| text.with_safe(true))
}

pub(super) fn escape_filter(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    args.all("escape", [])?;
    let text = cx.str(&value)?;
    if text.safe { Ok(Value::Str(text)) } else { escape(cx, &text).map(Value::Str) }
}

pub(super) fn forceescape(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    args.all("forceescape", [])?;
    let text = cx.str(&value)?;
    escape(cx, &text).map(Value::Str)
}

/// `upper` and `lower`.
pub(super) fn cased(cx: &mut Cx<'_>, value: Value, args: Args, method: &'static str) -> R<Value> {
    args.all(method, [])?;
    let text = cx.str(&value)?;
    string::call(cx, &text, method, Args::default())
}

pub(super) fn lower(cx: &Cx<'_>, text: &Text) -> R<Text> {
    string::lower(cx, text)
}

pub(super) fn capitalize(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    cased(cx, value, args, "capitalize")
}

/// `title`: upper case for the first letter of each word. Words end at white space, hyphens and opening brackets.
pub(super) fn title(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    args.all("title", [])?;
    let text = cx.str(&value)?;
    let mut begins = true;
    text.map_chars(&cx.budget, |c, push| {
        if begins {
            c.to_uppercase().for_each(push)
        } else {
            c.to_lowercase().for_each(push)
        }
        begins = is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    })
    .map(|text| Value::Str(text.with_safe(false)))
}

pub(super) fn center(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [width] = args.bind("center", ["width"])?;
    let text = cx.str(&value)?;
    string::call(
        cx,
        &text,
        "center",
        Args { positional: vec![width.unwrap_or(Value::Int(80))], named: Vec::new() },
    )
}

pub(super) fn trim(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [chars] = args.bind("trim", ["chars"])?;
    let text = cx.str(&value)?;
    string::call(cx, &text, "strip", Args { positional: chars.into_iter().collect(), named: Vec::new() })
}

pub(super) fn replace(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [old, new, count] = args.bind("replace", ["old", "new", "count"])?;
    let (Some(old), Some(new)) = (old, new) else {
        return fail("replace() needs what to replace and by what");
    };
    let (text, old, new) = (cx.str(&value)?, cx.str(&old)?, cx.str(&new)?);
    let count = given(count).map_or(Ok(-1), |count| count.index())?;
    string::replace(cx, &text, &old, &new, count).map(|text| Value::Str(text.with_safe(false)))
}

/// `indent(width=4, first=False, blank=False)`; the width may be a string.
pub(super) fn indent(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [width, first, blank] = args.bind("indent", ["width", "first", "blank"])?;
    let indention = match width {
        Some(Value::Str(text)) => text,
        width => {
            let width = width.map_or(Ok(4), |width| width.index())?;
            let mut out = Builder::default();
            out.repeat(&cx.budget, &Text::plain(" "), usize::try_from(width).unwrap_or(0))?;
            out.finish()
        }
    };
    let (first, blank) = (flag(cx, first), flag(cx, blank));
    let text = value.as_text()?;
    let mut out = Builder::default();
    if first {
        out.text(&cx.budget, &indention)?;
    }
    // After a line feed at the end, there is an empty line.
    let mut lines = string::line_ranges(text.as_str());
    if text.as_str().is_empty() || lines.last().is_some_and(|(line, end)| *end > line.end) {
        let end = text.as_str().len();
        lines.push((end..end, end));
    }
    for (i, (line, _)) in lines.into_iter().enumerate() {
        cx.budget.charge(1)?;
        if i > 0 {
            out.str(&cx.budget, "\n", None)?;
            if blank || !line.is_empty() {
                out.text(&cx.budget, &indention)?;
            }
        }
        out.part(&cx.budget, text, line)?;
    }
    Ok(Value::Str(out.finish().with_safe(text.safe)))
}

pub(super) fn truncate(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [length, killwords, end, leeway] = args.bind("truncate", ["length", "killwords", "end", "leeway"])?;
    let length = length.map_or(Ok(255), |length| length.index())?;
    let leeway = given(leeway).map_or(Ok(5), |leeway| leeway.index())?;
    let end = match end {
        Some(end) => end.as_text()?.clone(),
        None => Text::plain("..."),
    };
    if value.is_undefined() {
        return Ok(value);
    }
    let text = value.as_text()?;
    let len = cx.len(&value)? as i64;
    let end_len = end.as_str().chars().count() as i64;
    if length < end_len || leeway < 0 {
        return fail(format!("truncate: expected a length of at least {end_len} and a leeway of at least 0"));
    }
    if len <= length.saturating_add(leeway) {
        return Ok(value);
    }
    let kept = usize::try_from(length - end_len).unwrap_or(0);
    let cut = text.as_str().char_indices().nth(kept).map_or(text.as_str().len(), |(i, _)| i);
    let head = text.as_str().get(..cut).unwrap_or_default();
    let cut = if flag(cx, killwords) { cut } else { head.rfind(' ').unwrap_or(cut) };
    let mut out = Builder::default();
    out.part(&cx.budget, text, 0..cut)?;
    out.text(&cx.budget, &end)?;
    Ok(Value::Str(out.finish().with_safe(text.safe)))
}

pub(super) fn wordcount(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    args.all("wordcount", [])?;
    let text = cx.str(&value)?;
    cx.budget.bytes(text.as_str().len())?;
    let word = |c: char| c.is_alphanumeric() || c == '_';
    Ok(Value::from(text.as_str().split(|c| !word(c)).filter(|w| !w.is_empty()).count()))
}

/// `wordwrap(width=79, break_long_words=True, wrapstring=None, break_on_hyphens=True)`. Words may be broken at hyphens between
/// letters.
pub(super) fn wordwrap(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let names = ["width", "break_long_words", "wrapstring", "break_on_hyphens"];
    let [width, long, wrap, hyphens] = args.bind("wordwrap", names)?;
    let width = width.map_or(Ok(79), |width| super::count(&width, "wordwrap: the width"))?;
    let long = long.is_none_or(|long| cx.truth(&long));
    let hyphens = hyphens.is_none_or(|hyphens| cx.truth(&hyphens));
    let wrap = match given(wrap) {
        Some(wrap) => wrap.as_text()?.clone(),
        None => Text::plain("\n"),
    };
    let text = value.as_text()?;
    let mut out = Builder::default();
    for (i, (line, _)) in string::line_ranges(text.as_str()).into_iter().enumerate() {
        if i > 0 {
            out.text(&cx.budget, &wrap)?;
        }
        for (j, part) in wrapped(text.as_str(), line, width, long, hyphens).into_iter().enumerate() {
            cx.budget.charge(1)?;
            if j > 0 {
                out.text(&cx.budget, &wrap)?;
            }
            out.part(&cx.budget, text, part)?;
        }
    }
    Ok(Value::Str(out.finish()))
}

/// Wraps a line as Python's `textwrap` does, and returns the new lines as ranges of bytes.
fn wrapped(
    text: &str,
    line: std::ops::Range<usize>,
    width: usize,
    long: bool,
    hyphens: bool,
) -> Vec<std::ops::Range<usize>> {
    // Chunks: runs of white space, and words or their parts up to a hyphen between letters.
    let mut chunks: Vec<(std::ops::Range<usize>, usize, bool)> = Vec::new();
    let chars: Vec<(usize, char)> =
        text.get(line.clone()).unwrap_or_default().char_indices().map(|(i, c)| (i + line.start, c)).collect();
    let white = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}');
    for (i, (at, c)) in chars.iter().enumerate() {
        let end = at + c.len_utf8();
        let letter = |i: Option<usize>| i.and_then(|i| chars.get(i)).is_some_and(|(_, c)| c.is_alphabetic());
        let hyphen = |i: usize| {
            hyphens
                && chars.get(i).is_some_and(|(_, c)| *c == '-')
                && letter(i.checked_sub(1))
                && letter(Some(i + 1))
                && letter(i.checked_sub(2))
                && letter(Some(i + 2))
        };
        match chunks.last_mut() {
            Some((range, len, blank)) if *blank == white(*c) && !i.checked_sub(1).is_some_and(hyphen) => {
                range.end = end;
                *len += 1;
            }
            _ => chunks.push((*at..end, 1, white(*c))),
        }
    }
    let mut lines = Vec::new();
    let mut chunks = chunks.into_iter().peekable();
    while chunks.peek().is_some() {
        if !lines.is_empty() {
            // White space at the start of a line is dropped, except for the first line.
            while chunks.next_if(|(_, _, blank)| *blank).is_some() {}
        }
        let mut taken = 0;
        let mut parts: Vec<(std::ops::Range<usize>, bool)> = Vec::new();
        while let Some((range, len, blank)) = chunks.next_if(|(_, len, _)| taken + len <= width) {
            taken += len;
            parts.push((range, blank));
        }
        if parts.is_empty()
            && let Some((range, len, _)) = chunks.peek_mut()
        {
            // A word that is longer than a line is cut, or gets a line of its own.
            let cut = if long {
                let part = text.get(range.clone()).unwrap_or_default();
                part.char_indices().nth(width).map_or(range.end, |(i, _)| range.start + i)
            } else {
                range.end
            };
            parts.push((range.start..cut, false));
            range.start = cut;
            *len = len.saturating_sub(width);
            if range.start >= range.end {
                chunks.next();
            }
        }
        if parts.last().is_some_and(|(_, blank)| *blank) {
            parts.pop();
        }
        if let (Some((first, _)), Some((last, _))) = (parts.first(), parts.last()) {
            lines.push(first.start..last.end);
        }
    }
    lines
}

/// Percent-encoding as UTF-8; a mapping or a list of pairs becomes a query.
pub(super) fn urlencode(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    args.all("urlencode", [])?;
    let mut out = Builder::default();
    let pairs = match &value {
        Value::Dict(dict) => {
            cx.budget.items(cx.dict_of(*dict)?.len())?;
            gathered(cx.dict_of(*dict)?.len(), cx.dict_of(*dict)?.values().cloned())?
        }
        Value::List(_) | Value::Tuple(_) | Value::Iter(_) | Value::View(..) => {
            let mut pairs = Vec::new();
            for pair in cx.collect(&value)? {
                let [key, value] =
                    cx.collect(&pair)?.try_into().or_else(|_| fail("urlencode: expected pairs"))?;
                pairs.push((key, value));
            }
            pairs
        }
        _ => {
            let text = cx.str(&value)?;
            quote(cx, &mut out, &text, true)?;
            return Ok(Value::Str(out.finish()));
        }
    };
    for (i, (key, value)) in pairs.iter().enumerate() {
        if i > 0 {
            out.str(&cx.budget, "&", None)?;
        }
        let (key, value) = (cx.str(key)?, cx.str(value)?);
        quote(cx, &mut out, &key, false)?;
        out.str(&cx.budget, "=", None)?;
        quote(cx, &mut out, &value, false)?;
    }
    Ok(Value::Str(out.finish()))
}

/// Percent-encodes a text. If `whole`, slashes stay and spaces become `%20`. Otherwise, in queries, spaces become `+`.
fn quote(cx: &Cx<'_>, out: &mut Builder, text: &Text, whole: bool) -> R<()> {
    let quoted = text.map_chars(&cx.budget, |c, push| match c {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '.' | '-' | '~' => push(c),
        '/' if whole => push(c),
        ' ' if !whole => push('+'),
        c => {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                format!("%{byte:02X}").chars().for_each(&mut *push);
            }
        }
    })?;
    out.text(&cx.budget, &quoted)
}

/// Removes tags and comments, and collapses white space.
pub(super) fn striptags(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    args.all("striptags", [])?;
    let text = cx.str(&value)?;
    let text = without(cx, &text, "<!--", "-->")?;
    let text = without(cx, &text, "<", ">")?;
    let mut out = Builder::default();
    for (i, word) in string::word_ranges(text.as_str()).into_iter().enumerate() {
        if i > 0 {
            out.str(&cx.budget, " ", None)?;
        }
        out.part(&cx.budget, &text, word)?;
    }
    unescape(cx, &out.finish()).map(Value::Str)
}

/// Removes everything from `open` to `close`.
fn without(cx: &Cx<'_>, text: &Text, open: &str, close: &str) -> R<Text> {
    let string = text.as_str();
    let mut out = Builder::default();
    let mut at = 0;
    while let Some(start) = string.get(at..).and_then(|rest| rest.find(open)).map(|i| i + at) {
        let Some(end) = string.get(start..).and_then(|rest| rest.find(close)).map(|i| i + start) else {
            break;
        };
        out.part(&cx.budget, text, at..start)?;
        at = end + close.len();
    }
    out.part(&cx.budget, text, at..string.len())?;
    Ok(out.finish())
}

/// Restores the five characters that `escape` escapes.
fn unescape(cx: &Cx<'_>, text: &Text) -> R<Text> {
    let mut text = text.clone();
    for (from, to) in
        [("&lt;", "<"), ("&gt;", ">"), ("&#34;", "\""), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
    {
        text = string::replace(cx, &text, &Text::plain(from), &Text::plain(to), -1)?;
    }
    Ok(text)
}

/// `pprint`: writes one line, as `repr` does.
pub(super) fn pprint(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    args.all("pprint", [])?;
    let mut out = Builder::default();
    cx.write_repr(&mut out, &value)?;
    Ok(Value::Str(out.finish()))
}

pub(super) fn xmlattr(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [autospace] = args.bind("xmlattr", ["autospace"])?;
    let autospace = autospace.is_none_or(|value| cx.truth(&value));
    let Value::Dict(dict) = value else {
        return fail(format!("xmlattr: '{}' is not a mapping", value.type_name()));
    };
    let mut out = Builder::default();
    for (key, value) in cx.dict_of(dict)?.values() {
        if value.is_undefined() || matches!(value, Value::None) {
            continue;
        }
        let key = key.as_text()?;
        if key.as_str().contains(|c: char| is_space(c) || matches!(c, '/' | '>' | '=')) {
            return fail("xmlattr: invalid character in attribute name");
        }
        if autospace || out.len() > 0 {
            out.str(&cx.budget, " ", None)?;
        }
        let value = cx.str(value)?;
        out.text(&cx.budget, &escape(cx, key)?)?;
        out.str(&cx.budget, "=\"", None)?;
        out.text(&cx.budget, &if value.safe { value } else { escape(cx, &value)? })?;
        out.str(&cx.budget, "\"", None)?;
    }
    Ok(Value::Str(out.finish()))
}
