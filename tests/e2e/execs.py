"""Endpoints that are answered by programs."""

import json
import signal

from harness import WAITING, check, contains, equal, lacks, test
from local import fingerprint_of, raw_key


@test
def content_and_environment(w):
    w.run("keygen", "-o", "me", "--curve", "25519")
    w.run("keygen", "-o", "stranger", "--curve", "25519")
    line = w.run("fingerprint", "--line", "me_25519.pub").out.strip()
    w.write("clients", f"# known\n{line} gateway 17\n")
    form = '{"endpoint":"%s","client":"%s","name":"%s","ms":%s,"content":'
    show = (f"env/show=printf '{form}' "
            '"$SOTTO_ENDPOINT" "$SOTTO_CLIENT" "$SOTTO_CLIENT_NAME" "$SOTTO_DEADLINE_MS"; '
            'cat; echo "}"')
    server = w.serve("--clients", "clients", "--client-auth", "optional", "--exec", show,
                     env={"SOTTO_CLIENT": "somebody", "SOTTO_ENDPOINT": "else"})
    for identity, client, name in (([], "", ""), (["--identity", "stranger_25519.key"], "", ""),
                                   (["--identity", "me_25519.key"],
                                    fingerprint_of("25519",
                                                   raw_key(w / "me_25519.pub",
                                                           "25519")), "gateway 17")):
        answer = json.loads(w.call(server, "env/show", '[1,"ä"]', "--timeout", "20s",
                                   *identity).out)
        check(0 < answer.pop("ms") <= 20000, "the deadline")
        equal(answer, {"endpoint": "env/show", "client": client, "name": name,
                       "content": [1, "ä"]}, "the answer")


@test
def a_program_starts_clean(w):
    """Default signals, and no descriptors but the standard ones, whatever the server inherited."""
    w.secrets()
    w.run("keygen", "-o", "server")
    script = ('exec 3</dev/null 4>/dev/null 7</dev/null; trap "" HUP INT QUIT USR1 PIPE; '
              'exec env --ignore-signal=CHLD "$SOTTO" serve '
              '--listen 127.0.0.1:0 --keys server --secrets secrets/server.json '
              '--exec "fds=ls /proc/self/fd | tr \'\\\\n\' \' \' | sed \'s/.*/\\"&\\"/\'" '
              '--exec "signals=sed -n \'s/^Sig[BI][lg][kn]:[[:space:]]*//p\' /proc/self/status'
              ' | tr -d \'\\\\n\' | sed \'s/.*/\\"&\\"/\'"')
    running = w.start("-c", script, program="/bin/sh", env={"SOTTO": str(w.programs["sotto"])})
    address = pin = None
    for line in running.process.stdout:
        words = line.decode().split()
        address = words[1] if words[0] == "address" else address
        pin = words[2] if words[:2] == ["fingerprint", "25519"] else pin
        if words[0] == "endpoints":
            break
    check(address and pin, "the server is not ready")
    # ls has the folder itself open, as 3.
    equal(w.run("call", "--pin", pin, address, "fds").out, '"0 1 2 3 "\n', "descriptors")
    sets = json.loads(w.run("call", "--pin", pin, address, "signals").out)
    # The C library keeps 32 and 33 for itself.
    equal((int(sets[:16], 16), int(sets[16:], 16) & ~(3 << 31)), (0, 0),
          "signals blocked and ignored")


@test
def exit_status(w):
    server = w.serve("--exec", "three=echo 1; exit 3", "--exec", "killed=kill -TERM $$",
                     "--exec", "missing=/nonexistent/program",
                     "--exec", "loud=echo to-the-operator >&2; exit 1")
    for endpoint, text in (("three", "exit status 3"), ("killed", "killed by signal 15"),
                           ("missing", "exit status 127"), ("loud", "exit status 1")):
        result = w.call(server, endpoint, status=3, name="E_CALL")
        contains(result.error()["why"], "exec.failed", "the message")
        contains(result.error()["why"], text, "the message")
        equal(result.out, "", "standard output")
        lacks(result.err, "to-the-operator", "what the client sees")
    contains(server.stop().err, "to-the-operator", "what the operator sees")


@test
def output_that_is_no_json(w):
    outputs = {"text": "echo hello", "nothing": "true", "two": "echo 1 2", "cut": "printf [1,",
               "deep":
               "printf '%65s' '' | tr ' ' '['", "binary": "printf '\"\\377\"'",
               "nul": "printf '1\\000'"}
    server = w.serve(*[o for name, command in outputs.items() for o in ("--exec",
                                                                        f"{name}={command}")])
    for name in outputs:
        result = w.call(server, name, status=3, name="E_CALL")
        contains(result.error()["why"], "internal", "the message")
    err = server.stop().err
    for name in outputs:
        contains(err, f"endpoint {name}: the program did not print one JSON value: line 1",
                 "what the operator sees")
    lacks(err, "hello", "what the operator sees")


@test
def layout_of_the_output(w):
    server = w.serve("--exec", 'lines=printf \' {\\n "a" : 1 }\\n\\n\'')
    equal(w.call(server, "lines", "--compact").out, '{"a":1}\n', "the answer")
    equal(w.call(server, "lines").out, '{\n "a" : 1 }\n', "the answer as it came")


@test
def input_that_is_not_read(w):
    server = w.serve("--exec", "no=echo 1", "--exec", "closed=exec <&-; echo 2", "--exec",
                     "some=head -c 10 >/dev/null; echo 3",
                     "--exec", "all=wc -c")
    w.write("big.json", json.dumps("x" * 1_000_000))
    for endpoint, answer in (("no", "1"), ("closed", "2"), ("some", "3"), ("all", "1000002")):
        equal(w.call(server, endpoint, "@big.json").out.strip(), answer, f"answer of {endpoint}")
    equal(w.call(server, "echo", "1").out, "1\n", "the server afterwards")


@test
def large_output(w):
    zeros = "head -c %d /dev/zero | tr '\\0' %s"
    server = w.serve("--exec", f"fits=printf '\"'; {zeros % (16000000, 'x')}; printf '\"'",
                     "--exec", "endless=yes 1", "--exec", f"17={zeros % (17825792, '_')}; echo 1")
    result = w.call(server, "fits", "--max-message", "17MiB")
    equal(len(result.out), 16000003, "length of the answer")
    for endpoint in ("endless", "17"):
        result = w.call(server, endpoint, "--max-message", "64MiB", status=3, name="E_CALL")
        contains(result.err, "16 MiB", "the message")
    contains(server.stop().err, "more than 16 MiB", "what the operator sees")


@test
def client_gone(w):
    alive = w.fifo("alive")
    w.fifo("go", writing=True)
    # No deadline that could end the program as well.
    server = w.serve("--call-timeout", "1h", "--exec", "wait=" + WAITING)
    call = w.start_call(server, "wait", "--timeout", "1h")
    alive.expect(b"up\n")
    call.signal(signal.SIGKILL)
    call.wait()
    alive.expect_end()  # the program went with its client
    equal(w.call(server, "echo", "1").out, "1\n", "the server afterwards")
    server.stop()


@test
def whole_process_group(w):
    """What a program starts goes with it: at its deadline, and when it ends."""
    alive = w.fifo("alive")
    w.fifo("go", writing=True)
    child = 'sh -c \'exec 8>"$W/alive"; echo up >&8; read line <"$W/go"\''
    server = w.serve("--exec", f"wait={child} | cat", "--exec",
                     f'leave=( {child} ) </dev/null >/dev/null & read x <"$W/left"; echo 1',
                     "--exec", f'hold=( {child} ) & read x <"$W/left"; echo 2')
    w.call(server, "wait", "--timeout", "700ms", status=4, name="E_TIMEOUT")
    alive.expect(b"up\n")
    alive.expect_end()
    left = w.fifo("left", writing=True)
    for endpoint, answer in (("leave", "1\n"), ("hold", "2\n")):
        call = w.start_call(server, endpoint)
        alive.expect(b"up\n")
        left.write(b"x\n")
        equal(call.wait().expect(0).out, answer, "the answer")
        alive.expect_end()


@test
def too_many_programs(w):
    alive = w.fifo("alive")
    w.fifo("go", writing=True)
    server = w.serve("--exec", "wait=" + WAITING)
    w.call(server, "echo", "1")
    found = None
    for _ in range(20):
        # 16 run, 128 wait; how many of these have arrived is not known.
        told = [w.start("call", server.address, "wait", "--notify") for _ in range(16)]
        for call in told:
            call.wait().expect(0)
        found = w.run_any("call", "--timeout", "300ms", server.address, "wait")
        if found.status != 4:
            break
    found.expect(11, "E_UNAVAILABLE")
    contains(found.err, "overloaded", "the message")
    equal(w.call(server, "echo", "2").out, "2\n", "an endpoint without a program")
    alive.expect(16 * b"up\n")
    # Two kinds, since two of one kind may count once.
    server.signal(signal.SIGTERM)
    server.signal(signal.SIGINT)
    equal(server.wait().status, 130, "status after a second signal")
    alive.expect_end()


@test
def call_timeout(w):
    """The server's own limit, for clients that would wait longer and for notifications."""
    alive = w.fifo("alive")
    w.fifo("go", writing=True)
    server = w.serve("--call-timeout", "500ms", "--exec", "wait=" + WAITING,
                     "--exec", 'left=echo "$SOTTO_DEADLINE_MS"')
    check(0 < int(w.call(server, "left", "--timeout", "20s").out) <= 500, "SOTTO_DEADLINE_MS")
    result = w.call(server, "wait", "--timeout", "50s", status=4, name="E_TIMEOUT")
    contains(result.err, "deadline_exceeded", "the message")
    alive.expect(b"up\n")
    alive.expect_end()
    w.call(server, "wait", "--notify")
    alive.expect(b"up\n")
    alive.expect_end()


@test
def endpoint_names(w):
    w.run("keygen", "-o", "server")
    for spec in ("echo=echo 1", "time=echo 1", "a b=echo 1", "$/x=echo 1", "x" * 129 + "=echo 1",
                 "ü=echo 1"):
        w.run("serve", "--listen", "127.0.0.1:0", "--keys", "server", "--exec", spec, status=2,
              name="E_USAGE")
    w.run("serve", "--listen", "127.0.0.1:0", "--keys", "server", "--exec", "a=echo 1", "--exec",
          "a=echo 2", status=2,
          name="E_USAGE")
    server = w.serve("--exec", "A-z.0/_=echo 1=1 >/dev/null; echo 5")
    equal(w.call(server, "A-z.0/_").out, "5\n", "the answer")
