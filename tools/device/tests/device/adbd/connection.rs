//! One connection: the handshake, and the streams that share the socket.
//!
//! A stream may have one message under way in each direction: a sender waits for OKAY before the next.

use super::packet::{AUTH, CLSE, CNXN, MAX_DATA, OKAY, OPEN, Packet, VERSION, WRTE};
use super::{Fault, Phone, shell, sync};
use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What the phone says it is and can do.
const BANNER: &[u8] = b"device::ro.product.name=test;ro.product.model=Test;ro.product.device=test;features=shell_v2,cmd,stat_v2\0";

/// An AUTH message with a token to sign, and with a public key.
const TOKEN: u32 = 1;

/// The socket's sending side, whole messages at a time.
#[derive(Clone)]
struct Wire(Arc<Mutex<TcpStream>>);

impl Wire {
    fn send(&self, packet: &Packet) -> io::Result<()> {
        packet.write(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the connection tells a stream.
enum Note {
    Data(Vec<u8>),
    Ready,
}

/// The phone's end of a stream. Both directions are free of each other, so that a program can write while it is written to.
pub(super) struct Stream {
    pub(super) reader: StreamReader,
    pub(super) writer: StreamWriter,
}

/// Data from the other side.
pub(super) struct StreamReader {
    wire: Wire,
    ids: (u32, u32),
    data: Receiver<Vec<u8>>,
    rest: Vec<u8>,
}

/// Data to the other side.
pub(super) struct StreamWriter {
    wire: Wire,
    ids: (u32, u32),
    ready: Receiver<()>,
    max_data: usize,
}

impl io::Read for StreamReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            // A closed stream has ended.
            let Ok(data) = self.data.recv() else { return Ok(0) };
            self.wire.send(&Packet::new(OKAY, self.ids.0, self.ids.1, &[]))?;
            self.rest = data;
        }
        let n = self.rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.rest[..n]);
        self.rest.drain(..n);
        Ok(n)
    }
}

impl io::Write for StreamWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(self.max_data);
        self.wire.send(&Packet::new(WRTE, self.ids.0, self.ids.1, &bytes[..n]))?;
        self.ready.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        // A connection that is gone has no streams to close.
        let _ = self.wire.send(&Packet::new(CLSE, self.ids.0, self.ids.1, &[]));
    }
}

/// Reads messages until the connection ends.
pub(super) fn serve(phone: &Arc<Phone>, mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let wire = Wire(Arc::new(Mutex::new(socket.try_clone()?)));
    let mut streams: HashMap<u32, Sender<Note>> = HashMap::new();
    let mut last_id = 0;
    let mut max_data = 4096;
    loop {
        let packet = Packet::read(&mut socket)?;
        match packet.command {
            CNXN | AUTH => {
                if packet.command == CNXN {
                    max_data = packet.arg1.min(MAX_DATA);
                }
                match phone.fault {
                    Fault::Offline => {}
                    Fault::Unauthorized => wire.send(&Packet::new(AUTH, TOKEN, 0, &[7; 20]))?,
                    _ => wire.send(&Packet::new(CNXN, VERSION, max_data, BANNER))?,
                }
            }
            OPEN => {
                last_id += 1;
                let service = String::from_utf8_lossy(&packet.data).trim_end_matches('\0').to_owned();
                let (notes, inbox) = mpsc::channel();
                streams.insert(last_id, notes);
                wire.send(&Packet::new(OKAY, last_id, packet.arg0, &[]))?;
                let stream = stream(&wire, (last_id, packet.arg0), inbox, max_data as usize);
                let phone = Arc::clone(phone);
                // A service ends with an error when its stream is closed before it is done.
                thread::spawn(move || start(&phone, &service, stream));
            }
            WRTE => tell(&streams, packet.arg1, Note::Data(packet.data)),
            OKAY => tell(&streams, packet.arg1, Note::Ready),
            CLSE => {
                streams.remove(&packet.arg1);
            }
            _ => {}
        }
    }
}

/// A stream that has ended hears nothing more.
fn tell(streams: &HashMap<u32, Sender<Note>>, id: u32, note: Note) {
    if let Some(stream) = streams.get(&id) {
        let _ = stream.send(note);
    }
}

/// A stream whose two directions read from one inbox.
fn stream(wire: &Wire, ids: (u32, u32), inbox: Receiver<Note>, max_data: usize) -> Stream {
    let ((data_in, data), (ready_in, ready)) = (mpsc::channel(), mpsc::channel());
    thread::spawn(move || {
        for note in inbox {
            // A direction that nobody reads any more loses its notes, as it should.
            match note {
                Note::Data(bytes) => drop(data_in.send(bytes)),
                Note::Ready => drop(ready_in.send(())),
            }
        }
    });
    Stream {
        reader: StreamReader { wire: wire.clone(), ids, data, rest: Vec::new() },
        writer: StreamWriter { wire: wire.clone(), ids, ready, max_data },
    }
}

/// Runs the service that a stream was opened for; one that is unknown is closed at once.
fn start(phone: &Phone, service: &str, stream: Stream) -> io::Result<()> {
    let (name, argument) = service.split_once(':').unwrap_or((service, ""));
    let mut options = name.split(',');
    match options.next() {
        Some("sync") => sync::serve(phone, stream),
        Some("shell" | "exec") => shell::serve(phone, stream, argument, options.any(|o| o == "v2")),
        _ => Ok(()),
    }
}
