#!/usr/bin/env python3
"""examples/respd/test/load.py PROGRAM [CONNECTIONS [THREADS [ROUNDS]]]

Many connections, and many at once. CONNECTIONS are opened, most used once, and dropped in every way there is; memory
and descriptors must come back. A scan goes on while keys come and go. Then THREADS clients on several loops count and move things in the same keys: what
they add up to is known, and commands of several keys must be seen wholly or not at all.
"""

import random
import resource
import socket
import sys
import threading
import time

import resp
from resp import expect, expect_that


def open_all(server, wanted):
    """As many as this process may hold at once, in rounds, until all were opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    at_once = min(wanted, hard - 200, 9900)
    opened = 0
    while opened < wanted:
        sockets = []
        for i in range(min(at_once, wanted - opened)):
            s = socket.create_connection((resp.HOST, server.port), timeout=60)
            sockets.append(s)
            s.sendall([b"PING\r\n", b"*1\r\n$4\r\nPI", resp.pack("INCR", "opened")][i % 3])
        for i, s in enumerate(sockets):
            if i % 3 != 1:
                expect_that(s.recv(100)[:1] in (b"+", b":"), "an answer on connection %d" % i)
            if i % 2 == 0:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset
            s.close()
        opened += len(sockets)
    return opened, at_once


def test_connections(program, wanted):
    with resp.respd(program, "--loops", "2", "--maxclients", "19000") as server:
        client = server.connect()
        opened, at_once = open_all(server, wanted)
        deadline = time.time() + 20
        while int(client.info()["connected_clients"]) != 1:
            expect_that(time.time() < deadline, "dropped connections are forgotten")
            time.sleep(0.05)
        info = client.info()
        expect_that(int(info["total_connections_received"]) >= opened, "connections received")
        expect_that(int(info["rejected_connections"]) == 0, "no connection was rejected")
        expect(client.call("INCR", "after"), 1, "the server works after %d connections" % opened)
        client.close()
    return opened, at_once


class Worker(threading.Thread):
    def __init__(self, server, number, rounds):
        super().__init__()
        self.client, self.number, self.rounds = server.connect(), number, rounds
        self.random = random.Random(number)
        self.problem, self.seen = None, 0

    def run(self):
        try:
            for i in range(self.rounds):
                self.round(i)
        except Exception as problem:  # shown by the main thread
            self.problem = problem

    def round(self, i):
        mine = b"%d:%d" % (self.number, i)
        batch = [["INCR", "sum:%d" % (i % 16)], ["RPUSH", "queue", mine], ["SADD", "set", mine],
                 ["HSET", "hash", mine, i], ["MSET", "a", mine, "b", mine, "c", mine, "d", mine],
                 ["MGET", "a", "b", "c", "d"], ["SET", "own:" + mine.decode(), b"v" * self.random.randrange(400)],
                 ["DEL", "own:%d:%d" % (self.number, i - 50)], ["LPOP", "queue"]]
        self.client.raw(b"".join(resp.pack(*command) for command in batch))
        replies = [self.client.read() for _ in batch]
        for reply in replies:
            expect_that(not isinstance(reply, resp.Error), repr(reply))
        expect(len(set(replies[5])), 1, "MSET is seen wholly or not at all: %r" % replies[5])
        self.seen += replies[-1] is not None


def test_together(program, threads, rounds, hearth):
    with resp.respd(program, "--loops", "4", hearth=hearth) as server:
        workers = [Worker(server, n, rounds) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            if worker.problem is not None:
                raise worker.problem
            worker.client.close()
        client, total = server.connect(), threads * rounds
        expect(sum(int(client.call("GET", "sum:%d" % i) or 0) for i in range(16)), total, "INCR of all threads")
        expect(client.call("SCARD", "set"), total, "SADD of all threads")
        expect(client.call("HLEN", "hash"), total, "HSET of all threads")
        expect(sum(w.seen for w in workers) + client.call("LLEN", "queue"), total, "RPUSH and LPOP of all threads")
        expect(client.call("DBSIZE"), min(16, rounds) + 4 + 2 + threads * min(50, rounds) +
               (client.call("EXISTS", "queue")), "keys")
        info = client.info()
        client.close()
    return info


def test_scan(program, stable, passing):
    """Keys that are there all the time are shown by a scan, though the tables grow and shrink meanwhile."""
    with resp.respd(program, "--loops", "2") as server:
        client = server.connect()
        client.raw(b"".join(resp.pack("SET", "stable:%d" % i, i) for i in range(stable)))
        for _ in range(stable):
            client.read()
        scans, step = 0, 0
        for verb in ("SET", "DEL", "SET", "DEL"):
            cursor, seen, done = b"0", set(), 0
            while done < passing or cursor != b"0":
                names = ["passing:%d" % i for i in range(done, min(done + 100, passing))]
                done += len(names)
                batch = [[verb, name] + ([b"x"] if verb == "SET" else []) for name in names]
                client.raw(b"".join(resp.pack(*c) for c in batch) + resp.pack("SCAN", cursor, "COUNT", stable // 40))
                for _ in batch:
                    client.read()
                cursor, keys = client.read()
                seen.update(key for key in keys if key.startswith(b"stable"))
                step += 1
                if cursor == b"0":
                    expect(len(seen), stable, "keys a scan shows while others come and go")
                    seen, scans = set(), scans + 1
            expect(client.call("DBSIZE"), stable + (passing if verb == "SET" else 0), "DBSIZE after %s" % verb)
        client.close()
    return scans, step


def main():
    program = sys.argv[1]
    connections = int(sys.argv[2]) if len(sys.argv) > 2 else 10000
    threads = int(sys.argv[3]) if len(sys.argv) > 3 else 8
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 300
    opened, at_once = test_connections(program, connections)
    print("  %d connections opened and dropped, %d at once" % (opened, at_once))
    scans, steps = test_scan(program, 5000, 40000)
    print("  %d scans of %d steps while tables grew and shrank" % (scans, steps))
    for hearth in ("nursery=256k,heap-min=1m", "stress=2,poison=on,fake-nodes=2"):
        info = test_together(program, threads, rounds, hearth)
        print("  %d clients on 4 loops with '%s': %s + %s collections" %
              (threads, hearth, info["minor_collections"], info["full_collections"]))


if __name__ == "__main__":
    main()
