#!/usr/bin/env python3
"""examples/respd/test/differential.py PROGRAM [SEED [COMMANDS [OPTION...]]]

The same random commands to respd and to redis-server; every reply must be the same. What Redis leaves unordered
(members of sets, fields of hashes, keys) is compared as a set, times to live within what the clock allows. Good
commands and bad ones: wrong types, numbers, arities, options, names. At the end everything either server
holds is compared. The environment's HEARTH_OPTIONS reach respd. SEED repeats a run.
"""

import os
import random
import sys

import resp

UNORDERED = {"SMEMBERS", "HKEYS", "HVALS", "KEYS"}
TIMES = {"TTL": 60, "PTTL": 60000}
NUMBERS = ["0", "1", "-1", "10", "-7", "9223372036854775807", "-9223372036854775808", "007", "1.5",
           "+3", "", " 1", "abc", "99999999999999999999"]


class Writer:
    """Makes commands. `universe` is how many keys, fields and members there are."""

    def __init__(self, rng, universe):
        self.rng, self.universe = rng, universe
        own = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("make_")]
        self.makers = own + [self.make_string] * 5 + [self.make_list, self.make_hash, self.make_set] * 2

    def key(self):
        r = self.rng.random()
        if r < 0.01:
            return self.rng.choice([b"", b"\x00\xff", b"k\r\n", b"[a-c]*?", b"x" * 300])
        return b"key:%d" % self.rng.randrange(self.universe)

    def word(self):
        rng = self.rng
        r = rng.random()
        if r < 0.3:
            return b"%d" % rng.randint(-50, 50)
        if r < 0.34:
            return as_text(rng.choice(NUMBERS))
        if r < 0.9:
            return b"w%d" % rng.randrange(self.universe)
        if r < 0.98:
            return rng.randbytes(rng.randrange(80))
        return rng.randbytes(rng.choice([200, 1000, 5000, 40000]))

    def number(self):
        return as_text(self.rng.choice(NUMBERS)) if self.rng.random() < 0.15 else \
            b"%d" % self.rng.randint(-20, 20)

    def words(self, least, most):
        return [self.word() for _ in range(self.rng.randint(least, most))]

    def keys(self):
        return [self.key() for _ in range(self.rng.randint(1, 5))]

    def seconds(self):
        """Never a time that passes during the test, but for times that are past; far enough apart, so that it does not
        matter for GT and LT how much later one server comes to them."""
        rng = self.rng
        return as_text(rng.choice([1000 * rng.randint(1, 10 ** 6)] * 12 + [0, -1, -5, "x", 2 ** 62, 2 ** 63]))

    def milliseconds(self):
        return as_text(self.rng.choice([10 ** 6 * self.rng.randint(1, 10 ** 6)] * 12 + [0, -1, "z"]))

    def make_string(self):
        rng, key = self.rng, self.key()
        return rng.choice([
            lambda: ["SET", key, self.word()], lambda: ["SET", key, self.word()],
            lambda: ["SET", key, self.word()] + self.set_options(),
            lambda: ["GET", key], lambda: ["get", key], lambda: ["STRLEN", key],
            lambda: ["SETEX", key, self.seconds(), self.word()],
            lambda: ["PSETEX", key, self.milliseconds(), self.word()],
            lambda: ["SETNX", key, self.word()], lambda: ["GETSET", key, self.word()],
            lambda: ["MGET"] + self.keys(), lambda: ["MSET"] + self.words(1, 6),
            lambda: ["MSET"] + [w for k in self.keys() for w in (k, self.word())],
            lambda: ["INCR", key], lambda: ["DECR", key], lambda: ["INCRBY", key, self.number()],
            lambda: ["DECRBY", key, self.number()], lambda: ["APPEND", key, self.word()],
        ])()

    def set_options(self):
        choice = [[b"NX"], [b"XX"], [b"GET"], [b"KEEPTTL"], [b"EX", self.seconds()],
                  [b"px", self.milliseconds()], [b"PX", self.milliseconds()], [b"EX"], [b"bogus"], [b"nx", b"xx"], [b"EXAT", b"99999999999"]]
        return sum(self.rng.sample(choice, self.rng.randint(1, 2)), [])

    def make_keys(self):
        rng, key = self.rng, self.key()
        return rng.choice([
            lambda: ["DEL"] + self.keys(), lambda: ["UNLINK", key], lambda: ["EXISTS"] + self.keys(),
            lambda: ["TOUCH", key, key], lambda: ["TYPE", key],
            lambda: ["KEYS", rng.choice([b"*", b"key:*1", b"key:[1-3]?", b"key:[^1-3]?", b"k?y:\\1*", b"x*"])],
            lambda: ["DBSIZE"], lambda: ["SCAN", b"nonsense"], lambda: ["SCAN", b"0", b"COUNT", b"0"],
            lambda: ["SCAN", b"0", b"COUNT", b"x"], lambda: ["SCAN", b"0", b"MATCH"],
            lambda: ["PING"], lambda: ["PING", self.word()], lambda: ["ECHO", self.word()],
            lambda: ["SELECT", b"0"], lambda: ["SELECT", rng.choice([b"99", b"x", b"-1"])],
        ])()

    def make_expiry(self):
        rng, key = self.rng, self.key()
        flags = rng.choice([[]] * 6 + [[b"NX"], [b"XX"], [b"GT"], [b"LT"], [b"NX", b"GT"], [b"GT", b"LT"], [b"zz"]])
        return rng.choice([
            lambda: ["EXPIRE", key, self.seconds()] + flags,
            lambda: ["PEXPIRE", key, self.milliseconds()] + flags,
            lambda: ["EXPIREAT", key, rng.choice([b"4102444800", b"4102444900", b"1"])] + flags,
            lambda: ["PEXPIREAT", key, b"4102444800123"] + flags,
            lambda: ["TTL", key], lambda: ["PTTL", key], lambda: ["PERSIST", key],
        ])()

    def make_list(self):
        rng, key = self.rng, self.key()
        end = rng.choice(["L", "R"])
        return rng.choice([
            lambda: [end + "PUSH", key] + self.words(1, 8), lambda: [end + "PUSH", key] + self.words(1, 8),
            lambda: [end + "POP", key], lambda: [end + "POP", key, self.number()], lambda: ["LLEN", key],
            lambda: ["LRANGE", key, self.number(), self.number()], lambda: ["LRANGE", key, b"0", b"-1"],
            lambda: ["LINDEX", key, self.number()],
        ])()

    def make_hash(self):
        rng, key = self.rng, self.key()
        return rng.choice([
            lambda: ["HSET", key] + self.words(2, 9), lambda: ["HSET", key] + self.words(2, 2),
            lambda: ["HSETNX", key, self.word(), self.word()], lambda: ["HMSET", key] + self.words(2, 5),
            lambda: ["HGET", key, self.word()], lambda: ["HMGET", key] + self.words(1, 4),
            lambda: ["HDEL", key] + self.words(1, 6), lambda: ["HLEN", key],
            lambda: ["HEXISTS", key, self.word()], lambda: ["HSTRLEN", key, self.word()],
            lambda: ["HGETALL", key], lambda: ["HKEYS", key], lambda: ["HVALS", key],
        ])()

    def make_set(self):
        rng, key = self.rng, self.key()
        return rng.choice([
            lambda: ["SADD", key] + self.words(1, 9), lambda: ["SADD", key] + self.words(1, 9),
            lambda: ["SREM", key] + self.words(1, 6), lambda: ["SISMEMBER", key, self.word()],
            lambda: ["SCARD", key], lambda: ["SMEMBERS", key],
        ])()

    def make_wrong(self):
        rng = self.rng
        name = rng.choice(["GET", "SET", "SETEX", "MGET", "DEL", "EXPIRE", "TTL", "INCR", "INCRBY", "APPEND",
                           "STRLEN", "HSET", "HGET", "HLEN", "HGETALL", "LPUSH", "LPOP", "LRANGE", "LINDEX",
                           "SADD", "SMEMBERS", "SISMEMBER", "KEYS", "TYPE", "ECHO", "PING", "EXISTS",
                           "nonsense", "no\r\nsense", "CONFIG", "CLIENT", "FLUSHALL", "DBSIZE"])
        if name == "FLUSHALL":
            return [name] + ([] if rng.random() < 0.05 else [b"sink"])
        if name in ("CONFIG", "CLIENT"):
            return [name] + rng.choice([[], [b"nonsense"], [b"GET"]] if name == "CONFIG" else [[], [b"nonsense"]])
        return [name] + self.words(0, 5)


def as_text(value):
    return resp.as_bytes(value)


def pairs(reply):
    return sorted(zip(reply[::2], reply[1::2]))


def same(command, ours, theirs):
    name = str(command[0]).upper()
    if isinstance(ours, list) and isinstance(theirs, list):
        if name in UNORDERED:
            return sorted(ours) == sorted(theirs)
        if name == "HGETALL":
            return pairs(ours) == pairs(theirs)
    if name in TIMES and isinstance(ours, int) and isinstance(theirs, int) and min(ours, theirs) >= 0:
        return abs(ours - theirs) <= TIMES[name]
    return type(ours) == type(theirs) and ours == theirs


def compare(ours, theirs, commands):
    request = b"".join(resp.pack(*command) for command in commands)
    ours.raw(request)
    theirs.raw(request)
    for command in commands:
        a, b = ours.read(), theirs.read()
        if not same(command, a, b):
            raise AssertionError("%.300r\n  respd: %.300r\n  redis: %.300r" % (command, a, b))


def scan(client, options):
    keys, cursor, rounds = [], b"0", 0
    while True:
        cursor, found = client.call("SCAN", cursor, *options)
        keys += found
        rounds += 1
        if cursor == b"0":
            return keys
        resp.expect_that(rounds < 1000000, "a scan does not end")


def compare_scans(ours, theirs, rng):
    options = rng.choice([[], ["COUNT", 100], ["MATCH", "key:*2*"], ["TYPE", "list"], ["COUNT", 3, "TYPE", "hash"],
                          ["TYPE", "nonsense"]])
    a, b = scan(ours, options), scan(theirs, options)
    resp.expect(sorted(set(a)), sorted(set(b)), "SCAN %r" % options)
    resp.expect(len(a), len(set(a)), "a scan of a table that nobody changes shows keys once; keys")


def compare_all(ours, theirs):
    keys = theirs.call("KEYS", "*")
    readers = {b"string": ["GET"], b"list": ["LRANGE", 0, -1], b"set": ["SMEMBERS"], b"hash": ["HGETALL"]}
    commands = [["DBSIZE"], ["KEYS", "*"]]
    for key in keys:
        reader = readers[theirs.call("TYPE", key)]
        commands += [["TYPE", key], [reader[0], key] + reader[1:], ["TTL", key]]
    compare(ours, theirs, commands)
    return len(keys)


def run(ours, theirs, seed, count):
    rng = random.Random(seed)
    done, compared = 0, 0
    while done < count:
        writer = Writer(rng, rng.choice([4, 30, 30, 3000]))
        phase = min(count - done, rng.randrange(500, 4000))
        for begin in range(0, phase, 200):
            batch = [rng.choice(writer.makers)() for _ in range(min(200, phase - begin))]
            compare(ours, theirs, batch)
            done += len(batch)
        compare_scans(ours, theirs, rng)
        if rng.random() < 0.3:
            compared += compare_all(ours, theirs)
        if rng.random() < 0.2:
            compare(ours, theirs, [["FLUSHALL"], ["DBSIZE"]])
    return done, compared + compare_all(ours, theirs)


def main():
    program = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2] else random.SystemRandom().getrandbits(32)
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 20000
    options = sys.argv[4:]
    hearth = os.environ.get("HEARTH_OPTIONS", "")
    with resp.redis() as theirs, resp.respd(program, *options, hearth=hearth) as ours:
        a, b = ours.connect(), theirs.connect()
        try:
            done, compared = run(a, b, seed, count)
        except (AssertionError, EOFError) as problem:
            sys.exit("differential.py: SEED=%d HEARTH_OPTIONS='%s': %s" % (seed, hearth, problem))
        info = a.info()
        a.close()
        b.close()
    print("  %d commands, %d keys compared whole, seed %d, '%s': %s + %s collections" %
          (done, compared, seed, hearth, info["minor_collections"], info["full_collections"]))


if __name__ == "__main__":
    main()
