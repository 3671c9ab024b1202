"""A member of a consumer group, as a process: `member.py NODES GROUP FILE` until it is told to end (SIGINT).

FILE gets a line for each event that is given out (`given OFFSET KEY NUMBER`), and one when a commit that covers it counts (`done ..`).
"""

import signal
import sys

import quorate


def line(what: str, one: quorate.Delivered) -> str:
    return f"{what} {one.offset} {one.event.key} {one.event.payload.split(b',')[0].decode()}\n"


def main(nodes: str, group: str, path: str) -> None:
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGINT, end)
    pending: dict[int, quorate.Delivered] = {}
    with open(path, "w", buffering=1) as file, quorate.GroupConsumer(nodes, group, session=2.0, patience=60.0) as member:
        while not ended:
            before = member.generation
            found = member.poll(wait=0.2)
            # Of slots that it has lost, or may have lost meanwhile, others go on where it committed last.
            if member.generation - before > 1:
                pending.clear()
            pending = {at: one for at, one in pending.items() if quorate.slot_of(one.event.key) in member.slots}
            pending |= {one.offset: one for one in found}
            file.write("".join(line("given", one) for one in found))
            if pending and member.commit():
                file.write("".join(line("done", one) for one in pending.values()))
                pending.clear()


if __name__ == "__main__":
    main(*sys.argv[1:])
