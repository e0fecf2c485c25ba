"""What all peers have in common: a server, works it can do, and how one work is measured."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from . import process
from .process import Failed, Process

HOLDER = Path(__file__).with_name("holder.py")


class Peer:
    """A server that runs on one processor, and the load for it on the other."""

    name = ""
    programs = []  # of the system, looked for in PATH
    built = []     # of ours, in the build directory
    package = None
    does = []      # the groups of works

    def __init__(self, setting):
        self.setting = setting
        self.folder = setting.folder
        self.server = None

    def missing(self):
        """The programs that it needs and that are not there."""
        lost = [program for program in self.programs if not shutil.which(program)]
        return lost + [path for path in self.built if not (self.setting.build / path).exists()]

    def version(self):
        """Of the program, for the head of the table."""
        if not self.package:
            return ""
        words = ["dpkg-query", "-W", "-f", "${Version}", self.package]
        try:
            return subprocess.run(words, capture_output=True, text=True, timeout=10).stdout
        except (OSError, subprocess.TimeoutExpired):
            return ""

    def can(self, work):
        """Is this work one of its own?"""
        return work.group in self.does

    def spawn(self, kind, args, stdin=None):
        """Start its server or a load."""
        cpu = process.SERVER_CPU if kind == "server" else process.LOAD_CPU
        return Process(f"{self.name}-{kind}", args, cpu, self.folder, stdin)

    def start(self):
        """Start the server and wait until it listens."""
        raise NotImplementedError

    def stop(self):
        """End the server."""
        if self.server:
            self.server.stop()
            self.server = None

    def prepare(self, work):
        """What has to be done once before a work, outside the measurement."""

    def measure(self, work, seconds):
        """One work: a sample (see sample())."""
        raise NotImplementedError

    # ---- Idle connections --------------------------------------------------------------------

    def hold(self, count):
        """Start a process that opens COUNT connections and does nothing with them."""
        raise NotImplementedError

    def hold_plainly(self, port, count, *options):
        """hold() for whoever needs no more than TCP, or TLS, and a greeting."""
        return self.spawn("holder", [sys.executable, HOLDER, port, count, *options])

    def open_idle(self, count, settle):
        """The memory of the server while COUNT connections are open."""
        before = process.descriptors(self.server.pids())
        holder = self.hold(count)

        def opened():
            if not holder.alive():
                raise Failed(f"{holder.name} ended: {holder.complaint()}")
            return process.descriptors(self.server.pids()) >= before + count
        try:
            process.wait_for(f"{count} connections to {self.name}", opened, 120)
            process.nap(settle)
            if not holder.alive():
                raise Failed(f"{holder.name} ended: {holder.complaint()}")
            return process.pss_bytes(self.server.pids())
        finally:
            holder.stop()

    def measure_idle(self, count):
        """What one idle connection costs.  The server must be a fresh one."""
        self.open_idle(1, 0.2)  # what the first connection alone brings into memory
        process.nap(0.2)
        base = process.pss_bytes(self.server.pids())
        return {"idle_bytes": (self.open_idle(count, 1.0) - base) / count, "connections": count}


def sample(first, last, rate, p50_us, **more):
    """The figures of one measurement; FIRST and LAST are the readings around it."""
    span = last.at - first.at
    server = (last.server_ns - first.server_ns) / 1e9 / span
    load = (last.load_ns - first.load_ns) / 1e9 / span
    return {
        "rate": rate,
        "p50_us": p50_us,
        "cpu_ns": server * 1e9 / rate if rate else None,
        "server_share": server,
        "load_share": load,
        "others_share": (last.busy_s - first.busy_s) / span - server - load,
        **more,
    }


class CommonPeer(Peer):
    """A peer whose load is a program of ours: the same options, the same result."""

    def load_words(self, work):
        """The load's command line up to the options that all have."""
        raise NotImplementedError

    def load_operands(self, work):
        """What the command line ends with."""
        raise NotImplementedError

    def load_command(self, work, seconds):
        """The whole command line."""
        return [
            *self.load_words(work), "--connections", work.connections,
            "--in-flight", work.in_flight, "--duration", f"{int(seconds * 1000)}ms",
            "--warm-up", f"{int(work.warm_up * 1000)}ms", "--repeat", work.repeat,
            *self.load_operands(work),
        ]

    def measure(self, work, seconds):
        """The measured part ends with the load, but for the closing of its connections.

        How long it took to open them nobody knows, so the time is counted from the end, and the
        processor's time is taken from the middle of the measured part.
        """
        load = self.spawn("load", self.load_command(work, seconds))
        readings, ended = process.drive(load, self.server.pids(), seconds * 2 + 30)
        result = json.loads(load.output())
        if result["calls"] <= 0 or result["errors"]:
            raise Failed(f"{result['calls']} calls and {result['errors']} errors")
        first, last = process.window(readings, ended - 0.85 * seconds, ended - 0.25 * seconds)
        return sample(first, last, result["calls"] / result["seconds"],
                      result["latency_us"]["p50"], load=result)
