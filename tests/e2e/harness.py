"""What the end-to-end tests stand on: temporary folders, the command run in them, servers, FIFOs.

Every wait is bounded.  Nothing sleeps: what has to be waited for announces itself on a pipe, a
FIFO or by the end of a process.
"""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

# Far more than anything takes, so that only what hangs comes to it, on a slow machine too.
BOUND_S = 60

SANITIZER = re.compile(r"(Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:")
ERROR = re.compile(r"sotto: (?P<what>[^\n]+?)(?:\n  (?P<why>[^\n]+?))??"
                   r"(?:\n  try: (?P<hint>[^\n]+?))?"
                   r"  \[(?P<name>E_[A-Z_]+), exit (?P<status>\d+)\]\n\Z", re.S)
READY = re.compile(r"sotto \d+\.\d+\.\d+ ready\n"
                   r"  address      (?P<address>\S+:\d+)\n"
                   r"(?P<keys>(?:  fingerprint  (?:25519|448  )  SHA256:[A-Za-z0-9+/]{43}\n)+)"
                   r"  endpoints    (?P<endpoints>[^\n]+)\n\Z")

TESTS = []


class Failure(Exception):
    """A test did not find what it expects."""


def test(function):
    """Register a test: a function of a world."""
    TESTS.append(function)
    return function


def check(condition, text):
    if not condition:
        raise Failure(text)


def equal(found, expected, text):
    check(found == expected, f"{text}: expected {expected!r}, found {found!r}")


def contains(text, part, where):
    check(part in text, f"{where} should contain {part!r}: {text!r}")


def lacks(text, part, where):
    check(part not in text, f"{where} should not contain {part!r}: {text!r}")


def fails(function, text):
    """For the controls: FUNCTION has to raise a Failure."""
    try:
        function()
    except Failure:
        return
    raise Failure(f"the harness does not notice: {text}")


class Result:
    """How a command ended."""

    def __init__(self, args, status, out, err):
        self.args, self.status, self.out, self.err = args, status, out, err

    def __str__(self):
        shown = " ".join(str(a) if len(str(a)) < 100 else str(a)[:97] + "..." for a in self.args)
        return (f"`{shown}` ended with {self.status}, printed {self.out[:600]!r} and "
                f"{self.err[-900:]!r}")

    def error(self):
        """The error in the form that every error has, at the end of standard error."""
        start = self.err.rfind("sotto: ", 0, self.err.rfind("  [E_") + 1)
        match = ERROR.match(self.err[start:]) if start >= 0 else None
        check(match, f"no error of three lines: {self}")
        equal(int(match["status"]), self.status, f"exit status in the error text of {self}")
        return match

    def expect(self, status, name=None):
        check(not SANITIZER.search(self.err), f"a sanitizer speaks: {self}")
        check(self.status == status, f"expected status {status}, but {self}")
        if status not in (0, 130):
            error = self.error()
            if name is not None:
                equal(error["name"], name, f"error of {self}")
        else:
            lacks(self.err, "[E_", f"standard error of {self}")
        return self


class Fifo:
    """A FIFO in the world.  Opened before anybody else opens it, so that nobody waits in open()."""

    def __init__(self, path, writing):
        self.path, self.writing = path, writing
        os.mkfifo(path)
        self.open()

    def open(self):
        # For both on Linux: the writing end needs no reader, nor the reading end a writer.
        how = os.O_RDWR if self.writing else os.O_RDONLY | os.O_NONBLOCK
        self.fd = os.open(self.path, how | os.O_CLOEXEC)

    def read(self, bound_s=BOUND_S):
        """What comes next; b"" when the last writer has gone."""
        if not select.select([self.fd], [], [], bound_s)[0]:
            raise Failure(f"nothing came on {self.path.name} within {bound_s} s")
        return os.read(self.fd, 65536)

    def expect(self, data):
        found = b""
        while len(found) < len(data):
            part = self.read()
            if part == b"":
                break
            found += part
        equal(found, data, f"what came on {self.path.name}")

    def expect_end(self):
        equal(self.read(), b"", f"the end of {self.path.name}")
        # Opened anew, it waits for the next writer; as it is, it would go on to be at its end.
        self.close()
        self.open()

    def write(self, data):
        os.write(self.fd, data)

    def close(self):
        os.close(self.fd)


class Running:
    """A command that runs beside the test."""

    def __init__(self, args, process):
        self.args, self.process = args, process

    def wait(self):
        try:
            out, err = self.process.communicate(timeout=BOUND_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            shown = " ".join(map(str, self.args))
            raise Failure(f"`{shown}` did not end within {BOUND_S} s") from None
        return Result(self.args, self.process.returncode, (out or b"").decode("utf-8", "replace"),
                      err.decode("utf-8", "replace"))

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        self.process.wait()


class Server(Running):
    """A `sotto serve` that is ready."""

    def __init__(self, args, process, err_path):
        super().__init__(args, process)
        self.err_path = err_path
        text = self._read_ready()
        match = READY.match(text)
        if not match:
            self.process.kill()
            self.process.wait()
            raise Failure(f"not ready: {text!r}, {self.err()!r}")
        self.address = match["address"]
        self.port = int(self.address.rsplit(":", 1)[1])
        self.endpoints = match["endpoints"].split()
        self.pins = {words[1]: words[2]
                     for words in (line.split() for line in match["keys"].splitlines())}

    def _read_ready(self):
        text = b""
        until = time.monotonic() + BOUND_S
        fd = self.process.stdout.fileno()
        while b"\n  endpoints " not in text or not text.endswith(b"\n"):
            left = max(0, until - time.monotonic())
            if not select.select([fd], [], [], left)[0]:
                self.process.kill()
                raise Failure(f"the server was not ready within {BOUND_S} s: {text!r}")
            part = os.read(fd, 65536)
            if not part:
                break
            text += part
        return text.decode()

    def err(self):
        return self.err_path.read_text("utf-8", "replace")

    def wait(self):
        try:
            out, _ = self.process.communicate(timeout=BOUND_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise Failure(f"the server did not end within {BOUND_S} s: {self.err()!r}") from None
        return Result(self.args, self.process.returncode, out.decode(), self.err())

    def stop(self, status=0):
        self.signal(signal.SIGTERM)
        result = self.wait()
        check(not SANITIZER.search(result.err), f"a sanitizer speaks: {result}")
        equal(result.status, status, f"status of {result}")
        equal(result.out, "", "standard output of the server after the ready lines")
        return result


class World:
    """A home of its own, and the programs."""

    def __init__(self, programs):
        self.programs = programs
        self.path = Path(tempfile.mkdtemp(prefix="sotto-e2e-"))
        self.home = self.path / "home"
        self.home.mkdir()
        self.env = {"HOME": str(self.home), "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
                    "LC_ALL": "C.UTF-8", "W": str(self.path)}
        for name, value in os.environ.items():
            if name.endswith("SAN_OPTIONS") or name == "LD_LIBRARY_PATH":
                self.env[name] = value
        self.running = []
        self.processes = []
        self.stopped = False
        self.fifos = []
        self.count = 0

    def kill(self):
        """From another thread: whatever the test waits for ends now."""
        self.stopped = True
        for process in list(self.processes):
            with suppress(OSError):
                process.kill()

    def close(self):
        for running in reversed(self.running):
            running.end()
        for fifo in self.fifos:
            fifo.close()
        shutil.rmtree(self.path, ignore_errors=True)

    # -- Files -------------------------------------------------------------------------------------

    def __truediv__(self, name):
        return self.path / name

    @property
    def known_servers(self):
        return self.home / ".config/sotto/known_servers"

    @property
    def sessions(self):
        return self.home / ".local/state/sotto/sessions"

    def write(self, name, content, mode=0o600):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path

    def fifo(self, name, writing=False):
        fifo = Fifo(self.path / name, writing)
        self.fifos.append(fifo)
        return fifo

    # -- Programs ----------------------------------------------------------------------------------

    def _start(self, args, env, **streams):
        check(not self.stopped, "stopped from outside")
        # A session of its own: no terminal to ask on, and no signals but the test's.
        process = subprocess.Popen([str(a) for a in args], cwd=self.path, env={**self.env, **env},
                                   start_new_session=True, **streams)
        self.processes.append(process)
        return process

    def start(self, *args, program=None, env=None, stdin=subprocess.DEVNULL,
              stdout=subprocess.PIPE):
        """Run the command (or PROGRAM) beside the test."""
        args = [program or self.programs["sotto"], *args]
        running = Running(args, self._start(args, env or {}, stdin=stdin, stdout=stdout,
                                            stderr=subprocess.PIPE))
        self.running.append(running)
        return running

    def run(self, *args, status=0, name=None, stdin=None, env=None, program=None):
        """Run the command to its end; it has to end with STATUS and, if not 0, the error NAME."""
        return self.run_any(*args, stdin=stdin, env=env, program=program).expect(status, name)

    def run_any(self, *args, stdin=None, env=None, program=None, bound_s=BOUND_S):
        args = [program or self.programs["sotto"], *args]
        process = self._start(args, env or {}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        data = stdin.encode() if isinstance(stdin, str) else stdin
        try:
            out, err = process.communicate(data, timeout=bound_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Failure(f"`{' '.join(map(str, args))}` did not end within {bound_s} s") from None
        return Result(args, process.returncode, out.decode("utf-8", "replace"),
                      err.decode("utf-8", "replace"))

    def shell(self, script, *args, stdin=None, env=None):
        """Run SCRIPT with /bin/sh; the command is $SOTTO in it, ARGS are its arguments."""
        return self.run_any("-c", script, "sh", *args, program="/bin/sh", stdin=stdin,
                            env={**(env or {}), "SOTTO": str(self.programs["sotto"])})

    @contextmanager
    def terminal(self, *args, stdin=subprocess.DEVNULL, stdout=False):
        """Run the command with a terminal to ask on; gives (running, the terminal's other end)."""
        ours, theirs = pty.openpty()
        # The first terminal that a session's leader opens becomes the session's.
        wrapper = ["/bin/sh", "-c", 'exec 9<>"$TTY" && exec "$@" 9>&-', "sh",
                   self.programs["sotto"], *args]
        running = Running(args, self._start(wrapper, {"TTY": os.ttyname(theirs)}, stdin=stdin,
                                            stdout=theirs if stdout else subprocess.PIPE,
                                            stderr=subprocess.PIPE))
        self.running.append(running)
        try:
            yield running, Terminal(ours)
        finally:
            os.close(ours)
            os.close(theirs)

    def serve(self, *args, secrets=True, keys="server", listen="127.0.0.1:0", env=None):
        """Start a server with secrets and keys of this world (made on first use)."""
        options = ["--listen", listen]
        if keys:
            if not list(self.path.glob(keys + "_*.key")):
                self.run("keygen", "-o", keys)
            options += ["--keys", keys]
        if secrets:
            self.secrets()
            options += ["--secrets", "secrets/server.json"]
        self.count += 1
        err_path = self.path / f"server{self.count}.err"
        args = [self.programs["sotto"], "serve", *options, *args]
        with open(err_path, "wb") as err:
            process = self._start(args, env or {}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=err)
        server = Server(args, process, err_path)
        self.running.append(server)
        return server

    def secrets(self):
        if not (self.path / "secrets").exists():
            self.run("secrets", "new", "secrets")
        self.env["SOTTO_SECRETS"] = str(self.path / "secrets/client.json")
        return self.env["SOTTO_SECRETS"]

    def call(self, server, endpoint, *args, pin=True, curve="25519", **how):
        """`sotto call`, with the server's fingerprint unless told otherwise."""
        options = ["--curve", curve] if curve else []
        if pin:
            options += ["--pin", server.pins[curve or "25519"]]
        return self.run("call", *options, server.address, endpoint, *args, **how)

    def start_call(self, server, endpoint, *args, **how):
        return self.start("call", "--pin", server.pins["25519"], server.address, endpoint, *args,
                          **how)


class Terminal:
    """The test's end of a terminal."""

    def __init__(self, fd):
        self.fd = fd
        self.seen = ""

    def expect(self, text):
        """Wait until TEXT has been shown."""
        until = time.monotonic() + BOUND_S
        while text not in self.seen:
            if not select.select([self.fd], [], [], max(0, until - time.monotonic()))[0]:
                raise Failure(f"the terminal did not show {text!r}: {self.seen!r}")
            try:
                part = os.read(self.fd, 65536)
            except OSError:
                part = b""
            check(part, f"the terminal ended before {text!r}: {self.seen!r}")
            self.seen += part.decode("utf-8", "replace")

    def type(self, text):
        os.write(self.fd, text.encode())


# A program for --exec that announces itself on the FIFO alive, waits for a line on the FIFO go and
# then answers.  While it lives, alive has a writer.
WAITING = 'exec 8>"$W/alive"; echo up >&8; read line <"$W/go"; echo "\\"$line\\""'
