"""Interop tests of the files that the command writes, and of the vectors. See run.py."""

import json
import os
import subprocess
import sys

import sotto_peer as peer
from interop_suite import (HERE, Home, check, test)


@test
def files_that_the_command_writes(suite):
    for name in ("server", "client"):
        with open(suite.file(name + ".json")) as file:
            data = json.load(file)
        check(name + ".json role", name, data.get("role"))
        check(name + ".json server_string", name == "server", "server_string" in data)
        check(name + ".json salts", 100, len(data["salts"]))
        check(name + ".json iterations", 10000, data.get("iterations"))
    check("shared_string", suite.server_secrets.shared_string, suite.client_secrets.shared_string)
    check("salts", suite.server_secrets.salts, suite.client_secrets.salts)
    for curve in peer.CURVES:
        path = suite.file("server_%s" % curve)
        check("public key file", (curve, suite.statics[curve].public),
              peer.load_public_pem(path + ".pub"))
        code, out, _ = suite.home.run("fingerprint", path + ".pub")
        check("fingerprint", (0, peer.fingerprint(curve, suite.statics[curve].public)),
              (code, (out.split() or [""])[0]))
        check("mode of the private key", 0, os.stat(path + ".key").st_mode & 0o077)


@test
def keygen_of_one_curve_and_keys_of_openssl(suite):
    with Home(suite) as home:
        check("exit", 0, home.run("keygen", "--curve", "448", "-o", home.file("one"))[0])
        check("files", ["one_448.key", "one_448.pub"],
              sorted(f for f in os.listdir(home.path) if f[:3] == "one"))
        pair = peer.key_pair("25519")
        peer.write_pem(home.file("made"), pair)           # as openssl writes them
        out = home.run("fingerprint", home.file("made.pub"))[1]
        check("fingerprint", peer.fingerprint("25519", pair.public), (out.split() or [""])[0])


@test
def vectors_are_what_the_script_makes(suite):
    done = subprocess.run([sys.executable, os.path.join(HERE, "make_vectors.py"), "--check"],
                          capture_output=True, timeout=120)
    check("make_vectors.py --check", (0, b""), (done.returncode, done.stderr))


@test
def rekey_over_two_multiples_of_65536(suite):
    for vector in suite.vectors["rekey"]:
        tx = peer.Cipher(vector["cipher"], bytes.fromhex(vector["key"]))
        rx = peer.Cipher(vector["cipher"], bytes.fromhex(vector["key"]))
        wanted = {r["nonce"]: r for r in vector["records"]}
        for nonce in range(131074):
            body = b"record %d" % nonce
            message = tx.seal(peer.pack(body))
            check("body", body, peer.unpack(rx.open(message)))
            if nonce in wanted:
                check("record %d" % nonce, wanted[nonce]["wire"],
                      peer.transport_frame(message).hex())
