//! Messages of a WebSocket, in frames and pieces of any size (RFC 6455).

use std::io::{self, ErrorKind};
use std::time::Duration;

use soketto::Parsing;
use soketto::base::{Codec, Header, OpCode};
use tokio::io::AsyncRead;

use super::super::asked::Partial;
use super::super::pieces::Pieces;
use super::super::session::Incoming;

/// Reads messages and never keeps more than one of them.
#[derive(Debug)]
pub(super) struct Frames<R> {
    input: Pieces<R>,
    codec: Codec,
    /// The head of a frame that has begun.
    head: Vec<u8>,
    /// The frame whose payload comes, and how much of it has come.
    frame: Option<(Header, usize)>,
    control: Vec<u8>,
    message: Partial,
    /// A message has begun in a frame that was not its last.
    fragmented: bool,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn new(input: R, message: Partial, patience: Duration) -> Self {
        Self {
            input: Pieces::new(input, patience),
            codec: Codec::new(),
            head: Vec::new(),
            frame: None,
            control: Vec::new(),
            message,
            fragmented: false,
        }
    }

    /// The stream below.
    pub(super) fn stream(&self) -> &R {
        self.input.stream()
    }

    /// Nothing is read for a while, which is not the fault of who writes.
    pub(super) fn rest(&mut self) {
        self.input.rest();
    }

    /// Reads on. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> io::Result<Incoming> {
        loop {
            let begun = self.fragmented || self.frame.is_some() || !self.head.is_empty();
            let Some(chunk) = self.input.next(begun).await? else {
                return Ok(Incoming::Stalled);
            };
            if chunk.is_empty() {
                return Ok(Incoming::Gone);
            }
            let came = match &mut self.frame {
                None => {
                    let (used, header) = read_head(&self.codec, &mut self.head, chunk)?;
                    self.input.consume(used);
                    self.frame = header.map(|header| (header, 0));
                    None
                }
                Some((header, done)) => {
                    let left = header.payload_len().saturating_sub(*done);
                    let part = chunk.get(..left.min(chunk.len())).unwrap_or(chunk);
                    let text = unmask(header.mask(), *done, part);
                    *done += part.len();
                    let used = part.len();
                    self.input.consume(used);
                    match header.opcode().is_control() {
                        true => {
                            self.control.extend_from_slice(&text);
                            None
                        }
                        false => self.message.extend(&text).err().map(Incoming::Unread),
                    }
                }
            };
            let came = came.or(self.end_of_frame()?);
            if let Some(came) = came {
                return Ok(came);
            }
        }
    }

    /// What a frame comes to that is whole.
    fn end_of_frame(&mut self) -> io::Result<Option<Incoming>> {
        let whole = self.frame.as_ref().filter(|(header, done)| *done >= header.payload_len());
        let Some((header, _)) = whole else {
            return Ok(None);
        };
        let (opcode, fin) = (header.opcode(), header.is_fin());
        self.frame = None;
        match opcode {
            OpCode::Ping => Ok(Some(Incoming::Ping(std::mem::take(&mut self.control)))),
            OpCode::Pong => {
                self.control.clear();
                Ok(None)
            }
            OpCode::Close => {
                self.control.truncate(2);
                Ok(Some(Incoming::Closed(std::mem::take(&mut self.control))))
            }
            OpCode::Continue if !self.fragmented => Err(broken("a message goes on that is none")),
            OpCode::Text | OpCode::Binary if self.fragmented => {
                Err(broken("a message begins within another"))
            }
            OpCode::Text | OpCode::Binary | OpCode::Continue => {
                self.fragmented = !fin;
                Ok(fin.then(|| self.message.finish()).flatten().map(Incoming::Whole))
            }
            OpCode::Reserved3
            | OpCode::Reserved4
            | OpCode::Reserved5
            | OpCode::Reserved6
            | OpCode::Reserved7
            | OpCode::Reserved11
            | OpCode::Reserved12
            | OpCode::Reserved13
            | OpCode::Reserved14
            | OpCode::Reserved15 => Err(broken("a frame has a kind that is not used")),
        }
    }
}

/// Reads as much as belongs to the head of a frame; gives it once it is whole.
fn read_head(
    codec: &Codec,
    head: &mut Vec<u8>,
    chunk: &[u8],
) -> io::Result<(usize, Option<Header>)> {
    for (index, byte) in chunk.iter().enumerate() {
        head.push(*byte);
        let header = codec.decode_header(head).map_err(|error| broken(&error.to_string()))?;
        let Parsing::Done { value, .. } = header else {
            continue;
        };
        head.clear();
        // RFC 6455 5.1: a server closes when a client does not mask.
        if !value.is_masked() {
            return Err(broken("a frame is not masked"));
        }
        return Ok((index + 1, Some(value)));
    }
    Ok((chunk.len(), None))
}

/// A part of a payload, of which so many bytes were read before.
fn unmask(mask: u32, done: usize, part: &[u8]) -> zeroize::Zeroizing<Vec<u8>> {
    let mask = mask.to_be_bytes().into_iter().cycle().skip(done % 4);
    zeroize::Zeroizing::new(part.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect())
}

fn broken(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}
