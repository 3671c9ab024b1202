//! An input, read from its front. Where it ends, everything is zero.

use quorate_wire::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, GroupId};

/// The rest of an input.
pub(crate) struct Script<'a>(pub(crate) &'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    pub(crate) fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// So many bytes, or what is left.
    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// A sound frame: a kind, and a body whose length it fits to the kind.
    pub(crate) fn frame(&mut self, out: &mut Vec<u8>) {
        let kind = usize::from(self.byte());
        let kind = FrameKind::ALL[kind % FrameKind::ALL.len()];
        let correlation = u64::from(self.byte());
        let group = GroupId(u32::from(self.byte() >> 7));
        let tail = usize::from(self.short()) % 4096;
        let message = kind.message_bytes();
        let length = match kind.tail() {
            quorate_wire::Tail::None => message,
            quorate_wire::Tail::Checked | quorate_wire::Tail::SelfChecked => message + tail,
        };
        let length = length.min(kind.body_bytes_max());
        let mut body = self.bytes(length).to_vec();
        body.resize(length, 0);
        let (checked, rest) = body.split_at(kind.checked_bytes(length));
        out.extend(FrameHeader::seal(
            kind,
            correlation,
            group,
            &[checked],
            rest.len(),
        ));
        out.extend_from_slice(&body);
    }

    /// The bytes of a connection: as they are, or frame after frame.
    pub(crate) fn stream(mut self) -> Vec<u8> {
        if self.byte() == 0 {
            return self.0.to_vec();
        }
        let mut out = Vec::new();
        while !self.is_over() {
            self.frame(&mut out);
        }
        out
    }
}

/// The script that makes this sound frame.
pub(crate) fn of_frame(frame: &[u8]) -> Vec<u8> {
    let kind = FrameKind::from_byte(frame[29]).expect("a golden frame has a kind");
    let place = FrameKind::ALL.iter().position(|&known| known == kind);
    let body = &frame[FRAME_HEADER_BYTES..];
    let tail = u16::try_from(body.len() - kind.message_bytes()).expect("golden frames are small");
    let mut script = vec![
        u8::try_from(place.expect("every kind is listed")).expect("few kinds"),
        frame[16],
        0,
    ];
    script.extend(tail.to_le_bytes());
    script.extend_from_slice(body);
    script
}
