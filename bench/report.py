#!/usr/bin/env python3
"""The table of a run, and whether Sotto is as quick as it is meant to be.

    bench/report.py results.json [--markdown]

Ratios are taken between measurements of the same round, and the middle one of them counts: what
disturbs a round disturbs both sides of the ratio.
"""

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Callable

from peers.work import COMPARED, OPEN_SESSIONS, SIZES, TOGETHER

MIB = 1 << 20
BUSY = 0.95  # a load that is this busy may be what limits the rate
OTHERS = 0.2  # of a processor for other programs: then a figure counts as disturbed
TITLES = {
    "latency": "latency: 1 connection, 1 call in flight, 117 bytes",
    "calls": "calls: 64 connections, 1 call in flight on each, 117 bytes",
    "batches": "batches: 64 connections, 64 calls in flight on each, 117 bytes",
    "large": "large: 4 connections, 1 call of 1 MiB in flight on each",
    "sessions": "sessions: a new connection for each call, 16 at a time, 117 bytes",
    "bootstraps": "bootstraps: a new connection for each, 16 at a time",
}


class Samples:
    """The measurements, to be found by round, work and peer."""

    def __init__(self, results):
        self.by_key = {(s["round"], s["work"], s["peer"]): s for s in results["samples"]}
        self.bounds = {(bound["round"], bound["work"]): bound for bound in results["bounds"]}
        self.rounds = sorted({key[0] for key in self.by_key})

    def value(self, round_number, work, peer, what):
        """One figure, or None."""
        sample = self.by_key.get((round_number, work, peer))
        if sample is None:
            return None
        if what == "mib_s":
            return sample["rate"] * sample["size"] / MIB
        if what == "disturbed":
            return disturbed(sample)
        return sample.get(what)

    def values(self, work, peer, what):
        """That figure of all rounds that have it."""
        found = [self.value(number, work, peer, what) for number in self.rounds]
        return [value for value in found if value is not None]

    def middle(self, work, peer, what):
        """The median of the rounds, or None."""
        found = self.values(work, peer, what)
        return median(found) if found else None

    def ratios(self, above, below):
        """ABOVE / BELOW of each round that has both."""
        pairs = [(above(number), below(number)) for number in self.rounds]
        return [a / b for a, b in pairs if a is not None and b]


# ---- Bars ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    """How good Sotto has to be in one respect.  FIGURES gives one value a round, or one at all."""

    group: str
    text: str
    sense: str  # "<=", ">=", or "" for what is only told
    limit: float
    figures: Callable[[Samples], list]
    peers: tuple = field(default=())


def against(group, what, peer, sense, limit, text):
    """A bar on Sotto's figure over that of a peer."""
    return Bar(group, text, sense, limit, lambda samples: samples.ratios(
        lambda number: samples.value(number, group, "sotto", what),
        lambda number: samples.value(number, group, peer, what)), (peer,))


def cheaper(group, peer, limit, text):
    """A bar on how often Sotto's server time fits into that of a peer."""
    return Bar(group, text, ">=", limit, lambda samples: samples.ratios(
        lambda number: samples.value(number, group, peer, "cpu_ns"),
        lambda number: samples.value(number, group, "sotto", "cpu_ns")), (peer,))


def raw_bound(samples, round_number, work, exchanges):
    """The least that a handshake can take: its key pair, its exchanges, a connection by TCP."""
    bound = samples.bounds.get((round_number, work))
    tcp = samples.value(round_number, "sessions", "tcp", "cpu_ns")
    if bound is None or tcp is None:
        return None
    return bound["key_pair_ns"] + exchanges * bound["exchange_ns"] + tcp


def bounded(group, exchanges, limit, text):
    """A bar on server time over the raw bound."""
    return Bar(group, text, "<=", limit, lambda samples: samples.ratios(
        lambda number: samples.value(number, group, "sotto", "cpu_ns"),
        lambda number: raw_bound(samples, number, group, exchanges)), ("tcp",))


def growth_figures(kind, peer="sotto"):
    """The lowest rate with more sessions over the rate with the fewest, of the medians."""
    def figures(samples):
        found = [samples.middle(f"growth-{kind}-{n}", peer, "rate") for n in OPEN_SESSIONS]
        return [] if None in found else [min(found[1:]) / found[0]]
    return figures


def cost_per_byte(samples, kind, size):
    """The server's nanoseconds for one byte of the message."""
    cost = samples.middle(f"sizes-{kind}-{size}", "sotto", "cpu_ns")
    return cost / size if cost else None


def sizes_figures(kind, smallest=0):
    """The largest cost of a byte over the smallest."""
    def figures(samples):
        found = [cost_per_byte(samples, kind, size) for size in SIZES if size >= smallest]
        return [] if None in found else [max(found) / min(found)]
    return figures


BARS = [
    against("latency", "p50_us", "redis", "<=", 1.05, "p50 / Redis"),
    against("calls", "rate", "nginx", ">=", 1.0, "rate / nginx"),
    against("calls", "cpu_ns", "nginx", "<=", 1.1, "server time of a call / nginx"),
    against("batches", "rate", "redis", ">=", 1.0, "rate / Redis SET"),
    against("batches", "rate", "redis-tls", ">=", 1.3, "rate / Redis SET over TLS"),
    against("batches", "rate", "zeromq", ">=", 6, "rate / ZeroMQ CURVE"),
    against("large", "mib_s", "nginx-tls", ">=", 1.5, "MiB/s one way / nginx TLS"),
    against("large", "mib_s", "tcp", ">=", 0.5, "MiB/s one way / plain TCP"),
    against("large", "mib_s", "zeromq", ">=", 5, "MiB/s one way / ZeroMQ CURVE"),
    bounded("sessions", 2, 1.25, "server time / (key pair + 2 DH + TCP)"),
    against("sessions", "rate", "nginx-tls", ">=", 3, "rate / nginx TLS"),
    cheaper("sessions", "nginx-tls", 3, "server time of nginx TLS / Sotto's"),
    bounded("bootstraps", 3, 1.2, "server time / (key pair + 3 DH + TCP)"),
    Bar("idle", "bytes of an idle session", "<=", 1536,
        lambda samples: samples.values("idle", "sotto", "idle_bytes")),
    Bar("growth", "lowest rate / with 10, others idle", ">=", 0.9,
        growth_figures("idle")),
    Bar("growth", "lowest rate / with 10, all calling", ">=", 0.9, growth_figures("active")),
    Bar("growth", "the same of plain TCP", "", 0, growth_figures("active", "tcp"), ("tcp",)),
    Bar("sizes", "cost of a byte, highest / lowest, 1 in flight", "", 0, sizes_figures("alone")),
    Bar("sizes", "the same, from 64 KiB up", "", 0, sizes_figures("alone", 1 << 16)),
    Bar("sizes", "the same of all sizes, many in flight", "", 0, sizes_figures("together")),
]


def asked(group):
    """The peers that the bars of a group need, in every round."""
    found = {"sotto"}
    for bar in BARS:
        if bar.group == group or (group == "sessions" and bar.group == "bootstraps"):
            found.update(bar.peers)
    return found


def judge(bar, samples):
    """The row of a bar: measured, spread, limit, verdict."""
    found = bar.figures(samples)
    if not found:
        return [bar.group, bar.text, "-", "", "", "not measured"]
    value = median(found)
    met = value <= bar.limit if bar.sense == "<=" else value >= bar.limit
    verdict = "" if not bar.sense else "met" if met else "NOT MET"
    spread = f"{figure(min(found))}-{figure(max(found))}" if len(found) > 1 else ""
    limit = f"{bar.sense} {bar.limit:g}" if bar.sense else ""
    return [bar.group, bar.text, figure(value), spread, limit, verdict]


def read_bounds(output, curve):
    """Key pair and exchange of the quickest library for each, from what bench_crypto prints.

    The quickest round of it, since it goes by the clock: what disturbs it must not raise a bound.
    """
    pattern = rf"^{curve}\s+(\S+)\s+(key pair|exchange)\s+([\d.]+)"
    found = [(float(best), what, library)
             for library, what, best in re.findall(pattern, output, re.MULTILINE)]
    if {what for _, what, _ in found} != {"key pair", "exchange"}:
        raise ValueError(f"bench_crypto says nothing of {curve}")
    pair = min(each for each in found if each[1] == "key pair")
    exchange = min(each for each in found if each[1] == "exchange")
    return {"key_pair_ns": pair[0], "key_pair_library": pair[2],
            "exchange_ns": exchange[0], "exchange_library": exchange[2]}


# ---- Tables --------------------------------------------------------------------------------------


@dataclass
class Table:
    """Rows of text; the first column is set to the left, as are those in LEFT."""

    title: str
    head: list
    rows: list
    notes: list = field(default_factory=list)
    left: tuple = (0,)


def figure(value):
    """A number with about three digits that mean something."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 20 else f"{value:.2f}"


def percent(value):
    """A share of a processor."""
    return "-" if value is None else f"{100 * value:.0f} %"


def ratio_cell(samples, work, what, above, below):
    """The median of the ratios of two peers' figures, as it stands in the table."""
    found = samples.ratios(lambda number: samples.value(number, work, above, what),
                           lambda number: samples.value(number, work, below, what))
    return figure(median(found)) if found and above != below else ""


def compared_row(samples, work, peer):
    """A peer's row in the table of a work."""
    what = "mib_s" if work == "large" else "rate"
    found = samples.values(work, peer, what)
    load = samples.middle(work, peer, "load_share")
    step = samples.middle(work, peer, "p50_step_us") or 0
    p50 = samples.middle(work, peer, "p50_us")
    cost = samples.middle(work, peer, "cpu_ns")
    marked = any(samples.values(work, peer, "disturbed"))
    return [
        peer + " !" * marked, figure(median(found)), f"{figure(min(found))}-{figure(max(found))}",
        ("~" if p50 and step > p50 / 20 else "") + figure(p50), figure(cost and cost / 1000),
        percent(samples.middle(work, peer, "server_share")),
        percent(load) + ("*" if load > BUSY else " "),
        ratio_cell(samples, work, what, "sotto", peer),
        ratio_cell(samples, work, "cpu_ns", peer, "sotto"),
    ]


def compared_tables(samples):
    """A table for each work that was measured."""
    tables = []
    for work in [work.name for work in COMPARED]:
        found = dict.fromkeys(key[2] for key in samples.by_key if key[1] == work)
        if not found:
            continue
        rows = [compared_row(samples, work, peer) for peer in in_order(found)]
        unit = "MiB/s" if work == "large" else "per second"
        head = ["", unit, "all rounds", "p50 us", "server us", "server", "load ", "rate x",
                "time x"]
        notes = []
        if work == "large":
            notes.append("MiB/s one way.  nginx only sends and Redis only receives them; the others"
                         " do both.")
        if work == "sessions":
            notes += bound_notes(samples)
        tables.append(Table(TITLES[work], head, rows, notes))
    return tables


def in_order(found):
    """Peers in the order of the first round, Sotto first."""
    return sorted(found, key=lambda peer: peer != "sotto")


def bound_notes(samples):
    """The raw costs that the handshakes are compared with."""
    bounds = samples.bounds.values()
    if not bounds:
        return []
    pair = median(bound["key_pair_ns"] for bound in bounds) / 1000
    exchange = median(bound["exchange_ns"] for bound in bounds) / 1000
    first = next(iter(bounds))
    return [f"Raw costs: key pair {pair:.1f} us ({first['key_pair_library']}), "
            f"exchange {exchange:.1f} us ({first['exchange_library']})."]


def idle_table(samples):
    """Memory of idle connections."""
    found = [key[2] for key in samples.by_key if key[1] == "idle"]
    rows = [[peer, figure(samples.middle("idle", peer, "connections")),
             figure(samples.middle("idle", peer, "idle_bytes"))] for peer in in_order(found)]
    return [Table("idle: memory of the server (PSS) for one idle connection",
                  ["", "connections", "bytes"], rows)] if rows else []


def growth_table(samples):
    """Calls a second with more and more sessions."""
    rows = []
    for count in OPEN_SESSIONS:
        row = [f"{count:,}"]
        for kind, peer in (("idle", "sotto"), ("active", "sotto"), ("active", "tcp")):
            work = f"growth-{kind}-{count}"
            cost = samples.middle(work, peer, "cpu_ns")
            row += [figure(samples.middle(work, peer, "rate")), figure(cost and cost / 1000)]
        rows.append(row)
    return [Table("growth: calls per second with so many sessions, 1 in flight on each",
                  ["sessions", "64 call, these idle", "server us", "all call", "server us",
                   "all call, plain TCP", "server us"],
                  rows)] if any(row[1] != "-" or row[3] != "-" for row in rows) else []


def size_name(size):
    """1 KiB and so on."""
    return f"{size >> 20} MiB" if size >= MIB else f"{size >> 10} KiB"


def sizes_table(samples):
    """What a byte costs in messages of all sizes."""
    rows = []
    for size in SIZES:
        row = [size_name(size)]
        for kind in ("alone", "together"):
            work, byte = f"sizes-{kind}-{size}", cost_per_byte(samples, kind, size)
            row += [figure(samples.middle(work, "sotto", "mib_s")),
                    figure(byte and byte * size / 1000), "-" if byte is None else f"{byte:.3f}"]
        rows.append(row)
    if all(row[1] == row[4] == "-" for row in rows):
        return []
    columns = ["MiB/s one way", "server us", "ns per byte"]
    return [Table("sizes: Sotto", ["", *columns, *columns], rows, notes=[
        "Left: 1 connection, 1 call in flight.  Right: 4 connections, and on each as many calls as "
        f"make {size_name(TOGETHER)}, at least 1 and at most 64."])]


def bar_table(results, samples):
    """The bars of what was measured."""
    groups = {sample["group"] for sample in results["samples"]}
    rows = [judge(bar, samples) for bar in BARS if bar.group in groups]
    head = ["bars", "", "measured", "all rounds", "limit", ""]
    return [Table("", head, rows, left=(0, 1, 5))] if rows else []


def tables(results):
    """Everything, in the order in which it is read."""
    samples = Samples(results)
    return [*compared_tables(samples), *idle_table(samples), *growth_table(samples),
            *sizes_table(samples), *bar_table(results, samples)]


# ---- Text and Markdown ---------------------------------------------------------------------------


def head_lines(results):
    """The machine, the programs, and how it was measured."""
    machine, setting = results["machine"], results["setting"]
    versions = {}
    for name, version in machine["versions"].items():
        versions.setdefault(version, name)  # redis and redis-tls are one program
    return [
        f"{machine['cpu']}, {machine['cores']} processors, {machine['system']},"
        f" Linux {machine['kernel']}, {machine['date']}",
        f"commit {machine['commit']}, build {machine['build']}; "
        + ", ".join(f"{name} {version}" for version, name in versions.items()),
        f"server on processor {machine['pinned']['server']}, load on"
        f" {machine['pinned']['load']}; median of {setting['rounds']} rounds of"
        f" {setting['seconds']:g} s; Sotto with {setting['curve']} and {setting['cipher']}",
    ]


def disturbed(sample):
    """Did other programs take so much that the figure is not to be trusted?"""
    return sample.get("others_share", 0) > OTHERS


def disturbance(results):
    """A line on other programs, when they were in the way."""
    found = [sample for sample in results["samples"] if disturbed(sample)]
    if not found:
        return []
    return [f"!: DISTURBED.  In {len(found)} of {len(results['samples'])} measurements other"
            f" programs took more than {100 * OTHERS:.0f} % of a processor."]


def tail_lines(results):
    """How to read it, and what is missing."""
    lines = [
        "server us: time of the server's threads on the processor for one call.",
        "server, load: how busy each side was.  *: the load may be what limits the rate.",
        "rate x: Sotto's rate over this one's.  time x: this one's server us over Sotto's.  So more"
        " than 1 is Sotto's advantage; medians of the rounds' ratios.",
        "~: the generator counts in steps that are coarse for this figure.",
    ] + results["notes"] + disturbance(results)
    lines += [f"not measured in round {f['round']}: {f['work']} {f['peer']}: {f['error']}"
              for f in results["failures"]]
    if "seconds" in results:
        lines.append(f"The run took {results['seconds']} s.")
    return lines


def wrapped(line):
    """A line of at most 100 columns, and its continuations."""
    lines, rest = [], line
    while len(rest) > 100:
        cut = rest.rfind(" ", 0, 101)
        cut = cut if cut > 60 else 100
        lines.append(rest[:cut])
        rest = "  " + rest[cut:].lstrip()
    return [*lines, rest]


def table_text(table):
    """Columns as wide as they have to be."""
    rows = [table.head, *table.rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.head))]
    lines = [table.title] if table.title else []
    for row in rows:
        cells = [cell.ljust(width) if i in table.left else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return "\n".join(lines + [f"  {line}" for note in table.notes for line in wrapped(note)])


def text(results):
    """The whole report for a terminal of 100 columns."""
    head = "\n".join(part for line in head_lines(results) for part in wrapped(line))
    tail = "\n".join(part for line in tail_lines(results) for part in wrapped(line))
    return "\n\n".join([head, *[table_text(table) for table in tables(results)], tail])


def markdown(results):
    """The same for a page."""
    parts = ["\n".join(f"- {line}" for line in head_lines(results))]
    for table in tables(results):
        marks = ["---" if i in table.left else "--:" for i in range(len(table.head))]
        rows = [table.head, marks, *table.rows]
        lines = ["| " + " | ".join(cell.strip().replace("*", r"\*") for cell in row) + " |"
                 for row in rows]
        title = [f"**{table.title}**\n"] if table.title else []
        parts.append("\n".join(title + lines + [""] * bool(table.notes) + table.notes))
    parts.append("\n".join("- " + line.replace("*", r"\*") for line in tail_lines(results)))
    return "\n\n".join(parts) + "\n"


def main():
    """Print the table of a run again."""
    results = json.loads(Path(sys.argv[1]).read_text())
    print(markdown(results) if "--markdown" in sys.argv[2:] else text(results))


if __name__ == "__main__":
    main()
