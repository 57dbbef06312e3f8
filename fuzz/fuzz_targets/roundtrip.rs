//! What parses is written, read again, and is the same; an edit without a change is the file itself.
#![no_main]

use happy_gguf::{ByteOrder, Gguf, GgufEdit, GgufWriter};
use libfuzzer_sys::fuzz_target;

fn same(a: &Gguf<'_>, b: &Gguf<'_>) {
    assert_eq!(format!("{:?}", a.metadata()), format!("{:?}", b.metadata()));
    assert_eq!(a.tensors().len(), b.tensors().len());
    for (s, t) in a.tensors().zip(b.tensors()) {
        assert_eq!((s.name, s.ty, s.dims), (t.name, t.ty, t.dims));
        assert!(s.ty.layout().is_none() || a.data(&s) == b.data(&t));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(gguf) = Gguf::parse(bytes) else { return };
    assert_eq!(GgufEdit::new(&gguf).to_vec().expect("an edit"), bytes);

    let writer = GgufWriter::from_gguf(&gguf);
    let written = writer.to_vec().expect("what was read can be written");
    assert_eq!(writer.file_len().expect("a length"), written.len() as u64);
    let again = Gguf::parse(&written).expect("what was written can be read");
    same(&gguf, &again);
    if gguf.check_strict().is_ok() && gguf.tensors().len() > 0 {
        let end = gguf.header_end() as usize;
        assert_eq!(written[..end], bytes[..end]);
    }

    let order = if gguf.byte_order() == ByteOrder::Little { ByteOrder::Big } else { ByteOrder::Little };
    let turned = writer.version(3).byte_order(order).to_vec().expect("the other order");
    same(&gguf, &Gguf::parse(&turned).expect("the other order"));

    let mut edit = GgufEdit::new(&gguf);
    edit.set("fuzz.added", vec!["x"; bytes.len() % 40]);
    let edited = edit.to_vec().expect("an edit");
    let edited = Gguf::parse(&edited).expect("an edited file");
    assert_eq!(edited.metadata().get_strings("fuzz.added").map(|s| s.len()).ok(), Some(bytes.len() % 40));
    assert_eq!(edited.tensors().len(), gguf.tensors().len());
});
