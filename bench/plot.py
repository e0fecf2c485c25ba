#!/usr/bin/env python3
"""The figures of a run, drawn by gnuplot.

    bench/plot.py results.json FOLDER

compare.svg: what a call costs the server, and how quick large messages are, Sotto and its peers.
growth.svg: Sotto alone, with many sessions and with messages of all sizes.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from peers.work import OPEN_SESSIONS, SIZES
from report import Samples, cost_per_byte, figure, in_order

PANELS = [
    ("calls", "cpu_ns", 1000, "64 connections, 1 in flight: server µs per call"),
    ("batches", "cpu_ns", 1000, "64 connections, 64 in flight: server µs per call"),
    ("sessions", "cpu_ns", 1000, "new connection for each call: server µs per call"),
    ("large", "mib_s", 1, "1 MiB messages: MiB per second, one way"),
]
OURS, THEIRS, FRAME = "#1f6f8b", "#b9bec4", "#555555"
HEAD = """set terminal svg size {width},{height} font "sans-serif,12" background "#ffffff"
set output "{path}"
set encoding utf8
set border linecolor rgb "{frame}"
set tics textcolor rgb "#222222"
set multiplot layout {rows},{columns}
"""


def bars(samples, work, what, unit):
    """Name and value of each peer, the smallest value first in the drawing."""
    found = dict.fromkeys(key[2] for key in samples.by_key if key[1] == work)
    found.pop("sotto-other", None)
    pairs = [(peer, samples.middle(work, peer, what)) for peer in in_order(found)]
    pairs = [(peer, value / unit) for peer, value in pairs if value]
    return sorted(pairs, key=lambda pair: pair[1], reverse=what == "mib_s")


def panel(samples, work, what, unit, title):
    """One panel with lying bars, each with its number; all start at nothing."""
    pairs = bars(samples, work, what, unit)
    if not pairs:
        return ""
    most = max(value for _, value in pairs)
    lines = [
        "reset", f'set border 0 linecolor rgb "{FRAME}"', f'set title "{title}" offset 0,-0.5',
        "unset key", "unset xtics", "set lmargin 12", "set rmargin 2",
        f"set xrange [0:{most * 1.18}]", f"set yrange [{len(pairs) - 0.4}:-0.6]",
        "set ytics scale 0 (" + ", ".join(f'"{peer}" {i}' for i, (peer, _) in enumerate(pairs))
        + ")",
    ]
    lines += [f'set label {i + 1} "{figure(value)}" at {value},{i} left offset 0.6,0'
              for i, (_, value) in enumerate(pairs)]
    lines += [f"set object {i + 1} rectangle from 0,{i - 0.36} to {value},{i + 0.36} "
              f'fillcolor rgb "{OURS if peer == "sotto" else THEIRS}" fillstyle solid noborder'
              for i, (peer, value) in enumerate(pairs)]
    return "\n".join(lines) + "\nplot NaN notitle\n"


def series(name, points):
    """Data inside the script, so that nothing else has to be kept."""
    rows = "\n".join(f"{x} {y}" for x, y in points if y is not None)
    return f"${name} << END\n{rows}\nEND\n"


def growth_panel(samples):
    """Calls a second, from nothing, over the number of sessions."""
    script = ""
    for kind in ("idle", "active"):
        script += series(kind, [
            (count, samples.middle(f"growth-{kind}-{count}", "sotto", "rate"))
            for count in OPEN_SESSIONS])
    return script + f"""reset
set title "calls per second with many sessions"
set logscale x 10
set xrange [{OPEN_SESSIONS[0] * 0.8}:{OPEN_SESSIONS[-1] * 1.25}]
set yrange [0:*]
set format y "%.0s %c"
set xlabel "open sessions"
set grid ytics linecolor rgb "#dddddd"
set key bottom left
plot $idle with linespoints pt 7 lw 2 lc rgb "{OURS}" title "64 call, these are idle besides", \\
     $active with linespoints pt 5 lw 2 lc rgb "#c05a2e" title "all call, 1 in flight each"
"""


def sizes_panel(samples):
    """What a byte costs, over the size of the message; both axes are logarithmic."""
    tics = ", ".join(f'"{name}" {size}' for name, size in
                     [("1 KiB", 1 << 10), ("64 KiB", 1 << 16), ("1 MiB", 1 << 20),
                      ("16 MiB", 1 << 24)])
    script = ""
    for kind in ("alone", "together"):
        script += series(kind, [(size, cost_per_byte(samples, kind, size)) for size in SIZES])
    return script + f"""reset
set title "server ns per byte"
set logscale x 2
set logscale y 10
set xrange [{SIZES[0] // 2}:{SIZES[-1] * 2}]
set xtics ({tics})
set xlabel "size of the message"
set grid ytics linecolor rgb "#dddddd"
set yrange [0.1:*]
set key top right
plot $together with linespoints pt 7 lw 2 lc rgb "{OURS}" title "4 connections, many in flight", \\
     $alone with linespoints pt 5 lw 2 lc rgb "#c05a2e" title "1 connection, 1 in flight"
"""


def run_gnuplot(path, panels, columns, width, row_height):
    """One picture of these panels; False when there is nothing to draw."""
    panels = [script for script in panels if script]
    if not panels:
        return False
    rows = -(-len(panels) // columns)
    script = HEAD.format(width=width, height=rows * row_height, path=path, frame=FRAME,
                         rows=rows, columns=columns)
    subprocess.run(["gnuplot"], input=script + "".join(panels) + "unset multiplot\n", text=True,
                   check=True, timeout=60)
    return True


def draw(results, folder):
    """Draw what was measured; the files that were written."""
    if not shutil.which("gnuplot"):
        print("no plots: gnuplot is not there", file=sys.stderr)
        return []
    samples = Samples(results)
    groups = {sample["group"] for sample in results["samples"]}
    own = [growth_panel(samples)] * ("growth" in groups)
    own += [sizes_panel(samples)] * ("sizes" in groups)
    pictures = [
        (folder / "compare.svg", [panel(samples, *words) for words in PANELS], 2, 860, 250),
        (folder / "growth.svg", own, 2, 860, 320),
    ]
    return [path for path, panels, columns, width, height in pictures
            if run_gnuplot(path, panels, columns, width, height)]


def main():
    """Draw a run again."""
    results = json.loads(Path(sys.argv[1]).read_text())
    for path in draw(results, Path(sys.argv[2])):
        print(path)


if __name__ == "__main__":
    main()
