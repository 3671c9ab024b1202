"""A producer of events whose source has an id for each, and no order of its own: each is in the log once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType

from . import wire
from .errors import EVENT_IDS_MIXED, Refused
from .leader import Leader

# What is sent together: ids, each with its encoded event.
_Batch = Sequence[tuple[bytes, bytes]]


class IdProducer:
    """Sends events with their ids. Each is in the log once, whoever sends it and however often, as long as the cluster knows its id: an hour of
    log time.

    - `nodes`, `cluster`, `patience`, `timeout`: as for a `Producer`.
    - `batch_events`, `batch_bytes`: how much of what `send` is given goes out at a time.
    """

    def __init__(
        self,
        nodes: str | Iterable[str],
        *,
        cluster: str | None = None,
        batch_events: int = 64,
        batch_bytes: int = 64 << 10,
        patience: float = 30.0,
        timeout: float = 2.0,
    ) -> None:
        if not 1 <= batch_events <= wire.CHUNK_EVENTS_MAX:
            raise ValueError(f"batch_events is {batch_events}; 1 to {wire.CHUNK_EVENTS_MAX} fit into a chunk")
        self._batch_events = batch_events
        self._batch_bytes = min(batch_bytes, wire.CHUNK_BYTES_MAX - wire.CHUNK_HEADER_BYTES)
        self._leader = Leader(nodes, cluster, patience, timeout)

    def __enter__(self) -> IdProducer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._leader.close()

    def send(self, events: Iterable[tuple[bytes, wire.Event]]) -> list[int]:
        """Sends events, and returns when a quorum of disks has them: where each is, since long ago if its id is known.

        An id is 16 bytes, such as a UUID's; `id_of` makes one of a text. After an error, the same call does again what was not done.
        """
        offsets: list[int] = []
        batch: list[tuple[bytes, bytes]] = []
        size = 0
        for event_id, event in events:
            if len(event_id) != wire.EVENT_ID_BYTES:
                raise ValueError(f"an id of {len(event_id)} bytes; it has {wire.EVENT_ID_BYTES}")
            data = event.encode()
            needs = len(event_id) + len(data)
            if batch and (len(batch) >= self._batch_events or size + needs > self._batch_bytes):
                offsets += self._send(batch)
                batch, size = [], 0
            batch.append((event_id, data))
            size += needs
        if batch:
            offsets += self._send(batch)
        return offsets

    def _send(self, batch: _Batch) -> list[int]:
        ids, events = zip(*batch)
        chunk = wire.seal_chunk(wire.ChunkId(0, 0, 0, len(batch)), b"".join(ids + events))
        try:
            answer = self._leader.ask(wire.PRODUCE, wire.produce(), chunk)
        except Refused as refused:
            if refused.code != EVENT_IDS_MIXED or len(batch) == 1:
                raise
            # Each by itself is known, or is not.
            return [offset for one in batch for offset in self._send([one])]
        first = wire.read_produced(answer).base_offset
        return list(range(first, first + len(batch)))
