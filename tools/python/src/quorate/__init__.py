"""Client of Quorate, a replicated event log.

    with Producer("127.0.0.1:9001") as producer:
        producer.send(Event(b"hello", key=key_of("greetings")))

    for delivered in Consumer("127.0.0.1:9001"):
        print(delivered.offset, delivered.event.payload)
"""

from . import wire
from .consumer import Consumer, Delivered
from .cursors import Cursors
from .errors import ProtocolError, QuorateError, Refused, Unreachable
from .groups import GroupConsumer
from .ids import IdProducer
from .link import Link, LinkLost
from .producer import Acks, Producer, Receipt
from .reading import ANY, LINEARIZABLE, START, TAIL, Consistency, Filter, ReadFrom, at, at_least, since, slot_of
from .wire import Audited, Cursor, Event, Status, id_of, key_of

__all__ = [
    "ANY",
    "Acks",
    "Audited",
    "Consistency",
    "Consumer",
    "Cursor",
    "Cursors",
    "Delivered",
    "Event",
    "Filter",
    "GroupConsumer",
    "IdProducer",
    "LINEARIZABLE",
    "Producer",
    "ProtocolError",
    "QuorateError",
    "ReadFrom",
    "Receipt",
    "Refused",
    "START",
    "Status",
    "TAIL",
    "Unreachable",
    "at",
    "at_least",
    "audit",
    "id_of",
    "key_of",
    "since",
    "slot_of",
    "status",
]


def status(address: str, *, timeout: float = 2.0) -> Status:
    """How the node at this address is. Raises `Unreachable` if it does not answer."""
    return wire.read_status(_ask(address, wire.STATUS, b"", timeout))


def audit(address: str, *, index: int = 0, timeout: float = 2.0) -> Audited:
    """What the node's log amounts to at the record with this index; at the last one that it has applied, if it is 0.

    Ask all nodes about the same record: equal logs give equal answers. Raises `Unreachable` if the node does not answer.
    """
    return wire.read_audited(_ask(address, wire.AUDIT, wire.audit(index), timeout))


def _ask(address: str, kind: int, message: bytes, timeout: float) -> wire.Frame:
    try:
        with Link(address, None, timeout) as link:
            return link.ask(kind, message, timeout=timeout)
    except LinkLost as lost:
        raise Unreachable(str(lost)) from lost
