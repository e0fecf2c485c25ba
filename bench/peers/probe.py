#!/usr/bin/env python3
"""The latency of a server that answers a fixed request with a fixed number of bytes.

    probe.py PORT SECONDS REQUEST-HEX ANSWER-BYTES

One connection, one request at a time.  It is for Redis: redis-benchmark counts latencies in steps
of 8 microseconds, which is half of what there is to measure.  A blocking socket needs no
epoll_wait(), which makes up for what the interpreter takes; the time counts from before the write
to after the read.
"""

import json
import socket
import statistics
import sys
import time


def measure(link, request, length, seconds):
    """All latencies in nanoseconds, after a warm-up of a tenth of the time."""
    taken, now = [], time.perf_counter_ns
    begin = now() + int(seconds * 1e8)
    end = now() + int(seconds * 1e9)
    while (before := now()) < end:
        link.send(request)
        left = length
        while left > 0:
            got = len(link.recv(left))
            if not got:
                raise ConnectionError("the server closed the connection")
            left -= got
        if before >= begin:
            taken.append(now() - before)
    return taken


def main():
    """Measure, and print the median."""
    port, seconds, request, length = sys.argv[1:]
    link = socket.create_connection(("127.0.0.1", int(port)), timeout=10)
    link.settimeout(None)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    taken = measure(link, bytes.fromhex(request), int(length), float(seconds))
    print(json.dumps({"calls": len(taken), "p50_us": statistics.median(taken) / 1000}))


if __name__ == "__main__":
    main()
