#!/usr/bin/env python3
"""examples/respd/test/memory.py PROGRAM - the memory limit is reached.

With --maxmemory every kind of write is refused sooner or later with Redis' OOM error. What was there before must be there
unchanged, a refused command must have changed nothing, reading and deleting must go on working, and after
deleting there must be room again.
"""

import random
import sys
import time

import resp
from resp import expect, expect_that

LIMIT = 24 << 20
OOM = resp.Error("OOM command not allowed when used memory > 'maxmemory'.")


def fill(client, make):
    """make(i) is the i-th command, until one is refused. Returns how many were not."""
    batch, i = 50, 0
    while True:
        commands = [make(i + n) for n in range(batch)]
        client.raw(b"".join(resp.pack(*command) for command in commands))
        replies = [client.read() for _ in commands]
        if OOM in replies:
            return i, commands, replies
        for reply in replies:
            expect_that(not isinstance(reply, resp.Error), repr(reply))
        i += batch
        expect_that(i < 1000000, "the limit is never reached")


def test_strings(client):
    rng = random.Random(1)
    values = {}

    def command(i):
        return ["SET", "s:%d" % i, values.setdefault(i, rng.randbytes(rng.choice([10, 100, 3000])))]

    count, commands, replies = fill(client, command)
    for i in range(count):
        expect(client.call("GET", "s:%d" % i), values[i], "s:%d after the limit" % i)
    for command, reply in zip(commands, replies):
        expect(client.call("GET", command[1]), None if reply == OOM else command[2], "what was said of %s" % command[1])
    present = client.call("DBSIZE")
    # Several keys at once: all or nothing.
    wanted = [w for i in range(2000) for w in ("m:%d" % i, b"z" * 3000)]
    expect(client.call("MSET", *wanted), OOM, "MSET of 6 MB")
    expect(client.call("DBSIZE"), present, "a refused MSET adds nothing")
    expect(client.call("EXISTS", *wanted[::2]), 0, "keys of a refused MSET")
    return count


def room_again(client, what):
    """Writing small things works after deleting: at once, or when the next look for memory is due."""
    deadline = time.time() + 5
    while client.call("SET", "room", what) == OOM:
        expect_that(time.time() < deadline, "room after %s" % what)
        time.sleep(0.02)
    client.call("DEL", "room")


def test_deleting(client, count):
    for i in range(0, count, 2):
        expect(client.call("DEL", "s:%d" % i), 1, "DEL s:%d when memory is short" % i)
    room_again(client, "deleting")
    expect(client.call("FLUSHALL"), b"OK", "FLUSHALL when memory is short")
    expect(client.call("DBSIZE"), 0, "after FLUSHALL")
    room_again(client, "flushing")


def test_containers(client):
    kinds = {
        "list": (lambda i: ["RPUSH", "list"] + [b"%d-%d" % (i, n) + b"e" * 300 for n in range(9)], "LLEN"),
        "set": (lambda i: ["SADD", "set"] + [b"%d-%d" % (i, n) + b"m" * 60 for n in range(9)], "SCARD"),
        "hash": (lambda i: ["HSET", "hash"] + [w for n in range(9) for w in (b"%d-%d" % (i, n), b"v" * 200)], "HLEN"),
    }
    for name, (make, size) in kinds.items():
        count, commands, replies = fill(client, make)
        good = count + sum(reply != OOM for reply in replies)
        expect(client.call(size, name), good * 9, "%s after the limit: nothing half done" % name)
        if name == "list":
            expect(client.call("LINDEX", name, 9 * good - 1)[:5],
                   [c for c, r in zip(commands, replies) if r != OOM][-1][-1][:5] if good > count
                   else make(count - 1)[-1][:5], "the last element")
            expect(len(client.call("LRANGE", name, 0, -1)), good * 9, "LRANGE")
        expect(client.call("DEL", name), 1, "DEL %s" % name)
        room_again(client, "deleting a " + name)
        client.call("FLUSHALL")


def test_large(client):
    """One value that can never fit, while small ones can."""
    expect(client.call("SET", "small", "1"), b"OK", "SET of a small value")
    expect(client.call("SET", "small", b"x" * (LIMIT + 1000)), OOM, "SET of more than the limit")
    expect(client.call("GET", "small"), b"1", "the old value")
    expect(client.call("SET", "other", "2"), b"OK", "a small SET after a large one was refused")
    expect(client.call("APPEND", "small", b"x" * (LIMIT + 1000)), OOM, "APPEND of more than the limit")
    expect(client.call("LPUSH", "l", "a", "b", b"x" * (LIMIT + 1000)), OOM, "LPUSH of more than the limit")
    expect(client.call("EXISTS", "l"), 0, "a list that was not made")
    expect(client.call("INCR", "small"), 2, "INCR")
    expect(client.call("SET", "small", "3", "GET"), b"2", "SET GET")
    expect(client.call("SET", "small", b"x" * (LIMIT + 1000), "GET"), OOM, "SET GET of more than the limit")
    expect(client.call("GETSET", "small", b"x" * (LIMIT + 1000)), OOM, "GETSET of more than the limit")
    expect(client.call("GET", "small"), b"3", "after all that")


def test_room(program):
    """Without --maxmemory the heap's limit goes with what is stored, also for values larger than it was."""
    with resp.respd(program, "--loops", "2") as server:
        client, value = server.connect(timeout=120), b"r" * (70 << 20)
        at_first = int(client.info()["heap_limit"])
        for name in "abc":
            expect(client.call("SET", name, value), b"OK", "SET of 70 MB")
        expect(client.call("GET", "a") == value, True, "GET of 70 MB")
        expect_that(int(client.info()["heap_limit"]) > len(value) * 3, "the limit was raised")
        expect(client.call("DEL", "a", "b", "c"), 3, "DEL")
        expect(client.call("MEMORY", "PURGE"), b"OK", "MEMORY PURGE")
        expect_that(int(client.info()["heap_limit"]) <= at_first, "the limit came down again")
        client.close()


def main():
    program = sys.argv[1]
    with resp.respd(program, "--loops", "1", "--maxmemory", str(LIMIT)) as server:
        client = server.connect(timeout=120)
        test_large(client)
        count = test_strings(client)
        test_deleting(client, count)
        test_containers(client)
        info = client.info()
        expect_that(int(info["used_memory_peak"]) <= LIMIT, "the heap never holds more than the limit")
        client.close()
    test_room(program)
    print("  limit of %d MiB reached: %s commands refused, nothing lost" %
          (LIMIT >> 20, info["refused_for_memory"]))


if __name__ == "__main__":
    main()
