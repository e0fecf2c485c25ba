"""`sotto serve`: starting, stopping, keys, clients, and what it refuses."""

import os
import re
import signal
import socket
import stat

from harness import WAITING, check, contains, equal, fails, lacks, test


@test
def first_start_makes_keys(w):
    first = w.serve(keys=None)
    keys = w.home / ".config/sotto"
    contains(first.err(), f"made {keys}/server_25519.key and {keys}/server_448.key", "what it says")
    for name in ("server_25519.key", "server_448.key"):
        equal(stat.S_IMODE((keys / name).stat().st_mode), 0o600, f"mode of {name}")
    for curve, pin in first.pins.items():
        equal(w.run("fingerprint", keys / f"server_{curve}.pub").out.split()[:2], [pin, curve],
              "fingerprint")
    first.stop()
    second = w.serve(keys=None)
    equal(second.err(), "", "what the second start says")
    equal(second.pins, first.pins, "fingerprints")
    other = w.serve("--keys", "mine", keys=None)
    contains(other.err(), "made mine_25519.key and mine_448.key", "what it says")
    xdg = w.serve(keys=None, env={"XDG_CONFIG_HOME": str(w / "xdg")})
    check((w / "xdg/sotto/server_448.key").exists(), "keys in XDG_CONFIG_HOME")
    check(xdg.pins != first.pins, "the same keys twice")


@test
def one_curve_only(w):
    w.run("keygen", "-o", "one", "--curve", "25519")
    server = w.serve(keys="one")
    equal(list(server.pins), ["25519"], "fingerprints")
    equal(w.call(server, "echo", "1").out, "1\n", "the answer")
    result = w.run("call", "--curve", "448", "--trust", "accept-new", server.address, "echo", "1",
                   status=7,
                   name="E_REFUSED")
    contains(result.err, "unsupported_curve", "the message")


@test
def keys_that_cannot_be_used(w):
    w.run("keygen", "-o", "k")

    def serve(status, name=None):
        return w.run("serve", "--listen", "127.0.0.1:0", "--keys", "k", status=status, name=name)

    key = w / "k_448.key"
    good = key.read_bytes()
    for mode in (0o640 if os.getuid() else 0o644, 0o604, 0o660):
        key.chmod(mode)
        contains(serve(12, "E_PERMISSION").err, "k_448.key", "the message")
    key.chmod(0o600)
    for content in (b"", b"hello", good[:50], (w / "k_448.pub").read_bytes(),
                    (w / "k_25519.key").read_bytes()):
        key.write_bytes(content)
        contains(serve(12).err, "k_448.key", "the message")
    key.unlink()
    key.mkdir()
    serve(12)
    key.rmdir()
    os.mkfifo(key, 0o600)
    serve(12)
    key.unlink()
    (w / "k_25519.key").unlink()
    serve(12, "E_EXISTS")  # the public halves are still there: nothing is overwritten
    check(not key.exists(), "a key beside somebody else's public half")


@test
def secrets_that_cannot_be_used(w):
    w.run("keygen", "-o", "k")
    w.run("secrets", "new", "d")
    (w / "d/open.json").write_bytes((w / "d/server.json").read_bytes())
    (w / "d/open.json").chmod(0o644)
    for name, error in (("d/client.json", None), ("d/open.json", "E_PERMISSION"),
                        ("d/missing.json", "E_FILE"),
                        ("d", None)):
        result = w.run("serve", "--listen", "127.0.0.1:0", "--keys", "k", "--secrets", name,
                       status=12, name=error)
        contains(result.err, name, "the message")


@test
def address_in_use_or_not_ours(w):
    server = w.serve()
    serve = ["serve", "--keys", "server", "--secrets", "secrets/server.json", "--listen"]
    result = w.run(*serve, server.address, status=1, name="E_SYSTEM")
    contains(result.err, server.address, "the message")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        w.run(*serve, f"127.0.0.1:{taken.getsockname()[1]}", status=1, name="E_SYSTEM")
    w.run(*serve, "192.0.2.1:0", status=1, name="E_SYSTEM")
    equal(w.call(server, "echo", "1").out, "1\n", "the first server")


@test
def ready_lines_cannot_be_printed(w):
    w.run("keygen", "-o", "k")
    w.secrets()
    for where in (">&-", ">/dev/full"):
        result = w.shell("exec $SOTTO serve --listen 127.0.0.1:0 --keys k "
                         "--secrets secrets/server.json "
                         f"--exec 'x=echo 1' {where}")
        result.expect(1)
        contains(result.error()["what"], "standard output", "the message")


@test
def signals_when_idle(w):
    for number in (signal.SIGTERM, signal.SIGINT):
        server = w.serve("--exec", "x=echo 1")
        w.call(server, "x")
        # A connection that says nothing does not hold it up.
        with socket.create_connection(("127.0.0.1", server.port)):
            server.signal(number)
            equal(server.wait().status, 0, f"status after {number}")


@test
def signals_that_were_ignored(w):
    """A shell without job control starts background commands with SIGINT ignored."""
    w.secrets()
    w.run("keygen", "-o", "server")
    told = w.fifo("told")
    running = w.start("-c", "trap '' INT; exec \"$SOTTO\" serve --listen 127.0.0.1:0 --keys server "
                      "--secrets secrets/server.json >told", program="/bin/sh",
                      env={"SOTTO": str(w.programs["sotto"])})
    contains(told.read().decode(), "ready", "the ready lines")
    running.signal(signal.SIGINT)
    equal(running.wait().status, 0, "status after SIGINT")


@test
def calls_in_flight_are_finished(w):
    alive = w.fifo("alive")
    go = w.fifo("go", writing=True)
    server = w.serve("--exec", "wait=" + WAITING)
    w.call(server, "echo", "1")
    call = w.start_call(server, "wait")
    alive.expect(b"up\n")
    server.signal(signal.SIGTERM)
    # It listens no more as soon as the drain has begun; a call before that is answered or refused.
    for _ in range(1000):
        late = w.run_any("call", server.address, "echo", "2")
        if late.status == 5:
            break
        # 7: the connection was waiting to be accepted when listening ended.
        check(late.status in (0, 7, 11), f"a call at the beginning of the drain: {late}")
    late.expect(5, "E_CONNECT")
    go.write(b"finished\n")
    equal(call.wait().expect(0).out, '"finished"\n', "the answer in flight")
    result = server.wait()
    equal((result.status, result.err), (0, ""), f"the end of {result}")


@test
def drain_timeout(w):
    alive = w.fifo("alive")
    w.fifo("go", writing=True)
    server = w.serve("--drain-timeout", "300ms", "--exec", "wait=" + WAITING)
    call = w.start_call(server, "wait")
    alive.expect(b"up\n")
    server.signal(signal.SIGTERM)
    equal(server.wait().status, 0, "status after the drain timeout")
    alive.expect_end()
    result = call.wait()
    check(result.status in (5, 11), f"the call that was not finished: {result}")
    result.expect(result.status)


@test
def drain_timeout_of_zero(w):
    alive = w.fifo("alive")
    w.fifo("go", writing=True)
    server = w.serve("--drain-timeout", "0s", "--exec", "wait=" + WAITING)
    call = w.start_call(server, "wait")
    alive.expect(b"up\n")
    server.signal(signal.SIGTERM)
    equal(server.wait().status, 0, "status")
    alive.expect_end()
    check(call.wait().status in (5, 11), "the call that was not finished")


@test
def notifications_are_finished(w):
    """A program that nobody waits for may still end in peace, until the drain timeout."""
    alive = w.fifo("alive")
    go = w.fifo("go", writing=True)
    told = w.fifo("told")
    server = w.serve("--exec", f'wait=({WAITING}) >"$W/told"')
    w.call(server, "wait", "--notify")
    alive.expect(b"up\n")
    server.signal(signal.SIGTERM)
    fails(lambda: equal(alive.read(bound_s=0.3), b"", "the end"), "the program was killed at once")
    go.write(b"done\n")
    told.expect(b'"done"\n')
    equal(server.wait().status, 0, "status")


@test
def second_signal(w):
    for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)):
        alive = w.fifo(f"alive{first}")
        w.fifo(f"go{first}", writing=True)
        program = WAITING.replace("alive", f"alive{first}").replace("/go", f"/go{first}")
        server = w.serve("--exec", "wait=" + program)
        call = w.start_call(server, "wait")
        alive.expect(b"up\n")
        server.signal(first)
        # Two signals of one kind count once while the first was not taken: wait for its effect.
        for _ in range(1000):
            if w.run_any("call", server.address, "echo", "2").status == 5:
                break
        server.signal(second)
        equal(server.wait().status, 130, f"status after {first} and {second}")
        alive.expect_end()
        call.wait().expect(5, "E_LOST")


@test
def known_clients_only(w):
    w.run("keygen", "-o", "me")
    w.run("keygen", "-o", "stranger")
    w.write("clients", "".join(w.run("fingerprint", "--line", f"me_{c}.pub").out for c in ("25519",
                                                                                           "448")))
    for options in (["--clients", "clients"], ["--clients", "clients", "--client-auth",
                                               "required"]):
        server = w.serve(*options)
        for curve in ("25519", "448"):
            equal(w.call(server, "echo", "1", "--identity", f"me_{curve}.key", curve=curve).out,
                  "1\n", "the answer")
            for fresh in ([], ["--fresh"]):
                for identity in ([], ["--identity", f"stranger_{curve}.key"]):
                    result = w.call(server, "echo", "1", *fresh, *identity, curve=curve, status=8,
                                    name="E_DENIED")
                    equal(result.out, "", "standard output")
                    contains(result.err, "--identity" if not identity or fresh else "--clients",
                             "the hint")
        server.stop()


@test
def client_files_that_are_none(w):
    w.run("keygen", "-o", "k")
    line = w.run("fingerprint", "--line", "k_25519.pub").out.strip()
    w.write("writable", line + "\n", 0o666)
    (w / "folder").mkdir()
    os.mkfifo(w / "pipe")

    def serve(name, error=None):
        result = w.run("serve", "--listen", "127.0.0.1:0", "--keys", "k", "--clients", name,
                       status=12, name=error)
        contains(result.err, name, "the message")
        return result

    serve("missing", "E_FILE")
    serve("writable", "E_PERMISSION")
    serve("folder")
    serve("pipe")
    for content, number in (("nonsense\n", 1), (f"# x\n{line}\n\n{line} again\n", 4),
                            (line[:-4] + "\n", 1)):
        w.write("clients", content)
        contains(serve("clients", "E_FORMAT").err, f"line {number}", "the message")
    w.write("clients", "# nobody\n")
    server = w.serve("--clients", "clients")
    w.call(server, "echo", "1", status=8, name="E_DENIED")


@test
def other_secrets(w):
    """Secrets that were not made together: a handshake that ends without a word."""
    server = w.serve()
    w.run("secrets", "new", "others")
    result = w.call(server, "echo", "1", "--secrets", "others/client.json", status=7,
                    name="E_HANDSHAKE")
    contains(result.err, "secrets", "the message")
    gated = w.serve("--gate")
    w.call(gated, "echo", "1", "--gate", "--secrets", "others/client.json", status=7,
           name="E_HANDSHAKE")
    equal(w.call(gated, "echo", "1", "--gate").out, "1\n", "the answer with the right secrets")


@test
def gates_that_do_not_match(w):
    gated, open_server = w.serve("--gate"), w.serve()
    for server, options in ((gated, []), (open_server, ["--gate"])):
        result = w.call(server, "echo", "1", *options, status=7, name="E_REFUSED")
        contains(result.err, "unsupported_pattern", "the message")
        contains(result.error()["hint"], "--gate", "the hint")


@test
def secrets_with_more_iterations(w):
    w.run("secrets", "new", "secrets", "--iterations", "50000")
    server = w.serve()
    contains(w.run("bootstrap", "--pin", server.pins["25519"], server.address).out,
             "iterations     50000", "bootstrap")
    equal(w.call(server, "echo", "1", pin=False).out, "1\n", "the answer")


@test
def garbage_on_the_port(w):
    server = w.serve("-v")
    for data in (b"", b"\0", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 5000, bytes(100), b"\0\x02{}\0\0",
                 b"\x04\x00" + b"x" * 2000, os.urandom(3000)):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            try:
                while connection.recv(65536):
                    pass
            except ConnectionResetError:
                pass
    equal(w.call(server, "echo", "1").out, "1\n", "a call afterwards")
    err = server.stop().err
    counters = re.search(r"(\d+) connections, 1 bootstraps, 1 sessions, 1 requests", err)
    check(counters and int(counters[1]) == 10, f"the counters: {err!r}")
    lacks(err, "HTTP", "what the server prints")


@test
def workers(w):
    for number in ("1", "8"):
        server = w.serve("--workers", number)
        calls = [w.start_call(server, "echo", str(i)) for i in range(6)]
        equal([c.wait().expect(0).out for c in calls], [f"{i}\n" for i in range(6)], "the answers")
        server.stop()


@test
def ipv6(w):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return  # this machine has none
    server = w.serve(listen="[::1]:0")
    check(server.address.startswith("[::1]:"), f"the address {server.address}")
    equal(w.call(server, "echo", "1").out, "1\n", "the answer")
    contains(w.run("trust", "list").out, server.address, "the known servers")
    server.stop()
    other = w.serve(keys="other", listen=server.address)
    result = w.call(other, "echo", "1", pin=False, status=6, name="E_KEY_MISMATCH")
    # The brackets would be a pattern to the shell: the command in the hint has to be quoted.
    w.write("[", "")
    command = re.search(r"sotto (trust remove .*)", result.error()["hint"])[1]
    contains(w.shell(f"exec $SOTTO {command}").expect(0).out, "removed 2 keys",
             "the command of the hint")
