"""Calls against a server: content and answers, curves and ciphers, bootstraps and what is kept."""

import json
import re
import signal
import stat

from harness import check, contains, equal, lacks, test


def stages(result):
    """The stages that -v showed, in order."""
    return re.findall(r"^  ([a-z]+) +\d+\.\d\d m?s  \S", result.err, re.M)


@test
def every_curve_cipher_and_pattern(w):
    for gate in ([], ["--gate"]):
        server = w.serve(*gate)
        w.run("keygen", "-o", "me") if not (w / "me_448.key").exists() else None
        for curve in ("25519", "448"):
            for cipher in ("AESGCM", "ChaChaPoly"):
                for identity in ([], ["--identity", f"me_{curve}.key"]):
                    result = w.call(server, "echo", '{"a":[1,2]}', "--fresh", "--cipher", cipher,
                                    "-v", *gate,
                                    *identity, curve=curve)
                    equal(result.out, '{"a":[1,2]}\n',
                          f"answer on {curve} with {cipher} {gate} {identity}")
                    bootstrap = "XXpsk0" if gate else "XX"
                    session = "IKpsk0" if identity else "NKpsk0"
                    contains(result.err, f"Noise_{bootstrap}_{curve}_{cipher}", "the trace")
                    contains(result.err, f"Noise_{session}_{curve}_{cipher}", "the trace")
        server.stop()


@test
def identity_chooses_the_curve(w):
    server = w.serve()
    w.run("keygen", "-o", "me")
    result = w.call(server, "echo", "1", "-v", "--identity", "me_448.key", pin=False, curve=None,
                    status=6)
    result = w.run("call", "--pin", server.pins["448"], "--identity", "me_448.key", "-v",
                   server.address,
                   "echo", "1")
    contains(result.err, "Noise_IKpsk0_448_", "the trace")
    w.run("call", "--curve", "25519", "--identity", "me_448.key", server.address, "echo", status=2,
          name="E_USAGE")
    w.run("call", "--curve", "448", "--identity", "me_448.key", server.address, "echo", "1")


@test
def identity_files_that_are_none(w):
    w.run("keygen", "-o", "me")
    (w / "open.key").write_bytes((w / "me_25519.key").read_bytes())
    (w / "open.key").chmod(0o644)
    for path, name in (("missing", "E_FILE"), (".", None), ("open.key", "E_PERMISSION"),
                       ("me_25519.pub", None)):
        w.run("call", "--identity", path, "127.0.0.1:1", "echo", status=12, name=name)


@test
def content_comes_back_as_it_was(w):
    server = w.serve()
    texts = ["null", "true", "0", "-0", "1e400", "123456789012345678901234567890.10", '""',
             '"\\u0000\\ud83d\\ude00"', '"Köln, Århus, Ικόνιο 🚢"', "[]", "{}", '{"b":1,"a":2,"b":3}',
             "[1, 2,\n 3]", '{ "x" : [ ] }',
             '"' + "x" * 70000 + '"', "[" * 63 + "]" * 63, '"\\/ \\" \\\\"']
    for text in texts:
        equal(w.call(server, "echo", "-", stdin=text).out, text + "\n", f"echo of {text[:40]!r}")
    for text in (" 1", "1\n", "\n[1]\r\n\t "):
        equal(w.call(server, "echo", "-", stdin=text).out, text.strip() + "\n", f"echo of {text!r}")
    equal(w.call(server, "echo").out, "null\n", "echo of nothing")
    equal(w.call(server, "echo", "-5").out, "-5\n", "echo of a negative number")
    equal(w.call(server, "echo", "--", "-5").out, "-5\n", "echo of a negative number")
    w.write("x.json", '{"from":"a file"}\n')
    equal(w.call(server, "echo", "@x.json").out, '{"from":"a file"}\n', "echo of a file")
    out = w.shell(f'cat x.json | "$SOTTO" call {server.address} echo @/dev/stdin').expect(0).out
    equal(out, '{"from":"a file"}\n', "echo of a pipe that is named like a file")
    server.stop()


@test
def layouts_of_the_answer(w):
    server = w.serve()
    text = (' { "big" : 12345678901234567890.50 , "s" : "a { b, \\"c : d\\" \\\\" , "e" : [ ] ,'
            ' "o":{}, "l": [ 1 , {"x":null} ] } ')
    equal(w.call(server, "echo", text).out, text.strip() + "\n", "as it came")
    equal(w.call(server, "echo", text, "--compact").out,
          '{"big":12345678901234567890.50,"s":"a { b, \\"c : d\\" \\\\","e":[],"o":{},'
          '"l":[1,{"x":null}]}\n', "compact")
    equal(w.call(server, "echo", text, "--pretty").out,
          '{\n  "big": 12345678901234567890.50,\n  "s": "a { b, \\"c : d\\" \\\\",\n  "e": [],\n'
          '  "o": {},\n  "l": [\n    1,\n    {\n      "x": null\n    }\n  ]\n}\n', "pretty")
    for scalar in ("5", '"x"', "null", "[]", "{}"):
        for layout in ("--compact", "--pretty"):
            equal(w.call(server, "echo", scalar, layout).out, scalar + "\n", f"{scalar} {layout}")


@test
def time_endpoint(w):
    server = w.serve()
    answer = json.loads(w.call(server, "time").out)
    equal(set(answer), {"unix_ms", "utc"}, "members")
    check(isinstance(answer["unix_ms"], int) and answer["unix_ms"] > 1_700_000_000_000,
          f"the time {answer}")
    check(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer["utc"]),
          f"the time {answer}")


@test
def endpoints_of_the_protocol(w):
    server = w.serve("--exec", "extra/one=echo 1")
    equal(server.endpoints, ["echo", "time", "extra/one"], "endpoints in the ready lines")
    names = [e["name"] for e in json.loads(w.call(server, "$/endpoints").out)]
    equal(sorted(names), ["echo", "extra/one", "time"], "$/endpoints")
    equal(w.call(server, "$/ping", "[1]").out, "[1]\n", "$/ping")
    equal(json.loads(w.call(server, "$/health").out), {"status": "serving"}, "$/health")


@test
def no_such_endpoint(w):
    server = w.serve()
    for name in ("nope", "Echo", "echo/", "$/nope"):
        result = w.call(server, name, status=9, name="E_NOT_FOUND")
        contains(result.err, "not_found", "the message")
        equal(result.out, "", "standard output")


@test
def bad_endpoint_names(w):
    server = w.serve()
    for name in ("", "a b", "x" * 129, "ü", "a\nb", "*"):
        w.call(server, name, status=2, name="E_USAGE")


@test
def second_call_skips_the_bootstrap(w):
    server = w.serve()
    first = w.call(server, "echo", "1", "-v")
    equal([s for s in stages(first) if s in ("bootstrap", "trust", "session", "call")],
          ["bootstrap", "trust", "session", "call"], "stages of the first call")
    second = w.call(server, "echo", "2", "-v", pin=False)
    check("bootstrap" not in stages(second), f"a second bootstrap: {second}")
    equal([s for s in stages(second) if s in ("session", "call")], ["session", "call"], "stages")
    fresh = w.call(server, "echo", "3", "-v", "--fresh", pin=False)
    check("bootstrap" in stages(fresh), f"no bootstrap with --fresh: {fresh}")
    quiet = w.call(server, "echo", "4", pin=False)
    equal(quiet.err, "", "standard error without -v")
    result = server.stop()
    equal(result.err, "", "standard error of the server")


@test
def trace_has_no_secrets(w):
    server = w.serve("-v")
    texts = [w.call(server, "echo", "1", "-v").err, w.run("bootstrap", "-v", server.address).out]
    secrets = json.loads((w / "secrets/server.json").read_text())
    texts.append(server.stop().err)
    for text in texts:
        for secret in (secrets["server_string"], secrets["shared_string"], *secrets["salts"]):
            lacks(text, secret, "what is printed")
    check(re.search(r"\d+ connections, 3 bootstraps|\d+ connections, 2 bootstraps", texts[-1]),
          f"counters: {texts[-1]!r}")


@test
def kept_results(w):
    server = w.serve()
    w.call(server, "echo", "1")
    w.call(server, "echo", "1", curve="448")
    files = list(w.sessions.iterdir())
    check(files, "nothing was kept")
    for path in files:
        equal(stat.S_IMODE(path.stat().st_mode), 0o600, f"mode of {path.name}")
    equal(stat.S_IMODE(w.sessions.stat().st_mode), 0o700, "mode of the folder")
    for damage in (b"", b"garbage", files[0].read_bytes()[:20], b"\0" * 4096):
        for path in files:
            path.write_bytes(damage)
        equal(w.call(server, "echo", "2", pin=False).out, "2\n", "answer with damaged results")
    for path in w.sessions.iterdir():
        path.unlink()
    equal(w.call(server, "echo", "3", "-v", pin=False).out, "3\n", "answer without results")


@test
def where_results_are_kept(w):
    server = w.serve()
    w.call(server, "echo", "1", "--state-dir", "")
    check(not w.sessions.exists(), "something was kept with an empty --state-dir")
    w.call(server, "echo", "1", "--state-dir", "mine")
    check(list((w / "mine").iterdir()), "nothing was kept in --state-dir")
    w.call(server, "echo", "1", env={"XDG_STATE_HOME": str(w / "xdg")})
    check(list((w / "xdg/sotto/sessions").iterdir()), "nothing was kept in XDG_STATE_HOME")
    w.write("file", "x")
    equal(w.call(server, "echo", "1", "--state-dir", "file/x").out, "1\n",
          "answer when nothing can be kept")
    check(not w.sessions.exists(), "something was kept elsewhere")


@test
def restarted_server(w):
    """Another epoch under the same key: one new bootstrap by itself, under the existing pin."""
    server = w.serve()
    w.call(server, "echo", "1")
    server.stop()
    server = w.serve(listen=server.address)
    result = w.call(server, "echo", "2", "-v", pin=False)
    equal(result.out, "2\n", "the answer")
    equal(stages(result).count("bootstrap"), 1, f"bootstraps in {result}")
    result = w.call(server, "echo", "3", "-v", pin=False)
    equal(stages(result).count("bootstrap"), 0, f"bootstraps in {result}")


@test
def bootstrap_alone(w):
    server = w.serve()
    result = w.run("bootstrap", "--pin", server.pins["25519"], server.address)
    fields = dict(re.match(r"(\S+(?: \S+)*?) {2,}(.*)",
                           line).groups() for line in result.out.splitlines())
    equal(fields["server"], server.address, "server")
    check(re.fullmatch("[0-9a-f]{32}", fields["server id"]), "server id")
    check(re.fullmatch("[0-9a-f]{16}", fields["epoch"]), "epoch")
    equal(fields["server string"], "(hidden)", "server string")
    equal((fields["iterations"], fields["client auth"]), ("10000", "none"),
          "iterations and client auth")
    check(0 <= int(fields["salt index"]) < 100, "salt index")
    contains(fields["key"], server.pins["25519"] + "  pinned now", "key")
    contains(fields["other key"], server.pins["448"], "other key")
    again = w.run("bootstrap", server.address)
    contains(again.out, server.pins["25519"] + "  known", "key")
    contains(again.out, fields["epoch"], "the epoch of the same server")
    result = w.call(server, "echo", "1", "-v", pin=False)
    check("bootstrap" not in stages(result), f"a bootstrap after a bootstrap: {result}")


@test
def address_with_fingerprint(w):
    server = w.serve()
    uri = f"sotto://{server.pins['25519']}@{server.address}"
    equal(w.run("call", uri, "echo", "1").out, "1\n", "the answer")
    equal(w.run("call", "--pin", server.pins["25519"], uri, "echo", "1").out, "1\n", "the answer")
    equal(w.run("call", f"sotto://{server.address}", "echo", "1").out, "1\n", "the answer")
    wrong = f"sotto://{server.pins['448']}@{server.address}"
    w.run("call", "--fresh", wrong, "echo", "1", status=6, name="E_KEY_MISMATCH")


@test
def names_for_the_local_host(w):
    server = w.serve(listen="localhost:0")
    result = w.run("call", "--pin", server.pins["25519"], f"localhost:{server.port}", "echo", "1")
    equal(result.out, "1\n", "the answer")
    contains(w.known_servers.read_text(), f"localhost:{server.port} ", "the known servers")


@test
def environment_and_options(w):
    server = w.serve("--exec", f'wait=read x <"$W/go"')
    w.fifo("go", writing=True)
    w.call(server, "wait", env={"SOTTO_TIMEOUT": "200ms"}, status=4, name="E_TIMEOUT")
    w.call(server, "echo", "1", "--timeout", "30s", env={"SOTTO_TIMEOUT": "1ms"})
    w.call(server, "echo", "1", "--secrets", "secrets/client.json",
           env={"SOTTO_SECRETS": "/nonexistent"})
    w.call(server, "echo", "1", "--known-servers", "known",
           env={"SOTTO_KNOWN_SERVERS": "/nonexistent/x"})
    w.call(server, "echo", "1", env={"SOTTO_KNOWN_SERVERS": "known2"})
    check((w / "known").exists() and (w / "known2").exists(), "files of known servers")


@test
def documents_of_a_mebibyte(w):
    server = w.serve("--max-message", "4MiB")
    small = w.serve()
    for size in (65517, 65518, 1048576 - 200, 1048576, 2097152):
        w.write("big.json", json.dumps("x" * (size - 2)))
        result = w.call(server, "echo", "@big.json", "--max-message", "4MiB")
        equal(result.out, (w / "big.json").read_text() + "\n", f"echo of {size} bytes")
    w.write("big.json", json.dumps("x" * (1048576 - 202)))
    equal(w.call(small, "echo", "@big.json").out, (w / "big.json").read_text() + "\n",
          "echo by default")


@test
def messages_too_large(w):
    server = w.serve("--max-message", "1024", "--exec", "big=head -c 5000 /dev/zero | tr '\\0' 7")
    w.write("big.json", json.dumps("x" * 2000))
    result = w.call(server, "echo", "@big.json", status=10, name="E_TOO_LARGE")
    contains(result.err, "1024", "the limit in the message")
    w.call(server, "big", "--max-message", "1024", status=10, name="E_TOO_LARGE")
    equal(w.call(server, "big").out, "7" * 5000 + "\n", "an answer that is not too large")
    w.write("big.json", json.dumps("x" * (2 << 20)))
    default = w.serve()
    w.call(default, "echo", "@big.json", status=10, name="E_TOO_LARGE")


@test
def deadline(w):
    alive = w.fifo("alive")
    w.fifo("go", writing=True)
    server = w.serve("--exec", 'wait=exec 8>"$W/alive"; echo up >&8; read line <"$W/go"')
    result = w.call(server, "wait", "--timeout", "700ms", status=4, name="E_TIMEOUT")
    equal(result.out, "", "standard output")
    alive.expect(b"up\n")
    alive.expect_end()  # the program was killed at its deadline
    equal(w.call(server, "echo", "1").out, "1\n", "the next call")


@test
def interrupted(w):
    alive = w.fifo("alive")
    w.fifo("go", writing=True)
    server = w.serve("--call-timeout", "1h",
                     "--exec", 'wait=exec 8>"$W/alive"; echo up >&8; read line <"$W/go"')
    call = w.start_call(server, "wait", "--timeout", "1h")
    alive.expect(b"up\n")
    call.signal(signal.SIGINT)
    result = call.wait()
    equal(result.status, -signal.SIGINT, "status of an interrupted call (130 for a shell)")
    alive.expect_end()


@test
def two_calls_at_once(w):
    """Each program waits for the other one: only together can they end."""
    for name in ("ab", "ba"):
        w.fifo(name, writing=True)
    server = w.serve("--exec", 'a=echo from-a >"$W/ab"; read x <"$W/ba"; echo "\\"$x\\""',
                     "--exec", 'b=echo from-b >"$W/ba"; read x <"$W/ab"; echo "\\"$x\\""')
    calls = [w.start_call(server, "a"), w.start_call(server, "b")]
    equal([c.wait().expect(0).out for c in calls], ['"from-b"\n', '"from-a"\n'], "the answers")


@test
def many_first_calls_at_once(w):
    server = w.serve()
    calls = [w.start("call", "--trust", "accept-new", server.address, "echo",
                     str(i)) for i in range(8)]
    equal([c.wait().expect(0).out for c in calls], [f"{i}\n" for i in range(8)], "the answers")
    equal(len(w.known_servers.read_text().splitlines()), 2, "lines of known servers")
    equal(w.call(server, "echo", "9", pin=False).out, "9\n", "a call afterwards")


@test
def notification(w):
    told = w.fifo("told")
    server = w.serve("--exec", 'tell=cat >"$W/told"', "--exec", "fail=exit 3")
    result = w.call(server, "tell", '{"x":1}', "--notify")
    equal((result.out, result.err), ("", ""), "what a notification prints")
    told.expect(b'{"x":1}')
    # Nobody is told, but the operator: standard error of the server.
    w.call(server, "fail", "--notify")
    w.call(server, "nope", "--notify")
    equal(w.call(server, "echo", "1").out, "1\n", "a call afterwards")
    contains(server.stop().err, "endpoint fail: exit status 3", "what the operator sees")


@test
def standard_output_of_a_call_closed_or_full(w):
    server = w.serve()
    w.call(server, "echo", "1")
    for where in (">&-", ">/dev/full"):
        for command in (f"call {server.address} echo 1", f"bootstrap {server.address}"):
            result = w.shell(f"exec $SOTTO {command} {where}")
            result.expect(1)
            contains(result.error()["what"], "standard output", f"`{command} {where}`")


@test
def answers_on_a_terminal(w):
    """What could steer the terminal is escaped there, and nowhere else."""
    server = w.serve()
    text = '"del \x7f, CSI \u009b, n\u0303, \u00e4"'
    equal(w.call(server, "echo", text).out, text + "\n", "the answer to a pipe")
    shown = '"del \\u007f, CSI \\u009b, n\u0303, \u00e4"\r\n'
    equal(json.loads(shown), json.loads(text), "what the escapes mean")
    for options in ([], ["--compact"], ["--pretty"]):
        args = ["call", *options, server.address, "echo", text]
        with w.terminal(*args, stdout=True) as (call, terminal):
            terminal.expect(shown)
            call.wait()


@test
def public_secrets(w):
    """Without secrets of one's own: a warning on both sides, and nothing but loopback."""
    server = w.serve(secrets=False)
    contains(server.err(), "everybody knows", "the server's warning")
    result = w.call(server, "echo", "1")
    equal(result.out, "1\n", "the answer")
    contains(result.err, "everybody knows", "the client's warning")
    equal(len(result.err.splitlines()), 1, "lines of the warning")
    for address in ("0.0.0.0:0", "[::]:0"):
        refused = w.run("serve", "--keys", "server", "--listen", address, status=12,
                        name="E_DEFAULT_SECRETS")
        contains(refused.err, "--insecure-default-secrets", "the hint")
    open_server = w.serve("--insecure-default-secrets", secrets=False, listen="0.0.0.0:0")
    contains(open_server.err(), "everybody knows", "the server's warning")
    equal(w.run("call", "--pin", open_server.pins["25519"], f"127.0.0.1:{open_server.port}",
                "echo", "1").out,
          "1\n", "the answer")
    own = w.serve(listen="0.0.0.0:0")
    equal(own.err(), "", "standard error with secrets of one's own")


@test
def examples(w):
    if "client" not in w.programs:
        return
    server = w.serve(secrets=False)
    result = w.run_any(server.address, program=w.programs["client"])
    equal((result.status, result.out, result.err), (0, '"hello"\n', ""), "the example client")
    result = w.run_any("127.0.0.1:1", program=w.programs["client"])
    equal(result.status, 1, "status of the example client without a server")
    check(result.err, "the example client says nothing about its error")
    example = w.start("server_25519.key", "127.0.0.1:0", program=w.programs["server"])
    address = example.process.stdout.readline().decode().strip()
    equal(w.run("call", "--trust", "accept-new", address, "hello").out, '"hello"\n',
          "the example server")


@test
def demo(w):
    if "demo" not in w.programs:
        return
    result = w.run_any(w.programs["sotto"], program=w.programs["demo"])
    equal(result.status, 0, f"status of the demo: {result}")
    check(re.search(r"\ndemo: \d+ steps, all as expected\n\Z", result.out),
          f"the last line: {result}")
    broken = w.run_any("/bin/true", program=w.programs["demo"])
    check(broken.status != 0, "the demo does not notice a command that does nothing")
    equal([p.name for p in w.home.iterdir()], [], "what the demo leaves at home")


