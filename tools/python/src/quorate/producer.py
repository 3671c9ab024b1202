"""A producer that may retry blindly: each event is in the log once, however often and to whichever leader it was sent."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Literal

from . import wire
from .errors import LEADER_NOT_READY, OVERLOADED, SEQUENCE_GAP, ProtocolError, QuorateError, Refused, Unreachable, may_retry
from .link import Link, LinkLost
from .route import Route


Acks = Literal["quorum", "all", "accepted"]

_LEVELS: tuple[Acks, ...] = ("quorum", "all", "accepted")


class Receipt:
    """An event's receipt. Its `offset` is known once a quorum of disks has the event."""

    __slots__ = ("_chunk", "_nth")

    def __init__(self, chunk: _Chunk, nth: int) -> None:
        self._chunk = chunk
        self._nth = nth

    @property
    def offset(self) -> int | None:
        """Where the event is in the log, or `None` while it is not acknowledged."""
        base = self._chunk.base_offset
        return None if base is None else base + self._nth


    @property
    def level(self) -> Acks | None:
        """How safe the event was when it was acknowledged, or `None` while it is not."""
        level = self._chunk.level
        return None if level is None else _LEVELS[level]


class _Chunk:
    __slots__ = ("level", "first_sequence", "events", "bytes", "since", "sealed", "base_offset", "correlation")

    def __init__(self, first_sequence: int) -> None:
        self.first_sequence = first_sequence
        self.events: list[bytes] = []
        self.bytes = 0
        self.since = time.monotonic()
        self.sealed = b""
        self.base_offset: int | None = None
        self.level: int | None = None
        self.correlation: int | None = None


class Producer:
    """A producer of one epoch.

    `send` puts an event into the open chunk; a full chunk goes out at once, an unfilled one with `poll` after `linger` seconds,
    with `flush` or with `close`. Not for several threads at a time: this client has no thread of its own.

    - `nodes`: addresses of nodes, `host:port`; one is enough, it names the others.
    - `cluster`: the cluster that is meant; otherwise whichever the first node belongs to.
    - `producer`, `epoch`: who this is; by default a new one. An id of old needs a higher epoch.
    - `priority`: 0 to 255; when a node has much to do, lower priorities are refused first, and sent again later.
    - `acks`: when an event counts as acknowledged: on a `quorum` of disks; on `all` disks, or a quorum's after `all_timeout`
      seconds (the receipt's `level` says which); or `accepted` into the leader's memory, which a crash may lose.
    - `window`: chunks that may be without an acknowledgement.
    - `patience`: seconds without any progress after which a waiting call raises `Unreachable`. What was sent stays with the
      producer: calling again goes on.
    """

    def __init__(
        self,
        nodes: str | Iterable[str],
        *,
        cluster: str | None = None,
        producer: int | None = None,
        epoch: int = 0,
        batch_events: int = 64,
        batch_bytes: int = 64 << 10,
        linger: float = 0.001,
        acks: Acks = "quorum",
        priority: int = 0,
        all_timeout: float = 1.0,
        window: int = 64,
        patience: float = 30.0,
        timeout: float = 2.0,
    ) -> None:
        if not 1 <= batch_events <= wire.CHUNK_EVENTS_MAX:
            raise ValueError(f"batch_events is {batch_events}; 1 to {wire.CHUNK_EVENTS_MAX} fit into a chunk")
        if not 1 <= window <= wire.WINDOW_REQUESTS_MAX:
            raise ValueError(f"window is {window}; 1 to {wire.WINDOW_REQUESTS_MAX} chunks may be under way")
        if acks not in _LEVELS:
            raise ValueError(f"acks is {acks!r}; it is one of {', '.join(_LEVELS)}")
        self._asked = wire.produce(_LEVELS.index(acks), round(all_timeout * 1000) if acks == "all" else 0, priority)
        self.producer = secrets.randbits(64) if producer is None else producer
        self.epoch = epoch
        self._batch_events = batch_events
        self._batch_bytes = min(batch_bytes, wire.CHUNK_BYTES_MAX - wire.CHUNK_HEADER_BYTES)
        self._linger = linger
        self._window = window
        self._patience = patience
        self._timeout = timeout
        self._route = Route(nodes, cluster)
        self._link: Link | None = None
        self._dial_at = 0.0
        self._next_sequence = 0
        self._open: _Chunk | None = None
        # Sealed and not yet acknowledged, in order.
        self._unacked: deque[_Chunk] = deque()
        self._heard = time.monotonic()
        self._acked = 0
        self._failed: QuorateError | None = None

    def __enter__(self) -> Producer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.close()
        elif self._link is not None:
            self._drop()

    @property
    def acked(self) -> int:
        """Events that are acknowledged."""
        return self._acked

    def send(self, event: wire.Event) -> Receipt:
        """Adds an event. Waits while the window is full."""
        self._raise_failed()
        data = event.encode()
        chunk = self._open
        if chunk is not None and (
            len(chunk.events) >= self._batch_events or chunk.bytes + len(data) > self._batch_bytes
        ):
            self._seal()
            chunk = None
        if chunk is None:
            while len(self._unacked) >= self._window:
                self._work(block=True)
            chunk = self._open = _Chunk(self._next_sequence)
        chunk.events.append(data)
        chunk.bytes += len(data)
        self._next_sequence += 1
        receipt = Receipt(chunk, len(chunk.events) - 1)
        if len(chunk.events) >= self._batch_events:
            self._seal()
            self._work(block=False)
        return receipt

    def poll(self) -> None:
        """Sends an open chunk that has waited long enough, and takes answers. Never waits for one."""
        self._raise_failed()
        if self._open is not None and time.monotonic() >= self._open.since + self._linger:
            self._seal()
        self._work(block=False)

    def flush(self) -> None:
        """Returns when everything is acknowledged: a quorum of disks has it."""
        self._raise_failed()
        self._seal()
        while self._unacked:
            self._work(block=True)

    def close(self) -> None:
        """Flushes, and ends the connection."""
        try:
            self.flush()
        finally:
            self._drop()

    def _raise_failed(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _seal(self) -> None:
        chunk, self._open = self._open, None
        if chunk is None:
            return
        if not self._unacked:
            self._heard = time.monotonic()
        chunk_id = wire.ChunkId(self.producer, self.epoch, chunk.first_sequence, len(chunk.events))
        chunk.sealed = wire.seal_chunk(chunk_id, b"".join(chunk.events))
        self._unacked.append(chunk)

    def _work(self, *, block: bool) -> None:
        """Sends what is due and takes answers; waits for one if `block`."""
        now = time.monotonic()
        if block and now >= self._heard + self._patience:
            self._heard = now
            raise Unreachable(f"nothing was acknowledged for {self._patience} s; {len(self._unacked)} chunks wait")
        try:
            if self._link is None:
                if now < self._dial_at:
                    if not block:
                        return
                    time.sleep(self._dial_at - now)
                self._link = self._route.dial(self._timeout)
                leader = self._link.greeting.leader
                if leader is not None and leader != self._link.greeting.node and self._route.turn_to(leader):
                    self._drop()
                    return
            self._send_due(self._link)
            self._take_answers(self._link, block)
        except LinkLost:
            self._go_back(None)
        except Refused as refused:
            self._fail(refused)

    def _send_due(self, link: Link) -> None:
        requests = min(self._window, link.greeting.window_requests)
        bytes_left = link.greeting.window_bytes
        for nth, chunk in enumerate(self._unacked):
            bytes_left -= len(chunk.sealed) + wire.FRAME_BYTES + len(self._asked)
            if nth >= requests or (bytes_left < 0 and nth > 0):
                return
            if chunk.correlation is None:
                chunk.correlation = link.send(wire.PRODUCE, self._asked, chunk.sealed, timeout=self._timeout)

    def _take_answers(self, link: Link, block: bool) -> None:
        if not self._unacked:
            return
        frame = link.receive(self._timeout if block else 0.0)
        if frame is None and block:
            raise LinkLost("the node does not answer")
        while frame is not None and self._link is link:
            self._answered(frame)
            frame = link.receive(0.0) if self._link is link else None

    def _answered(self, frame: wire.Frame) -> None:
        if frame.kind == wire.ERROR:
            return self._refused(wire.read_refusal(frame))
        if frame.kind != wire.PRODUCE_REPLY:
            raise ProtocolError(f"a frame of kind {frame.kind:#04x} answers a chunk")
        chunk = next((chunk for chunk in self._unacked if chunk.correlation == frame.correlation), None)
        if chunk is None:
            raise ProtocolError("an answer to a request that is not open")
        produced = wire.read_produced(frame)
        if produced.level >= len(_LEVELS):
            raise ProtocolError(f"a chunk is acknowledged at the unknown level {produced.level}")
        chunk.base_offset, chunk.level = produced.base_offset, produced.level
        self._heard = time.monotonic()
        self._route.progress()
        while self._unacked and self._unacked[0].base_offset is not None:
            self._acked += len(self._unacked.popleft().events)

    def _refused(self, refusal: wire.Refusal) -> None:
        gap_behind = refusal.code == SEQUENCE_GAP and refusal.expected >= self._first_unacked()
        if not may_retry(refusal.code) and not gap_behind:
            raise Refused(refusal.code, refusal.text, refusal.expected)
        self._go_back(refusal)

    def _first_unacked(self) -> int:
        return self._unacked[0].first_sequence if self._unacked else self._next_sequence

    def _go_back(self, refusal: wire.Refusal | None) -> None:
        """Sends everything again that has no acknowledgement, in order, unchanged, over a new connection."""
        self._drop()
        pause = self._route.pause()
        if refusal is not None and refusal.leader is not None and self._route.turn_to(refusal.leader):
            pass
        elif refusal is not None and refusal.code in (LEADER_NOT_READY, OVERLOADED, SEQUENCE_GAP):
            pause = max(pause, 0.01)
        else:
            self._route.turn_away()
        if refusal is not None:
            pause = max(pause, refusal.retry_after_ms / 1000)
        self._dial_at = time.monotonic() + pause

    def _fail(self, error: QuorateError) -> None:
        self._failed = error
        self._drop()
        raise error

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = None
        for chunk in self._unacked:
            # An acknowledged chunk behind one that is not is acknowledged all the same.
            if chunk.base_offset is None:
                chunk.correlation = None
