"""examples/respd/test/resp.py - what the tests share: a client that knows RESP, and starting servers.

Raw sockets and the standard library only, so that a test can send what no client library would. A server gets a free
port, and is ended with the test, whatever becomes of it; its exit status and what it printed are looked at.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time

HOST = "127.0.0.1"


class Error(Exception):
    """An error reply, or what is compared with one."""

    def __eq__(self, other):
        return isinstance(other, Error) and str(self) == str(other)

    def __hash__(self):
        return hash(str(self))

    def __repr__(self):
        return "-" + str(self)


class Status(bytes):
    """A status reply: '+OK' is not the string 'OK'."""

    def __repr__(self):
        return "+" + self.decode("latin-1")


def as_bytes(word):
    return word if isinstance(word, bytes) else str(word).encode("latin-1")


def pack(*words):
    parts = [b"*%d\r\n" % len(words)]
    for word in map(as_bytes, words):
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


class Client:
    """One connection. `call` sends a command and waits; `send` and `read` pipeline."""

    def __init__(self, where, timeout=60):
        if isinstance(where, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(where)
        else:
            self.socket = socket.create_connection((HOST, where), timeout=timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", 1 << 16)

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, *words):
        self.socket.sendall(pack(*words))

    def raw(self, data):
        self.socket.sendall(data)

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("the server closed the connection" if not line else repr(line))
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return Status(rest)
        if kind == b"-":
            return Error(rest.decode("latin-1"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self.read_bulk(int(rest))
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        raise ValueError("no reply: %r" % line)

    def read_bulk(self, length):
        if length < 0:
            return None
        data = self.file.read(length + 2)
        if len(data) != length + 2 or data[-2:] != b"\r\n":
            raise ValueError("a string of %d bytes does not end: %r" % (length, data[-20:]))
        return data[:-2]

    def call(self, *words):
        self.send(*words)
        return self.read()

    def at_end(self):
        """True if the server has closed its side, after everything was read."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True

    def info(self):
        lines = self.call("INFO").decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class Server:
    """A child process that listens on `port`. With `clean` its end must be clean: status 0, nothing said."""

    def __init__(self, command, port, environment=None, clean=True):
        self.port, self.clean = port, clean
        self.errors = tempfile.TemporaryFile()
        variables = dict(os.environ, **(environment or {}))
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.errors,
                                        env=variables)
        deadline = time.time() + 30
        while True:
            try:
                Client(port, timeout=10).close()
                return
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.time() > deadline:
                    self.end()
                    raise RuntimeError("%s does not start" % command[0])
                time.sleep(0.02)

    def connect(self, timeout=60):
        return Client(self.port, timeout)

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode("latin-1")

    def end(self):
        self.process.terminate()
        try:
            status = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "killed: it did not end when told to"
            self.process.wait()
        said = self.said()
        self.errors.close()
        if self.clean and (status != 0 or said):
            sys.stderr.write(said)
            raise RuntimeError("the server ended with status %s and said %d bytes" % (status, len(said)))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.end()
            return
        self.process.terminate()
        self.process.wait(timeout=60)
        sys.stderr.write(self.said())
        self.errors.close()


def respd(program, *options, hearth=None):
    port = free_port()
    environment = {"HEARTH_OPTIONS": hearth or ""}
    return Server([program, "--port", str(port)] + list(options), port, environment)


def redis():
    port = free_port()
    return Server(["redis-server", "--port", str(port), "--bind", HOST, "--save", "",
                   "--appendonly", "no", "--daemonize", "no"], port, clean=False)


def expect(got, wanted, what):
    if got != wanted:
        raise AssertionError("%s: got %r, expected %r" % (what, got, wanted))


def expect_that(good, what):
    if not good:
        raise AssertionError(what)
