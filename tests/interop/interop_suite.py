"""What the interop tests stand on: processes of the command, homes, the suite. See run.py."""

import base64
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import peer_net as net
import sotto_peer as peer

HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = os.path.join(HERE, "..", "vectors", "protocol.json")
WAIT_S = 20                                               # bound of every wait for a process
COMBINATIONS = [(curve, cipher) for curve in peer.CURVES for cipher in peer.CIPHERS]


class Failure(Exception):
    """A check that did not hold."""


class Skip(Exception):
    """A test that does not apply here."""


def check(what, expected, found):
    if expected != found:
        raise Failure("%s: expected %r, came %r" % (what, expected, found))


def check_in(what, expected, found):
    if found not in expected:
        raise Failure("%s: expected one of %r, came %r" % (what, sorted(expected, key=str), found))


def check_error(what, kind, function):
    """`kind`: the error's kind, or "refused:CODE", "call:CODE"."""
    try:
        function()
    except peer.SottoError as error:
        code = getattr(error, "code", None)
        check(what, kind, error.kind + (":" + code if ":" in kind and code else ""))
    else:
        raise Failure("%s: expected %s, came no error" % (what, kind))


# ---------------------------------------------------------------- controls

class FlipPsk(peer.Tamper):
    def psk(self, data):
        return bytes([data[0] ^ 1]) + data[1:]


class WrongPrologue(peer.Tamper):
    def prologue(self, data):
        return data.replace(b"NoiseSocketInit1", b"NoiseSocketInit2")


class FlipByte(peer.Tamper):
    def frame(self, data):
        return data[:-1] + bytes([data[-1] ^ 1])


class OtherContent(peer.Tamper):
    def content(self, text):
        return '["not", %s]' % text


CONTROLS = {"psk": FlipPsk, "prologue": WrongPrologue, "flip": FlipByte, "content": OtherContent}


# ---------------------------------------------------------------- processes

class Process:
    """One process of the command under test, in a home of its own, ended by its id."""

    def __init__(self, command, home, **options):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "SOTTO_"))}
        env.update(HOME=home, LC_ALL="C.UTF-8", **{
            "XDG_%s_HOME" % k: os.path.join(home, k.lower()) for k in ("CONFIG", "STATE", "CACHE",
                                                                       "DATA")},
            XDG_RUNTIME_DIR=home, PYTHONDONTWRITEBYTECODE="1")
        self.popen = subprocess.Popen(command, env=env, cwd=home, stderr=subprocess.PIPE,
                                      stdout=subprocess.PIPE, **options)

    def communicate(self, data=b""):
        try:
            out, err = self.popen.communicate(data, timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("%s did not end in %d s" % (" ".join(self.popen.args[-6:]), WAIT_S))
        return self.popen.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def kill(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.communicate()


class Home:
    """A temporary home directory, and the command run in it as a client."""

    def __init__(self, suite):
        self.suite, self.path = suite, tempfile.mkdtemp(prefix="sotto-interop-")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        shutil.rmtree(self.path, ignore_errors=True)

    def file(self, name):
        return os.path.join(self.path, name)

    def run(self, *args, data=b""):
        process = Process(self.suite.command + list(args), self.path, stdin=subprocess.PIPE)
        return process.communicate(data)

    def flags(self, options):
        merged = {"secrets": self.suite.file("client.json"), "trust": "accept-new",
                  "timeout": "15s",
                  "state-dir": self.file("state"), "known-servers": self.file("known_servers"),
                  **options}
        out = []
        for name, value in merged.items():
            if value is True:
                out.append("--" + name)
            elif value is not None:
                out += ["--" + name, value]
        return out

    def call(self, address, endpoint="echo", content='"x"', data=b"", **options):
        options = {k.replace("_", "-"): v for k, v in options.items()}
        return self.run("call", address, endpoint, content, *self.flags(options), data=data)

    def bootstrap(self, address, **options):
        options = {k.replace("_", "-"): v for k, v in options.items()}
        return self.run("bootstrap", address, *self.flags(options))


class Serve:
    """`sotto serve` until the end of the with block; its lines, address and fingerprints."""

    def __init__(self, suite, *flags):
        self.home = Home(suite)
        self.suite = suite
        command = suite.command + ["serve", "--listen", "127.0.0.1:0", "--keys",
                                   suite.file("server"),
                                   "--secrets", suite.file("server.json"), *flags]
        self.process = Process(command, self.home.path, stdin=subprocess.DEVNULL)
        self.lines, self.fingerprints = queue.Queue(), {}
        self.address, self.endpoints, self.first = None, [], None
        self.errors = []
        threading.Thread(target=self._read, daemon=True).start()
        self.drain = threading.Thread(target=self._read_errors, daemon=True)
        self.drain.start()

    def _read(self):
        for line in self.process.popen.stdout:
            self.lines.put(line.decode("utf-8", "replace").rstrip("\n"))
        self.lines.put(None)

    def _read_errors(self):
        for line in self.process.popen.stderr:
            self.errors = (self.errors + [line.decode("utf-8", "replace").rstrip()])[-5:]

    def __enter__(self):
        try:
            self._ready()
        except Exception:
            self.__exit__()
            raise
        return self

    def _ready(self):
        until = time.monotonic() + WAIT_S
        while not self.endpoints:
            try:
                line = self.lines.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise Failure("serve: no line `endpoints` in %d s" % WAIT_S)
            if line is None:
                raise Failure("serve ended before it was ready: %s" % " | ".join(self.errors))
            words = line.split()
            self.first = self.first or line
            if words[:1] == ["address"]:
                self.address = words[1]
            elif words[:1] == ["fingerprint"]:
                self.fingerprints[words[1]] = words[2]
            elif words[:1] == ["endpoints"]:
                self.endpoints = words[1:]

    def terminate(self):
        self.process.popen.send_signal(signal.SIGTERM)

    def wait(self):
        try:
            return self.process.popen.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            raise Failure("serve did not end in %d s after SIGTERM" % WAIT_S)

    def alive(self):
        return self.process.popen.poll() is None

    def __exit__(self, *unused):
        popen = self.process.popen
        popen.terminate()
        try:
            popen.wait(3)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
        self.drain.join(5)
        popen.stdout.close()
        popen.stderr.close()
        self.home.__exit__()


# ---------------------------------------------------------------- the suite

TESTS = []


def test(function):
    TESTS.append((function.__name__.replace("_", " "), function))
    return function


def each_combination(function):
    for curve, cipher in COMBINATIONS:
        name = "%s, %s %s" % (function.__name__.replace("_", " "), curve, cipher)
        TESTS.append((name, lambda suite, c=curve, k=cipher: function(suite, c, k)))
    return function


class Suite:
    """Keys and secrets made by the command, and what tests need of them."""

    def __init__(self, command, control=None, self_test=False):
        self.command, self.self_test = command, self_test
        self.tamper = CONTROLS[control]() if control else peer.Tamper()
        self.home = Home(self)
        with open(VECTORS) as file:
            self.vectors = json.load(file)
        self._servers = {}

    def file(self, name):
        return self.home.file(name)

    def prepare(self):
        for args in (["secrets", "new", self.home.path], ["keygen", "-o", self.file("server")],
                     ["keygen", "-o", self.file("client")], ["keygen", "-o", self.file("other")]):
            code, _, err = self.home.run(*args)
            check("exit of sotto " + " ".join(args[:2]) + " (" + err.strip() + ")", 0, code)
        self.server_secrets = peer.Secrets.load(self.file("server.json"))
        self.client_secrets = peer.Secrets.load(self.file("client.json"))
        pairs = {name: {c: peer.load_private_pem(self.file("%s_%s.key" % (name,
                                                                          c))) for c in peer.CURVES}
                 for name in ("server", "client", "other")}
        self.statics, self.identities = pairs["server"], pairs["client"]
        self.others = pairs["other"]
        with open(self.file("clients"), "w") as file:
            for curve, pair in self.identities.items():
                file.write("sotto-x%s %s tester\n" % (curve,
                                                      base64.b64encode(pair.public).decode()))

    # the command as server, Python as client; servers without a state of their own are shared

    def serve(self, *flags):
        if flags not in self._servers:
            self._servers[flags] = Serve(self, *flags).__enter__()
        server = self._servers[flags]
        if not server.alive():
            del self._servers[flags]
            raise Failure("the server has ended: %s" % " | ".join(server.errors))
        return server

    def client(self, server, curve="25519", cipher="ChaChaPoly", **options):
        options.setdefault("tamper", self.tamper)
        return net.Client(server.address, self.client_secrets, curve, cipher, **options)

    def document(self, client, server):
        return client.bootstrap({}, server.fingerprints[client.curve])

    def session(self, server, curve="25519", cipher="ChaChaPoly", max_message=None, **options):
        client = self.client(server, curve, cipher, **options)
        return client.session(self.document(client, server), max_message)

    # Python as server, the command as client

    def config(self, **members):
        config = net.ServerConfig(self.statics, self.server_secrets)
        for name, value in members.items():
            setattr(config, name, value)
        return config

    def peer_server(self, connection=net.ServerConnection, chunk=None, config=None, tamper=None,
                    **members):
        return net.Server(config or self.config(**members), connection, chunk,
                          tamper or self.tamper)

    def end(self):
        for server in self._servers.values():
            server.__exit__()
        self.home.__exit__()


def echo(suite, session, content='{"a":[1,2.50,"é"]}'):
    check("echo", content, session.call("echo", suite.tamper.content(content)))


def must_fail(function):
    try:
        function()
    except (Failure, peer.SottoError):
        return
    raise Failure("the check did not notice")
