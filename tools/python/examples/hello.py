"""Says hello, and reads it back: `python hello.py 127.0.0.1:9001`."""

import sys

import quorate

nodes = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9001"

with quorate.Producer(nodes) as producer:
    receipt = producer.send(quorate.Event(b"hello", key=quorate.key_of("greetings"), topic="greetings"))
    producer.flush()
assert receipt.offset is not None, "flush returns when everything is acknowledged"
print(f"a quorum of disks has it at offset {receipt.offset}")

with quorate.Consumer(nodes, begin=receipt.offset) as consumer:
    [delivered, *_] = consumer.fetch(wait=5.0)
print(f"read back: {delivered.event.payload.decode()}")
