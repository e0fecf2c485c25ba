#!/usr/bin/env python3
"""Measure Sotto and its peers on this machine in one run, and print one table with ratios.

    bench/run.py --build DIR [--rounds 5] [--seconds 2] [--only WORK,...] [--peers NAME,...]
                 [--curve 448] [--cipher ChaChaPoly] [--other SOTTO] [--out DIR] [--quick]

Every server is pinned to one processor, every load to another.  The rounds are interleaved: a
disturbance hits all peers and not one of them.  Peers that no bar asks for are measured in every
second round.  The exit status is 1 when something could not be measured; bars that are not met are
a result and no error.
"""

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import peers
import plot
import report
from peers import process
from peers.process import Failed, Interrupted, Process
from peers.work import GROUPS, Work, works

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Pair:
    """Files of a certificate and its private key."""

    certificate: Path
    key: Path


class Setting:
    """What all peers of this run share."""

    def __init__(self, args, folder):
        self.build = args.build.resolve()
        self.folder = Path(folder)
        self.curve, self.cipher = args.curve, args.cipher
        self.other = args.other.resolve() if args.other else None

    def certificate(self):
        """ECDSA on P-256, as most servers have it; made when first asked for."""
        pair = Pair(self.folder / "tls.crt", self.folder / "tls.key")
        if not pair.certificate.exists():
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
                 "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                 "-keyout", pair.key, "-out", pair.certificate],
                check=True, capture_output=True, timeout=30)
        return pair

    def file(self, size):
        """A JSON text of SIZE bytes."""
        path = self.folder / f"body-{size}.json"
        if not path.exists():
            path.write_text('"' + "x" * (size - 2) + '"')
            path.chmod(0o644)
        return path


def names(allowed):
    """For argparse: a list of names with commas."""
    def read(text):
        found = [name for name in text.split(",") if name]
        for name in found:
            if name not in allowed:
                raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(allowed)}")
        return found
    return read


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", type=Path, required=True, help="the build directory")
    parser.add_argument("--rounds", type=int, help="[5]")
    parser.add_argument("--seconds", type=float, help="how long each measurement is [2]")
    parser.add_argument("--only", type=names(GROUPS), default=GROUPS, help=", ".join(GROUPS))
    parser.add_argument("--peers", type=names(peers.NAMES), help=", ".join(peers.NAMES))
    parser.add_argument("--curve", choices=["25519", "448"], default="25519")
    parser.add_argument("--cipher", choices=["AESGCM", "ChaChaPoly"], default="AESGCM")
    parser.add_argument("--idle", type=int, help="how many idle connections [5000]")
    parser.add_argument("--out", type=Path, help="where results.json, table.md and plots go")
    parser.add_argument("--other", type=Path, metavar="SOTTO",
                        help="measure the server of another build, too: sotto-other")
    parser.add_argument("--quick", action="store_true", help="2 rounds of half a second")
    args = parser.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 5)
    args.seconds = args.seconds or (0.5 if args.quick else 2.0)
    args.idle = args.idle or (1000 if args.quick else 5000)
    if args.rounds < 1 or not 0.5 <= args.seconds <= 60:
        parser.error("at least 1 round, and 0.5 to 60 seconds")
    return args


def say(text):
    """A line about what is going on."""
    print(text, file=sys.stderr, flush=True)


# ---- What is there -------------------------------------------------------------------------------


def first_match(path, pattern):
    """The first group of a pattern in a file, or a question mark."""
    try:
        found = re.search(pattern, Path(path).read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else "?"


def git(*words):
    """What git says about the tree, or nothing."""
    try:
        return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True,
                              timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def build_type(build):
    """Is the build one that should be measured?"""
    try:
        options = json.loads((build / "meson-info/intro-buildoptions.json").read_text())
    except (OSError, ValueError):
        return "?"
    return next((o["value"] for o in options if o["name"] == "buildtype"), "?")


def describe(args, taking_part):
    """The head of the table."""
    return {
        "cpu": first_match("/proc/cpuinfo", r"^model name\s*:\s*(.*)$"),
        "cores": len(process.ALLOWED),
        "pinned": {"server": process.SERVER_CPU, "load": process.LOAD_CPU},
        "kernel": platform.release(),
        "system": first_match("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)'),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "commit": (git("rev-parse", "--short", "HEAD") or "?")
        + (" with changes" if git("status", "--porcelain", "--untracked-files=no") else ""),
        "build": build_type(args.build),
        "versions": {peer.name: peer.version() for peer in taking_part if peer.version()},
    }


def raise_descriptor_limit(wanted):
    """Room for so many connections in every process; how many there is room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = wanted + 1000
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, need), max(hard, need)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1000


# ---- Measuring -----------------------------------------------------------------------------------


class Run:
    """All measurements of one call of this program."""

    def __init__(self, args, setting):
        self.args, self.setting = args, setting
        self.works = works(args.only)
        self.results = {"samples": [], "bounds": [], "failures": [], "absent": {}, "notes": []}
        self.peers = []
        self.repetitions = 5 if args.quick else 20

    def note(self, text):
        """Something that the reader of the table has to know."""
        say(text)
        self.results["notes"].append(text)

    def failed(self, round_number, work, peer, error):
        """Note what could not be measured."""
        say(f"round {round_number}: {work} {peer}: {error}")
        self.results["failures"].append(
            {"round": round_number, "work": work, "peer": peer, "error": str(error)})

    def gone(self, work, peer):
        """Has this failed twice?  Then a third time only costs more."""
        found = [f for f in self.results["failures"] if (f["work"], f["peer"]) == (work, peer)]
        return len(found) >= 2

    def choose_peers(self):
        """Those that were asked for and whose programs are there."""
        wanted = self.args.peers or [n for n in peers.NAMES if n not in peers.EXTRA]
        if self.setting.other:
            wanted = [*wanted, "sotto-other"]
        for kind in peers.ALL:
            peer = kind(self.setting)
            if peer.name not in wanted:
                continue
            lost = peer.missing()
            if lost and kind is peers.ALL[0]:
                raise Failed(f"{', '.join(lost)} is not in {self.setting.build}: build it first")
            if lost:
                self.results["absent"][peer.name] = lost
                self.note(f"{peer.name} is left out: {', '.join(lost)} is not there")
            else:
                self.peers.append(peer)

    def start_peers(self):
        """Start all servers that have something to do; whoever cannot start is left out."""
        for peer in list(self.peers):
            if not any(peer.can(work) for work in self.works):
                continue
            try:
                peer.start()
            except (Failed, OSError, subprocess.SubprocessError) as error:
                self.failed(0, "start", peer.name, error)
                self.peers.remove(peer)

    def measure_bounds(self, round_number, work):
        """What the curve's raw operations take on the servers' processor, just before WORK: the
        speed of a guest machine changes from minute to minute."""
        program = self.setting.build / "bench/bench_crypto"
        if not program.exists():
            return
        try:
            crypto = Process("crypto", [program, self.args.curve], process.SERVER_CPU,
                             self.setting.folder)
            process.wait_for("bench_crypto", lambda: not crypto.alive(), 120)
            self.results["bounds"].append(
                {"round": round_number, "work": work.name,
                 **report.read_bounds(crypto.output(), self.args.curve)})
        except Failed as error:
            self.failed(round_number, work.name, "bench_crypto", error)

    def measure(self, round_number, work, peer):
        """One peer, one work."""
        seconds = max(self.args.seconds * work.share, 0.5)
        if self.gone(work.name, peer.name):
            return
        try:
            peer.prepare(work)
            sample = self.measure_quietly(work, peer, seconds)
        except (Failed, OSError, ValueError, KeyError) as error:
            self.failed(round_number, work.name, peer.name, error)
            return
        self.results["samples"].append(
            {"round": round_number, "work": work.name, "group": work.group, "peer": peer.name,
             "connections": work.connections, "idle": work.idle, "size": work.size, **sample})
        say(f"round {round_number}: {work.name:20} {peer.name:13} {sample['rate']:12,.0f} /s")

    def measure_quietly(self, work, peer, seconds):
        """Once, or again when other programs were in the way; the quieter one counts.

        How often that may happen is limited: a machine that is always busy is no reason to take
        twice the time.
        """
        sample = peer.measure(work, seconds)
        if report.disturbed(sample) and self.repetitions > 0:
            self.repetitions -= 1
            again = peer.measure(work, seconds)
            return min(sample, again, key=lambda each: each["others_share"])
        return sample

    def measure_round(self, round_number):
        """All works, all peers; who is first changes from round to round."""
        first = (round_number - 1) % max(len(self.peers), 1)
        order = self.peers[first:] + self.peers[:first]
        for work in self.works:
            asked = report.asked(work.group)
            if work.group in ("sessions", "bootstraps"):
                self.measure_bounds(round_number, work)
            for peer in order:
                context = peer.name not in asked and round_number % 2 == 0
                if peer.can(work) and round_number <= work.rounds and not context:
                    self.measure(round_number, work, peer)

    def measure_idle(self, room):
        """Memory of fresh servers: used ones have room that idle connections would fill."""
        count = min(self.args.idle, room)
        if count < self.args.idle:
            self.note(f"idle: there is room for {count} descriptors only")
        work = Work("idle", "idle")
        for peer in self.peers:
            if not peer.can(work):
                continue
            fresh = type(peer)(self.setting)
            try:
                fresh.start()
                sample = fresh.measure_idle(count)
                self.results["samples"].append(
                    {"round": 1, "work": "idle", "group": "idle", "peer": peer.name, **sample})
                say(f"idle {peer.name}: {sample['idle_bytes']:,.0f} bytes")
            except (Failed, OSError) as error:
                self.failed(1, "idle", peer.name, error)
            finally:
                fresh.stop()

    def all(self, room):
        """Everything."""
        self.choose_peers()
        self.results["machine"] = describe(self.args, self.peers)
        self.results["setting"] = {
            "rounds": self.args.rounds, "seconds": self.args.seconds, "curve": self.args.curve,
            "cipher": self.args.cipher}
        if len(process.ALLOWED) == 1:
            self.note("one processor only: servers and loads share it, so the figures say little")
        if self.works:
            self.start_peers()
            for round_number in range(1, self.args.rounds + 1):
                self.measure_round(round_number)
        for peer in self.peers:
            peer.stop()
        if "idle" in self.args.only:
            self.measure_idle(room)


def write_out(folder, results):
    """The files of --out."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "table.md").write_text(report.markdown(results))
    for path in plot.draw(results, folder):
        say(f"wrote {path}")


def main():
    """Measure, print, write."""
    args = parse()
    began = time.monotonic()
    process.watch_signals()
    room = raise_descriptor_limit(max(args.idle, 5000) * 2)
    os.sched_setaffinity(0, {process.LOAD_CPU})
    with tempfile.TemporaryDirectory(prefix="sotto-bench-") as folder:
        run = Run(args, Setting(args, folder))
        try:
            run.all(room)
        except Interrupted as reason:
            say(f"ended by {reason}")
            return 130
        except Failed as error:
            say(f"bench/run.py: {error}")
            return 1
        finally:
            process.stop_all()
    run.results["seconds"] = round(time.monotonic() - began)
    print(report.text(run.results))
    if args.out:
        write_out(args.out, run.results)
    return 1 if run.results["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
