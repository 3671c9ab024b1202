//! Error codes: stable numbers that a program can act on. `docs/errors.md` says for each what to do.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, retry $retry:literal;)*) => {
        /// A stable code. Numbers are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum ErrorCode {
            $($(#[$doc])* $name = $code,)*
        }

        impl ErrorCode {
            /// All codes, by number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The number.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $code,)* }
            }

            /// The code of a number.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($code => Some(Self::$name),)* _ => None }
            }

            /// The name, as in `docs/errors.md`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Whether the same request may succeed later, here or at another node.
            #[must_use]
            pub const fn retry(self) -> bool {
                match self { $(Self::$name => $retry,)* }
            }
        }
    };
}

codes! {
    /// The frame does not begin with the magic.
    FrameMagic = 101, retry false;
    /// The frame's header fails its checksum.
    FrameHeaderChecksum = 102, retry false;
    /// The frame's version is not spoken here.
    FrameVersion = 103, retry false;
    /// The frame's kind is unknown, or not one that may come this way.
    FrameKind = 104, retry false;
    /// The frame's body is longer than its kind allows.
    FrameTooLarge = 105, retry false;
    /// The frame's body fails its checksum.
    FrameBodyChecksum = 106, retry false;
    /// The frame's body is shorter or longer than its message.
    FrameLength = 107, retry false;
    /// The frame began, and did not end within the time allowed.
    FrameTimeout = 108, retry false;
    /// A field of the message is out of range.
    MessageInvalid = 109, retry false;
    /// The first frame of a connection was no greeting, or none came in time.
    HelloExpected = 110, retry false;

    /// The chunk is framed wrongly, or over a limit.
    ChunkInvalid = 201, retry false;
    /// The chunk fails its checksum.
    ChunkChecksum = 202, retry false;
    /// An event in the chunk is wrong.
    EventInvalid = 203, retry false;
    /// The chunk's first sequence is not the one that comes next.
    SequenceGap = 204, retry false;
    /// A newer epoch of this producer has been seen.
    EpochFenced = 205, retry false;
    /// The chunk is so old that its offset is no longer known, or it overlaps another chunk.
    SequenceTooOld = 206, retry false;
    /// The group does not know this producer, and the chunk is not its first.
    ProducerUnknown = 207, retry false;
    /// No further producers fit.
    ProducersFull = 208, retry true;
    /// Of a chunk's ids, some are known and others not, or they are not known side by side.
    EventIdsMixed = 209, retry false;
    /// No further ids of events fit.
    EventIdsFull = 210, retry true;

    /// Another node leads.
    NotLeader = 301, retry true;
    /// This node leads, and is not ready: its term's first record is not yet committed.
    LeaderNotReady = 302, retry true;
    /// A bound on requests or bytes in flight is reached.
    Overloaded = 303, retry true;
    /// The node is about to stop, or was removed from its group.
    ShuttingDown = 304, retry true;
    /// The node has no more connections to give.
    TooManyConnections = 305, retry true;
    /// The disk has no room for further records.
    DiskFull = 306, retry true;
    /// The node has not yet met all nodes of its cluster.
    Forming = 307, retry true;
    /// The leader lost its term before the record was committed: it may or may not be in the log. Retry, and it is there once.
    LeadershipLost = 308, retry true;
    /// The node's log is damaged, and it fetches what is missing from its peers.
    Repairing = 309, retry true;
    /// The client sends more than it may in a second.
    QuotaExceeded = 310, retry true;

    /// No other node took the lead over.
    TransferFailed = 311, retry true;
    /// The node is no member of the group, or none any more.
    NotAMember = 312, retry false;
    /// Another change of the members is under way.
    ChangeInProgress = 313, retry true;
    /// The learner lacks too much of the log to vote.
    LearnerBehind = 314, retry true;
    /// The group cannot have these members.
    MembersRefused = 315, retry false;
    /// The node that is to be added does not answer, or refuses.
    NodeUnreachable = 316, retry true;

    /// The node's build lacks the edition that the group uses.
    EditionTooOld = 320, retry false;
    /// The request takes a later edition than the group uses.
    EditionNotRaised = 321, retry false;
    /// The consumer group has members.
    GroupHasMembers = 322, retry false;

    /// The offset is past the end of the log.
    OffsetPastEnd = 401, retry false;
    /// The group does not exist here.
    GroupUnknown = 402, retry false;
    /// The record that holds the offset cannot be read here.
    RecordUnreadable = 403, retry true;
    /// The offset is before the first one that this node still has.
    OffsetBeforeStart = 404, retry false;
    /// The filter is framed wrongly, over a limit, or matches nothing whatever comes.
    FilterInvalid = 405, retry false;
    /// This node did not know the asked offset to be committed in time.
    OffsetNotReached = 406, retry true;
    /// This node cannot promise that a read is as fresh as asked.
    ConsistencyUnavailable = 407, retry true;
    /// A subscription with this correlation is open.
    SubscriptionExists = 408, retry false;
    /// The name of a cursor or a consumer group is empty, too long, or has a character that is not allowed.
    NameInvalid = 410, retry false;
    /// There is no cursor, or no consumer group, of this name.
    NameUnknown = 411, retry false;
    /// No further cursors fit.
    CursorsFull = 412, retry false;
    /// The cursor is further on, and was not told to move back.
    CursorBehind = 413, retry false;
    /// The offset is past the end of what is committed.
    CursorPastEnd = 414, retry false;
    /// The offset is before the first one that the leader still has.
    CursorBeforeStart = 415, retry false;
    /// The consumer group has no such member, or has it no more.
    MemberUnknown = 416, retry false;
    /// The members have changed since.
    GenerationFenced = 417, retry false;
    /// Slots of another member are to be committed.
    SlotsNotOwned = 418, retry false;
    /// No further consumer groups, or members of this one, fit.
    GroupsFull = 419, retry false;
    /// A record does not follow the one before it: nodes, or a node at two times, have different logs.
    ChainBroken = 420, retry false;

    /// The other side belongs to another cluster.
    ClusterMismatch = 501, retry false;
    /// The other side is no node of this cluster, or meant another node.
    NodeMismatch = 502, retry false;
    /// The node came with another disk than the cluster knows: it was wiped or replaced.
    DiskMismatch = 503, retry false;
    /// The two sides were configured with different nodes.
    MembersMismatch = 504, retry false;

    /// The configuration does not parse, or has a key that does not exist.
    ConfigInvalid = 601, retry false;
    /// An address cannot be listened on.
    AddressInUse = 602, retry false;
    /// The data directory belongs to another cluster.
    DataOfAnotherCluster = 603, retry false;
    /// The data directory belongs to another node.
    DataOfAnotherNode = 604, retry false;
    /// The data directory cannot be written.
    DataUnwritable = 605, retry false;
    /// The data directory is in use by another process.
    DataInUse = 606, retry false;
    /// The file system cannot do direct, synchronous writes.
    DataUnsupported = 607, retry false;
    /// io_uring is not to be had on this host.
    UringUnavailable = 608, retry false;
    /// The data directory's format is of a version that this build does not read.
    DataVersion = 609, retry false;
    /// The disk is full at start-up.
    DataDiskFull = 610, retry false;

    /// A write to the log or the superblock failed: the node stopped.
    WriteFailed = 701, retry false;
    /// The log is damaged: bytes that were durable have changed.
    LogDamaged = 702, retry false;
    /// Both copies of the superblock are damaged.
    SuperblockDamaged = 703, retry false;
    /// The log begins behind records that no sound snapshot covers, and no other node has the group.
    SnapshotsDamaged = 704, retry false;
}

impl ErrorCode {
    /// Whether whoever sends it ends the connection after it; the others answer one request.
    #[must_use]
    pub const fn ends_connection(self) -> bool {
        matches!(self.number(), 101..=199 | 305 | 501..=599)
    }

    /// The exit status of a node that stops for it; `None` if it stops no node.
    #[must_use]
    pub const fn exit_status(self) -> Option<u8> {
        match self.number() {
            601..=699 => Some(72),
            701 => Some(70),
            702..=799 => Some(71),
            _ => None,
        }
    }
}

impl core::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} ({})", self.name(), self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn numbers_rise_without_repeating_and_lead_back() {
        for pair in ErrorCode::ALL.windows(2) {
            let [one, next] = pair else {
                unreachable!("windows of two")
            };
            assert!(one.number() < next.number(), "{one} stands before {next}");
        }
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), Some(code));
        }
        let known = (0..=u16::MAX).filter(|&number| ErrorCode::from_number(number).is_some());
        assert_eq!(known.count(), ErrorCode::ALL.len());
    }

    #[test]
    fn a_code_ends_a_request_a_connection_or_a_process() {
        for &code in ErrorCode::ALL {
            let stops = code.exit_status().is_some();
            assert_eq!(stops, code.number() >= 600, "{code}");
            assert!(!(stops && code.ends_connection()), "{code}");
            assert!(!(stops && code.retry()), "{code}");
        }
        assert!(ErrorCode::FrameMagic.ends_connection());
        assert!(ErrorCode::TooManyConnections.ends_connection());
        assert!(!ErrorCode::NotLeader.ends_connection());
        assert!(!ErrorCode::ChunkChecksum.ends_connection());
    }
}
