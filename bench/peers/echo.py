"""The peers whose both halves are small programs of ours in bench/."""

from .peer import CommonPeer

LISTENING = r"^listening 127\.0\.0\.1:(\d+)(?: (\S+))?"


class BuiltPeer(CommonPeer):
    """PROGRAM serve, PROGRAM load."""

    serve_options = []

    def __init__(self, setting):
        super().__init__(setting)
        self.command = setting.build / self.built[0]
        self.port = self.key = None

    def start(self):
        """The kernel chooses the port, and the server prints it."""
        words = [self.command, "serve", *self.serve_options]
        self.server = self.spawn("server", words)
        found = self.server.wait_for_line(LISTENING)
        self.port, self.key = int(found[1]), found[2]

    def load_options(self):
        """What this load needs beside the common options."""
        return []

    def load_words(self, work):
        """The message is SIZE bytes of no meaning: these peers do not look at it."""
        return [self.command, "load", "--size", work.size, *self.load_options()]

    def load_operands(self, work):
        """The address."""
        return [f"127.0.0.1:{self.port}"]


class Tcp(BuiltPeer):
    """A plain echo through Sotto's own event loop: what the kernel and the loop take."""

    name = "tcp"
    built = ["bench/bench_echo"]
    does = ["latency", "calls", "batches", "large", "sessions", "idle", "growth"]

    def can(self, work):
        """Its load has no connections that only stay open."""
        return super().can(work) and (work.group != "growth" or not work.idle)

    def hold(self, count):
        """One byte and its echo on each."""
        return self.hold_plainly(self.port, count, "--say", "78", "--expect", 1)


class Zeromq(BuiltPeer):
    """ZeroMQ with CURVE."""

    name = "zeromq"
    package = "libzmq5"
    built = ["bench/bench_zeromq"]
    does = ["latency", "calls", "batches", "large", "sessions"]

    def load_options(self):
        """The server's key is made anew at each start."""
        return ["--server-key", self.key]


class ZeromqPlain(BuiltPeer):
    """ZeroMQ without encryption."""

    name = "zeromq-plain"
    package = "libzmq5"
    built = ["bench/bench_zeromq"]
    does = ["latency", "calls", "batches", "large", "sessions"]
    serve_options = ["--plain"]

    def load_options(self):
        """Both sides have to know."""
        return ["--plain"]


class Grpc(BuiltPeer):
    """gRPC in C++ over TLS 1.3."""

    name = "grpc"
    package = "libgrpc++1.51"
    built = ["bench/bench_grpc"]
    programs = ["openssl"]
    does = ["latency", "calls", "batches", "large", "sessions", "idle"]

    @property
    def serve_options(self):
        """The certificate of this run."""
        pair = self.setting.certificate()
        return ["--cert", pair.certificate, "--key", pair.key]

    def load_options(self):
        """The same certificate, to be trusted."""
        return ["--cert", self.setting.certificate().certificate]

    def hold(self, count):
        """The beginning of HTTP/2 on each: the preface and SETTINGS, until SETTINGS come back."""
        say = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
        return self.hold_plainly(self.port, count, "--tls", "--alpn", "h2", "--say", say.hex(),
                                 "--expect", 9)
