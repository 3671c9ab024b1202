"""A consumer: committed events from somewhere on, each once and in order, from any node."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType

from . import reading, wire
from .errors import OFFSET_BEFORE_START, OFFSET_PAST_END, ProtocolError, Refused, Unreachable
from .link import Link, LinkLost, check
from .route import Route


@dataclass(frozen=True, slots=True)
class Delivered:
    """An event of the log, and where it is."""

    offset: int
    event: wire.Event
    producer: int
    epoch: int
    sequence: int
    log_time: int


class Consumer:
    """Reads committed events from `begin` on: an offset, or what `since` makes of a log time, `TAIL`, `START`.

    Every record's and every chunk's checksum is verified, and that each record continues the chain of the one before it.

    - `filter`: which events are wanted; the nodes leave out what they can, and the consumer the rest.
    - `consistency`: how fresh what a node answers must be.
    - `push`: whether a node pushes events as they are committed, instead of being asked for each answer. It never has more than `bytes_max`
      bytes on the way, and one record.
    - `nodes`: addresses of nodes, `host:port`; one is enough, it names the others.
    - `patience`: seconds without any answer after which a call raises `Unreachable`. Calling again goes on.
    """

    def __init__(
        self,
        nodes: str | Iterable[str],
        *,
        begin: int | reading.ReadFrom = reading.START,
        filter: reading.Filter = reading.Filter(),
        consistency: reading.Consistency = reading.ANY,
        push: bool = False,
        cluster: str | None = None,
        bytes_max: int = wire.RECORDS_BYTES_MAX,
        patience: float = 30.0,
        timeout: float = 2.0,
    ) -> None:
        self._route = Route(nodes, cluster)
        self._link: Link | None = None
        self._begin: reading.ReadFrom | None = begin if isinstance(begin, reading.ReadFrom) else None
        self._offset = begin if isinstance(begin, int) else 0
        self._filter = filter
        self._encoded = filter.encode()
        self._consistency = consistency
        self._push = push
        # Of the subscription on the present connection: its correlation, and when something last came.
        self._subscribed: tuple[int, float] | None = None
        # How many nodes in a row did not have the offset any more, and the one that has most.
        self._gone: tuple[int, Refused] | None = None
        self._bytes_max = bytes_max
        self._patience = patience
        self._timeout = timeout
        # Index and checksum of the last record seen.
        self._last: tuple[int, int] | None = None

    def __enter__(self) -> Consumer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def offset(self) -> int:
        """Where it reads on: keep it to go on there later. 0 until a node has said where a time, the tail or the start is."""
        return self._offset

    def __iter__(self) -> Iterator[Delivered]:
        """All events, without end: at the end of the log it waits for more."""
        while True:
            yield from self.fetch(wait=1.0)

    def fetch(self, *, wait: float = 0.0) -> list[Delivered]:
        """The next events, at most one answer's worth; none if none that is wanted is committed within `wait` seconds."""
        until = time.monotonic() + wait
        while True:
            before = self._offset
            found = self._fetch(max(0.0, until - time.monotonic()))
            # What the filter has left out is passed by.
            if found or self._offset == before or time.monotonic() >= until:
                return found

    def _fetch(self, wait: float) -> list[Delivered]:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                if self._link is None:
                    time.sleep(self._route.pause())
                    self._link = self._route.dial(self._timeout)
                frame = self._pushed(self._link, wait) if self._push else self._asked(self._link, wait)
                self._route.progress()
                self._gone = None
                return [] if frame is None else self._read(frame)
            except LinkLost as lost:
                self._turn_away(deadline, lost)
            except Refused as refused:
                # A node that lags behind does not have the offset yet, or has let it go already; another may have it.
                if refused.code == OFFSET_BEFORE_START:
                    self._begins_later(refused)
                elif refused.code != OFFSET_PAST_END:
                    raise
                self._turn_away(deadline, refused)

    def _message(self, wait: float) -> bytes:
        begin = self._begin or reading.at(self._offset)
        return reading.fetch(begin, self._bytes_max, round(wait * 1000), self._consistency, self._filter.clauses)

    def _asked(self, link: Link, wait: float) -> wire.Frame:
        return link.ask(wire.FETCH, self._message(wait), self._encoded, timeout=wait + self._timeout)

    def _pushed(self, link: Link, wait: float) -> wire.Frame | None:
        now = time.monotonic()
        if self._subscribed is None:
            correlation = link.send(wire.SUBSCRIBE, self._message(wait), self._encoded, timeout=self._timeout)
            # The first push may take as long as was asked for.
            heard = now + wait
        else:
            # Between two calls nobody listened.
            correlation, heard = self._subscribed[0], now
        self._subscribed = (correlation, heard)
        frame = link.receive(max(wait, self._timeout) if now < heard else wait)
        if frame is None:
            if wait >= self._timeout:
                raise LinkLost("the node pushes nothing, not even a sign of life")
            return None
        check(frame)
        if (frame.kind, frame.correlation) != (wire.PUSH, correlation):
            raise ProtocolError(f"a frame of kind {frame.kind:#04x} comes where a push was expected")
        if frame.tail:
            link.send(wire.CREDIT, wire.credit(len(frame.tail)), timeout=self._timeout, correlation=correlation)
        return frame

    def _begins_later(self, refused: Refused) -> None:
        count, first = self._gone or (0, refused)
        if refused.expected < first.expected:
            first = refused
        if count + 1 >= self._route.count():
            self._gone = None
            raise first
        self._gone = (count + 1, first)

    def close(self) -> None:
        """Ends the connection."""
        if self._link is not None:
            self._link.close()
        self._link = self._subscribed = None

    def _turn_away(self, deadline: float, why: Exception) -> None:
        self.close()
        self._route.turn_away()
        if time.monotonic() >= deadline:
            if isinstance(why, Refused):
                raise why
            raise Unreachable(f"no node answered for {self._patience} s: {why}") from why

    def _read(self, frame: wire.Frame) -> list[Delivered]:
        fetched = wire.read_fetched(frame)
        if self._begin is not None:
            self._offset, self._begin = fetched.begin, None
        found: list[Delivered] = []
        end = self._offset
        for nth_record, record in enumerate(wire.records(frame.tail)):
            self._chain(record, nth_record == 0)
            if record.kind != wire.Record.EVENTS:
                continue
            offset = record.base_offset
            for chunk, body in wire.chunks(record.body):
                for nth, event in enumerate(wire.events(body, chunk.event_count)):
                    if offset >= self._offset:
                        sequence = chunk.first_sequence + nth
                        if not self._filter.matches(event):
                            offset += 1
                            continue
                        found.append(Delivered(offset, event, chunk.producer, chunk.epoch, sequence, record.log_time))
                    offset += 1
            if offset != record.base_offset + record.event_count:
                raise ProtocolError(f"the record at index {record.index} has another number of events than it says")
            if record.base_offset > end and not self._filter.clauses:
                raise ProtocolError(f"events between offsets {end} and {record.base_offset} are left out")
            end = offset
        if fetched.next < end or (fetched.next > end and not self._filter.clauses):
            raise ProtocolError(f"an answer up to offset {end} says that it goes to {fetched.next}")
        self._offset = fetched.next
        return found

    def _chain(self, record: wire.Record, first: bool) -> None:
        last, self._last = self._last, (record.index, record.header_crc)
        if last is None:
            return
        index, crc = last
        if record.index == index + 1:
            sound = record.previous == crc
        elif record.index == index:
            sound = record.header_crc == crc
        else:
            # An answer begins with the record that holds the offset: records without events may lie before it. And a filter leaves
            # records out.
            sound = (first or self._filter.clauses > 0) and record.index > index
        if not sound:
            raise ProtocolError(f"the record at index {record.index} does not continue the chain at index {index}")
