//! Frames, as nodes send them to each other, and the stream on which they come.

use bytchat_proto::limits::FRAME_BYTES_MAX;
use bytchat_proto::wire::{Body, Frame};
use bytchatd::net::read_frame;

use super::golden;

/// A frame of its own, and the same bytes as a stream of frames.
pub(super) fn feed(bytes: &[u8]) {
    frame(bytes);
    for frame in stream(bytes) {
        assert!(frame.len() <= FRAME_BYTES_MAX, "a frame has {} bytes", frame.len());
    }
}

fn frame(bytes: &[u8]) {
    let frame = match Frame::decode(bytes) {
        Ok(frame) => frame,
        Err(error) => {
            assert!(error.to_string().len() < 4096, "an error has {} bytes", error);
            return;
        }
    };
    let again = frame.encode();
    assert_eq!(Frame::decode(&again).as_ref(), Ok(&frame), "a frame does not come back");
    let json = frame.to_json();
    assert_eq!(json["msg_id"], frame.id);
    if let Body::Request(request) = frame.body {
        let refused = Body::Request(request).with_id(0).encode();
        assert!(Frame::decode(&refused).is_ok());
    }
}

/// Everything that comes out of a stream before it ends or breaks.
fn stream(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let reading = async move {
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = read_frame(&mut rest, FRAME_BYTES_MAX).await {
            frames.push(frame);
        }
        frames
    };
    super::door::on_a_runtime(reading)
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let frames = golden::encodings().into_iter().filter(|bytes| Frame::decode(bytes).is_ok());
    let mut seeds: Vec<Vec<u8>> = frames.collect();
    let two = seeds.iter().take(2);
    let stream = two.flat_map(|frame| {
        let length = u32::try_from(frame.len()).expect("a golden frame is short");
        [length.to_be_bytes().as_slice(), frame].concat()
    });
    seeds.push(stream.collect());
    seeds
}
