//! The frame: what clients and peers send each other. A 32-byte header, then the body: a message of fixed size for its kind,
//! then whatever the kind lets follow.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::crc32;
use crate::limits::{FRAME_BODY_BYTES_MAX, MESSAGE_BYTES_MAX, RECORDS_BYTES_MAX};
use crate::{ErrorCode, GroupId, admin, audit, client, named, peer};

/// Bytes of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 32;

/// The first four bytes of every frame: `QRF1`.
pub const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"QRF1");

/// The version of the protocol that this build speaks.
pub const PROTOCOL_VERSION: u8 = 1;

/// The lowest protocol version that this build speaks.
pub const PROTOCOL_VERSION_MIN: u8 = 1;

/// The version for a connection with who speaks these: the highest one of both, if there is one.
#[must_use]
pub fn common_version(min: u8, max: u8) -> Option<u8> {
    let highest = max.min(PROTOCOL_VERSION);
    (highest >= min.max(PROTOCOL_VERSION_MIN)).then_some(highest)
}

/// Where the bytes that `header_crc` covers begin.
const HEADER_CHECKED_FROM: usize = 8;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawFrameHeader {
    magic: U32,
    header_crc: U32,
    body_len: U32,
    body_crc: U32,
    correlation: U64,
    group: U32,
    version: u8,
    kind: u8,
    flags: U16,
}
const _: () = assert!(size_of::<RawFrameHeader>() == FRAME_HEADER_BYTES);

/// What follows the fixed message of a kind, and what vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing follows.
    None,
    /// Bytes under the frame's body checksum.
    Checked,
    /// One chunk or whole records, under their own checksums: the body checksum covers the message only.
    SelfChecked,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $byte:literal, $message:ty, $tail:ident;)*) => {
        /// What a frame says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum FrameKind {
            $($(#[$doc])* $name,)*
        }

        impl FrameKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its byte in the header.
            #[must_use]
            pub const fn to_byte(self) -> u8 {
                match self { $(Self::$name => $byte,)* }
            }

            /// The kind of a byte.
            #[must_use]
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($byte => Some(Self::$name),)* _ => None }
            }

            /// Bytes of its message, before the tail.
            #[must_use]
            pub const fn message_bytes(self) -> usize {
                match self { $(Self::$name => size_of::<$message>(),)* }
            }

            /// What follows the message.
            #[must_use]
            pub const fn tail(self) -> Tail {
                match self { $(Self::$name => Tail::$tail,)* }
            }
        }
    };
}

kinds! {
    /// Client: greeting.
    Hello = 0x01, client::Hello, None;
    /// Client: one chunk to append.
    Produce = 0x02, client::Produce, SelfChecked;
    /// Client: records from somewhere on; the tail is a filter.
    Fetch = 0x03, client::Fetch, Checked;
    /// Client: how are you?
    Status = 0x04, (), None;
    /// Client: push records from somewhere on; the tail is a filter.
    Subscribe = 0x05, client::Fetch, Checked;
    /// Client: so many further bytes may be pushed.
    Credit = 0x06, client::Credit, None;
    /// Client: push no more.
    Unsubscribe = 0x07, (), None;
    /// Client: the tail is one command to append.
    Command = 0x08, (), Checked;
    /// Client: which cursors are there?
    Cursors = 0x09, named::Listed, None;
    /// Client: a member of a consumer group is there.
    Heartbeat = 0x0a, named::Heartbeat, None;
    /// Client: which consumer groups are there?
    Groups = 0x0b, named::Listed, None;
    /// Client: what did your log amount to?
    Audit = 0x0e, audit::Audit, None;

    /// Operator: do this.
    Admin = 0x0d, admin::Admin, None;

    /// Peer: greeting; the tail lists the members that the sender knows.
    PeerHello = 0x21, peer::PeerHello, Checked;
    /// Peer: Raft's pre-vote.
    PreVote = 0x22, peer::VoteMessage, None;
    /// Peer: answer to it.
    PreVoteReply = 0x23, peer::VoteReplyMessage, None;
    /// Peer: Raft's RequestVote.
    Vote = 0x24, peer::VoteMessage, None;
    /// Peer: answer to it.
    VoteReply = 0x25, peer::VoteReplyMessage, None;
    /// Peer: Raft's AppendEntries; the tail is the records.
    Append = 0x26, peer::AppendMessage, SelfChecked;
    /// Peer: answer to it.
    AppendReply = 0x27, peer::AppendReplyMessage, None;
    /// Peer: send these records, which are missing here.
    Repair = 0x28, peer::RepairMessage, None;
    /// Peer: answer to it; the tail is the records.
    RepairReply = 0x29, peer::RepairReplyMessage, SelfChecked;

    /// Peer: up to where must a read see the log that is asked now?
    ReadIndex = 0x2a, (), None;
    /// Peer: answer to it.
    ReadIndexReply = 0x2b, peer::ReadIndexReplyMessage, None;
    /// Peer: stand for election at once.
    TimeoutNow = 0x2c, peer::TimeoutNowMessage, None;
    /// Peer: what you lack the log has no more, and this snapshot has.
    SnapshotOffer = 0x2d, peer::SnapshotOfferMessage, None;
    /// Peer: send a part of it.
    SnapshotFetch = 0x2e, peer::SnapshotFetchMessage, None;
    /// Peer: answer to it; the tail is the part.
    SnapshotChunk = 0x2f, peer::SnapshotChunkMessage, SelfChecked;

    /// Node to client: answer to `Hello`; the tail lists the nodes.
    HelloReply = 0x81, client::HelloReply, Checked;
    /// Node to client: the chunk is where the producer wants it.
    ProduceReply = 0x82, client::ProduceReply, None;
    /// Node to client: the tail is whole records.
    FetchReply = 0x83, client::FetchReply, SelfChecked;
    /// Node to client: how it is.
    StatusReply = 0x84, client::StatusReply, None;
    /// Node to client: records of a subscription.
    Push = 0x85, client::FetchReply, SelfChecked;
    /// Node to client: nothing more is pushed.
    Unsubscribed = 0x87, client::Unsubscribed, None;
    /// Node to client: the command is applied.
    CommandReply = 0x88, named::CommandReply, None;
    /// Node to client: the tail lists cursors.
    CursorsReply = 0x89, named::CursorsReply, Checked;
    /// Node to client: how the consumer group stands.
    HeartbeatReply = 0x8a, named::HeartbeatReply, None;
    /// Node to client: one consumer group; the tail lists its members.
    GroupsReply = 0x8b, named::GroupsReply, Checked;
    /// Node to client: what it amounted to.
    AuditReply = 0x8e, audit::AuditReply, None;
    /// Node to client: the same as `ProduceReply`, and how long each stage took.
    TracedReply = 0x8f, client::TracedReply, None;
    /// Node to operator: it is done; the tail lists the members.
    AdminReply = 0x8d, admin::AdminReply, Checked;
    /// To client or peer: refused; the tail is a sentence.
    Error = 0xff, client::ErrorMessage, Checked;
}

impl FrameKind {
    /// Most bytes of its body.
    #[must_use]
    pub const fn body_bytes_max(self) -> usize {
        match self.tail() {
            Tail::None => self.message_bytes(),
            Tail::Checked => MESSAGE_BYTES_MAX,
            Tail::SelfChecked => self.message_bytes() + RECORDS_BYTES_MAX,
        }
    }

    /// Whether a body of this length has room for its message, and for nothing more where nothing follows.
    const fn fits(self, body_len: usize) -> bool {
        match self.tail() {
            Tail::None => body_len == self.message_bytes(),
            Tail::Checked | Tail::SelfChecked => body_len >= self.message_bytes(),
        }
    }

    /// How many of a body's bytes the body checksum covers.
    #[must_use]
    pub const fn checked_bytes(self, body_len: usize) -> usize {
        match self.tail() {
            Tail::None | Tail::Checked => body_len,
            Tail::SelfChecked => self.message_bytes(),
        }
    }
}

/// A frame's header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the frame says.
    pub kind: FrameKind,
    /// Bytes of the body.
    pub body_len: usize,
    /// Checksum over the part of the body that the kind puts under it.
    pub body_crc: u32,
    /// Chosen by the asker, echoed in the answer.
    pub correlation: u64,
    /// The group that it is about.
    pub group: GroupId,
}

/// Why a frame is refused. The connection ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes do not begin with `QRF1`.
    #[error("no frame of ours: the magic is {found:#010x}")]
    Magic {
        /// What is there.
        found: u32,
    },
    /// The header's checksum does not fit.
    #[error("the frame header's checksum is {found:#010x}, its bytes give {computed:#010x}")]
    HeaderChecksum {
        /// What the header says.
        found: u32,
        /// What the bytes say.
        computed: u32,
    },
    /// A version that is not spoken here.
    #[error("protocol version {version}: this build speaks {PROTOCOL_VERSION}")]
    Version {
        /// The version.
        version: u8,
    },
    /// A kind or flags that this build does not know, or that may not come this way.
    #[error("unknown or misplaced frame kind {kind:#04x} with flags {flags:#06x}")]
    Kind {
        /// The kind's byte.
        kind: u8,
        /// The flags.
        flags: u16,
    },
    /// The body is longer than its kind allows.
    #[error(
        "a frame body of {bytes} bytes exceeds the limit of its kind, which is {FRAME_BODY_BYTES_MAX} at the very most"
    )]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The body is too short or too long for its message.
    #[error("a body of {bytes} bytes where the message takes {needed}")]
    Length {
        /// Its length.
        bytes: usize,
        /// The message's.
        needed: usize,
    },
    /// The body's checksum does not fit.
    #[error("the frame body's checksum is {found:#010x}, its bytes give {computed:#010x}")]
    BodyChecksum {
        /// What the header says.
        found: u32,
        /// What the bytes say.
        computed: u32,
    },
    /// A field of the message is out of range.
    #[error("the message is out of range: {what}")]
    Invalid {
        /// Which field, and why.
        what: &'static str,
    },
}

impl FrameError {
    /// Its stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Magic { .. } => ErrorCode::FrameMagic,
            Self::HeaderChecksum { .. } => ErrorCode::FrameHeaderChecksum,
            Self::Version { .. } => ErrorCode::FrameVersion,
            Self::Kind { .. } => ErrorCode::FrameKind,
            Self::TooLarge { .. } => ErrorCode::FrameTooLarge,
            Self::Length { .. } => ErrorCode::FrameLength,
            Self::BodyChecksum { .. } => ErrorCode::FrameBodyChecksum,
            Self::Invalid { .. } => ErrorCode::MessageInvalid,
        }
    }
}

impl FrameHeader {
    /// Reads and checks a header: the gate for lengths, before anything is allocated or waited for.
    ///
    /// # Errors
    /// The bytes are not a sound header.
    pub fn parse(bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<Self, FrameError> {
        let raw: RawFrameHeader = zerocopy::transmute!(*bytes);
        if raw.magic.get() != FRAME_MAGIC {
            return Err(FrameError::Magic {
                found: raw.magic.get(),
            });
        }
        let (found, computed) = (raw.header_crc.get(), raw.computed_crc());
        if found != computed {
            return Err(FrameError::HeaderChecksum { found, computed });
        }
        if raw.version != PROTOCOL_VERSION {
            return Err(FrameError::Version {
                version: raw.version,
            });
        }
        let flags = raw.flags.get();
        let kind = FrameKind::from_byte(raw.kind)
            .filter(|_| flags == 0)
            .ok_or(FrameError::Kind {
                kind: raw.kind,
                flags,
            })?;
        let body_len = usize::try_from(raw.body_len.get()).expect("32 bits fit into a size");
        // A kind without a tail has one length; another one is wrong, not too large, until it is beyond every frame.
        let bytes_max = match kind.tail() {
            Tail::None => FRAME_BODY_BYTES_MAX,
            Tail::Checked | Tail::SelfChecked => kind.body_bytes_max(),
        };
        if body_len > bytes_max {
            return Err(FrameError::TooLarge { bytes: body_len });
        }
        if !kind.fits(body_len) {
            return Err(FrameError::Length {
                bytes: body_len,
                needed: kind.message_bytes(),
            });
        }
        Ok(Self {
            kind,
            body_len,
            body_crc: raw.body_crc.get(),
            correlation: raw.correlation.get(),
            group: GroupId(raw.group.get()),
        })
    }

    /// The header for a body whose checked part is `checked`, and whose self-checked tail is `tail_len` bytes long.
    ///
    /// # Panics
    /// The body is longer or shorter than its kind allows: the maker's own bug.
    #[must_use]
    pub fn seal(
        kind: FrameKind,
        correlation: u64,
        group: GroupId,
        checked: &[&[u8]],
        tail_len: usize,
    ) -> [u8; FRAME_HEADER_BYTES] {
        let checked_len: usize = checked.iter().map(|part| part.len()).sum();
        let body_len = checked_len + tail_len;
        assert!(
            body_len <= kind.body_bytes_max() && kind.fits(body_len),
            "whoever builds a frame keeps to the lengths of its kind"
        );
        assert!(
            kind.checked_bytes(body_len) == checked_len,
            "the kind says what the body checksum covers"
        );
        let mut raw = RawFrameHeader {
            magic: U32::new(FRAME_MAGIC),
            header_crc: U32::new(0),
            body_len: U32::new(u32::try_from(body_len).expect("bodies are bounded")),
            body_crc: U32::new(crc32(checked)),
            correlation: U64::new(correlation),
            group: U32::new(group.0),
            version: PROTOCOL_VERSION,
            kind: kind.to_byte(),
            flags: U16::new(0),
        };
        raw.header_crc = U32::new(raw.computed_crc());
        zerocopy::transmute!(raw)
    }

    /// Checks a body against the header, and splits it into message and tail.
    ///
    /// # Errors
    /// The checksum does not fit.
    ///
    /// # Panics
    /// `body` is not `body_len` long: the caller's own bug.
    pub fn open<'a>(&self, body: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), FrameError> {
        assert!(
            body.len() == self.body_len,
            "the caller hands in the whole body"
        );
        let (checked, _) = body.split_at(self.kind.checked_bytes(self.body_len));
        let computed = crc32(&[checked]);
        if computed != self.body_crc {
            return Err(FrameError::BodyChecksum {
                found: self.body_crc,
                computed,
            });
        }
        Ok(body.split_at(self.kind.message_bytes()))
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub const fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.body_len
    }
}

impl RawFrameHeader {
    fn computed_crc(&self) -> u32 {
        let (_, checked) = self.as_bytes().split_at(HEADER_CHECKED_FROM);
        crc32(&[checked])
    }
}

/// A whole frame at the start of received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its header.
    pub header: FrameHeader,
    /// The fixed message of its kind.
    pub message: &'a [u8],
    /// What follows the message.
    pub tail: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads the frame at the start of `bytes`: `None` if more bytes are needed. [`Frame::bytes`] says how many it took.
    /// Whoever speaks another protocol is refused by its first word, before it has sent a header's worth.
    ///
    /// # Errors
    /// The bytes are not a sound frame.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, FrameError> {
        let Some((head, rest)) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>() else {
            return match bytes.first_chunk().map(|word| U32::from_bytes(*word).get()) {
                Some(found) if found != FRAME_MAGIC => Err(FrameError::Magic { found }),
                Some(_) | None => Ok(None),
            };
        };
        let header = FrameHeader::parse(head)?;
        let Some(body) = rest.get(..header.body_len) else {
            return Ok(None);
        };
        let (message, tail) = header.open(body)?;
        Ok(Some(Self {
            header,
            message,
            tail,
        }))
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.header.frame_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameKind, Tail};
    use crate::limits::{FRAME_BODY_BYTES_MAX, MESSAGE_BYTES_MAX};

    #[test]
    fn each_kind_has_its_own_byte() {
        for &kind in FrameKind::ALL {
            assert_eq!(FrameKind::from_byte(kind.to_byte()), Some(kind));
        }
        let known = (0..=u8::MAX).filter(|&byte| FrameKind::from_byte(byte).is_some());
        assert_eq!(known.count(), FrameKind::ALL.len());
    }

    #[test]
    fn every_body_is_under_the_limit() {
        for &kind in FrameKind::ALL {
            assert!(kind.message_bytes() <= MESSAGE_BYTES_MAX, "{kind:?}");
            assert!(kind.message_bytes() <= kind.body_bytes_max(), "{kind:?}");
            assert!(kind.body_bytes_max() <= FRAME_BODY_BYTES_MAX, "{kind:?}");
        }
    }

    #[test]
    fn only_a_self_checked_tail_is_outside_the_body_checksum() {
        for &kind in FrameKind::ALL {
            let message = kind.message_bytes();
            let checked = match kind.tail() {
                Tail::None => message,
                Tail::Checked => message + 24,
                Tail::SelfChecked => message,
            };
            let body = match kind.tail() {
                Tail::None => message,
                Tail::Checked | Tail::SelfChecked => message + 24,
            };
            assert_eq!(kind.checked_bytes(body), checked, "{kind:?}");
        }
    }

    #[test]
    fn records_and_chunks_are_aligned_in_their_frames() {
        for &kind in FrameKind::ALL {
            assert!(kind.message_bytes().is_multiple_of(8), "{kind:?}");
        }
    }
}
