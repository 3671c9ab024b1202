"""Members of consumer groups: they share the slots, so that each event is read by one of them (docs/protocol.md, Consumer groups)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Literal

from . import reading, wire
from .consumer import Consumer, Delivered
from .errors import GENERATION_FENCED, MEMBER_UNKNOWN, OFFSET_BEFORE_START, SLOTS_NOT_OWNED, Refused
from .leader import Leader

Reset = Literal["refuse", "earliest", "latest"]

_SLOTS = 64

# One wait for events lasts so long at most, so that heartbeats go out between.
_SLICE = 0.05


class GroupConsumer:
    """A member: it reads the events of its slots, and commits what was read.

    Heartbeats go out in `poll` only: who does not call it for `session` seconds is taken for dead, and its slots go to others.

    - `begin`: where a consumer group that is new begins: an offset, `START`, `TAIL`.
    - `reset`: what to do if the log does not have any more what is to be read next: `refuse` raises `Refused`, which has the start that
      is left in `expected` and the end in `limit`; the others go on at the `earliest` event that is left, or at the end (`latest`).
    - The other arguments are those of `Consumer`.
    """

    def __init__(
        self,
        nodes: str | Iterable[str],
        group: str,
        *,
        session: float = 10.0,
        begin: int | reading.ReadFrom = reading.START,
        reset: Reset = "refuse",
        cluster: str | None = None,
        patience: float = 30.0,
        timeout: float = 2.0,
    ) -> None:
        self._nodes = nodes if isinstance(nodes, str) else list(nodes)
        self._group = group
        self._member = secrets.randbits(64)
        self._session = session
        self._start = begin if isinstance(begin, int) else (1 << 64) - 1 if begin == reading.TAIL else 0
        self._reset = reset
        self._cluster = cluster
        self._patience = patience
        self._timeout = timeout
        self._leader = Leader(self._nodes, cluster, patience, timeout)
        self._generation = 0
        # Of each own slot, the first offset that is not given out.
        self._next: dict[int, int] = {}
        self._reader: tuple[Consumer, frozenset[int]] | None = None
        self._join()

    def __enter__(self) -> GroupConsumer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def slots(self) -> frozenset[int]:
        """The slots that it reads."""
        return frozenset(self._next)

    @property
    def generation(self) -> int:
        """The generation that it knows."""
        return self._generation

    def poll(self, *, wait: float = 0.0) -> list[Delivered]:
        """The next events of its slots; none if none is committed within `wait` seconds."""
        until = time.monotonic() + wait
        while True:
            self._beat()
            left = until - time.monotonic()
            found = self._read(max(0.0, min(left, _SLICE)))
            if found or left <= 0.0:
                return found

    def commit(self) -> bool:
        """Commits all that was given out. `False`: the members have changed meanwhile, and nothing is committed; what is still the
        member's own can be committed after the next poll."""
        if not self._next:
            return False
        slots = sum(1 << slot for slot in self._next)
        offset = min(self._next.values())
        try:
            self._command(wire.commit(self._group, self._member, self._generation, slots, offset))
        except Refused as refused:
            if refused.code not in (GENERATION_FENCED, SLOTS_NOT_OWNED, MEMBER_UNKNOWN):
                raise
            # It is to hear of its slots before anything else.
            self._due = 0.0
            return False
        self._due = time.monotonic() + self._session / 3
        return True

    def close(self) -> None:
        """Gives the slots back, so that others go on at once, and ends the connections. What was not committed is given out again."""
        try:
            self._command(wire.leave(self._group, self._member))
        finally:
            self._drop_reader()
            self._leader.close()

    def _command(self, command: bytes) -> int:
        return wire.read_command_reply(self._leader.ask(wire.COMMAND, b"", command))

    def _join(self) -> None:
        self._command(wire.join(self._group, self._member, self._start, round(self._session * 1000)))
        self._due = 0.0

    def _beat(self) -> None:
        """Says that it is there, if it is time to, and hears of its slots."""
        if time.monotonic() < self._due:
            return
        try:
            frame = self._leader.ask(wire.HEARTBEAT, wire.heartbeat(self._group, self._member))
        except Refused as refused:
            if refused.code != MEMBER_UNKNOWN:
                raise
            # It was taken for dead.
            self._next = {}
            self._join()
            return self._beat()
        self._due = time.monotonic() + self._session / 3
        standing = wire.read_standing(frame)
        # A leader that was deposed without knowing it may still tell of an earlier generation.
        if standing.generation >= self._generation:
            self._regroup(standing)

    def _regroup(self, standing: wire.Standing) -> None:
        own = [slot for slot in range(_SLOTS) if standing.slots >> slot & 1]
        # What is its own in one generation and in the next was nobody else's. Between others, it may have been.
        kept = self._next if standing.generation - self._generation <= 1 else {}
        self._next = {slot: max(kept.get(slot, 0), standing.offsets[slot]) for slot in own}
        self._generation = standing.generation

    def _read(self, wait: float) -> list[Delivered]:
        if not self._next:
            self._drop_reader()
            time.sleep(wait)
            return []
        begin = min(self._next.values())
        if self._reader is None or self._reader[0].offset > begin or not self.slots <= self._reader[1]:
            self._drop_reader()
            options = reading.Filter(slots=self.slots)
            reader = Consumer(
                self._nodes, begin=begin, filter=options, cluster=self._cluster, patience=self._patience, timeout=self._timeout
            )
            self._reader = (reader, self.slots)
        reader = self._reader[0]
        try:
            found = reader.fetch(wait=wait)
        except Refused as refused:
            if refused.code != OFFSET_BEFORE_START or self._reset == "refuse":
                raise
            self._drop_reader()
            to = refused.expected if self._reset == "earliest" else refused.limit
            self._next = {slot: to if at < refused.expected else at for slot, at in self._next.items()}
            return []
        own = [one for one in found if self._next.get(reading.slot_of(one.event.key), one.offset + 1) <= one.offset]
        self._next = {slot: max(at, reader.offset) for slot, at in self._next.items()}
        return own

    def _drop_reader(self) -> None:
        if self._reader is not None:
            self._reader[0].close()
        self._reader = None
