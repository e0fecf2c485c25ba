"""`sotto bench`: its numbers against the server's own, its options, and servers that go away.

How fast anything is, is not looked at: only what holds on any machine, however slow.
"""

import json
import os
import re
import select
import signal
import socket
import time

from faults import impostor, until_end
from harness import BOUND_S, WAITING, check, contains, equal, fails, lacks, test
from local import NOBODY, fingerprint_of

MEMBERS = {"repeat", "connections", "in_flight", "idle", "size", "seconds", "calls", "errors",
           "bytes_sent", "bytes_received", "latency_us", "threads", "load_cpu_seconds"}
QUANTILES = ["p50", "p90", "p99", "p999", "max"]
NAMES = {"p99.9": "p999"}
TIME = r"(p\d[\d.]*|max) (\d+(?:\.\d+)?) (us|µs|ms|s)\b"
UNITS = {"us": 1, "µs": 1, "ms": 1e3, "s": 1e6}
TEXT = re.compile(r"(?P<repeat>\w+) +(?P<calls>\d+) in (?P<seconds>\d+\.\d+) s, (?P<rate>\d+)/s\n"
                  r"errors +(?P<errors>\d+)\n"
                  r"latency (?P<latency>[^\n]+)\n"
                  r"traffic +(?P<sent>\d+\.\d) MiB/s sent, (?P<received>\d+\.\d) MiB/s received\n"
                  r"this side +(?P<load>\d+) % of (?P<threads>\d+) processors?[^\n]*\n\Z")
COUNTERS = re.compile(r"(?P<connections>\d+) connections, (?P<bootstraps>\d+) bootstraps, "
                      r"(?P<sessions>\d+) sessions, (?P<requests>\d+) requests, "
                      r"(?P<refused>\d+) refused, (?P<failed>\d+) failed handshakes")

QUICK = ["bench", "-d", "100ms", "--warm-up", "0s"]
ENDLESS = ["bench", "-d", "1h", "--warm-up", "0s"]
# Programs for --exec.  TELLING answers at once, after it has said that there was a call; FLIPPING
# fails every second time.
TELLING = 'tell=echo up >"$W/told"; echo 1'
FLIPPING = 'flip=if mkdir "$W/f" 2>/dev/null; then echo 1; else rmdir "$W/f"; exit 1; fi'
SECOND = ["sessions", "bootstraps"]  # what --repeat takes besides calls


def trusting(w, *args, **how):
    """A server whose keys are known.  Its one worker serves in the order of arrival."""
    server = w.serve("--workers", "1", "-v", *args, **how)
    for curve in server.pins:
        w.run("trust", "add", server.address, f"{how.get('keys', 'server')}_{curve}.pub")
    return server


def measure(w, address, *args, status=0, **how):
    """The result of a run that counted something, and how many runs that took on this machine."""
    for runs in range(1, 6):
        result = w.run_any(*QUICK, "--json", "-d", f"{100 * 4 ** (runs - 1)}ms", address, *args,
                           **how)
        if result.status == 4 and "[E_TIMEOUT" in result.err:
            continue  # no answer in that time
        result.expect(status)
        equal(result.out.count("\n"), 1, f"lines of {result}")
        found = json.loads(result.out)
        if found["calls"] > 0 and (found["errors"] > 0) == (status != 0):
            return found, runs
    check(False, f"nothing was counted: {result}")


def counters(w, server):
    """What SERVER counted, without the call that makes sure that it has seen everything before."""
    equal(w.call(server, "echo", "1", pin=False).out, "1\n", "a call afterwards")
    match = COUNTERS.search(server.stop().err)
    check(match, "no counters")
    found = {name: int(value) for name, value in match.groupdict().items()}
    for name in "connections", "sessions", "requests":
        found[name] -= 1
    return found


def between(least, found, most, text):
    check(least <= found <= most, f"{text}: expected {least} to {most}, found {found}")


def ascends(values, text):
    check(all(a <= b for a, b in zip(values, values[1:])), f"{text} do not ascend: {values}")


# ---- Numbers -------------------------------------------------------------------------------------


@test
def bench_json(w):
    server = trusting(w)
    began = time.monotonic()
    found, runs = measure(w, server.address, "-c", "2", "-n", "8", "--size", "4000")
    elapsed_us = (time.monotonic() - began) * 1e6
    equal(set(found), MEMBERS, "members")
    equal([found[name] for name in ("repeat", "connections", "in_flight", "idle", "size", "errors",
                                    "threads")], ["calls", 2, 8, 0, 4000, 0, 1], "what was asked")
    latency = found["latency_us"]
    equal(list(latency), ["mean", *QUANTILES], "members of latency_us")
    ascends([0, *(latency[name] for name in QUANTILES)], "quantiles")
    check(0 < latency["mean"] <= latency["max"], f"the mean: {found}")
    check(latency["max"] <= elapsed_us, f"a call took longer than the whole run: {found}")
    # Each of the 16 makes one call after the other.
    check(latency["mean"] * found["calls"] <= 16 * elapsed_us, f"the sum of all latencies: {found}")
    check(found["load_cpu_seconds"] * 1e6 <= elapsed_us, f"processor time: {found}")
    # What was sent and what was answered differ by what is under way; 200 bytes: more than the
    # rest of a message and its encryption.
    for name in "bytes_sent", "bytes_received":
        between((found["calls"] - 16) * 4000, found[name], (found["calls"] + 16) * 4200, name)
    between(0.1 * 4 ** (runs - 1), found["seconds"], elapsed_us / 1e6, "seconds")


@test
def bench_text(w):
    server = trusting(w)
    for repeat in "calls", *SECOND:
        result = w.run(*QUICK, "-d", "1s", "--repeat", repeat, "-c", "2", server.address)
        equal(result.err, "", "standard error")
        match = TEXT.match(result.out)
        check(match, f"another form: {result}")
        equal((match["repeat"], match["errors"], match["threads"]), (repeat, "0", "1"), "the text")
        calls, seconds = int(match["calls"]), float(match["seconds"])
        # The time is rounded to a tenth of a second.
        between(calls / (seconds + 0.05) - 1, int(match["rate"]), calls / (seconds - 0.05) + 1,
                f"the rate of {result}")
        times = re.findall(TIME, match["latency"])
        equal([NAMES.get(name, name) for name, _, _ in times], QUANTILES, "the times")
        ascends([float(value) * UNITS[unit] for _, value, unit in times], "the times")


@test
def bench_latency_is_not_less_than_the_calls_take(w):
    server = trusting(w, "--exec", "slow=sleep 0.05; echo 1")
    for repeat in "calls", "sessions":
        latency = measure(w, server.address, "slow", "--repeat", repeat)[0]["latency_us"]
        # Steps of the histogram are 1.6 % wide.
        for name in "mean", *QUANTILES:
            check(latency[name] >= 49000, f"{name} of calls that take 50 ms each: {latency}")


@test
def bench_calls_and_the_servers_counters(w):
    for threads in "1", "3":
        server = trusting(w)
        found, runs = measure(w, server.address, "-c", "3", "-n", "4", "--idle", "5", "--threads",
                              threads)
        equal((found["threads"], found["idle"]), (int(threads), 5), "what was asked")
        seen = counters(w, server)
        equal(seen["bootstraps"], runs, "bootstraps")
        equal(seen["sessions"], runs * 8, "sessions")
        equal(seen["connections"], runs * 9, "connections")
        equal((seen["refused"], seen["failed"]), (0, 0), "refused and failed")
        between(found["calls"], seen["requests"], found["calls"] + runs * 12, "requests")


@test
def bench_sessions_and_the_servers_counters(w):
    for idle in 0, 2:
        server = trusting(w)
        found, runs = measure(w, server.address, "--repeat", "sessions", "-c", "3", "--idle",
                              str(idle))
        equal((found["repeat"], found["errors"]), ("sessions", 0), "the result")
        check(found["bytes_sent"] > found["calls"] * 128, f"what was sent: {found}")
        seen = counters(w, server)
        equal(seen["bootstraps"], runs, "bootstraps")
        # Three may have been under way at the end.
        for name, besides in (("sessions", idle), ("requests", 0), ("connections", idle + 1)):
            between(found["calls"] + runs * besides, seen[name],
                    found["calls"] + runs * (besides + 3), name)
        equal(seen["refused"], 0, "refused")


@test
def bench_bootstraps_and_the_servers_counters(w):
    server = trusting(w)
    found, runs = measure(w, server.address, "--repeat", "bootstraps", "-c", "3")
    equal((found["repeat"], found["errors"]), ("bootstraps", 0), "the result")
    seen = counters(w, server)
    for name in "bootstraps", "connections":
        between(found["calls"] + runs, seen[name], found["calls"] + 4 * runs, name)
    equal((seen["sessions"], seen["requests"], seen["refused"]), (0, 0, 0), "calls")


@test
def bench_bootstraps_once_whatever_is_kept(w):
    server = trusting(w)
    runs = sum(measure(w, server.address)[1] for _ in range(2))
    equal(counters(w, server)["bootstraps"], runs, "bootstraps of the runs and a call afterwards")


@test
def bench_keeps_as_many_calls_under_way_as_asked(w):
    for number, (options, calls, threads) in enumerate((
            (["-c", "2", "-n", "3"], 6, 1), (["-c", "3", "-n", "2", "--threads", "3"], 6, 3),
            (["--repeat", "sessions", "-c", "4"], 4, 1))):
        alive = w.fifo(f"alive{number}")
        go = w.fifo(f"go{number}", writing=True)
        program = WAITING.replace("alive", f"alive{number}").replace("/go", f"/go{number}")
        server = trusting(w, "--exec", "wait=" + program)
        running = w.start(*ENDLESS, *options, server.address, "wait")
        alive.expect(b"up\n" * calls)
        fails(lambda: alive.read(bound_s=0.3), f"more than {calls} calls with {options}")
        equal(len(os.listdir(f"/proc/{running.process.pid}/task")), threads,
              f"threads with {options}")
        running.signal(signal.SIGINT)
        running.wait()
        # Who has closed its side already, as each of the sessions does, is not known to be gone.
        go.write(b"\n" * calls)
        alive.expect_end()
        server.stop()


@test
def bench_warm_up_does_not_count(w):
    """The first call of each content fails."""
    program = 'once=read -r x; if mkdir "$W/d$x" 2>/dev/null; then exit 1; else echo 1; fi'
    server = trusting(w, "--exec", program)

    def run(content, status, *options):
        for tries, time_text in enumerate(("500ms", "2s", "8s", "30s")):
            result = w.run_any(*QUICK, "--json", server.address, "once", f"{content}{tries}",
                               *(option.replace("TIME", time_text) for option in options))
            if result.status == status and result.out and json.loads(result.out)["calls"] > 0:
                break  # else the first call took longer
        return json.loads(result.expect(status).out)

    equal(run(1, 3, "-d", "TIME")["errors"], 1, "errors without warm-up")
    equal(run(2, 0, "--warm-up", "TIME")["errors"], 0, "errors after a warm-up")


# ---- What is sent --------------------------------------------------------------------------------


@test
def bench_contents(w):
    w.write("content.json", '{"from":"a file"}\n')
    cases = [(["--size", size], '"' + "x" * (int(size) - 2) + '"') for size in ("2", "3", "70000")]
    cases += [([], '"' + "x" * 126 + '"'), (["5"], "5"), (['"ü"'], '"ü"'),
              (["@content.json"], '{"from":"a file"}'), (["-"], "[1,2]")]
    # A program of the run before may come late: each run has a file of its own, written at once.
    programs = [f'keep{i}=cat >"$W/part$$" && mv "$W/part$$" "$W/got{i}"; echo 1'
                for i in range(len(cases))]
    server = trusting(w, *(arg for program in programs for arg in ("--exec", program)))
    for i, (args, text) in enumerate(cases):
        found = measure(w, server.address, f"keep{i}", *args, stdin="[1,2]")[0]
        equal((w / f"got{i}").read_text(), text, f"what arrives with {args}")
        # White space around it is sent as it is.
        between(len(text.encode()), found["size"], len(text.encode()) + 1, f"size with {args}")


@test
def bench_contents_that_are_none(w):
    server = trusting(w)
    for content, name in (("{bad", "E_JSON"), ("", "E_JSON"), ("-", "E_JSON"),
                          ("@missing", "E_FILE"), ("@.", "E_FILE")):
        w.run(*QUICK, server.address, "echo", content, stdin="[", status=12, name=name)
    equal(counters(w, server)["connections"], 1, "connections (that of the bootstrap of the call)")


def receive(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise OSError("the end")
        data += part
    return data


def tap(server, asked):
    """For impostor(): pass everything on, and append what each connection asks for to ASKED."""
    def talk(connection):
        with socket.create_connection(("127.0.0.1", server.port), timeout=BOUND_S) as upstream:
            head = receive(connection, 2)
            request = receive(connection, int.from_bytes(head, "big"))
            asked.append(json.loads(request))
            upstream.sendall(head + request)
            peers = {connection: upstream, upstream: connection}
            while peers:
                for side in select.select(list(peers), [], [], BOUND_S)[0]:
                    data = side.recv(65536)
                    if data:
                        peers[side].sendall(data)
                    else:
                        peers.pop(side).shutdown(socket.SHUT_WR)
    return talk


@test
def bench_asks_for_what_the_options_say(w):
    w.run("keygen", "-o", "me")
    servers = {"": w.serve(), "psk0": w.serve("--gate")}
    for curve, cipher, gate, identity in (("25519", "AESGCM", "", False),
                                          ("448", "ChaChaPoly", "psk0", False),
                                          ("448", "AESGCM", "", True),
                                          ("25519", "ChaChaPoly", "psk0", True)):
        options = ["--identity", f"me_{curve}.key"] if identity else ["--curve", curve]
        options += ["--cipher", cipher] + (["--gate"] if gate else [])
        pattern = "IKpsk0" if identity else "NKpsk0"
        for repeat, next_one in (("calls", pattern), ("sessions", pattern),
                                 ("bootstraps", "XX" + gate)):
            asked = []
            with impostor(tap(servers[gate], asked)) as address:
                pin = servers[gate].pins[curve]
                found, runs = measure(w, address, "--pin", pin, "--repeat", repeat, *options)
            equal({(a["curve"], a["cipher"]) for a in asked}, {(curve, cipher)}, f"{options}")
            patterns = [a["pattern"] for a in asked]
            equal(patterns[:2], ["XX" + gate, next_one], f"patterns with {options} and {repeat}")
            equal(set(patterns), {"XX" + gate, next_one}, f"patterns with {options} and {repeat}")
            least = runs * 2 if repeat == "calls" else runs + found["calls"]
            between(least, len(asked), least + (0 if repeat == "calls" else runs), "connections")


@test
def bench_with_other_servers(w):
    w.run("keygen", "-o", "one", "--curve", "448")
    only_448 = w.serve(keys="one")
    contains(w.run(*QUICK, "--trust", "accept-new", only_448.address, status=7,
                   name="E_REFUSED").err, "unsupported_curve", "the message")
    gated, is_open = w.serve("--gate"), w.serve()
    for repeat in "calls", *SECOND:
        for server, options in ((gated, []), (is_open, ["--gate"])):
            w.run(*QUICK, "--pin", server.pins["25519"], server.address, *options, "--repeat",
                  repeat, status=7, name="E_REFUSED")
    w.run("secrets", "new", "others")
    w.run(*QUICK, "--pin", is_open.pins["25519"], is_open.address, "--secrets",
          "others/client.json", status=7, name="E_HANDSHAKE")


@test
def bench_known_clients(w):
    w.run("keygen", "-o", "me")
    w.run("keygen", "-o", "stranger")
    w.write("clients", w.run("fingerprint", "--line", "me_25519.pub").out)
    server = trusting(w, "--clients", "clients", "--exec", 'who=echo "\\"$SOTTO_CLIENT_NAME\\""')
    for repeat in "calls", "sessions":
        measure(w, server.address, "who", "--repeat", repeat, "--identity", "me_25519.key")
        for options in ([], ["--identity", "stranger_25519.key"]):
            result = w.run(*QUICK, server.address, "--repeat", repeat, *options, status=8,
                           name="E_DENIED")
            equal(result.out, "", "standard output")
    w.run(*QUICK, server.address, "--identity", "missing.key", status=12, name="E_FILE")


# ---- Trust ---------------------------------------------------------------------------------------


@test
def bench_trusts_as_call_does(w):
    server = w.serve()
    result = w.run(*QUICK, server.address, status=6, name="E_KEY_UNKNOWN")
    contains(result.err, server.pins["25519"], "the message")
    check(not w.known_servers.exists(), "a refused server became known")
    wrong = fingerprint_of("25519", bytes(32))
    for repeat in "calls", *SECOND:
        w.run(*QUICK, server.address, "--pin", wrong, "--repeat", repeat, status=6,
              name="E_KEY_MISMATCH")
    measure(w, server.address, "--trust", "accept-new", "--known-servers", "known", "--state-dir",
            "state")
    check(not w.known_servers.exists() and not w.sessions.exists(), "files at the usual places")
    contains((w / "known").read_text(), server.address, "the known servers")
    check(list((w / "state").iterdir()), "nothing was kept in --state-dir")
    measure(w, server.address, "--known-servers", "known")
    measure(w, f"sotto://{server.pins['25519']}@{server.address}")
    contains(w.run("trust", "list").out, server.pins["25519"], "the known servers")


@test
def bench_and_a_changed_key(w):
    old = trusting(w)
    measure(w, old.address)
    old.stop()
    new = w.serve(keys="new", listen=old.address)
    for repeat in "calls", *SECOND:
        for trust in "strict", "accept-new":
            result = w.run(*QUICK, new.address, "--repeat", repeat, "--trust", trust, status=6,
                           name="E_KEY_MISMATCH")
            contains(result.err, new.pins["25519"], "the message")
            equal(result.out, "", "standard output")


# ---- Errors --------------------------------------------------------------------------------------


@test
def bench_counts_error_answers(w):
    server = trusting(w, "--exec", FLIPPING)
    for repeat in "calls", "sessions":
        result, found = None, {"calls": 0, "errors": 0}
        for duration in "200ms", "1s", "5s", "20s":
            result = w.run_any(*QUICK, "-d", duration, "--json", "--repeat", repeat,
                               server.address, "flip")
            found = json.loads(result.out or '{"calls":0}')
            if found["calls"] > 1 and found["errors"] > 1:
                break
        result.expect(3, "E_CALL")
        contains(result.err, "exec.failed", "the first error")
        between(found["calls"] - 1, found["errors"], found["calls"] + 1, f"errors of {found}")


@test
def bench_of_no_endpoint(w):
    server = trusting(w)
    for repeat in "calls", "sessions":
        result = w.run_any(*QUICK, "-d", "500ms", "--json", "--repeat", repeat, server.address,
                           "nope")
        check(result.status in (3, 9), f"the status of {result}")
        result.expect(result.status)
        contains(result.err, "not_found", "the message")
        found = json.loads(result.out)
        check(found["calls"] == 0 and found["errors"] > 0, f"the result {found}")
        equal(set(found["latency_us"].values()), {0}, "latency of nothing")


@test
def bench_messages_too_large(w):
    server = trusting(w, "--max-message", "1024", "--exec",
                      "big=head -c 5000 /dev/zero | tr '\\0' 7")
    result = w.run(*QUICK, server.address, "--size", "2000", status=10, name="E_TOO_LARGE")
    equal(result.out, "", "standard output")
    result = w.run_any(*QUICK, "-d", "500ms", server.address, "big", "--max-message", "1024")
    check(result.status in (3, 10), f"an answer that is too large: {result}")
    contains(result.expect(result.status).err, "too_large", "the message")
    measure(w, server.address, "big")


@test
def bench_sessions_that_are_refused(w):
    server = trusting(w, "--max-connections", "2")
    for options in (["-c", "5"], ["--idle", "4"], ["--repeat", "sessions", "--idle", "2"]):
        result = w.run_any(*QUICK, "-d", "1h", server.address, *options)
        check(result.status in (7, 11), f"refused sessions: {result}")
        contains(result.expect(result.status).err, "busy", "the message")
        equal(result.out, "", "standard output")
    server.signal(signal.SIGTERM)
    refused = int(COUNTERS.search(server.wait().err)["refused"])
    check(refused > 0, f"refused: {refused}")


# ---- Servers that are not there, or go away ------------------------------------------------------


@test
def bench_nobody_listens(w):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for repeat in "calls", *SECOND:
            result = w.run(*QUICK, address, "--repeat", repeat, status=5, name="E_CONNECT")
            contains(result.err, address, "the message")
    w.run(*QUICK, "--timeout", "20s", "no-such-host.invalid", status=5, name="E_RESOLVE")


@test
def bench_servers_of_another_kind(w):
    with impostor(until_end) as address:
        w.run(*QUICK, "--timeout", "300ms", address, status=4, name="E_TIMEOUT")
    with impostor(lambda connection: None) as address:
        w.run(*QUICK, address, status=7, name="E_HANDSHAKE")


def under_way(w, *options):
    """(server, run): a run without end that has got to its second call."""
    told = w.fifo("told", writing=True)  # without an end between two programs
    server = trusting(w, "--drain-timeout", "20s", "--exec", TELLING)
    running = w.start(*ENDLESS, *options, server.address, "tell")
    for _ in range(2):
        contains(told.read().decode(), "up\n", "what the program tells")
    return server, running


@test
def bench_server_killed(w):
    server, running = under_way(w)
    server.signal(signal.SIGKILL)
    result = running.wait().expect(5, "E_LOST")
    equal(result.out, "", "standard output")


@test
def bench_sessions_server_killed(w):
    server, running = under_way(w, "--repeat", "sessions")
    server.signal(signal.SIGKILL)
    result = running.wait()
    # 7: in the middle of a handshake.
    check(result.status in (5, 7), f"the status of {result}")
    result.expect(result.status)


@test
def bench_server_that_drains(w):
    server, running = under_way(w)
    server.stop()
    result = running.wait()
    result.expect(11, "E_UNAVAILABLE")
    equal(result.out, "", "standard output")


@test
def bench_sessions_server_that_drains(w):
    server, running = under_way(w, "--repeat", "sessions")
    server.stop()
    result = running.wait()
    # 7: the connection waited to be accepted when listening ended.
    check(result.status in (5, 7, 11), f"the status of {result}")
    result.expect(result.status)


@test
def bench_interrupted(w):
    server, running = under_way(w, "--json")
    for number in signal.SIGINT, signal.SIGTERM:
        running.signal(number)
        result = running.wait()
        equal(result.status, -number, "status (128 more for a shell)")
        lacks(result.err, "sotto:", "standard error")
        running = w.start(*ENDLESS, server.address, "tell")
    running.signal(signal.SIGKILL)
    running.wait()
    equal(w.call(server, "echo", "1", pin=False).out, "1\n", "a call afterwards")
    server.stop()


# ---- The command line ----------------------------------------------------------------------------


@test
def bench_wrong_usage(w):
    server = trusting(w)
    for args in (["-c", "0"], ["-c", "65537"], ["-c", "x"], ["-n", "0"], ["--in-flight", "70000"],
                 ["-n", "99999999999999999999"], ["--size", "1"], ["--size", "5G"], ["--size", "x"],
                 ["-d", "9ms"], ["-d", "5"], ["-d", "2h"], ["--duration", "-1s"],
                 ["--warm-up", "2h"], ["--warm-up", "x"], ["--idle", "65537"], ["--idle", "-1"],
                 ["--threads", "0"], ["--threads", "257"], ["--repeat", "x"], ["--repeat", ""]):
        contains(w.run("bench", server.address, *args, status=2, name="E_USAGE").err, args[0] + " ",
                 f"the message about {args}")
    for args, part in ((["--threads", "2"], "--threads"), (["--nonsense"], "--nonsense"),
                       (["--repeat", "sessions", "-n", "2"], "--in-flight"),
                       (["--repeat", "bootstraps", "-n", "2"], "--in-flight"),
                       (["--json=1"], "--json"), (["echo", "1", "2"], "too many"),
                       (["-c"], "-c"), (["--curve", "1"], "--curve")):
        contains(w.run("bench", server.address, *args, status=2, name="E_USAGE").err, part,
                 f"the message about {args}")
    contains(w.run("bench", status=2, name="E_USAGE").err, "ADDR", "the message")
    equal(counters(w, server)["connections"], 1, "connections (that of the bootstrap of the call)")


@test
def bench_verbose(w):
    server = trusting(w)
    result = w.run(*QUICK, "-d", "1s", "-v", "--json", server.address)
    contains(result.err, "bootstrap", "the trace")
    contains(result.err, "Noise_XX_25519_AESGCM", "the trace")
    json.loads(result.out)


@test
def bench_result_cannot_be_printed(w):
    server = trusting(w)
    for layout in "", "--json":
        for where in (">&-", ">/dev/full"):
            command = " ".join([*QUICK, "-d", "1s", layout, server.address, where])
            result = w.shell(f"exec $SOTTO {command}")
            contains(result.expect(1, "E_FILE").err, "standard output", "the message")


# ---- Faults that were there once -----------------------------------------------------------------


@test
def bench_sessions_content_too_large(w):
    server = trusting(w, "--max-message", "1024")
    result = w.run(*QUICK, "-d", "1h", server.address, "--repeat", "sessions", "--size", "2000",
                   status=10, name="E_TOO_LARGE")
    equal(result.out, "", "standard output")


@test
def bench_without_memory(w):
    if any(name.endswith("SAN_OPTIONS") for name in w.env):
        return  # sanitizers need more address space than this leaves
    server = trusting(w)
    result = w.shell(f"ulimit -v 300000 && exec $SOTTO {' '.join(QUICK)} {server.address} "
                     "--idle 20000 -n 65536")
    result.expect(1, "E_NOMEM")


@test
def bench_says_what_ended_it(w):
    """Not the error answers that came before."""
    told = w.fifo("told", writing=True)
    server = trusting(w, "--exec", 'fail=echo up >"$W/told"; exit 1')
    running = w.start(*ENDLESS, server.address, "fail")
    for _ in range(2):
        contains(told.read().decode(), "up\n", "what the program tells")
    server.signal(signal.SIGKILL)
    running.wait().expect(5, "E_LOST")


@test
def bench_refusals_are_unavailable(w):
    server = trusting(w, "--max-connections", "2")
    for options in (["-c", "5"], ["-c", "5", "--threads", "5"], ["--idle", "4"],
                    ["--repeat", "sessions", "--idle", "2"]):
        result = w.run(*QUICK, "-d", "1h", server.address, *options, status=11,
                       name="E_UNAVAILABLE")
        contains(result.err, "busy", "the message")


@test
def bench_of_a_silent_server(w):
    """That nothing was answered is no success."""
    w.fifo("go", writing=True)
    server = trusting(w, "--exec", 'wait=read x <"$W/go"')
    for repeat in "calls", "sessions":
        w.run(*QUICK, server.address, "wait", "--repeat", repeat, status=4, name="E_TIMEOUT")


@test
def bench_options_that_do_nothing(w):
    for args in (["echo", "1", "--size", "5"], ["--repeat", "bootstraps", "--idle", "1"]):
        w.run(*QUICK, "127.0.0.1:1", *args, status=2, name="E_USAGE")


@test
def bench_seconds_are_measured(w):
    """The loop comes to its end after the time asked for, and counts until then."""
    server = trusting(w)
    for _ in range(10):
        result = w.run_any(*QUICK, "-d", "10ms", "--warm-up", "100ms", "--json", "-c", "64", "-n",
                           "64", "--size", "20000", server.address)
        if result.status != 4:  # nothing was answered
            found = json.loads(result.expect(0).out)
            between(0, found["load_cpu_seconds"], found["seconds"] + 0.001, f"time in {found}")


@test
def bench_of_a_bad_endpoint_name(w):
    for name in "", "a b", 'a"b', "x" * 129, "$/":
        result = w.run(*QUICK, NOBODY, name, status=2)
        contains(result.err, "the name of an endpoint", f"the message for {name!r}")
