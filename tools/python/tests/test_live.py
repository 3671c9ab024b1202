"""Against a live cluster of real processes."""

import contextlib
import csv
import gzip
import io
import unittest

import quorate

from cluster import FLIGHTS, ROOT, TAIL_NUMBER, Cluster


class Live(Cluster):
    def test_events_survive_the_leader_and_come_back_once_and_in_order(self) -> None:
        with gzip.open(FLIGHTS, "rt") as lines:
            flights = [row for _, row in zip(range(20_000), csv.reader(lines))][1:]
        payloads = [",".join(row).encode() for row in flights]
        with quorate.Producer(self.nodes[:1]) as producer:
            for nth, (row, payload) in enumerate(zip(flights, payloads)):
                if nth == len(flights) // 2:
                    self.kill_leader()
                last = producer.send(quorate.Event(payload, key=quorate.key_of(row[TAIL_NUMBER]), topic="flights"))
            producer.flush()
            self.assertEqual(producer.acked, len(payloads))
            self.assertEqual(last.offset, len(payloads) - 1)
        self.run_cluster("up")
        with quorate.Consumer(self.nodes) as consumer:
            found: list[quorate.Delivered] = []
            while len(found) < len(payloads):
                found += consumer.fetch(wait=5.0)
            self.assertEqual([one.event.payload for one in found], payloads)
            self.assertEqual(consumer.fetch(wait=0.2), [], "nothing twice, nothing more")
        key = found[0].event.key
        wanted = quorate.Filter(keys=(key,), topics=("fli",))
        end = quorate.at_least(len(payloads))
        with quorate.Consumer(self.nodes, filter=wanted, consistency=end) as consumer:
            some: list[quorate.Delivered] = []
            while consumer.offset < len(payloads):
                some += consumer.fetch(wait=1.0)
            self.assertEqual(some, [one for one in found if one.event.key == key])
        middle = found[len(found) // 2].log_time
        with quorate.Consumer(self.nodes, begin=quorate.since(middle), consistency=end) as consumer:
            first = consumer.fetch(wait=1.0)[0]
            self.assertEqual(first, next(one for one in found if one.log_time >= middle))

    def test_a_second_incarnation_fences_the_first(self) -> None:
        first = quorate.Producer(self.nodes, producer=7)
        first.send(quorate.Event(b"one"))
        first.flush()
        with quorate.Producer(self.nodes, producer=7, epoch=1) as second:
            second.send(quorate.Event(b"two"))
        first.send(quorate.Event(b"three"))
        with self.assertRaises(quorate.Refused) as refused:
            first.flush()
        self.assertEqual((refused.exception.code, refused.exception.expected), (205, 1))
        with self.assertRaises(quorate.Refused):
            first.send(quorate.Event(b"four"))

    def test_events_with_ids_are_in_the_log_once_whoever_sends_them(self) -> None:
        known = [(quorate.id_of(f"event {nth}"), quorate.Event(b"%d" % nth, key=nth)) for nth in range(200)]
        with quorate.IdProducer(self.nodes[:1]) as one, quorate.IdProducer(self.nodes, batch_events=7) as other:
            self.assertEqual(one.send(known[:100]), list(range(100)))
            self.assertEqual(one.send(known[50:60]), list(range(50, 60)), "as they were put the first time")
            self.kill_leader()
            self.assertEqual(other.send(known[10:200]), list(range(10, 200)), "chunks in which some are known, and others not")
            self.assertEqual(one.send(reversed(known)), list(range(199, -1, -1)))
            with self.assertRaises(ValueError):
                one.send([(b"short", quorate.Event(b""))])
        with quorate.Consumer(self.nodes) as consumer:
            found: list[quorate.Delivered] = []
            while len(found) < len(known):
                found += consumer.fetch(wait=5.0)
            self.assertEqual([one.event for one in found], [event for _, event in known])
            self.assertEqual(consumer.fetch(wait=0.2), [], "nothing twice")

    def test_cursors_are_kept_and_move_on_only(self) -> None:
        with quorate.Producer(self.nodes) as producer:
            for nth in range(10):
                producer.send(quorate.Event(b"%d" % nth))
        with quorate.Cursors(self.nodes[-1:]) as cursors:
            self.assertIsNone(cursors.get("billing"))
            cursors.set("billing", 7)
            cursors.set("audit", 3)
            with self.assertRaises(quorate.Refused) as refused:
                cursors.set("billing", 6)
            self.assertEqual((refused.exception.code, refused.exception.expected), (413, 7))
            self.kill_leader()
            self.assertEqual(cursors.get("billing"), 7, "the next leader knows it")
            cursors.set("billing", 2, reset=True)
            self.assertEqual([(one.name, one.offset) for one in cursors], [("audit", 3), ("billing", 2)])
            self.assertTrue(cursors.delete("audit"))
            self.assertFalse(cursors.delete("audit"))

    def test_pushed_events_come_once_and_in_order_through_another_leader(self) -> None:
        with quorate.Producer(self.nodes) as producer:
            with quorate.Consumer(self.nodes, push=True, bytes_max=2000) as consumer:
                found: list[quorate.Delivered] = []
                for nth in range(3000):
                    producer.send(quorate.Event(b"%d" % nth, key=nth))
                    if nth == 1500:
                        producer.flush()
                        found += consumer.fetch(wait=1.0)
                        self.kill_leader()
                producer.flush()
                while len(found) < 3000:
                    found += consumer.fetch(wait=5.0)
                self.assertEqual([one.event.payload for one in found], [b"%d" % nth for nth in range(3000)])
                self.assertEqual(consumer.fetch(wait=0.2), [])

    def test_each_event_is_one_members_while_members_come_and_go(self) -> None:
        with quorate.Producer(self.nodes) as producer:
            for nth in range(2000):
                producer.send(quorate.Event(b"%d" % nth, key=nth))
        done: list[int] = []

        def turn(member: quorate.GroupConsumer, pending: dict[int, quorate.Delivered]) -> None:
            before = member.generation
            found = member.poll(wait=0.2)
            # Of slots that it has lost, or may have lost meanwhile, others go on where it committed last.
            kept = pending if member.generation - before <= 1 else {}
            kept = {offset: one for offset, one in kept.items() if quorate.slot_of(one.event.key) in member.slots}
            pending.clear()
            pending.update(kept | {one.offset: one for one in found})
            if pending and member.commit():
                done.extend(pending)
                pending.clear()

        first_has: dict[int, quorate.Delivered] = {}
        with quorate.GroupConsumer(self.nodes, "readers", session=5.0) as first:
            with quorate.GroupConsumer(self.nodes, "readers", session=5.0) as second:
                second_has: dict[int, quorate.Delivered] = {}
                turn(first, first_has)
                self.kill_leader()
                while not done or len(first.slots) != 32 or len(second.slots) != 32:
                    turn(second, second_has)
                    turn(first, first_has)
                self.assertEqual(first.slots & second.slots, frozenset())
            # The other one has left: its slots, and what it had not committed, are the first one's.
            while len(done) < 2000 or len(first.slots) < 64:
                turn(first, first_has)
        self.assertEqual(sorted(done), list(range(2000)), "each event is in one commit")
        with quorate.GroupConsumer(self.nodes, "readers", session=5.0) as third:
            self.assertEqual(third.poll(wait=0.5), [], "all is done")

    def test_levels_are_what_was_asked_for(self) -> None:
        levels: tuple[quorate.Acks, ...] = ("quorum", "all", "accepted")
        for level in levels:
            with quorate.Producer(self.nodes, acks=level, all_timeout=30.0) as producer:
                receipt = producer.send(quorate.Event(b"safe?"))
                self.assertIsNone(receipt.level)
                producer.flush()
                self.assertEqual(receipt.level, level)

    def test_replicas_give_equal_answers_to_an_audit(self) -> None:
        with quorate.Producer(self.nodes, acks="all", all_timeout=30.0) as producer:
            producer.send(quorate.Event(b"one"))
        index = min(quorate.audit(address).applied for address in self.nodes)
        answers = [quorate.audit(address, index=index) for address in self.nodes]
        self.assertTrue(all(answer.known for answer in answers))
        self.assertEqual(len({(answer.digest, answer.header_crc) for answer in answers}), 1)

    def test_the_tutorial_runs(self) -> None:
        text = (ROOT / "docs" / "tutorial-python.md").read_text()
        blocks = [rest.split("```")[0] for rest in text.split("```python\n")[1:]]
        self.assertGreaterEqual(len(blocks), 4)
        code = "".join(blocks).replace("127.0.0.1:9001", self.nodes[0])
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "tutorial-python.md", "exec"), {})
        said = printed.getvalue().splitlines()
        self.assertEqual(
            said,
            [
                "999",
                "True",
                "1000 orders; the next event will be offset 1001",
                "100 orders of customer 7",
                "True",
                "401 the log ends at 1001",
            ],
        )

    def test_a_status_tells_who_leads(self) -> None:
        statuses = [quorate.status(address) for address in self.nodes]
        self.assertEqual(len({status.node for status in statuses}), 3)
        self.assertEqual(sum(status.serves for status in statuses), 1)


class Nobody(unittest.TestCase):
    def test_no_node_is_said_so_in_time(self) -> None:
        producer = quorate.Producer("127.0.0.1:1", patience=0.3)
        producer.send(quorate.Event(b"lost?"))
        with self.assertRaises(quorate.Unreachable):
            producer.flush()
        with self.assertRaises(quorate.Unreachable):
            quorate.Consumer("127.0.0.1:1", patience=0.3).fetch()
        with self.assertRaises(ValueError):
            quorate.Producer("")


if __name__ == "__main__":
    unittest.main()
