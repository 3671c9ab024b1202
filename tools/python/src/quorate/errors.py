"""What can go wrong, with the protocol's stable codes (docs/errors.md)."""

from __future__ import annotations

_NAMES = {
    101: "FrameMagic", 102: "FrameHeaderChecksum", 103: "FrameVersion", 104: "FrameKind", 105: "FrameTooLarge",
    106: "FrameBodyChecksum", 107: "FrameLength", 108: "FrameTimeout", 109: "MessageInvalid", 110: "HelloExpected",
    201: "ChunkInvalid", 202: "ChunkChecksum", 203: "EventInvalid", 204: "SequenceGap", 205: "EpochFenced",
    206: "SequenceTooOld", 207: "ProducerUnknown", 208: "ProducersFull", 209: "EventIdsMixed", 210: "EventIdsFull",
    301: "NotLeader", 302: "LeaderNotReady", 303: "Overloaded", 304: "ShuttingDown", 305: "TooManyConnections",
    306: "DiskFull", 307: "Forming", 308: "LeadershipLost", 309: "Repairing", 310: "QuotaExceeded",
    321: "EditionNotRaised", 322: "GroupHasMembers",
    401: "OffsetPastEnd", 402: "GroupUnknown", 403: "RecordUnreadable", 404: "OffsetBeforeStart", 405: "FilterInvalid",
    406: "OffsetNotReached", 407: "ConsistencyUnavailable",
    410: "NameInvalid", 411: "NameUnknown", 412: "CursorsFull", 413: "CursorBehind",
    414: "CursorPastEnd", 415: "CursorBeforeStart",
    416: "MemberUnknown", 417: "GenerationFenced", 418: "SlotsNotOwned", 419: "GroupsFull", 420: "ChainBroken",
    501: "ClusterMismatch",
}  # fmt: skip

SEQUENCE_GAP, PRODUCERS_FULL, EVENT_IDS_MIXED, EVENT_IDS_FULL = 204, 208, 209, 210
NOT_LEADER, LEADER_NOT_READY, OVERLOADED = 301, 302, 303
OFFSET_PAST_END, RECORD_UNREADABLE, OFFSET_BEFORE_START = 401, 403, 404
OFFSET_NOT_REACHED, CONSISTENCY_UNAVAILABLE = 406, 407
NAME_UNKNOWN, MEMBER_UNKNOWN, GENERATION_FENCED, SLOTS_NOT_OWNED = 411, 416, 417, 418

_PASSING = frozenset({PRODUCERS_FULL, EVENT_IDS_FULL, RECORD_UNREADABLE, OFFSET_NOT_REACHED, CONSISTENCY_UNAVAILABLE})


def may_retry(code: int) -> bool:
    """Whether the same request may succeed later. A code that is not known is not retried."""
    return code in _NAMES and (300 <= code < 320 or code in _PASSING)


class QuorateError(Exception):
    """Everything that this client raises."""


class ProtocolError(QuorateError):
    """The other side's bytes are not what the protocol says."""


class Unreachable(QuorateError):
    """No node could be reached, or none would serve, for as long as the caller wanted to wait."""


class Refused(QuorateError):
    """A node refused for good."""

    def __init__(self, code: int, text: str, expected: int = 0, limit: int = 0) -> None:
        super().__init__(f"{_NAMES.get(code, 'error')} ({code}): {text}")
        self.code = code
        self.expected = expected
        self.limit = limit
