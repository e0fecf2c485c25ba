"""Which server is trusted: the commands for it, the policies, keys that change."""

import os
import re
import stat

from harness import check, contains, equal, lacks, test
from local import fingerprint_of, raw_key

ADDRESS = "gateway.example:7448"


@test
def add_list_remove(w):
    w.run("keygen", "-o", "a")
    w.run("keygen", "-o", "b")
    pins = {c: fingerprint_of(c, raw_key(w / f"a_{c}.pub", c)) for c in ("25519", "448")}
    line = w.run("fingerprint", "--line", "a_448.pub").out.strip()

    equal(w.run("trust", "list").out, "", "an empty list")
    w.run("trust", "list", ADDRESS, status=1, name="E_KEY_UNKNOWN")
    result = w.run("trust", "add", ADDRESS, "a_25519.pub")
    contains(result.out, f"{ADDRESS}  25519  {pins['25519']}  added", "what is printed")
    contains(w.run("trust", "add", "GATEWAY.example", "a_25519.pub").out, "was there already",
             "again")
    w.run("trust", "add", ADDRESS, line)
    w.run("trust", "add", "other.example", *line.split())
    equal(stat.S_IMODE(w.known_servers.stat().st_mode) & 0o022, 0,
          "others can write to known_servers")
    first, second, third = w.run("trust", "list").out.splitlines()
    equal(first, f"{ADDRESS}  25519  {pins['25519']}  line 1", "the first line")
    equal(second, f"{ADDRESS}  448    {pins['448']}  line 2", "the second line")
    equal(w.run("trust", "list", ADDRESS).out, f"{first}\n{second}\n", "the list of one server")
    equal(w.run("trust", "list", f"sotto://{ADDRESS}").out, f"{first}\n{second}\n",
          "the list of one server")
    equal(third.split()[0], "other.example:7448", "the third line")

    before = w.known_servers.read_text()
    for key in ("b_25519.pub", w.run("fingerprint", "--line", "b_448.pub").out.strip()):
        result = w.run("trust", "add", ADDRESS, key, status=6, name="E_KEY_MISMATCH")
    equal(w.known_servers.read_text(), before, "the file after a refusal")

    w.known_servers.write_text("# mine\n" + before + "\n  # end\n")
    equal(w.run("trust", "remove", "--curve", "448", ADDRESS).out,
          f"removed 1 key of {ADDRESS} from {w.known_servers}\n", "remove")
    contains(w.run("trust", "remove", "--curve", "448", ADDRESS, status=1,
                   name="E_KEY_UNKNOWN").err, ADDRESS,
             "remove again")
    contains(w.run("trust", "list").out, f"{pins['25519']}  line 2", "the list")
    w.run("trust", "remove", ADDRESS)
    w.run("trust", "remove", ADDRESS, status=1)
    text = w.known_servers.read_text()
    check(text.startswith("# mine\n") and text.endswith("\n  # end\n") and "other.example" in text,
          f"the other lines: {text!r}")


@test
def keys_that_are_none(w):
    w.run("keygen", "-o", "a")
    for key, status in (("missing.pub", 12), ("a_25519.key", 12), ("sotto-x25519", 2),
                        ("sotto-x25519 AAAA", 2),
                        ("sotto-x448 " + 43 * "A" + "=", 2), ("sotto-x25519 " + 43 * "A" + "=", 2)):
        w.run("trust", "add", ADDRESS, key, status=status)
    wrong = fingerprint_of("25519", bytes(32))
    w.run("trust", "add", f"sotto://{wrong}@{ADDRESS}", "a_25519.pub", status=6,
          name="E_KEY_MISMATCH")
    right = fingerprint_of("25519", raw_key(w / "a_25519.pub", "25519"))
    check(not w.known_servers.exists(), "a file of known servers")
    w.run("trust", "add", f"sotto://{right}@{ADDRESS}", "a_25519.pub")


@test
def stores_that_cannot_be_used(w):
    server = w.serve()
    w.run("keygen", "-o", "a")
    key = w.run("fingerprint", "--line", "a_25519.pub").out.strip()
    (w / "folder").mkdir()
    os.mkfifo(w / "pipe")
    w.write("writable", "", 0o666)
    bad = {f"{ADDRESS}\n": 1, f"{ADDRESS} sotto-x25519\n": 1, f"# x\n\n{ADDRESS} {key[:-3]}\n": 3,
           f"{ADDRESS} ssh-ed25519 AAAA\n": 1, "a b c\n": 1,
           f"Gateway.example:7448 {key}\n": 1, f"gateway.example {key}\n": 1, "\x00\n": 1}
    stores = {"folder": None, "pipe": None, "writable": None}
    for number, (content, line) in enumerate(bad.items()):
        stores[w.write(f"bad{number}", content).name] = line
    for store, line in stores.items():
        commands = [["trust", "list"], ["trust", "add", "x.example", "a_25519.pub"],
                    ["trust", "remove", "x.example"],
                    ["call", "--fresh", "--pin", server.pins["25519"], server.address, "echo", "1"],
                    ["bootstrap", "--trust", "accept-new", server.address]]
        before = (w / store).read_text() if line else None
        for command in commands:
            result = w.run(*command, "--known-servers", store, status=6, name="E_TRUST_STORE")
            contains(result.err, store, "the message")
            if line:
                contains(result.error()["why"], f"line {line}", f"the reason of {result}")
        if line:
            equal((w / store).read_text(), before, f"{store} afterwards")


@test
def low_order_point_in_the_store(w):
    server = w.serve()
    w.write("known", f"{server.address} sotto-x25519 {43 * 'A'}=\n")
    for command in (["call", server.address, "echo", "1"], ["trust", "list"],
                    ["bootstrap", "--pin", server.pins["25519"], server.address]):
        result = w.run(*command, "--known-servers", "known", status=6, name="E_TRUST_STORE")
        contains(result.error()["why"], "line 1", "the reason")


@test
def two_keys_for_one_server(w):
    """Nobody can say which one is meant; both can be seen and removed."""
    server = w.serve()
    w.run("keygen", "-o", "a")
    keys = [w.run("fingerprint", "--line", f"{name}_25519.pub").out for name in ("server", "a")]
    for first, second in (keys, reversed(keys)):
        w.write("known", f"{server.address} {first}{server.address} {second}")
        for command in (["call", server.address, "echo", "1"], ["bootstrap", server.address],
                        ["trust", "add", server.address, "server_25519.pub"]):
            result = w.run(*command, "--known-servers", "known", status=6, name="E_TRUST_STORE")
            contains(result.error()["why"], "lines 1 and 2", "the reason")
        equal(len(w.run("trust", "list", "--known-servers", "known").out.splitlines()), 2,
              "lines of the list")
    contains(w.run("trust", "remove", server.address, "--known-servers", "known").out,
             "removed 2 keys", "remove")


@test
def cached_result_needs_the_pin(w):
    """A pin that was removed, or a store that broke, counts although a bootstrap result is kept."""
    server = w.serve()
    w.call(server, "echo", "1")
    w.run("trust", "remove", server.address)
    w.call(server, "echo", "1", pin=False, status=6, name="E_KEY_UNKNOWN")
    w.call(server, "echo", "1")
    w.known_servers.write_text("nonsense\n")
    w.call(server, "echo", "1", pin=False, status=6, name="E_TRUST_STORE")


@test
def strict(w):
    server = w.serve()
    for options in ([], ["--trust", "strict"]):
        result = w.call(server, "echo", "1", *options, pin=False, status=6, name="E_KEY_UNKNOWN")
        contains(result.err, server.pins["25519"], "the fingerprint in the message")
        contains(result.error()["hint"], "--pin " + server.pins["25519"], "the hint")
        check(not w.known_servers.exists(), "a refused server became known")
        equal(list(w.home.rglob("*")), [], "what a refusal leaves behind")


@test
def accept_new(w):
    server = w.serve()
    equal(w.call(server, "echo", "1", "--trust", "accept-new", pin=False).out, "1\n", "the answer")
    listed = w.run("trust", "list", server.address).out
    for pin in server.pins.values():
        contains(listed, pin, "the known servers")
    equal(w.call(server, "echo", "1", "--trust", "strict", pin=False).out, "1\n", "the answer")


@test
def wrong_pin(w):
    server = w.serve()
    wrong = fingerprint_of("25519", bytes(32))
    for known in (False, True):
        if known:
            w.call(server, "echo", "1")
        for fresh in ([], ["--fresh"]):
            result = w.run("call", *fresh, "--pin", wrong, server.address, "echo", "1", status=6,
                           name="E_KEY_MISMATCH")
            contains(result.err, wrong, "the given fingerprint")
            contains(result.err, server.pins["25519"], "the shown fingerprint")
        equal(w.known_servers.exists(), known, "the known servers")
    for trust in ("accept-new", "ask"):
        w.run("call", "--fresh", "--trust", trust, "--pin", wrong, server.address, "echo", "1",
              status=6,
              name="E_KEY_MISMATCH")


@test
def only_another_curve_is_known(w):
    server = w.serve()
    w.run("trust", "add", server.address, "server_25519.pub")
    for options in ([], ["--trust", "accept-new"], ["--pin", server.pins["448"]]):
        result = w.run("call", "--curve", "448", *options, server.address, "echo", "1", status=6,
                       name="E_KEY_UNKNOWN_CURVE")
    contains(result.err, server.pins["448"], "the shown fingerprint")
    equal(w.call(server, "echo", "1", pin=False).out, "1\n", "a call on the known curve")
    # That bootstrap brought the other key.
    equal(w.call(server, "echo", "1", pin=False, curve="448").out, "1\n",
          "a call on the other curve")


@test
def changed_key(w):
    """Both fingerprints, the file, the line, and a command that works as it is printed."""
    for options in ([], ["--known-servers", "my known servers"]):
        old = w.serve()
        known = w / options[1] if options else w.known_servers
        w.call(old, "echo", "1", *options)
        old.stop()
        new = w.serve(keys="new", listen=old.address)
        for trust in ("strict", "accept-new", "ask"):
            result = w.call(new, "echo", "2", "--trust", trust, *options, pin=False, status=6,
                            name="E_KEY_MISMATCH")
            for part in (old.pins["25519"], new.pins["25519"],
                         str(options[1] if options else known), "line 1"):
                contains(result.err, part, "the message")
            contains(known.read_text(), w.run("fingerprint", "--line", "server_25519.pub").out,
                     "the known servers")
        command = re.search(r"sotto (trust remove .*)", result.error()["hint"])
        check(command, f"no command in {result}")
        removed = w.shell(f"exec $SOTTO {command[1]}").expect(0)
        contains(removed.out, "removed 2 keys", "what the command prints")
        w.call(new, "echo", "2", *options, pin=False, status=6, name="E_KEY_UNKNOWN")
        equal(w.call(new, "echo", "2", *options).out, "2\n", "the answer under the new key")
        new.stop()
        for path in w.home.iterdir():
            w.shell('rm -rf "$1"', path).expect(0)


@test
def changed_key_with_the_same_epoch_refused(w):
    """A server with another key and other secrets on a known address gets only a handshake."""
    old = w.serve()
    w.call(old, "echo", "1")
    old.stop()
    w.run("secrets", "new", "others")
    new = w.serve("--secrets", "others/server.json", keys="new", listen=old.address)
    w.call(new, "echo", '"secret"', pin=False, status=6, name="E_KEY_MISMATCH")
    w.call(new, "echo", '"secret"', "--fresh", pin=False, status=6, name="E_KEY_MISMATCH")


@test
def ask_without_a_terminal(w):
    server = w.serve()
    result = w.call(server, "echo", "1", "--trust", "ask", pin=False, status=6,
                    name="E_KEY_UNKNOWN")
    contains(result.err, "no terminal", "the message")
    contains(result.err, server.pins["25519"], "the fingerprint in the message")
    check(not w.known_servers.exists(), "a refused server became known")
    equal(w.call(server, "echo", "1", "--trust", "ask").out, "1\n", "with a pin nobody is asked")
    equal(w.call(server, "echo", "1", "--trust", "ask", pin=False).out, "1\n", "a known server")


@test
def ask_on_the_terminal(w):
    server = w.serve()
    pin = server.pins["25519"]
    other = server.pins["448"]
    for answers, trusted in ((["yes"], True), ([pin], True), (["maybe", "y", "yes"], True),
                             (["no"], False),
                             ([other], False), (["", "ja", "oui"], False), (["\x04"], False)):
        args = ["call", "--fresh", "--trust", "ask", server.address, "echo", "1"]
        with w.terminal(*args) as (call, terminal):
            for answer in answers:
                terminal.expect("type the fingerprint)")
                for part in (server.address, "25519", pin):
                    contains(terminal.seen, part, "the question")
                terminal.seen = terminal.seen.replace("type the fingerprint)", "(asked)")
                terminal.type(answer if answer == "\x04" else answer + "\n")
            result = call.wait()
        if trusted:
            equal(result.expect(0).out, "1\n", f"the answer after {answers}")
            w.run("trust", "remove", server.address)
        else:
            result.expect(6, "E_KEY_UNKNOWN")
            check(not w.known_servers.exists() or "sotto-x" not in w.known_servers.read_text(),
                  f"known after {answers}")


@test
def ask_leaves_the_standard_streams_alone(w):
    server = w.serve()
    w.write("content.json", '{"x":1}')
    with open(w / "content.json", "rb") as content:
        with w.terminal("call", "--trust", "ask", server.address, "echo", "-",
                        stdin=content) as (call, terminal):
            terminal.expect("type the fingerprint)")
            terminal.type("yes\n")
            equal(call.wait().expect(0).out, '{"x":1}\n', "the answer")
            lacks(terminal.seen, '{"x":1}', "the terminal")
