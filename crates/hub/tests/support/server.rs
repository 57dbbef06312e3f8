//! The servers: one that speaks as the Hugging Face Hub, one that has the bytes, on two ports, which are two origins.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::sha256;

/// What goes wrong with one answer of the host of bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The connection ends after so many bytes of the body.
    Cut(u64),
    /// A status without a body.
    Status(u16),
    /// 429, with `Retry-After: 0`.
    Busy,
    /// The bytes of another place, told as such.
    WrongRange,
    /// The right bytes, told as those of another place.
    WrongLabel,
    /// A partial answer that does not say which part.
    NoLabel,
    /// A length of the file that it does not have.
    WrongTotal,
    /// The whole file instead of the range.
    Whole,
    /// The range, but with status 200 (as ModelScope's hub does).
    RangeAs200,
    /// The range, under another entity tag.
    OtherTag,
    /// One bit of the body is another one.
    Flip,
    /// Said to be compressed.
    Gzip,
    /// So many bytes at a time, with a pause of a millisecond.
    Drip(usize),
    /// Nothing at all, until the client gives up.
    Stall,
    /// A redirect to this address.
    Redirect(String),
    /// An answer that is not HTTP.
    Garbage,
}

/// One request, as it was logged.
#[derive(Clone, Debug)]
pub struct Logged {
    /// It came to the host of bytes, not to the hub.
    pub at_host: bool,
    pub method: String,
    pub target: String,
    pub headers: BTreeMap<String, String>,
    /// Bytes of the body that were sent.
    pub sent: u64,
}

/// A file of the repository `o/r`. What follows `bytes` up to `len` is zeros.
#[derive(Clone)]
struct Stored {
    bytes: Arc<Vec<u8>>,
    len: u64,
    sha256: String,
    tag: String,
}

type Plan = Box<dyn FnMut(&Logged, usize) -> Fault + Send>;

#[derive(Default)]
struct Inner {
    files: BTreeMap<String, Stored>,
    log: Vec<Logged>,
    /// Bodies of files, in bytes.
    sent: u64,
    requests: usize,
    /// Answers of the host of bytes that have begun and not ended.
    answering: usize,
    plan: Option<Plan>,
    /// The listing that is sent instead of the true one.
    listing: Option<String>,
    /// Whether the hub knows the API.
    no_api: bool,
}

struct Shared {
    inner: Mutex<Inner>,
    moved: Condvar,
    stop: AtomicBool,
}

/// Both servers; they end with it.
pub struct Server {
    shared: Arc<Shared>,
    hub: SocketAddr,
    host: SocketAddr,
}

pub const COMMIT: &str = "00112233445566778899aabbccddeeff00112233";

impl Server {
    pub fn start() -> Self {
        let shared =
            Arc::new(Shared { inner: Mutex::default(), moved: Condvar::new(), stop: AtomicBool::new(false) });
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (hub, host) = (listen(), listen());
        let addresses = (hub.local_addr().unwrap(), host.local_addr().unwrap());
        for (listener, at_host) in [(hub, false), (host, true)] {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || accept(&listener, &shared, at_host, addresses.1));
        }
        Self { shared, hub: addresses.0, host: addresses.1 }
    }

    /// With one file `model.gguf`.
    pub fn with(bytes: &[u8]) -> Self {
        let server = Self::start();
        server.put("model.gguf", bytes);
        server
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.hub)
    }

    /// The address of a file at the host of bytes.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/host/{path}", self.host)
    }

    pub fn put(&self, path: &str, bytes: &[u8]) {
        self.put_sparse(path, bytes, bytes.len() as u64);
    }

    /// A file of `len` bytes that begins with `bytes`; its hash is that of the beginning.
    pub fn put_sparse(&self, path: &str, bytes: &[u8], len: u64) {
        let sha256 = sha256(bytes);
        let tag = format!("\"tag-{}\"", &sha256[..12]);
        let stored = Stored { bytes: Arc::new(bytes.to_vec()), len, sha256, tag };
        self.inner(|inner| inner.files.insert(path.to_owned(), stored));
    }

    /// Decides what goes wrong with each request for bytes: the request, and its number from 0.
    pub fn plan(&self, plan: impl FnMut(&Logged, usize) -> Fault + Send + 'static) {
        self.inner(|inner| {
            inner.requests = 0;
            inner.plan = Some(Box::new(plan));
        });
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.inner(|inner| inner.plan = None);
    }

    pub fn set_listing(&self, json: impl Into<String>) {
        self.inner(|inner| inner.listing = Some(json.into()));
    }

    pub fn forget_api(&self) {
        self.inner(|inner| inner.no_api = true);
    }

    /// Bytes of files that were sent since the last call. The client may have the last bytes before they are counted, so this
    /// waits for answers to end, but not for one whose client neither reads nor closes.
    pub fn take_sent(&self) -> u64 {
        let inner = self.shared.inner.lock().unwrap();
        let busy = |inner: &mut Inner| inner.answering > 0;
        let (mut inner, _) =
            self.shared.moved.wait_timeout_while(inner, Duration::from_secs(2), busy).unwrap();
        std::mem::take(&mut inner.sent)
    }

    pub fn take_log(&self) -> Vec<Logged> {
        self.inner(|inner| std::mem::take(&mut inner.log))
    }

    /// Waits until at least so many bytes of files were sent, or `stop` says so.
    pub fn wait_for_sent(&self, bytes: u64, mut stop: impl FnMut() -> bool) {
        let mut inner = self.shared.inner.lock().unwrap();
        while inner.sent < bytes && !stop() {
            inner = self.shared.moved.wait_timeout(inner, Duration::from_millis(5)).unwrap().0;
        }
    }

    fn inner<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.shared.inner.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the threads that wait for a connection.
        let _ = (TcpStream::connect(self.hub), TcpStream::connect(self.host));
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, at_host: bool, host: SocketAddr) {
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let (Ok(stream), shared) = (stream, Arc::clone(shared)) else { continue };
        std::thread::spawn(move || {
            let _ = stream.set_nodelay(true);
            let mut reader = BufReader::new(stream);
            while let Some(request) = read_request(&mut reader, at_host) {
                if answer(reader.get_mut(), &shared, request, host).is_none() {
                    return;
                }
            }
        });
    }
}

fn read_request(reader: &mut BufReader<TcpStream>, at_host: bool) -> Option<Logged> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Some(Logged { at_host, method, target, headers, sent: 0 })
}

/// Answers; `None`: the connection ends.
fn answer(stream: &mut TcpStream, shared: &Shared, request: Logged, host: SocketAddr) -> Option<()> {
    let path = request.target.split('?').next()?.to_owned();
    if request.at_host {
        let name = path.strip_prefix("/host/")?;
        shared.inner.lock().unwrap().answering += 1;
        let open = bytes(stream, shared, request, name);
        shared.inner.lock().unwrap().answering -= 1;
        shared.moved.notify_all();
        return open;
    }
    let (reply, head) = {
        let mut inner = shared.inner.lock().unwrap();
        inner.log.push(request.clone());
        (hub(&inner, &path, host), request.method == "HEAD")
    };
    let (status, headers, body) = reply;
    let body = if head { Vec::new() } else { body };
    let len = if head { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    write!(stream, "HTTP/1.1 {status} X\r\n{headers}{len}\r\n").ok()?;
    stream.write_all(&body).ok()
}

/// The hub: descriptions, and redirects to the host of bytes.
fn hub(inner: &Inner, path: &str, host: SocketAddr) -> (u16, String, Vec<u8>) {
    if path.starts_with("/api/models/o/r/revision/") && !inner.no_api {
        let listed = |(path, file): (&String, &Stored)| {
            let (size, sha256) = (file.len, &file.sha256);
            format!(r#"{{"rfilename":"{path}","size":{size},"lfs":{{"sha256":"{sha256}","size":{size}}}}}"#)
        };
        let files: Vec<String> = inner.files.iter().map(listed).collect();
        let files = files.join(",");
        let json = format!(r#"{{"sha":"{COMMIT}","tags":["license:mit"],"siblings":[{files}]}}"#);
        return (200, String::new(), inner.listing.clone().unwrap_or(json).into_bytes());
    }
    let file = path.strip_prefix("/o/r/resolve/").and_then(|rest| rest.split_once('/'));
    let Some((name, file)) = file.and_then(|(_, name)| Some((name, inner.files.get(name)?))) else {
        return (404, String::new(), Vec::new());
    };
    let headers = format!(
        "Location: http://{host}/host/{name}?signature={}\r\nX-Repo-Commit: {COMMIT}\r\nX-Linked-Etag: \"{}\"\r\nX-Linked-Size: {}\r\n",
        inner.log.len(),
        file.sha256,
        file.len
    );
    (302, headers, Vec::new())
}

/// The host of bytes.
fn bytes(stream: &mut TcpStream, shared: &Shared, request: Logged, name: &str) -> Option<()> {
    let (file, fault, number) = {
        let mut inner = shared.inner.lock().unwrap();
        let number = inner.requests;
        inner.requests += 1;
        inner.log.push(request.clone());
        let fault = inner.plan.as_mut().map_or(Fault::None, |plan| plan(&request, number));
        (inner.files.get(name).cloned(), fault, inner.log.len() - 1)
    };
    let Some(file) = file else {
        return write!(stream, "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n").ok();
    };
    match &fault {
        Fault::Status(status) => {
            return write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").ok();
        }
        Fault::Busy => {
            return write!(stream, "HTTP/1.1 429 X\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n").ok();
        }
        Fault::Redirect(to) => {
            return write!(stream, "HTTP/1.1 307 X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").ok();
        }
        Fault::Garbage => {
            let _ = stream.write_all(b"\0\xff not HTTP at all\r\n\r\n");
            return None;
        }
        Fault::Stall => {
            // Until the client closes, which a read notices.
            let _ = std::io::Read::read(stream, &mut [0]);
            return None;
        }
        _ => {}
    }
    let range = request.headers.get("range").and_then(|range| {
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?.min(file.len - 1) + 1))
    });
    let matches = request.headers.get("if-range").is_none_or(|tag| *tag == file.tag);
    let range = range.filter(|_| matches && fault != Fault::Whole);
    if let Some((first, _)) = range
        && first >= file.len
    {
        return write!(
            stream,
            "HTTP/1.1 416 X\r\nContent-Range: bytes */{}\r\nContent-Length: 0\r\n\r\n",
            file.len
        )
        .ok();
    }
    let (mut start, mut end) = range.unwrap_or((0, file.len));
    let mut status = if range.is_some() { 206 } else { 200 };
    let (mut shown, mut total) = ((start, end), file.len);
    match &fault {
        Fault::WrongRange => {
            (start, end) = if start > 0 { (start - 1, end - 1) } else { (1, end.min(file.len - 1) + 1) };
            shown = (start, end);
        }
        Fault::WrongLabel => shown = (start + 1, end + 1),
        Fault::WrongTotal => total += 1,
        Fault::RangeAs200 => status = 200,
        _ => {}
    }
    let label = if range.is_some() && fault != Fault::NoLabel {
        format!("Content-Range: bytes {}-{}/{total}\r\n", shown.0, shown.1 - 1)
    } else {
        String::new()
    };
    let tag = if fault == Fault::OtherTag { "\"other\"" } else { &file.tag };
    let coding = if fault == Fault::Gzip { "Content-Encoding: gzip\r\n" } else { "" };
    let len = end - start;
    write!(stream, "HTTP/1.1 {status} X\r\n{label}ETag: {tag}\r\n{coding}Content-Length: {len}\r\n\r\n")
        .ok()?;
    if request.method == "HEAD" {
        return Some(());
    }
    let step = if let Fault::Drip(step) = fault { step } else { 16 << 10 };
    let stop = if let Fault::Cut(after) = fault { end.min(start + after) } else { end };
    let mut at = start;
    while at < stop {
        let next = stop.min(at + step as u64);
        let stored = file.bytes.len() as u64;
        let mut piece = file.bytes[at.min(stored) as usize..next.min(stored) as usize].to_vec();
        piece.resize((next - at) as usize, 0);
        if fault == Fault::Flip && at == start {
            piece[0] ^= 1;
        }
        stream.write_all(&piece).ok()?;
        let mut inner = shared.inner.lock().unwrap();
        inner.sent += next - at;
        if let Some(logged) = inner.log.get_mut(number) {
            logged.sent += next - at;
        }
        drop(inner);
        shared.moved.notify_all();
        if let Fault::Drip(_) = fault {
            std::thread::sleep(Duration::from_millis(1));
        }
        at = next;
    }
    (stop == end).then_some(())
}
