"""What needs no server: arguments, help, keys, secrets, JSON input, standard streams."""

import base64
import hashlib
import json
import os
import re
import stat

from harness import check, contains, equal, lacks, test

COMMANDS = ["secrets new", "secrets embed", "keygen", "fingerprint", "serve", "call", "bootstrap",
            "bench", "trust list", "trust add", "trust remove"]
NOBODY = "127.0.0.1:1"  # nobody listens there; nobody has to
SPKI = {"25519": bytes.fromhex("302a300506032b656e032100"),
        "448": bytes.fromhex("3042300506032b656f033900")}


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def pem(der, label="PUBLIC KEY"):
    text = base64.b64encode(der).decode()
    lines = "\n".join(text[i:i + 64] for i in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def fingerprint_of(curve, raw):
    digest = hashlib.sha256(curve.encode() + b"\0" + raw).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def raw_key(path, curve):
    der = base64.b64decode("".join(path.read_text().splitlines()[1:-1]))
    check(der.startswith(SPKI[curve]), f"{path.name} is no SPKI of {curve}")
    return der[len(SPKI[curve]):]


# ---- Help, version, usage ------------------------------------------------------------------------


@test
def help_of_each_command(w):
    for command in COMMANDS:
        for flag in ("--help", "-h"):
            result = w.run(*command.split(), flag)
            equal(result.err, "", f"standard error of {command} {flag}")
            check(result.out.startswith(f"Usage: sotto {command}"), f"usage in {result}")
            examples = result.out.split("\nExamples:\n")[1].split("\nExit status:\n")[0]
            check(len(re.findall(r"^  .*sotto ", examples, re.M)) >= 2, f"two examples in {result}")
            for status in (*range(13), 130):
                check(re.search(rf"^ +{status}  \w", result.out, re.M),
                      f"status {status} in {result}")
            check(max(map(len, result.out.splitlines())) <= 100, f"width of {result}")


@test
def help_of_the_whole(w):
    texts = {w.run(*args).out for args in (["--help"], ["-h"], ["help"])}
    equal(len(texts), 1, "different texts of --help, -h and help")
    text = texts.pop()
    for command in COMMANDS:
        check(re.search(rf"^  {command} ", text, re.M), f"{command} in {text!r}")
    for group in ("secrets", "trust"):
        text = w.run(group, "--help").out
        for command in COMMANDS:
            check((f"  {command} " in text) == command.startswith(group), f"{command} in {text!r}")


@test
def help_wins_over_other_arguments(w):
    w.run("call", "--timeout", "5s", "--help")
    w.run("serve", "--help", env={"SOTTO_TIMEOUT": "nonsense"})


@test
def version(w):
    check(re.fullmatch(r"sotto \d+\.\d+\.\d+\n", w.run("--version").out), "the version")


@test
def usage_errors_name_what_was_meant(w):
    for args, meant in ((["cal"], '"call"'), (["srve"], '"serve"'), (["key-gen"], '"keygen"'),
                        (["trust", "lst"], '"trust list"'), (["secrets", "ne"], '"secrets new"'),
                        (["call", "--tiemout", "5s", NOBODY, "x"], "--timeout"),
                        (["call", "--curv=448", NOBODY, "x"], "--curve"),
                        (["serve", "--listn", "x"], "--listen"),
                        (["keygen", "--curves", "448"], "--curve")):
        contains(w.run(*args, status=2, name="E_USAGE").err, f"did you mean {meant}", "the message")
    for args in (["frobnicate"], ["--frobnicate"], ["call", "--frobnicate"], ["call", "-x"],
                 ["trust", "frobnicate"]):
        result = w.run(*args, status=2, name="E_USAGE")
        lacks(result.err, "did you mean", "the message")
        contains(result.err, "--help", "the hint")
        equal(result.out, "", "standard output")


@test
def missing_and_superfluous_arguments(w):
    for args in ([], ["secrets"], ["trust"], ["call"], ["call", NOBODY], ["bootstrap"],
                 ["fingerprint"],
                 ["secrets", "new"], ["secrets", "embed"], ["trust", "add"], ["trust", "add",
                                                                              NOBODY],
                 ["trust", "remove"], ["call", NOBODY, "echo", "1", "2"], ["serve",
                                                                           "x"], ["keygen", "x"],
                 ["bootstrap", NOBODY, "x"], ["trust", "list", NOBODY, "x"],
                 ["trust", "add", NOBODY, "a.pub", "x"], ["fingerprint", "a", "b"]):
        w.run(*args, status=2, name="E_USAGE")


@test
def bad_values_of_options(w):
    call = ["call", NOBODY, "echo", "1"]
    for args in ([*call, "--curve", "25518"], [*call, "--curve="], [*call, "--cipher", "aesgcm"],
                 [*call, "--timeout", "5"], [*call, "--timeout", "0s"], [*call, "--timeout", "-5s"],
                 [*call, "--timeout", "5 s"], [*call, "--timeout", "1.5s"], [*call, "--timeout",
                                                                             "25h"],
                 [*call, "--timeout", "99999999999999999999s"], [*call, "--timeout", "ms"],
                 [*call, "--pin", "SHA256:abc"], [*call, "--pin", "MD5:" + 43 * "a"],
                 [*call, "--trust", "off"], [*call, "--trust", ""], [*call, "--max-message",
                                                                     "1023"],
                 [*call, "--max-message", "5G"], [*call, "--max-message", "1kb"],
                 [*call, "--secrets", ""], [*call, "--gate=1"], [*call, "--timeout"],
                 [*call, "--compact", "--pretty"], [*call, "--identity="], [*call, "-vx"],
                 ["serve", "--workers", "0"], ["serve", "--workers", "257"], ["serve", "--workers",
                                                                              "two"],
                 ["serve", "--listen", "a b"], ["serve", "--listen", "127.0.0.1:65536"],
                 ["serve", "--client-auth", "maybe"], ["serve", "--client-auth", "required"],
                 ["serve", "--client-auth", "none", "--clients", "x"], ["serve", "--exec", "x"],
                 ["serve", "--exec", "=true"], ["serve", "--exec", "x="], ["serve",
                                                                           "--drain-timeout", "x"],
                 ["secrets", "new", "x", "--iterations", "9999"],
                 ["secrets", "new", "x", "--iterations", "1000001"],
                 ["secrets", "new", "x", "--iterations", "1e4"], ["keygen", "--curve", "P-256"],
                 ["trust", "remove", NOBODY, "--curve", "0"], ["keygen", "-o"], ["keygen", "-o",
                                                                                 ""]):
        w.run(*args, status=2, name="E_USAGE")
    equal(list(w.path.iterdir()), [w.home], "what wrong usage leaves behind")
    equal(list(w.home.rglob("*")), [], "what wrong usage leaves behind")


@test
def bad_addresses(w):
    for address in ("", "a b", ":7448", "host:", "host:0x1", "host:99999", "[::1", "::1",
                    "http://host",
                    "sotto://x@host", "-", "host/path", "1.2.3"):
        result = w.run("call", "--", address, "echo", status=2, name="E_USAGE")
        contains(result.err, "is no address", "the message")
        w.run("trust", "list", "--", address, status=2, name="E_USAGE")


@test
def fingerprints_that_differ(w):
    pin = fingerprint_of("25519", bytes(32))
    w.run("call", "--pin", fingerprint_of("25519", bytes([1]) * 32), f"sotto://{pin}@{NOBODY}",
          "echo",
          status=2, name="E_USAGE")


@test
def forms_of_options(w):
    w.run("keygen", "-oa", "--curve=25519")
    w.run("keygen", "--output=b", "--curve", "25519", "--")
    w.run("keygen", "--curve", "448", "--curve", "25519", "-o", "x", "--output", "c")
    equal(sorted(p.name for p in w.path.glob("*.pub")),
          ["a_25519.pub", "b_25519.pub", "c_25519.pub"],
          "the files")
    w.run("secrets", "new", "--", "--dir")
    check((w / "--dir/server.json").exists(), "a folder whose name looks like an option")


@test
def bad_environment(w):
    w.run("call", NOBODY, "echo", env={"SOTTO_TIMEOUT": "5"}, status=2, name="E_USAGE")
    w.run("call", NOBODY, "echo", env={"SOTTO_SECRETS": "/nonexistent"}, status=12, name="E_FILE")
    w.run("serve", env={"HOME": "relative"}, status=12, name="E_FILE")
    w.run("call", NOBODY, "echo", env={"HOME": "", "SOTTO_SECRETS": w.secrets()}, status=12,
          name="E_FILE")
    w.run("trust", "list", env={"HOME": ""}, status=12, name="E_FILE")


# ---- Standard streams ----------------------------------------------------------------------------


@test
def standard_output_closed_or_full(w):
    w.run("keygen", "-o", "k")
    w.run("secrets", "new", "s")
    for command in ("--version", "--help", "call --help", "fingerprint k_25519.pub",
                    "secrets embed s/client.json",
                    "keygen -o new1", "secrets new new2"):
        for where in (">&-", ">/dev/full"):
            result = w.shell(f"exec $SOTTO {command} {where}")
            result.expect(1)
            contains(result.error()["what"], "standard output", f"`{command} {where}`")
            # What stood in for standard output must not have been one of the files.
            if "new" in command:
                files = [p.read_text() for pattern in ("new1_*",
                                                       "new2/*") for p in w.path.glob(pattern)]
                # Base64 has neither character; "new" alone may stand in a key.
                check(files and all(text[0] in "-{" and "new1_" not in text and "new2/" not in text
                                    for text in files),
                      "the files")
                w.shell("rm -rf new*").expect(0)


@test
def standard_input_closed(w):
    result = w.shell(f"exec $SOTTO call {NOBODY} echo - <&-")
    result.expect(12, "E_FILE")


@test
def reader_that_has_gone(w):
    w.run("secrets", "new", "s")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = w.start("secrets", "embed", "s/server.json", stdout=writing).wait()
    finally:
        os.close(writing)
    result.expect(1, "E_FILE")
    contains(result.error()["what"], "standard output", "the message")


# ---- JSON input ----------------------------------------------------------------------------------


@test
def garbage_as_content(w):
    cases = {b"": (1, 1), b"   ": None, b"{": None, b"nul": None, b"[1,]": (1, 4),
             b'{"a":1,}': None, b"{'a':1}": (1, 2), b"01": None, b"1.": None, b"NaN": (1, 1),
             b"1 2": (1, 3), b"[1]x": (1, 4), b'"\t"': None, b'"\\x"': None,
             b'{\n "a": 1\n "b": 2}': (3, 2), b"\xef\xbb\xbf1": (1, 1), b'"\xff"': None,
             b'"\xc0\x80"': None, b'"\xed\xa0\x80"': None, b"[" * 65 + b"]" * 65: None,
             b"\x00": (1, 1), b"1\x00": None, b"//\n1": (1, 1)}
    for text, place in cases.items():
        w.write("bad.json", text)
        for result in (w.run("call", NOBODY, "echo", "-", stdin=text, status=12, name="E_JSON"),
                       w.run("call", NOBODY, "echo", "@bad.json", status=12, name="E_JSON")):
            why = result.error()["why"]
            match = re.match(r"line (\d+), column (\d+): \w", why or "")
            check(match, f"line and column in {result}")
            if place:
                equal((int(match[1]), int(match[2])), place, f"place of the error in {text!r}")
    contains(w.run("call", NOBODY, "echo", "{\"a\"}", status=12, name="E_JSON").err, "command line",
             "the message")


@test
def content_files_that_cannot_be_read(w):
    (w / "folder").mkdir()
    for name in ("missing.json", "folder", "folder/x", ""):
        w.run("call", NOBODY, "echo", "@" + name, status=12, name="E_FILE")


# ---- Keys ----------------------------------------------------------------------------------------


@test
def keygen_writes_both_curves(w):
    result = w.shell("umask 0; exec $SOTTO keygen -o k").expect(0)
    for curve in ("25519", "448"):
        key, pub = w / f"k_{curve}.key", w / f"k_{curve}.pub"
        equal((mode(key), mode(pub)), (0o600, 0o644), f"modes on {curve}")
        pin = fingerprint_of(curve, raw_key(pub, curve))
        contains(result.out, f"k_{curve}.pub  {pin}\n", "what keygen prints")
        equal(w.run("fingerprint", f"k_{curve}.pub").out, f"{pin} {curve} k_{curve}.pub\n",
              "fingerprint")
        lacks(result.out, key.read_text().splitlines()[1], "what keygen prints")
    equal(len(list(w.path.glob("k_*"))), 4, "number of files")


@test
def keygen_one_curve_and_default_name(w):
    w.run("keygen", "--curve", "448")
    equal(sorted(p.name for p in w.path.glob("sotto*")), ["sotto_448.key", "sotto_448.pub"],
          "the files")


@test
def keygen_overwrites_nothing(w):
    for existing in ("k_25519.key", "k_25519.pub", "k_448.key", "k_448.pub"):
        path = w.write(existing, "mine\n")
        w.run("keygen", "-o", "k", status=12, name="E_EXISTS")
        equal([p.name for p in w.path.glob("k_*")], [existing], "the files afterwards")
        equal(path.read_text(), "mine\n", "the file that was there")
        path.unlink()
    os.symlink("elsewhere", w / "k_25519.key")
    w.run("keygen", "-o", "k", status=12, name="E_EXISTS")
    check(not (w / "elsewhere").exists(), "written through a dangling link")


@test
def keygen_into_nowhere(w):
    w.write("file", "x")
    for prefix in ("missing/k", "file/k", "x" * 300):
        w.run("keygen", "-o", prefix, status=12, name="E_FILE")
    equal(sorted(p.name for p in w.path.iterdir()), ["file", "home"], "the files afterwards")


@test
def full_disk_leaves_nothing_half_written(w):
    w.run("keygen", "-o", "k")
    commands = {"keygen -o new": "new_*", "secrets new new": "new/*",
                "trust add --known-servers new localhost k_25519.pub": "new*"}
    for command, pattern in commands.items():
        # In blocks of 512 bytes; the secrets are some 7 KiB, keys and pins less than one block.
        for blocks in (0, 1) if "secrets" in command else (0,):
            result = w.shell(f"ulimit -f {blocks}; exec $SOTTO {command}")
            result.expect(6 if "trust" in command else 12)
            left = [p for p in w.path.glob(pattern) if p.stat().st_size or "lock" not in p.name]
            equal(left, [], f"files after `{command}` on a full disk")
            result = w.shell(f"exec $SOTTO {command}").expect(0)
            w.shell("rm -rf new*").expect(0)


@test
def fingerprints_of_the_protocol(w):
    """The two keys of docs/protocol.md, section 5."""
    for curve, length, pin in (("25519", 32, "SHA256:qwUSQs0wTNvxAnr49h95ae0Zh3ZjB4TFxSR9Ds8JaBY"),
                               ("448", 56, "SHA256:HGp3l3Ye+keN95TDweqtEa8htEZdPxnPsya18UCLsKg")):
        raw = bytes(range(length))
        w.write("key.pub", pem(SPKI[curve] + raw))
        equal(w.run("fingerprint", "key.pub").out, f"{pin} {curve} key.pub\n", "fingerprint")
        name = {"25519": "sotto-x25519", "448": "sotto-x448"}[curve]
        equal(w.run("fingerprint", "--line", "key.pub").out,
              f"{name} {base64.b64encode(raw).decode()}\n", "the key as a line")


@test
def openssl_keys_and_ours(w):
    if w.shell("command -v openssl").status != 0:
        return
    for curve in ("25519", "448"):
        w.shell(f"umask 077; openssl genpkey -algorithm X{curve} -out o_{curve}.key && "
                f"openssl pkey -in o_{curve}.key -pubout -out o_{curve}.pub").expect(0)
        equal(w.run("fingerprint", f"o_{curve}.pub").out.split()[0],
              fingerprint_of(curve, raw_key(w / f"o_{curve}.pub", curve)), "fingerprint")
    w.run("keygen", "-o", "k")
    for curve in ("25519", "448"):
        out = w.shell(f"openssl pkey -in k_{curve}.key -pubout").expect(0).out
        equal(out, (w / f"k_{curve}.pub").read_text(), "the public key that openssl finds")
    server = w.serve(keys="o")
    equal(w.call(server, "echo", "1", curve="448").out, "1\n", "an answer under keys of openssl")


@test
def public_key_files_that_are_none(w):
    w.run("keygen", "-o", "k")
    good = (w / "k_25519.pub").read_text()
    (w / "folder").mkdir()
    os.mkfifo(w / "pipe")
    for name in ("missing", "folder", "pipe"):
        check(w.run("fingerprint", name, status=12).error()["name"] in ("E_FILE", "E_PERMISSION"),
              name)
    bad = {"empty": "", "text": "hello\n", "truncated": good[:60], "twice": good + good,
           "private": (w / "k_25519.key").read_text(), "binary": bytes(range(256)),
           "other": pem(bytes.fromhex("302a300506032b6570032100") + bytes(range(32))),
           "short": pem(SPKI["25519"] + bytes(31)), "zero": pem(SPKI["25519"] + bytes(32)),
           "long": "x" * 100000}
    for name, content in bad.items():
        w.write(name, content)
        result = w.run("fingerprint", name, status=12)
        check(result.error()["name"] in ("E_FORMAT", "E_KEY", "E_FILE"), f"the error of {result}")
        contains(result.err, name, "the message")


# ---- Secrets -------------------------------------------------------------------------------------


@test
def secrets_new(w):
    result = w.shell("umask 0; exec $SOTTO secrets new d/").expect(0)
    equal(mode(w / "d"), 0o700, "mode of the folder")
    server = json.loads((w / "d/server.json").read_text())
    client = json.loads((w / "d/client.json").read_text())
    for path in (w / "d").iterdir():
        equal(mode(path), 0o600, f"mode of {path.name}")
    equal(set(server), {"sotto_secrets", "role", "server_string", "shared_string", "salts",
                        "iterations"},
          "members of server.json")
    equal(set(client), set(server) - {"server_string"}, "members of client.json")
    equal((server["sotto_secrets"], server["role"], client["role"]), (1, "server", "client"),
          "the heads")
    equal((server["iterations"], client["iterations"]), (10000, 10000), "iterations")
    equal(server["salts"], client["salts"], "the salts of both")
    equal(server["shared_string"], client["shared_string"], "the shared string of both")
    equal(len(set(server["salts"])), 100, "number of different salts")
    check(all(re.fullmatch("[0-9a-f]{64}", salt) for salt in server["salts"]), "the salts' form")
    check(server["server_string"] != server["shared_string"], "two strings that are one")
    check(min(len(server["server_string"]), len(server["shared_string"])) >= 43,
          "256 bits need 43 characters")
    for secret in (server["server_string"], server["shared_string"], server["salts"][0]):
        lacks(result.out + result.err, secret, "what is printed")
    w.run("secrets", "new", "e", "--iterations", "20000")
    other = json.loads((w / "e/server.json").read_text())
    equal(other["iterations"], 20000, "iterations")
    check(other["shared_string"] != server["shared_string"], "the same secrets twice")
    check(not set(other["salts"]) & set(server["salts"]), "the same salts twice")


@test
def secrets_new_overwrites_nothing(w):
    for existing in ("server.json", "client.json"):
        path = w.write(f"{existing}.d/{existing}", "mine\n")
        w.run("secrets", "new", path.parent, status=12, name="E_EXISTS")
        equal([p.name for p in path.parent.iterdir()], [existing], "the files afterwards")
        equal(path.read_text(), "mine\n", "the file that was there")
    w.write("file", "x")
    for name in ("file", "file/x"):
        w.run("secrets", "new", name, status=12)
    equal((w / "file").read_text(), "x", "a file in place of the folder")


@test
def secrets_embed(w):
    w.run("secrets", "new", "d")
    for role in ("client", "server"):
        header = w.run("secrets", "embed", f"d/{role}.json")
        equal(header.err, "", "standard error")
        document = json.loads((w / f"d/{role}.json").read_text())
        for secret in (document["shared_string"], *document["salts"]):
            contains(header.out, secret, "the header")
        equal(document.get("server_string", "?") in header.out, role == "server",
              "the server string")
        w.write("secrets.h", header.out)
        w.write("main.c", '#include "secrets.h"\n'
                          "int main(void) { return sotto_builtin_salts[0] == 0; }\n")
        if w.shell("command -v cc").status == 0:
            equal(w.shell("cc -Wall -Werror -o x main.c && ./x").status, 0,
                  "a program with the header")


@test
def secrets_files_that_are_none(w):
    w.run("secrets", "new", "d")
    good = (w / "d/client.json").read_text()
    document = json.loads(good)
    (w / "folder").mkdir(mode=0o700)
    os.mkfifo(w / "pipe", 0o600)
    w.write("open", good, 0o644)
    w.write("group", good, 0o620)
    equal(w.run("secrets", "embed", "missing", status=12).error()["name"], "E_FILE", "missing")
    for name in ("folder", "pipe", "open", "group"):
        result = w.run("secrets", "embed", name, status=12)
        check(result.error()["name"] in ("E_FILE", "E_PERMISSION"), f"the error of {result}")
        contains(result.err, name, "the message")

    def with_member(**members):
        return json.dumps({**document, **members})

    for name, content in {
            "empty": "", "text": "hello", "array": "[]", "comma": good.replace('"iterations"',
                                                                               ',"iterations"'),
            "version": with_member(sotto_secrets=2), "role": with_member(role="boss"),
            "server": with_member(role="server"), "string": with_member(shared_string=""),
            "long": with_member(shared_string="x" * 1025), "number": with_member(shared_string=7),
            "nosalts": with_member(salts=[]), "odd": with_member(salts=["0" * 33]),
            "short": with_member(salts=["00" * 15]), "nohex": with_member(salts=["zz" * 32]),
            "few": with_member(iterations=9999), "many": with_member(iterations=1000001),
            "float": good.replace("10000", "1e4"), "twice": good.replace("{", '{"role":"client",',
                                                                         1),
            "missing": json.dumps({k: v for k, v in document.items() if k != "salts"})}.items():
        w.write("bad.json", content)
        result = w.run("secrets", "embed", "bad.json", status=12, name="E_FORMAT")
        contains(result.err, "bad.json", f"the message for {name}")
        for secret in (document["shared_string"], document["salts"][0]):
            lacks(result.err, secret, f"the message for {name}")
    w.write("bad.json", good.replace('"salts": [', '"salts": [\n'))
    result = w.run("call", "--secrets", "bad.json", NOBODY, "echo", status=5)
    w.write("bad.json", '{\n  "sotto_secrets": 1,\n  oops\n}\n')
    contains(w.run("secrets", "embed", "bad.json", status=12).error()["why"], "line 3",
             "the reason")
