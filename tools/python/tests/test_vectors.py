"""The encoders and parsers against the protocol's golden vectors, byte for byte."""

import pathlib
import unittest

from quorate import reading, wire
from quorate.errors import ProtocolError

GOLDEN = pathlib.Path(__file__).resolve().parents[3] / "wire" / "golden"


def vector(name: str) -> bytes:
    """The bytes of a golden file: behind an offset and before the bar."""
    data = bytearray()
    for line in (GOLDEN / f"{name}_v1.hex").read_text().splitlines():
        if line and not line.startswith("#"):
            data += bytes.fromhex(line.split("|")[0][4:])
    return bytes(data)


class Keys(unittest.TestCase):
    def test_keys_are_those_of_the_page(self) -> None:
        known = {
            "": 0xCBF29CE484222325,
            "a": 0xAF63DC4C8601EC8C,
            "foobar": 0x85944171F73967E8,
            "N14228": 0xD9ABC3FFA5B0EFB0,
        }
        for text, key in known.items():
            self.assertEqual(wire.key_of(text), key, text)

    def test_ids_are_fnv_1a_of_128_bits(self) -> None:
        known = {
            "": 0x6C62272E07BB014262B821756295C58D,
            "a": 0xD228CB696F1A8CAF78912B704E4A8964,
            "foobar": 0x343E1662793C64BF6F0D3597BA446F18,
        }
        for text, number in known.items():
            self.assertEqual(int.from_bytes(wire.id_of(text), "little"), number, text)


class Frames(unittest.TestCase):
    def test_every_client_frame_is_read_and_written_back(self) -> None:
        names = ["hello", "hello_reply", "produce", "produce_reply", "fetch", "fetch_reply", "status", "status_reply"]
        names += ["command", "command_reply", "cursors", "cursors_reply", "audit", "audit_reply", "error"]
        names += ["subscribe", "credit", "push", "heartbeat", "heartbeat_reply"]
        for name in names:
            with self.subTest(name):
                data = vector(f"frame_{name}")
                self.assertEqual(wire.parse_frame(data).encode(), data)

    def test_messages_say_what_the_comments_say(self) -> None:
        greeting = wire.read_greeting(wire.parse_frame(vector("frame_hello_reply")))
        self.assertEqual((greeting.cluster, greeting.node), ("airport", 1))
        self.assertEqual((greeting.leader, greeting.leader_term), (2, 7))
        self.assertEqual((greeting.window_bytes, greeting.window_requests), (8388608, 1024))
        self.assertEqual(greeting.nodes[2], "127.0.0.1:9002")
        produced = wire.read_produced(wire.parse_frame(vector("frame_produce_reply")))
        self.assertEqual((produced.base_offset, produced.level), (2050, wire.ACKS_ALL))
        asked = wire.parse_frame(vector("frame_produce")).message
        self.assertEqual(asked, wire.produce(wire.ACKS_ALL, 1000, 7))
        self.assertEqual(wire.parse_frame(vector("frame_command")).tail, wire.set_cursor("billing", 2049))
        self.assertEqual(wire.read_command_reply(wire.parse_frame(vector("frame_command_reply"))), 2049)
        self.assertEqual(wire.parse_frame(vector("frame_cursors")).message, wire.cursors_after("billing"))
        [cursor], more = wire.read_cursors(wire.parse_frame(vector("frame_cursors_reply")))
        self.assertEqual((cursor.offset, more), (2030, False))
        self.assertEqual(wire.parse_frame(vector("frame_audit")).message, wire.audit(42))
        standing = wire.read_standing(wire.parse_frame(vector("frame_heartbeat_reply")))
        self.assertEqual((standing.generation, standing.slots, standing.offsets[63]), (3, 0xFFFFFFFF, 2049))
        audited = wire.read_audited(wire.parse_frame(vector("frame_audit_reply")))
        self.assertEqual((audited.index, audited.applied, audited.known), (42, 57, True))
        refusal = wire.read_refusal(wire.parse_frame(vector("frame_error")))
        self.assertEqual((refusal.code, refusal.leader, refusal.leader_term), (301, 2, 7))
        self.assertEqual(refusal.text, "node 2 leads group 0, not node 1")
        wanted = reading.Filter(keys=(wire.key_of("N14228"),), topics=("flights",))
        message = reading.fetch(reading.at(2049), 65_536, 500, reading.at_least(2051), wanted.clauses)
        frame = wire.Frame(wire.FETCH, 7, message, wanted.encode())
        self.assertEqual(frame.encode(), vector("frame_fetch"))
        fetched = wire.read_fetched(wire.parse_frame(vector("frame_fetch_reply")))
        self.assertEqual((fetched.begin, fetched.next), (2049, 2051))
        frame = wire.Frame(wire.HELLO, 7, wire.hello("airport"), b"")
        self.assertEqual(frame.encode(), vector("frame_hello"))

    def test_every_flipped_bit_of_a_header_is_seen(self) -> None:
        data = vector("frame_hello")
        for at in range(len(data) * 8):
            bad = bytearray(data)
            bad[at // 8] ^= 1 << at % 8
            with self.assertRaises(ProtocolError, msg=f"bit {at}"):
                wire.parse_frame(bytes(bad))


class Filters(unittest.TestCase):
    def test_an_event_must_fit_what_is_said_of_each_thing(self) -> None:
        wanted = reading.Filter(keys=(7,), key_ranges=((10, 12),), topics=("a/", "b"))
        for key, topic, wants in [(7, "a/1", True), (11, "b", True), (13, "b", False), (7, "c", False)]:
            self.assertEqual(wanted.matches(wire.Event(b"", key=key, topic=topic)), wants, (key, topic))
        slots = reading.Filter(slots=frozenset({reading.slot_of(7)}))
        self.assertTrue(slots.matches(wire.Event(b"", key=7)))
        self.assertEqual([reading.slot_of(key) for key in (0, 1, 0xEDDD2C15FF48B181)], [0, 39, 57])

    def test_it_is_bounded(self) -> None:
        with self.assertRaises(ValueError):
            reading.Filter(keys=tuple(range(17))).encode()


class Bodies(unittest.TestCase):
    def test_a_chunk_is_sealed_as_its_vector(self) -> None:
        data = vector("chunk")
        [(chunk, body)] = wire.chunks(memoryview(data))
        self.assertEqual(chunk, wire.ChunkId(0x5D1F60A793C24BE8, 1, 128, 2))
        found = list(wire.events(body, chunk.event_count))
        self.assertEqual(found[0].topic, "flights")
        self.assertEqual(found[0].key, wire.key_of("N14228"))
        self.assertEqual(wire.seal_chunk(chunk, b"".join(event.encode() for event in found)), data)

    def test_ids_before_the_events_are_passed_by(self) -> None:
        [(chunk, body)] = wire.chunks(memoryview(vector("chunk_ids")))
        self.assertEqual(chunk, wire.ChunkId(0, 1, 7, 1))
        [event] = wire.events(body, chunk.event_count)
        self.assertEqual(event.topic, "flights")

    def test_a_chunk_with_ids_is_sealed_as_its_vector(self) -> None:
        data = vector("chunk_ids")
        [(chunk, body)] = wire.chunks(memoryview(data))
        [event] = wire.events(body, chunk.event_count)
        ids = data[wire.CHUNK_HEADER_BYTES :][: wire.EVENT_ID_BYTES]
        self.assertEqual(wire.seal_chunk(chunk, ids + event.encode()), data)
        self.assertEqual(ids, b"N14228 2013 0515")

    def test_a_record_is_read(self) -> None:
        [record] = wire.records(vector("record_events"))
        self.assertEqual((record.term, record.index, record.base_offset, record.event_count), (3, 42, 2048, 3))
        self.assertEqual(sum(chunk.event_count for chunk, _ in wire.chunks(record.body)), 3)
        [noop] = wire.records(vector("record_noop"))
        self.assertEqual((noop.kind, noop.event_count), (wire.Record.NO_OP, 0))
        [commands] = wire.records(vector("record_commands"))
        self.assertEqual((commands.kind, commands.event_count), (wire.Record.COMMANDS, 0))

    def test_a_later_version_without_events_is_passed_over(self) -> None:
        def later(name: str) -> bytes:
            data = bytearray(vector(name))
            data[55] = wire.VERSION + 1
            data[4:8] = wire.crc32(data[8 : wire.RECORD_HEADER_BYTES]).to_bytes(4, "little")
            return bytes(data)

        [commands] = wire.records(later("record_commands"))
        self.assertEqual(commands.event_count, 0)
        with self.assertRaises(ProtocolError):
            list(wire.records(later("record_events")))

    def test_changed_and_cut_bytes_are_refused(self) -> None:
        data = vector("record_events")
        for at in range(0, len(data), 7):
            with self.assertRaises(ProtocolError, msg=f"byte {at}"):
                bad = bytearray(data)
                bad[at] ^= 0x10
                for record in wire.records(bytes(bad)):
                    list(wire.chunks(record.body))
        for size in range(1, len(data)):
            with self.assertRaises(ProtocolError, msg=f"{size} bytes"):
                list(wire.records(data[:size]))

    def test_limits_are_held(self) -> None:
        with self.assertRaises(ValueError):
            wire.Event(b"", topic="x" * 256).encode()
        for name in ("", "two words", "x" * 65, "umläut"):
            with self.assertRaises(ValueError, msg=name):
                wire.set_cursor(name, 0)
        with self.assertRaises(ValueError):
            wire.Event(bytes(wire.EVENT_BYTES_MAX)).encode()


if __name__ == "__main__":
    unittest.main()
