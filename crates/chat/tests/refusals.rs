//! Memory that the system refuses: whichever large allocation fails, compiling or rendering ends with an error.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use happy_chat::{ChatTemplate, Message, TemplateError, TemplateInput};

/// Allocations of at least this size are counted and can be refused; smaller ones succeed on any system that still runs.
const LARGE: usize = 4 << 10;

/// The system's allocator, which refuses one large allocation.
struct Refusing;

/// How many large allocations succeed before one is refused; `usize::MAX`: none is.
static LEFT: AtomicUsize = AtomicUsize::new(usize::MAX);

fn refused(size: usize) -> bool {
    if size < LARGE || LEFT.load(Relaxed) == usize::MAX {
        return false;
    }
    // After the refused one, all succeed: the counter arrives at `usize::MAX`.
    LEFT.fetch_sub(1, Relaxed) == 0
}

// SAFETY: every call is handed on as it is, or answered with null, which means failure.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if refused(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if refused(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

#[test]
fn refused_memory_is_an_error() {
    let turns = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}\n{% endfor %}";
    let sources = [
        // A long template of many tags.
        "{% if messages %}{{ messages[0].role ~ '!' }}{% endif %}".repeat(400) + turns,
        // Lists, dicts, slices and JSON.
        "{% set n = namespace(l=[], d={}) %}{% for m in messages %}{% set n.l = n.l + [m, m.content] %}\
         {% do n.d.update({loop.index: m}) %}{% endfor %}{{ n.l[1:] | tojson }}{{ n.d.items() | list | length }}\
         {{ range(2000) | list | length }}{{ n.l | string }}"
            .replace("{% do n.d.update({loop.index: m}) %}", "{{ n.d.update({loop.index: m}) or '' }}"),
        // Macros, captured text and long literals.
        format!(
            "{{% macro f(x) %}}{{% set t %}}{{{{ x }}}}{}{{% endset %}}{{{{ t | upper }}}}{{% endmacro %}}\
             {{% for m in messages %}}{{{{ f(m.content) }}}}{{% endfor %}}",
            "a long text ".repeat(600)
        ),
    ];
    let input = TemplateInput::new((0..100).map(|i| Message::new("user", format!("text {i} of a user"))));
    let mut wrong = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let whole = ChatTemplate::new(source).unwrap().render(&input).unwrap();
        let mut refusals = 0;
        for n in 0.. {
            LEFT.store(n, Relaxed);
            let result = ChatTemplate::new(source).and_then(|t| t.render_marked(&input, &|| false));
            let reached = LEFT.swap(usize::MAX, Relaxed) == usize::MAX;
            match result {
                Err(TemplateError::OutOfMemory { .. }) if reached => refusals += 1,
                // A dict that is refused twice its size asks for less.
                Ok(rendered) if rendered.text == whole => {}
                other => wrong
                    .push(format!("template {number}, allocation {n}: {:?}", other.map(|r| r.text.len()))),
            }
            if !reached {
                break;
            }
        }
        println!("template {number}: {refusals} refusals");
        assert!(refusals > 5, "template {number}: {refusals} large allocations only");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
