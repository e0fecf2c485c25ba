#!/usr/bin/python3
"""The command line of `sotto`, as far as run.py uses it, on sotto_peer.py.

`run.py --self` drives this in place of the real command, so that the runner itself is tested.
"""

import argparse
import base64
import json
import os
import signal
import sys
import threading
import time

import peer_net as net
import sotto_peer as peer

EXIT = {"denied": 8, "not_found": 9, "too_large": 10, "protocol_error": 10, "deadline_exceeded": 4,
        "unavailable": 11, "overloaded": 11, "draining": 11}


def seconds(text):
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text.rstrip("s"))


def parse_arguments():
    parser = argparse.ArgumentParser(prog="sotto")
    commands = parser.add_subparsers(dest="command", required=True)
    secrets = commands.add_parser("secrets")
    secrets.add_argument("verb", choices=["new"])
    secrets.add_argument("dir")
    keygen = commands.add_parser("keygen")
    keygen.add_argument("--curve", choices=peer.CURVES)
    keygen.add_argument("-o", dest="prefix", default="sotto")
    commands.add_parser("fingerprint").add_argument("file")
    serve = commands.add_parser("serve")
    for name in ("listen", "keys", "secrets", "clients"):
        serve.add_argument("--" + name)
    serve.add_argument("--gate", action="store_true")
    serve.add_argument("--client-auth", choices=["none", "optional", "required"], default="none")
    serve.add_argument("--exec", action="append")
    for name in ("call", "bootstrap"):
        call = commands.add_parser(name)
        call.add_argument("address")
        if name == "call":
            call.add_argument("endpoint")
            call.add_argument("content", nargs="?", default="null")
        call.add_argument("--curve", choices=peer.CURVES, default="25519")
        call.add_argument("--cipher", choices=peer.CIPHERS, default="ChaChaPoly")
        call.add_argument("--trust", choices=["strict", "ask", "accept-new"], default="strict")
        for option in ("secrets", "pin", "known-servers", "state-dir", "identity"):
            call.add_argument("--" + option)
        call.add_argument("--timeout", type=seconds, default=5.0)
        for option in ("--gate", "--fresh", "-v"):
            call.add_argument(option, action="store_true")
    return parser.parse_args()


# ---------------------------------------------------------------- small commands

def secrets_new(args):
    secrets = peer.Secrets.new()
    os.makedirs(args.dir, exist_ok=True)
    for role in ("server", "client"):
        secrets.save(os.path.join(args.dir, role + ".json"), role)


def keygen(args):
    for curve in [args.curve] if args.curve else peer.CURVES:
        peer.write_pem("%s_%s" % (args.prefix, curve), peer.key_pair(curve))


def show_fingerprint(args):
    print(peer.fingerprint(*peer.load_public_pem(args.file)), args.file)


# ---------------------------------------------------------------- serve

class Connection(net.ServerConnection):
    def opened(self):
        self.server.open.append(self)


def known_clients(path):
    known = set()
    with open(path) as file:
        for line in file:
            words = line.split()
            if words and not words[0].startswith("#"):
                known.add((words[0][len("sotto-x"):], base64.b64decode(words[1])))
    return known


def serve(args):
    statics = {c: peer.load_private_pem("%s_%s.key" % (args.keys, c)) for c in peer.CURVES}
    config = net.ServerConfig(statics, peer.Secrets.load(args.secrets))
    config.gated, config.client_auth = args.gate, args.client_auth
    if args.clients:
        config.known = known_clients(args.clients)
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *unused: done.set())
    server = net.Server(config, Connection, port=int(args.listen.rsplit(":", 1)[1]))
    server.open = []
    with server:
        print("sotto 0 ready\n  address      %s" % server.address)
        for curve, pair in statics.items():
            print("  fingerprint  %-5s  %s" % (curve, peer.fingerprint(curve, pair.public)))
        print("  endpoints    %s" % " ".join(config.endpoints), flush=True)
        done.wait()
        for connection in server.open:
            try:
                connection.reply([b'{"draining":{"reconnect_after_ms":100}}'])
                connection.close("draining")
            except (peer.SottoError, OSError):
                pass                                      # that one has ended already


# ---------------------------------------------------------------- call and bootstrap

class Caller:
    def __init__(self, args):
        self.args = args
        self.until = time.monotonic() + args.timeout
        identity = peer.load_private_pem(args.identity) if args.identity else None
        self.client = net.Client(args.address, peer.Secrets.load(args.secrets), args.curve,
                                 args.cipher,
                                  identity, args.gate)
        self.cache = os.path.join(args.state_dir, "%s_%s" % (args.address, args.curve))

    def pins(self):
        pins = {}
        if os.path.exists(self.args.known_servers):
            with open(self.args.known_servers) as file:
                for line in file:
                    address, kind, key = line.split()[:3]
                    if address == self.args.address:
                        pins[kind[len("sotto-x"):]] = base64.b64decode(key)
        return pins

    def save_pins(self, pins):
        with open(self.args.known_servers, "a") as file:
            for curve, key in pins.items():
                file.write("%s sotto-x%s %s\n" % (self.args.address, curve,
                                                  base64.b64encode(key).decode()))

    def bootstrap(self):
        old = self.pins()
        pins = dict(old)
        document = self.retried(lambda: self.client.bootstrap(pins, self.args.pin, self.args.trust))
        self.save_pins({c: k for c, k in pins.items() if c not in old})
        os.makedirs(self.args.state_dir, exist_ok=True)
        with open(self.cache, "wb") as file:
            file.write(peer.document_text(**document._asdict()))
        return document

    def retried(self, attempt):
        """Again after `busy`, until the deadline (protocol 3)."""
        while True:
            try:
                return attempt()
            except peer.Refused as refusal:
                pause = (refusal.retry_after_ms or 100) / 1000
                if refusal.code != "busy":
                    raise
                if time.monotonic() + pause > self.until:
                    raise peer.CallError("unavailable", "busy")
                time.sleep(pause)                         # what the server has asked for

    def cached(self):
        pinned = self.pins().get(self.args.curve)
        if self.args.fresh or not pinned or not os.path.exists(self.cache):
            return None
        if self.args.pin and self.args.pin != peer.fingerprint(self.args.curve, pinned):
            raise peer.TrustError("key_mismatch", "not the given fingerprint")
        with open(self.cache, "rb") as file:
            return peer.parse_document(file.read(), self.args.curve, pinned,
                                       len(self.client.secrets.salts))

    def session(self):
        document = self.cached() or self.bootstrap()
        try:
            return self.retried(lambda: self.client.session(document))
        except peer.Refused as refusal:
            if refusal.code != "unknown_epoch":
                raise
        return self.retried(lambda: self.client.session(self.bootstrap()))

    def call(self, content):
        session = self.session()
        session.wire.set_deadline(max(0.01, self.until - time.monotonic()))
        number = session.request(self.args.endpoint, content)
        answer = session.wait(number)
        for part in session.parts.get(number, ()):
            print(part)
        print(answer)
        try:
            session.close()
        except peer.SottoError:
            pass                                          # the answer is there


def content_of(text):
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        with open(text[1:]) as file:
            text = file.read()
    json.loads(text)
    return text.strip()


def exit_code(error):
    if isinstance(error, peer.TrustError):
        return 6
    if isinstance(error, peer.CallError):
        return EXIT.get(error.code, 3)
    kinds = {"refused": 7, "handshake": 7, "denied": 8, "decrypt": 7, "deadline": 4,
             "protocol_error": 10, "truncated": 5}
    return kinds.get(error.kind, 1)


def reach(args):
    try:
        content = content_of(args.content) if args.command == "call" else None
        caller = Caller(args)
    except (OSError, ValueError, KeyError) as error:
        print("sotto: %s" % error, file=sys.stderr)
        return 12
    try:
        caller.call(content) if args.command == "call" else caller.bootstrap()
        return 0
    except OSError as error:
        print("sotto: %s" % error, file=sys.stderr)
        return 5
    except peer.SottoError as error:
        print("sotto: %s: %s" % (error.kind, error), file=sys.stderr)
        return exit_code(error)


def main():
    args = parse_arguments()
    commands = {"secrets": secrets_new, "keygen": keygen, "fingerprint": show_fingerprint,
                "serve": serve,
                "call": reach, "bootstrap": reach}
    sys.exit(commands[args.command](args) or 0)


if __name__ == "__main__":
    main()
