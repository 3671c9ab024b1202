"""The protocol's bytes: frames, events, chunks, records, messages (docs/protocol.md).

Owns: layouts and checksums. Never: a socket, a clock. What the parsers return has been checked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

from .errors import ProtocolError

VERSION = 1
GROUP = 0

HELLO, PRODUCE, FETCH, STATUS = 0x01, 0x02, 0x03, 0x04
SUBSCRIBE, CREDIT = 0x05, 0x06
COMMAND, CURSORS, HEARTBEAT, AUDIT = 0x08, 0x09, 0x0A, 0x0E
HELLO_REPLY, PRODUCE_REPLY, FETCH_REPLY, STATUS_REPLY = 0x81, 0x82, 0x83, 0x84
PUSH = 0x85
COMMAND_REPLY, CURSORS_REPLY, HEARTBEAT_REPLY, AUDIT_REPLY = 0x88, 0x89, 0x8A, 0x8E
ERROR = 0xFF

RECORD_BYTES_MAX = 1_048_576
CHUNK_BYTES_MAX = 1_048_512
EVENT_BYTES_MAX = 1_048_480
CHUNK_EVENTS_MAX = 16_384
WINDOW_REQUESTS_MAX = 1_024
TOPIC_BYTES_MAX = 255
NAME_BYTES_MAX = 64
RECORDS_BYTES_MAX = 1_048_576
FRAME_BODY_BYTES_MAX = 1_052_672

_FRAME = struct.Struct("<4sIIIQIBBH")
_EVENT = struct.Struct("<QQIHBB")
_CHUNK = struct.Struct("<QQIIII")
_RECORD = struct.Struct("<4sIIIQQQQIHBBII")
_HELLO = struct.Struct("<16sBB6x")
_HELLO_REPLY = struct.Struct("<16sIIQIIIBBH")
_NODE_ENTRY = struct.Struct("<IH2x56s")
_PRODUCE = struct.Struct("<BBBxI")
_PRODUCE_REPLY = struct.Struct("<QQB7x")
FETCH_MESSAGE = struct.Struct("<QQIIBBHI")
_FETCH_REPLY = struct.Struct("<QQQQ")
_STATUS_REPLY = struct.Struct("<16sIIQQQQQQQQQQQQQQQQQQIBBBBBB6x")
_COMMAND = struct.Struct("<HHI")
_SET_CURSOR = struct.Struct("<64sQ")
_DELETE_CURSOR = struct.Struct("<64s")
_JOIN = struct.Struct("<64sQQI4x")
_LEAVE = struct.Struct("<64sQ")
_COMMIT = struct.Struct("<64sQQQQ")
_CREDIT = struct.Struct("<I4x")
_HEARTBEAT = struct.Struct("<64sQ")
_HEARTBEAT_REPLY = struct.Struct("<QQQI4x64Q")
_COMMAND_REPLY = struct.Struct("<QQ")
_CURSORS = struct.Struct("<64sBB6x")
_LINEARIZABLE = 2
_CURSORS_REPLY = struct.Struct("<QIB3x")
_CURSOR_ENTRY = struct.Struct("<64sQQ")
_AUDIT = struct.Struct("<Q")
_AUDIT_REPLY = struct.Struct("<QQQIB3x")
_ERROR = struct.Struct("<HHIQIIQQ")

EVENT_ID_BYTES = 16

FRAME_BYTES = _FRAME.size
EVENT_HEADER_BYTES = _EVENT.size
CHUNK_HEADER_BYTES = _CHUNK.size
RECORD_HEADER_BYTES = _RECORD.size

_MESSAGE_BYTES = {
    HELLO: _HELLO.size,
    HELLO_REPLY: _HELLO_REPLY.size,
    PRODUCE: _PRODUCE.size,
    PRODUCE_REPLY: _PRODUCE_REPLY.size,
    FETCH: FETCH_MESSAGE.size,
    FETCH_REPLY: _FETCH_REPLY.size,
    SUBSCRIBE: FETCH_MESSAGE.size,
    CREDIT: _CREDIT.size,
    PUSH: _FETCH_REPLY.size,
    STATUS: 0,
    STATUS_REPLY: _STATUS_REPLY.size,
    COMMAND: 0,
    COMMAND_REPLY: _COMMAND_REPLY.size,
    CURSORS: _CURSORS.size,
    CURSORS_REPLY: _CURSORS_REPLY.size,
    HEARTBEAT: _HEARTBEAT.size,
    HEARTBEAT_REPLY: _HEARTBEAT_REPLY.size,
    AUDIT: _AUDIT.size,
    AUDIT_REPLY: _AUDIT_REPLY.size,
    ERROR: _ERROR.size,
}

# The tails of these check themselves, so the body's checksum covers the message only.
_TAIL_CHECKS_ITSELF = frozenset({PRODUCE, FETCH_REPLY, PUSH})


def key_of(text: str | bytes) -> int:
    """The key of a text: FNV-1a, 64 bits."""
    key = 0xCBF29CE484222325
    for byte in text.encode() if isinstance(text, str) else text:
        key = ((key ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return key


def id_of(text: str | bytes) -> bytes:
    """The id of an event that its source calls by a text: FNV-1a, 128 bits, little-endian."""
    number = 0x6C62272E07BB014262B821756295C58D
    for byte in text.encode() if isinstance(text, str) else text:
        number = ((number ^ byte) * 0x1000000000000000000013B) % (1 << 128)
    return number.to_bytes(EVENT_ID_BYTES, "little")


@dataclass(frozen=True, slots=True)
class Event:
    """What a producer says. `key` decides the order that is kept; `time` is the producer's, in nanoseconds since 1970."""

    payload: bytes
    key: int = 0
    topic: str = ""
    time: int = 0
    priority: int = 0

    def encode(self) -> bytes:
        """Its bytes. Raises `ValueError` if it is over a limit of the protocol."""
        topic = self.topic.encode()
        if len(topic) > TOPIC_BYTES_MAX:
            raise ValueError(f"a topic of {len(topic)} bytes; at most {TOPIC_BYTES_MAX} fit")
        size = EVENT_HEADER_BYTES + len(topic) + len(self.payload)
        pad = -size % 8
        if size + pad > EVENT_BYTES_MAX:
            raise ValueError(f"an event of {size + pad} bytes; at most {EVENT_BYTES_MAX} fit")
        head = _EVENT.pack(self.key, self.time, len(self.payload), len(topic), self.priority, 0)
        return b"".join((head, topic, self.payload, bytes(pad)))


def events(data: bytes | memoryview, count: int) -> Iterator[Event]:
    """The events that fill `data` exactly."""
    at = 0
    for _ in range(count):
        if at + EVENT_HEADER_BYTES > len(data):
            raise ProtocolError("an event is cut")
        key, time, payload_len, topic_len, priority, flags = _EVENT.unpack_from(data, at)
        body = at + EVENT_HEADER_BYTES
        end = body + topic_len + payload_len
        after = end + (-end % 8)
        if flags != 0 or topic_len > TOPIC_BYTES_MAX or after > len(data) or any(data[end:after]):
            raise ProtocolError("an event is not sound")
        topic = bytes(data[body : body + topic_len]).decode(errors="replace")
        yield Event(bytes(data[body + topic_len : end]), key, topic, time, priority)
        at = after
    if at != len(data):
        raise ProtocolError("a chunk's events do not fill it")


class ChunkId(NamedTuple):
    """Which chunk: its producer, the producer's epoch, and the sequence of its first event."""

    producer: int
    epoch: int
    first_sequence: int
    event_count: int


def seal_chunk(chunk: ChunkId, body: bytes) -> bytes:
    """The chunk of these encoded events."""
    head = _CHUNK.pack(
        chunk.producer, chunk.first_sequence, chunk.epoch, chunk.event_count, len(body), 0
    )
    crc = crc32(body, crc32(head[:28]))
    return head[:28] + struct.pack("<I", crc) + body


def chunks(data: memoryview) -> Iterator[tuple[ChunkId, memoryview]]:
    """The chunks that fill `data`, each with its events' bytes. Those of no producer have ids before their events."""
    at = 0
    while at < len(data):
        if at + CHUNK_HEADER_BYTES > len(data):
            raise ProtocolError("a chunk is cut")
        producer, first, epoch, count, length, crc = _CHUNK.unpack_from(data, at)
        body = data[at + CHUNK_HEADER_BYTES : at + CHUNK_HEADER_BYTES + length]
        if len(body) != length:
            raise ProtocolError("a chunk is cut")
        if crc32(body, crc32(data[at : at + 28])) != crc:
            raise ProtocolError("a chunk's checksum does not fit: its bytes have changed")
        ids = EVENT_ID_BYTES * count if producer == 0 else 0
        if ids > length:
            raise ProtocolError("a chunk's ids are cut")
        yield ChunkId(producer, epoch, first, count), body[ids:]
        at += CHUNK_HEADER_BYTES + length


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it lies on the nodes' disks, checked."""

    header_crc: int
    previous: int
    term: int
    index: int
    base_offset: int
    log_time: int
    event_count: int
    kind: int
    body: memoryview

    EVENTS = 1
    NO_OP = 2
    COMMANDS = 3


def records(data: bytes) -> Iterator[Record]:
    """The whole records that fill `data`."""
    view = memoryview(data)
    at = 0
    while at < len(view):
        if at + RECORD_HEADER_BYTES > len(view):
            raise ProtocolError("a record is cut")
        (magic, header_crc, body_crc, body_len, term, index, base, log_time, group, count, kind, version, previous, flags) = (
            _RECORD.unpack_from(view, at)
        )
        if magic != b"QRT1" or crc32(view[at + 8 : at + RECORD_HEADER_BYTES]) != header_crc:
            raise ProtocolError("a record's header is not sound")
        # One of a later version that has no events is none of a consumer's business.
        readable = version == VERSION or (version > VERSION and count == 0)
        if not readable or flags != 0 or group != GROUP:
            raise ProtocolError(f"a record of version {version}, flags {flags}, group {group}")
        body = view[at + RECORD_HEADER_BYTES : at + RECORD_HEADER_BYTES + body_len]
        if len(body) != body_len or crc32(body) != body_crc:
            raise ProtocolError("a record's body is not sound")
        yield Record(header_crc, previous, term, index, base, log_time, count, kind, body)
        at += RECORD_HEADER_BYTES + body_len


class Frame(NamedTuple):
    """One frame: what it is, which request it belongs to, its message and its tail."""

    kind: int
    correlation: int
    message: bytes
    tail: bytes

    def encode(self) -> bytes:
        """Its bytes."""
        checked = self.message if self.kind in _TAIL_CHECKS_ITSELF else self.message + self.tail
        length = len(self.message) + len(self.tail)
        head = _FRAME.pack(
            b"QRF1", 0, length, crc32(checked), self.correlation, GROUP, VERSION, self.kind, 0
        )
        crc = crc32(head[8:])
        return b"".join((head[:4], struct.pack("<I", crc), head[8:], self.message, self.tail))


def frame_bytes(head: bytes) -> int:
    """How long the frame is that begins with these 32 bytes."""
    length: int
    magic, header_crc, length, _, _, group, version, kind, flags = _FRAME.unpack(head)
    if magic != b"QRF1":
        raise ProtocolError("the bytes are no frame: another protocol, or TLS, on this port")
    if crc32(head[8:]) != header_crc:
        raise ProtocolError("a frame's header checksum does not fit")
    if version != VERSION or kind not in _MESSAGE_BYTES or flags != 0 or group != GROUP:
        raise ProtocolError(f"a frame of version {version}, kind {kind:#04x}, flags {flags}, group {group}")
    if not _MESSAGE_BYTES[kind] <= length <= FRAME_BODY_BYTES_MAX:
        raise ProtocolError(f"a frame of kind {kind:#04x} with a body of {length} bytes")
    return FRAME_BYTES + length


def parse_frame(data: bytes) -> Frame:
    """The frame that is exactly these bytes."""
    if len(data) < FRAME_BYTES or frame_bytes(data[:FRAME_BYTES]) != len(data):
        raise ProtocolError("a frame is cut")
    _, _, _, body_crc, correlation, _, _, kind, _ = _FRAME.unpack_from(data)
    split = FRAME_BYTES + _MESSAGE_BYTES[kind]
    frame = Frame(kind, correlation, data[FRAME_BYTES:split], data[split:])
    checked = frame.message if kind in _TAIL_CHECKS_ITSELF else data[FRAME_BYTES:]
    if crc32(checked) != body_crc:
        raise ProtocolError("a frame's body checksum does not fit")
    return frame


def hello(cluster: str | None) -> bytes:
    """The greeting's message: `None` means any cluster."""
    return _HELLO.pack((cluster or "").encode(), VERSION, VERSION)


class Greeting(NamedTuple):
    """What a node says when it is greeted."""

    cluster: str
    node: int
    leader: int | None
    leader_term: int
    window_bytes: int
    window_requests: int
    nodes: dict[int, str]


def read_greeting(frame: Frame) -> Greeting:
    """Reads a HelloReply."""
    cluster, node, leader, leader_term, window_bytes, window_requests, _, version, count, _ = _HELLO_REPLY.unpack(
        frame.message
    )
    if version != VERSION or len(frame.tail) != count * _NODE_ENTRY.size:
        raise ProtocolError("a greeting is not sound")
    nodes = {}
    for node_id, length, address in _NODE_ENTRY.iter_unpack(frame.tail):
        nodes[node_id] = address[:length].decode()
    name = cluster.rstrip(b"\0").decode()
    return Greeting(name, node, leader or None, leader_term, window_bytes, window_requests, nodes)


ACKS_QUORUM, ACKS_ALL, ACKS_ACCEPTED = 0, 1, 2


def produce(acks: int = ACKS_QUORUM, timeout_ms: int = 0, priority: int = 0) -> bytes:
    """A Produce's message: when to answer, for `ACKS_ALL` how long to wait for the last disks, and who is shed first."""
    return _PRODUCE.pack(acks, 0, priority, timeout_ms)


class Produced(NamedTuple):
    """Where a chunk is, the term in which the node answered, and the level that is reached."""

    base_offset: int
    term: int
    level: int


def read_produced(frame: Frame) -> Produced:
    """Reads a ProduceReply."""
    return Produced(*_PRODUCE_REPLY.unpack(frame.message))


class Fetched(NamedTuple):
    """What a node answers to a fetch: the end and the start that it knows, where the read began and where to read on; its records are
    the frame's tail."""

    committed: int
    start: int
    begin: int
    next: int


def read_fetched(frame: Frame) -> Fetched:
    """Reads a FetchReply."""
    return Fetched(*_FETCH_REPLY.unpack(frame.message))


ROLES = ("forming", "follower", "candidate", "leader", "repairing")


@dataclass(frozen=True, slots=True)
class Status:
    """How a node is."""

    cluster: str
    node: int
    leader: int | None
    term: int
    last_index: int
    durable_index: int
    commit_index: int
    committed: int
    digest: int
    log_bytes: int
    producers: int
    start_index: int
    start_offset: int
    ready_bytes: int
    snapshot_index: int
    snapshot_bytes: int
    writes: int
    written_records: int
    written_bytes: int
    commit_p99: int | None
    catch_up_bytes: int | None
    process: int
    role: str
    serves: bool
    peers_up: int
    edition: int
    build: int
    priority: int


def read_status(frame: Frame) -> Status:
    """Reads a StatusReply."""
    (
        cluster, node, leader, term, last_index, durable_index, commit_index, committed, digest, log_bytes, producers,
        start_index, start_offset, ready_bytes, snapshot_index, snapshot_bytes, writes, written_records, written_bytes,
        commit_p99, catch_up_bytes, process, role, serves, peers_up, edition, build, priority,
    ) = _STATUS_REPLY.unpack(frame.message)  # fmt: skip
    return Status(
        cluster=cluster.rstrip(b"\0").decode(),
        node=node,
        leader=leader or None,
        term=term,
        last_index=last_index,
        durable_index=durable_index,
        commit_index=commit_index,
        committed=committed,
        digest=digest,
        log_bytes=log_bytes,
        producers=producers,
        start_index=start_index,
        start_offset=start_offset,
        ready_bytes=ready_bytes,
        snapshot_index=snapshot_index,
        snapshot_bytes=snapshot_bytes,
        writes=writes,
        written_records=written_records,
        written_bytes=written_bytes,
        commit_p99=commit_p99 or None,
        catch_up_bytes=catch_up_bytes or None,
        process=process,
        role=ROLES[role] if role < len(ROLES) else f"role {role}",
        serves=serves == 1,
        peers_up=peers_up,
        edition=edition,
        build=build,
        priority=priority,
    )


SET_CURSOR, DELETE_CURSOR, JOIN, LEAVE, COMMIT = 1, 2, 3, 4, 5


def _name(name: str) -> bytes:
    data = name.encode()
    if not 1 <= len(data) <= NAME_BYTES_MAX or not all(0x21 <= byte <= 0x7E for byte in data):
        raise ValueError(f"{name!r} is no name: 1 to {NAME_BYTES_MAX} printable ASCII characters without spaces")
    return data


def _command(kind: int, flags: int, body: bytes) -> bytes:
    return _COMMAND.pack(kind, _COMMAND.size + len(body), flags) + body


def set_cursor(name: str, offset: int, *, reset: bool = False) -> bytes:
    """The command that moves a cursor."""
    return _command(SET_CURSOR, int(reset), _SET_CURSOR.pack(_name(name), offset))


def delete_cursor(name: str) -> bytes:
    """The command that forgets a cursor."""
    return _command(DELETE_CURSOR, 0, _DELETE_CURSOR.pack(_name(name)))


def join(group: str, member: int, start: int, session_ms: int) -> bytes:
    """The command by which a member joins a consumer group; a new one begins at `start`."""
    return _command(JOIN, 0, _JOIN.pack(_name(group), member, start, session_ms))


def leave(group: str, member: int) -> bytes:
    """The command by which a member leaves."""
    return _command(LEAVE, 0, _LEAVE.pack(_name(group), member))


def commit(group: str, member: int, generation: int, slots: int, offset: int) -> bytes:
    """The command that says: everything below the offset is done in these slots."""
    return _command(COMMIT, 0, _COMMIT.pack(_name(group), member, generation, slots, offset))


def credit(count: int) -> bytes:
    """A Credit's message: so many bytes more may be pushed."""
    return _CREDIT.pack(count)


def heartbeat(group: str, member: int) -> bytes:
    """A Heartbeat's message."""
    return _HEARTBEAT.pack(_name(group), member)


class Standing(NamedTuple):
    """How a consumer group stands for a member: the generation, its slots as bits, and of each slot the offset below which all is done."""

    generation: int
    slots: int
    committed: int
    session_ms: int
    offsets: tuple[int, ...]


def read_standing(frame: Frame) -> Standing:
    """Reads a HeartbeatReply."""
    generation, slots, committed, session_ms, *offsets = _HEARTBEAT_REPLY.unpack(frame.message)
    return Standing(generation, slots, committed, session_ms, tuple(offsets))


def read_command_reply(frame: Frame) -> int:
    """Reads a CommandReply: its value."""
    value: int = _COMMAND_REPLY.unpack(frame.message)[0]
    return value


def cursors_after(name: str | None) -> bytes:
    """A Cursors message: those behind this name, or from the first."""
    return _CURSORS.pack(b"" if name is None else _name(name), 0, _LINEARIZABLE)


def cursor_named(name: str) -> bytes:
    """A Cursors message: this one."""
    return _CURSORS.pack(_name(name), 1, _LINEARIZABLE)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A consumer's place in the log, and the log time at which it was set."""

    name: str
    offset: int
    set_at: int


def read_cursors(frame: Frame) -> tuple[list[Cursor], bool]:
    """Reads a CursorsReply: cursors by name, and whether there are more."""
    _, count, more = _CURSORS_REPLY.unpack(frame.message)
    if len(frame.tail) != count * _CURSOR_ENTRY.size:
        raise ProtocolError("a list of cursors is not sound")
    entries = _CURSOR_ENTRY.iter_unpack(frame.tail)
    return [Cursor(name.rstrip(b"\0").decode(), offset, set_at) for name, offset, set_at in entries], more == 1


def audit(index: int) -> bytes:
    """An Audit's message."""
    return _AUDIT.pack(index)


@dataclass(frozen=True, slots=True)
class Audited:
    """What a node's log amounts to at a record; `known` says whether it still knows."""

    index: int
    applied: int
    digest: int
    header_crc: int
    known: bool


def read_audited(frame: Frame) -> Audited:
    """Reads an AuditReply."""
    index, applied, digest, header_crc, known = _AUDIT_REPLY.unpack(frame.message)
    return Audited(index, applied, digest, header_crc, known == 1)


class Refusal(NamedTuple):
    """An Error frame."""

    code: int
    leader: int | None
    leader_term: int
    retry_after_ms: int
    expected: int
    limit: int
    text: str


def read_refusal(frame: Frame) -> Refusal:
    """Reads an Error."""
    code, _, leader, leader_term, retry_after_ms, _, expected, limit = _ERROR.unpack(frame.message)
    return Refusal(code, leader or None, leader_term, retry_after_ms, expected, limit, frame.tail.decode(errors="replace"))
