"""What a consumer asks for: where to begin, how fresh, and which events (docs/protocol.md, Fetching and Filters)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from . import wire

FILTER_CLAUSES_MAX = 16
FILTER_BYTES_MAX = 960

_CLAUSE = struct.Struct("<BBHI")


@dataclass(frozen=True, slots=True)
class ReadFrom:
    """Where a read begins: build it with `at`, `since`, `TAIL` or `START`."""

    kind: int
    position: int = 0


TAIL = ReadFrom(2)
"""At the end of what is committed."""
START = ReadFrom(3)
"""At the first offset that the node has."""


def at(offset: int) -> ReadFrom:
    """At the event with this offset."""
    return ReadFrom(0, offset)


def since(log_time: int) -> ReadFrom:
    """At the first record with this log time, in nanoseconds since 1970, or a later one."""
    return ReadFrom(1, log_time)


@dataclass(frozen=True, slots=True)
class Consistency:
    """How fresh a read must be: build it with `ANY`, `at_least` or `LINEARIZABLE`."""

    kind: int
    at_least: int = 0


ANY = Consistency(0)
LINEARIZABLE = Consistency(2)


def at_least(offset: int) -> Consistency:
    """The node must know all events before this offset to be committed."""
    return Consistency(1, offset)


def slot_of(key: int) -> int:
    """The slot of a key: 0 to 63."""
    return (key * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) >> 58


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are wanted. Keys and key ranges are alternatives, so are topics, and so are slots; an event must fit what is said
    of each of the three that anything is said of. Ranges include both ends; a topic is the beginning of one."""

    keys: tuple[int, ...] = ()
    key_ranges: tuple[tuple[int, int], ...] = ()
    topics: tuple[str, ...] = ()
    slots: frozenset[int] = frozenset()

    @property
    def clauses(self) -> int:
        """How many clauses it has on the wire; none: everything is wanted."""
        return len(self.keys) + len(self.key_ranges) + len(self.topics) + bool(self.slots)

    def encode(self) -> bytes:
        """As a frame carries it."""
        values = [(3, topic.encode()) for topic in self.topics]
        values += [(1, struct.pack("<Q", key)) for key in self.keys]
        values += [(2, struct.pack("<QQ", first, last)) for first, last in self.key_ranges]
        if self.slots:
            values.append((4, struct.pack("<Q", sum(1 << slot for slot in self.slots))))
        encoded = b"".join(
            _CLAUSE.pack(kind, 0, len(value), 0) + value + bytes(-len(value) % 8) for kind, value in values
        )
        if self.clauses > FILTER_CLAUSES_MAX or len(encoded) > FILTER_BYTES_MAX:
            raise ValueError(f"a filter of {self.clauses} clauses and {len(encoded)} bytes is over the limit")
        return encoded

    def matches(self, event: wire.Event) -> bool:
        """Whether an event is wanted."""
        by_key = not (self.keys or self.key_ranges) or (
            event.key in self.keys or any(first <= event.key <= last for first, last in self.key_ranges)
        )
        by_topic = not self.topics or event.topic.startswith(self.topics)
        return by_key and by_topic and (not self.slots or slot_of(event.key) in self.slots)


def fetch(begin: ReadFrom, bytes_max: int, wait_ms: int, consistency: Consistency = ANY, clauses: int = 0) -> bytes:
    """A Fetch's message."""
    return wire.FETCH_MESSAGE.pack(
        begin.position, consistency.at_least, bytes_max, wait_ms, begin.kind, consistency.kind, clauses, 0
    )
