//! Fetches a range of a file in order, for headers.

use std::io::Read;

use crate::client::{Failure, lost};
use crate::download::Stream;
use crate::error::Error;
use crate::hub::{Hub, MAX_DOUBTS};
use crate::options::PullOptions;
use crate::remote::{Bytes, Remote};
use crate::resolve::OnRetry;

impl Hub {
    /// Fetches `from..to` in order, with retries, and passes the bytes to `sink`. If the server sends only whole files, a stream
    /// remains, from which the next call continues.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn span(
        &self,
        remote: &Remote,
        from: u64,
        to: u64,
        stream: &mut Option<Stream>,
        options: &PullOptions,
        on_retry: OnRetry<'_>,
        sink: &mut dyn FnMut(u64, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut at = from;
        let mut buffer = [0; 16 << 10];
        let mut doubts = 0;
        self.ask(&remote.label, options, on_retry, || {
            while at < to {
                let (mut body, last) = match stream.take() {
                    Some(stream) => (stream.body, to),
                    None => match remote.fetch(&self.client, at, to)? {
                        Bytes::Range(body, last) => (body, last),
                        Bytes::Whole(body) if at == 0 => (body, to),
                        Bytes::Whole(mut body) => {
                            skip(&mut body, at, &mut buffer).map_err(|e| lost(&remote.label, &e))?;
                            (body, to)
                        }
                        Bytes::Changed { expected, found } => {
                            doubts += 1;
                            if doubts >= MAX_DOUBTS {
                                let file = remote.label.clone();
                                return Err(Failure::lasting(Error::Changed { file, expected, found }));
                            }
                            remote.confirm(&self.client)?;
                            continue;
                        }
                    },
                };
                let end = read_some(&mut *body, &mut at, last, &mut buffer, sink);
                end.map_err(|error| match error {
                    Ok(io) => lost(&remote.label, &io),
                    Err(error) => Failure::lasting(error),
                })?;
                if remote.is_whole_only() {
                    *stream = Some(Stream { body, at });
                } else {
                    // Reads the end of the body, so that the transport can reuse the connection.
                    let _ = body.read(buffer.get_mut(..1).unwrap_or_default());
                }
            }
            Ok(())
        })
    }
}

/// Reads from a body up to `last`. An error inside of `Ok` is the connection's; `Err` is the sink's error.
fn read_some(
    body: &mut dyn Read,
    at: &mut u64,
    last: u64,
    buffer: &mut [u8],
    sink: &mut dyn FnMut(u64, &[u8]) -> Result<(), Error>,
) -> Result<(), Result<std::io::Error, Error>> {
    while *at < last {
        let room = buffer.len().min(usize::try_from(last - *at).unwrap_or(usize::MAX));
        match body.read(buffer.get_mut(..room).unwrap_or_default()) {
            Ok(0) => return Err(Ok(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => {
                sink(*at, buffer.get(..n).unwrap_or_default()).map_err(Err)?;
                *at += n as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Ok(error)),
        }
    }
    Ok(())
}

fn skip(body: &mut dyn Read, bytes: u64, buffer: &mut [u8]) -> std::io::Result<()> {
    let mut at = 0;
    read_some(body, &mut at, bytes, buffer, &mut |_, _| Ok(()))
        .map_err(|error| error.unwrap_or_else(std::io::Error::other))
}
