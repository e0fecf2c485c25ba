"""Processes of a measurement: pinned to a processor, read from /proc, ended by their ids.

Nothing here waits without a limit, and every wait is a row of short naps: a signal only leaves a
word, and the next nap raises Interrupted.  So no signal can fall between the start of a process
and the note that it has to be ended.
"""

import itertools
import os
import re
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


class Failed(Exception):
    """A measurement that cannot be had; the text says why."""


class Interrupted(Exception):
    """SIGINT or SIGTERM has come."""


ALLOWED = sorted(os.sched_getaffinity(0))
SERVER_CPU, LOAD_CPU = ALLOWED[0], ALLOWED[-1]

_running = []
_numbers = itertools.count(1)
_signals = []


def watch_signals():
    """From now on SIGINT and SIGTERM end the naps."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, frame: _signals.append(received))


def nap(seconds):
    """Sleep for a moment, or raise Interrupted."""
    if not _signals:
        time.sleep(seconds)
    if _signals:
        raise Interrupted(signal.Signals(_signals[0]).name)


def wait_for(what, condition, limit):
    """Wait until CONDITION() is true; its value is returned."""
    deadline = time.monotonic() + limit
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Failed(f"waited {limit} s for {what}")
        nap(0.01)
    return value


class Process:
    """A program that runs on one processor; what it prints goes to files."""

    def __init__(self, name, args, cpu, folder, stdin=None):
        number = next(_numbers)
        self.name = name
        self.out = Path(folder) / f"{number}-{name}.out"
        self.err = Path(folder) / f"{number}-{name}.err"
        mine = os.sched_getaffinity(0)
        with open(self.out, "wb") as out, open(self.err, "wb") as err, \
                open(stdin or os.devnull, "rb") as source:
            os.sched_setaffinity(0, {cpu})  # inherited by the child and all its threads
            try:
                self.child = subprocess.Popen([str(arg) for arg in args], stdin=source,
                                              stdout=out, stderr=err, start_new_session=True)
                _running.append(self)
            finally:
                os.sched_setaffinity(0, mine)

    def alive(self):
        """Is it still running?"""
        return self.child.poll() is None

    def output(self):
        """What it has printed."""
        return self.out.read_text(errors="replace")

    def complaint(self):
        """The last line of its standard error, or of its output."""
        lines = self.err.read_text(errors="replace").split("\n") + self.output().split("\n")
        lines = [line.strip() for line in lines if line.strip()]
        return lines[-1][:200] if lines else "it said nothing"

    def wait_for_line(self, pattern, limit=10):
        """Wait until it prints a line that matches; the match is returned."""
        def look():
            found = re.search(pattern, self.output(), re.MULTILINE)
            if not found and not self.alive():
                raise Failed(f"{self.name} ended: {self.complaint()}")
            return found
        return wait_for(f"the first lines of {self.name}", look, limit)

    def pids(self):
        """It and all that it has started."""
        found, new = [], [self.child.pid]
        while new:
            found += new
            new = [child for pid in new for child in _children(pid)]
        return found

    def stop(self):
        """Ask it to end; what does not obey is killed, and all that it has started."""
        if self in _running:
            _running.remove(self)
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.child.pid, signal.SIGKILL)
                self.child.wait(5)


def stop_all():
    """End what still runs, the youngest first."""
    while _running:
        _running[-1].stop()


def _children(pid):
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in path.read_text().split()]
        except OSError:
            pass  # the thread has just ended
    return found


def cpu_ns(pids):
    """How long all threads of these processes have been on a processor."""
    total = 0
    for pid in pids:
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(path.read_text().split()[0])
            except (OSError, IndexError):
                pass
    return total


def busy_seconds():
    """How long both processors have been busy, with whatever it was."""
    ticks = 0
    for line in Path("/proc/stat").read_text().split("\n"):
        name, *fields = line.split() or [""]
        if name in (f"cpu{SERVER_CPU}", f"cpu{LOAD_CPU}"):
            ticks += sum(int(field) for field in fields[:8]) - int(fields[3]) - int(fields[4])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_bytes(pids):
    """The proportional set size, without pages of files: the load may be a program of the same
    libraries, and while it runs it takes half of them off the server's account."""
    total = 0
    for pid in pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        pss = dict(re.findall(r"^(Pss\w*):\s+(\d+) kB", text, re.MULTILINE))
        total += (int(pss["Pss_Anon"]) + int(pss["Pss_Shmem"])) * 1024
    return total


def descriptors(pids):
    """How many files and sockets these processes have open."""
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


def free_port():
    """A port that was free a moment ago, for programs that cannot let the kernel choose."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Reading:
    """How far everything was at one moment."""

    at: float
    server_ns: int
    load_ns: int
    busy_s: float
    calls: int


def drive(load, server_pids, limit, count=None):
    """Watch a load until it ends: the readings while it ran, and when it ended.

    COUNT asks the server how many calls it has answered.  The server's own counter is used where
    the generator cannot tell its warm-up, or the making of its connections, from the rest.
    """
    readings, began = [], time.monotonic()
    load_pids = [load.child.pid]
    period = 0.1 if count else 0.05
    while load.alive():
        if time.monotonic() - began > limit:
            load.stop()
            raise Failed(f"{load.name} did not end within {limit:.0f} s")
        calls = count() if count else 0
        reading = Reading(time.monotonic(), cpu_ns(server_pids), cpu_ns(load_pids), busy_seconds(),
                          calls)
        if load.alive():
            readings.append(reading)
        next_reading = reading.at + period
        while load.alive() and time.monotonic() < next_reading:
            nap(0.005)
    ended = time.monotonic()
    load.stop()
    if load.child.returncode != 0:
        raise Failed(f"{load.name} ended with {load.child.returncode}: {load.complaint()}")
    return readings, ended


def window(readings, begin, end):
    """The first and the last reading between two moments."""
    inside = [reading for reading in readings if begin <= reading.at <= end]
    if len(inside) < 2:
        raise Failed("the load ended too soon to be measured")
    return inside[0], inside[-1]
