"""Redis and redis-benchmark, plain and with TLS."""

import json
import socket
import sys
import time
from pathlib import Path

from . import process
from .peer import Peer, sample
from .process import Failed
from .work import BODY

PROBE = Path(__file__).with_name("probe.py")
KEY = "body"


class Control:
    """A connection of our own, on which Redis says how many commands it has done."""

    def __init__(self, port):
        self.link = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.asked = 0

    def ask(self, *words):
        """One command; the answer, as far as one read gives it."""
        self.asked += 1
        self.link.sendall(request_of(*words))
        return self.link.recv(65536).decode()

    def count(self):
        """The commands of others."""
        for line in self.ask("INFO", "stats").split("\r\n"):
            if line.startswith("total_commands_processed:"):
                return int(line.split(":")[1]) - self.asked
        raise Failed("redis does not say how many commands it has done")


def request_of(*words):
    """A command as it stands on the wire."""
    parts = [f"*{len(words)}\r\n"] + [f"${len(word)}\r\n{word}\r\n" for word in words]
    return "".join(parts).encode()


class Redis(Peer):
    """SET of the message; the answer is a short one."""

    name = "redis"
    programs = ["redis-server", "redis-benchmark"]
    package = "redis-server"
    does = ["latency", "calls", "batches", "large", "sessions", "idle"]
    tls = False
    words = ["SET", KEY]

    def __init__(self, setting):
        super().__init__(setting)
        self.port = self.tls_port = self.control = None
        self.rates = {}  # by work: redis-benchmark wants a number of calls, not a time

    def start(self):
        """Nothing is written to disk, one thread does everything."""
        self.port = process.free_port()
        words = ["redis-server", "--bind", "127.0.0.1", "--port", self.port, "--save", "",
                 "--appendonly", "no", "--io-threads", 1, "--dir", self.folder,
                 "--daemonize", "no", "--maxclients", 15000]
        if self.tls:
            pair = self.setting.certificate()
            self.tls_port = process.free_port()
            words += ["--tls-port", self.tls_port, "--tls-cert-file", pair.certificate,
                      "--tls-key-file", pair.key, "--tls-ca-cert-file", pair.certificate,
                      "--tls-auth-clients", "no", "--tls-protocols", "TLSv1.3"]
        self.server = self.spawn("server", words)
        self.server.wait_for_line("Ready to accept connections")
        self.control = Control(self.port)
        self.control.ask("SET", KEY, BODY)

    def stop(self):
        """The control connection as well."""
        if self.control:
            self.control.link.close()
            self.control = None
        super().stop()

    def load(self, work, count):
        """Start redis-benchmark for COUNT calls."""
        words = ["redis-benchmark", "-h", "127.0.0.1", "-p", self.tls_port or self.port,
                 "-c", work.connections, "-P", work.in_flight, "-n", count,
                 "-k", 0 if work.repeat == "sessions" else 1, "--csv"]
        if self.tls:
            words += ["--tls", "--cacert", self.setting.certificate().certificate]
        if self.words[0] != "SET":
            return self.spawn("load", words + self.words)
        if work.size == len(BODY):
            return self.spawn("load", words + self.words + [BODY])
        return self.spawn("load", words + ["-x"] + self.words, self.setting.file(work.size))

    def prepare(self, work):
        """Find out about how many calls make a second."""
        count = max(work.connections * work.in_flight * 4, 64)
        while work.name not in self.rates and not self.probed(work):
            readings, ended = process.drive(self.load(work, count), self.server.pids(), 30)
            took = ended - readings[0].at if readings else 0
            if took > 0.2:
                self.rates[work.name] = count / took
            count *= 4

    def probed(self, work):
        """Is this measured by the probe?  See there."""
        return work.group == "latency" and not self.tls

    def measure(self, work, seconds):
        """The rate is the server's own count over the time in which nothing but calls happened.

        Calls that took less time than was guessed end too soon: then there have to be more.
        """
        for _ in range(3):
            began = time.monotonic()
            load = self.start_load(work, seconds)
            readings, ended = process.drive(load, self.server.pids(), seconds * 8 + 30,
                                            self.control.count)
            if ended - began >= work.warm_up + seconds * 0.6:
                break
            self.rates[work.name] *= max(1.2, (work.warm_up + seconds) / (ended - began))
        first, last = process.window(readings, began + work.warm_up, ended)
        rate = (last.calls - first.calls) / (last.at - first.at)
        self.rates[work.name] = rate
        return sample(first, last, rate, **self.result(work, load))

    def start_load(self, work, seconds):
        """Either of the two."""
        if not self.probed(work):
            return self.load(work, int(self.rates[work.name] * (work.warm_up + seconds)) + 1)
        words = self.words + [BODY] if self.words[0] == "SET" else self.words
        answer = len(self.control.ask(*words))
        return self.spawn("load", [sys.executable, PROBE, self.port, work.warm_up + seconds,
                                   request_of(*words).hex(), answer])

    def result(self, work, load):
        """What the load says of latencies."""
        if self.probed(work):
            return {"p50_us": json.loads(load.output())["p50_us"]}
        if work.repeat == "sessions":
            return {"p50_us": None}  # its latencies begin after the connection is there
        fields = load.output().strip().split("\n")[-1].rsplit(",", 6)
        return {"p50_us": float(fields[3].strip('"')) * 1000, "p50_step_us": 8}

    def hold(self, count):
        """A PING on each."""
        return self.hold_plainly(self.tls_port or self.port, count, "--say", b"PING\r\n".hex(),
                                 "--expect", 7, *["--tls"][: self.tls])


class RedisGet(Redis):
    """GET of the message: a short request, the message comes back."""

    name = "redis-get"
    does = ["calls", "batches"]
    words = ["GET", KEY]


class RedisTls(Redis):
    """SET over TLS 1.3."""

    name = "redis-tls"
    programs = ["redis-server", "redis-benchmark", "openssl"]
    tls = True
