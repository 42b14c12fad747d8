#!/usr/bin/env python3
"""examples/respd/test/protocol.py PROGRAM - what clients should not send, and how they should not behave.

Malformed requests go to respd and to redis-server: both must answer the same bytes and close, or not, alike. Then what
only needs respd: requests in pieces, half-closed sockets, clients that do not read, large values, unix sockets,
keys whose time comes, more connections than allowed.
"""

import os
import random
import socket
import sys
import tempfile
import threading
import time

import resp
from resp import expect, expect_that

MALFORMED = [
    b"*1\r\n:5\r\n",
    b"*1\r\n+PING\r\n",
    b"*2\r\n$3\r\nGET\r\n*1\r\n$1\r\na\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$abc\r\n",
    b"*1\r\n$-5\r\n",
    b"*1\r\n$99999999999999999999\r\n",
    b"*1\r\n$600000000\r\n",
    b"*abc\r\n",
    b"*99999999999999999999\r\n",
    b"*1\r\nPING\r\n",
    b"*" + b"1" * 70000,
    b"*1\r\n$" + b"1" * 70000,
    b'SET a "unbalanced\r\n',
    b'SET a "b"c\r\n',
    b"x" * 70000,
    b"*1\r\n$4\r\nPING\r\n*1\r\n!\r\n",
]
FINE = [
    b"*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n",
    b"PING\r\n",
    b"PING\n",
    b"\r\n\r\nPING\r\n",
    b"   PING   hello  \r\n",
    b'SET "a b" \'c\\\'d\'\r\nGET "a\\x20b"\r\nECHO "\\n\\t\\"\\\\"\r\n',
    b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n",
    b"*2\r\n$4\r\nECHO\r\n$5\r\na\r\nb\x00\r\n",
    b"PING\r\n*1\r\n$4\r\nPING\r\nPING\r\n",
    b"GET\r\nGET a b\r\nNONSENSE 1 2\r\n*1\r\n$0\r\n\r\n",
    b"QUIT\r\nPING\r\n",
]


def answer(server, request):
    """All the bytes a server answers to a client that then closes its side."""
    client = server.connect(timeout=10)
    try:
        client.raw(request)
        client.socket.shutdown(socket.SHUT_WR)
        got = b""
        while True:
            part = client.socket.recv(65536)
            if not part:
                return got
            got += part
    except ConnectionError:
        return got
    finally:
        client.close()


def test_malformed(ours, theirs):
    for request in MALFORMED + FINE:
        a, b = answer(ours, request), answer(theirs, request)
        expect(a, b, "%.60r" % request)


def test_pieces(ours):
    """Commands cut anywhere, and many in one write."""
    rng = random.Random(3)
    client = ours.connect()
    values = [rng.randbytes(rng.choice([0, 1, 50, 2000])) for _ in range(60)]
    request = b"".join(resp.pack("SET", "piece:%d" % i, v) + resp.pack("GET", "piece:%d" % i)
                       for i, v in enumerate(values))
    at = 0
    while at < len(request):
        step = rng.choice([1, 2, 3, 7, 100, 1500])
        client.raw(request[at:at + step])
        at += step
    for value in values:
        expect(client.read(), b"OK", "SET in pieces")
        expect(client.read(), value, "GET in pieces")
    client.close()


def test_half_closed(ours):
    """A client that has said all gets its answers, then the end."""
    client = ours.connect()
    big = b"x" * 3000000
    client.raw(resp.pack("SET", "half", big) + resp.pack("GET", "half") * 5)
    client.socket.shutdown(socket.SHUT_WR)
    expect(client.read(), b"OK", "before the half close")
    for _ in range(5):
        expect(client.read(), big, "after the half close")
    expect_that(client.at_end(), "the server closes after a half close")
    client.close()
    # Gone in the middle of a command, and while answers are on their way.
    for request in (b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$100\r\nabc", resp.pack("GET", "half") * 20):
        rude = ours.connect()
        rude.raw(request)
        rude.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        rude.close()
    check = ours.connect()
    expect(check.call("STRLEN", "half"), len(big), "an unfinished command changes nothing")
    check.call("DEL", "half")
    check.close()


def test_slow_reader(ours):
    """A client that asks for 400 MB and does not read: the server does not gather them all."""
    client, other = ours.connect(), ours.connect()
    other.call("SET", "slow", b"y" * 1000000)
    before = int(other.info()["used_memory_rss"])
    sender = threading.Thread(target=client.raw, args=(resp.pack("GET", "slow") * 400,))
    sender.start()
    time.sleep(0.5)
    grown = int(other.info()["used_memory_rss"]) - before
    expect_that(grown < 60000000, "%d bytes gathered for a client that does not read" % grown)
    expect(other.call("PING"), b"PONG", "others are served meanwhile")
    for _ in range(400):
        expect(len(client.read()), 1000000, "late answers")
    sender.join()
    client.close()
    other.call("DEL", "slow")
    other.close()


def test_large(ours):
    client = ours.connect(timeout=120)
    for size in (32000, 70000, 5000000, 40000000):
        value = os.urandom(size)
        expect(client.call("SET", "large", value), b"OK", "SET of %d bytes" % size)
        expect(client.call("GET", "large") == value, True, "GET of %d bytes" % size)
        expect(client.call("APPEND", "large", "tail"), size + 4, "APPEND to %d bytes" % size)
        expect(client.call("RPUSH", "large list", value), 1, "RPUSH of %d bytes" % size)
        expect(client.call("LPOP", "large list") == value, True, "LPOP of %d bytes" % size)
    many = [b"%d" % i for i in range(200000)]
    expect(client.call("RPUSH", "many", *many), len(many), "RPUSH of 200,000 elements")
    expect(client.call("LRANGE", "many", 0, -1) == many, True, "LRANGE of 200,000 elements")
    expect(client.call("LRANGE", "many", 150000, 150001), many[150000:150002], "LRANGE in the middle")
    expect(client.call("LPOP", "many", 200001) == many, True, "LPOP of all elements")
    expect(client.call("SADD", "many", *many), len(many), "SADD of 200,000 members")
    expect(sorted(client.call("SMEMBERS", "many")) == sorted(many), True, "SMEMBERS")
    expect(client.call("SREM", "many", *many), len(many), "SREM of all members")
    expect(client.call("EXISTS", "many", "large"), 1, "an empty set is gone")
    client.call("DEL", "large")
    client.close()


def test_time(ours):
    """Keys whose time comes: met, or found by the search, which alone can make DBSIZE 0."""
    client = ours.connect()
    client.call("FLUSHALL")
    for i in range(300):
        client.call("SET", "mortal:%d" % i, "x", "PX", 200)
    client.call("SET", "met", "x", "PX", 50)
    client.call("SET", "later", "x", "PX", 20000)
    expect_that(0 < client.call("PTTL", "later") <= 20000, "PTTL of a key with 20 s")
    client.call("DEL", "later")
    time.sleep(0.07)
    expect(client.call("GET", "met"), None, "GET after its time")
    expect(client.call("TTL", "met"), -2, "TTL after its time")
    deadline = time.time() + 30
    while client.call("DBSIZE") != 0:
        expect_that(time.time() < deadline, "expired keys are found without being met")
        time.sleep(0.05)
    client.close()


def test_clients(program):
    with resp.respd(program, "--maxclients", "5", "--loops", "2") as server:
        kept = [server.connect()]
        while int(kept[0].info()["connected_clients"]) > 1:  # the one that waited for the start
            time.sleep(0.01)
        kept += [server.connect() for _ in range(4)]
        for client in kept:
            expect(client.call("PING"), b"PONG", "one of five connections")
        extra = server.connect()
        expect(extra.read(), resp.Error("ERR max number of clients reached"), "the sixth")
        expect_that(extra.at_end(), "the sixth is closed")
        for client in kept + [extra]:
            client.close()


def test_unix(program):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "respd")
        with resp.respd(program, "--unixsocket", path, "--loops", "2"):
            clients = [resp.Client(path) for _ in range(4)]
            for i, client in enumerate(clients):
                expect(client.call("INCR", "n"), i + 1, "INCR on a unix socket")
                client.close()
        expect_that(not os.path.exists(path), "the socket is removed at the end")


def main():
    program = sys.argv[1]
    with resp.redis() as theirs, resp.respd(program, "--loops", "2") as ours:
        test_malformed(ours, theirs)
        test_pieces(ours)
        test_half_closed(ours)
        test_slow_reader(ours)
        test_large(ours)
        test_time(ours)
    test_clients(program)
    test_unix(program)
    print("  %d malformed and %d unusual requests; pieces, half-closed, slow, large, expiring: fine" %
          (len(MALFORMED), len(FINE)))


if __name__ == "__main__":
    main()
