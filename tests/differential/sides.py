"""The two sides of a differential test: the library, and an implementation that shares no code with
it. All of them speak bytes; what goes over pipes is described in line.h."""

import os
import select
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))

import noise_python                                       # noqa: E402 (found by the path above)

# A bound and no measure: an exchange takes milliseconds, on a busy machine a second.
DEADLINE_S = 120


class Failure(Exception):
    """The two sides disagree, or one of them broke its contract."""


class Refused(Exception):
    """A side answered with an error: its name is the text of the exception."""


class Child:
    """A program that answers a line with a line. It is ended by its process id alone."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        bufsize=0)
        for pipe in (self.process.stdin, self.process.stdout):
            os.set_blocking(pipe.fileno(), False)

    def ask(self, *words):
        """The words of the answer behind "ok"; Refused for an "err" with what stands behind it."""
        return self.ask_each([words])[0]

    def ask_each(self, requests):
        """The same for each of the requests, which are sent in one piece."""
        answers = self.try_each(requests)
        for answer in answers:
            if isinstance(answer, Refused):
                raise answer
        return answers

    def try_each(self, requests):
        """The same, with the Refused in the place of the answer."""
        text = b"".join(" ".join(words).encode() + b"\n" for words in requests)
        return [self._answer(line.decode()) for line in self._exchange(text, len(requests))]

    @staticmethod
    def _answer(line):
        kind, _, rest = line.partition(" ")
        if kind == "err":
            return Refused(rest)
        if kind != "ok":
            raise Failure("the program answered %r" % line[:100])
        return rest.split(" ") if rest else []

    def _exchange(self, text, count):
        """Write and read at once: neither side may wait for the other with a full pipe."""
        deadline = time.monotonic() + DEADLINE_S
        text = memoryview(text)
        pieces, lines = [], 0
        while text or lines < count:
            text = text[self._write(text):]
            piece = self._read(text, deadline)
            pieces.append(piece)
            lines += piece.count(b"\n")
        answers = b"".join(pieces).split(b"\n")
        if lines > count or answers.pop():
            raise Failure("the program said more than %d lines" % count)
        return answers

    def _write(self, text):
        """As much as there is room for; tell how much that was."""
        try:
            return os.write(self.process.stdin.fileno(), text) if text else 0
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            raise Failure("the program ended: status %s" % self._status()) from None

    def _read(self, text, deadline):
        """Wait for something to read, or for room to write if there is text left; what was read."""
        writers = [self.process.stdin] if text else []
        readable, writable, _ = select.select([self.process.stdout], writers, [],
                                              max(0, deadline - time.monotonic()))
        if not readable and not writable:
            self.kill()
            raise Failure("the program was silent for %d s" % DEADLINE_S)
        if not readable:
            return b""
        data = self.process.stdout.read(1 << 18)
        if not data:
            raise Failure("the program ended: status %s" % self._status())
        return data

    def _status(self):
        try:
            return self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return "none, killed"

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def close(self):
        """The end of its input ends it; a sanitizer's findings are in its status."""
        self.process.stdin.close()
        status = self._status()
        self.process.stdout.close()
        if status != 0:
            raise Failure("the program ended with status %s" % status)


def hexed(data):
    return data.hex() if data else "-"


def unhexed(word):
    return b"" if word == "-" else bytes.fromhex(word)


def key_words(**values):
    """The words name=HEX for those that are given."""
    return ["%s=%s" % (name, hexed(value)) for name, value in values.items() if value is not None]


class Remote:
    """What the requests of both programs have in common."""

    def __init__(self, path):
        self.child = Child(path)
        self.s = None                                     # the own public static key

    def forget(self):
        """Keys, handshake, transport: as new."""
        self.child.ask("forget")
        self.s = None

    def bytes_of(self, *words):
        return unhexed(self.child.ask(*words)[0])

    def write(self, payload):
        return self.bytes_of("write", hexed(payload))

    def read(self, message):
        return self.bytes_of("read", hexed(message))

    def hash(self):
        return self.bytes_of("hash")

    def rekey(self, direction):
        self.child.ask("rekey", direction)

    def close(self):
        self.child.close()

    def kill(self):
        self.child.kill()


class Sotto(Remote):
    """The library, by noise_peer."""

    def describe_all(self, names):
        """For each name the words about it, or a Refused."""
        return self.child.try_each([("describe", hexed(name.encode())) for name in names])

    def make_static(self, dh, rng):
        self.s = self.bytes_of("static", dh, rng.randbytes(noise_python.DH_LEN[dh]).hex())

    def remote(self):
        """(the other side's static key or None, has it shown that it holds the private one?)"""
        return self._remote(self.child.ask("remote"))

    @staticmethod
    def _remote(words):
        key, proven = words
        return unhexed(key) or None, proven == "1"

    def new(self, name, initiator, prologue=b"", rs=None, re=None, psks=None, lookups=None,
            with_s=False, from_earlier=False):
        words = ["protocol=" + name, "role=" + ("initiator" if initiator else "responder")]
        words += key_words(prologue=prologue, rs=rs, re=re)
        words += ["psk%d=%s" % (n, psk.hex()) for n, psk in (psks or {}).items()]
        words += ["lookup%d=%s" % (n, psk.hex()) for n, psk in (lookups or {}).items()]
        words += ["s=1"] if with_s else []
        words += ["from=1"] if from_earlier else []
        self.child.ask("new", *words)

    def set_psk(self, position, psk):
        self.child.ask("set_psk", str(position), psk.hex())

    def state(self, payload_len):
        """(action, length of the message, largest payload, is the payload encrypted?)"""
        return self._state(self.child.ask("state", str(payload_len)))

    @staticmethod
    def _state(words):
        action, length, largest, encrypted = words
        return action, int(length), int(largest), encrypted == "1"

    def before_message(self, payload_len, other_len):
        """All that can be asked then, at once: state() with both lengths, hash(), remote()."""
        state, other, hash_, remote = self.child.ask_each(
            [("state", str(payload_len)), ("state", str(other_len)), ("hash",), ("remote",)])
        return self._state(state), self._state(other), unhexed(hash_[0]), self._remote(remote)

    def split(self, kind):
        self.child.ask("split", kind)

    def encrypt(self, place, ad, plaintext):
        """The message, and for a datagram its nonce."""
        words = self.child.ask("encrypt", place, hexed(ad), hexed(plaintext))
        return unhexed(words[0]), int(words[1]) if len(words) > 1 else None

    def decrypt(self, place, ad, message, nonce=None):
        words = [] if nonce is None else [str(nonce)]
        return self.bytes_of("decrypt", place, hexed(ad), hexed(message), *words)

    def nonces(self):
        return [int(word) for word in self.child.ask("nonces")]


class Flynn(Remote):
    """github.com/flynn/noise, by flynn_peer."""

    def make_static(self, dh, rng):
        del dh, rng                                       # 25519, from the system's random bytes
        self.s = self.bytes_of("generate", "s")

    def make_ephemeral(self, dh, rng):
        del dh, rng
        return self.bytes_of("generate", "e")

    def new(self, protocol, initiator, prologue, rs, re, psks):
        needs = protocol.needs(initiator)
        words = ["protocol=" + protocol.name, "role=" + ("initiator" if initiator else "responder")]
        words += key_words(prologue=prologue, rs=rs, re=re)
        words += ["psk%d=%s" % (n, psk.hex()) for n, psk in psks.items()]
        words += [key + "=1" for key in ("s", "e") if needs[key]]
        self.child.ask("new", *words)

    def remote(self):
        return self.bytes_of("remote") or None

    def split(self):
        self.child.ask("split")

    def encrypt(self, ad, plaintext):
        return self.bytes_of("encrypt", "apart", hexed(ad), hexed(plaintext))

    def decrypt(self, ad, message):
        return self.bytes_of("decrypt", "apart", hexed(ad), hexed(message))


def refusing(function):
    """dissononce has no common class for its errors: whatever it raises is a refusal."""
    def wrapped(*arguments):
        try:
            return function(*arguments)
        except Exception as error:
            raise Refused("%s: %s" % (type(error).__name__, error)) from error
    return wrapped


class Dissononce:
    """dissononce, by noise_python. Its keys come from the case's random numbers."""

    def __init__(self):
        self.forget()

    def forget(self):
        self.s = self.s_private = self.e_private = self.party = None

    def make_static(self, dh, rng):
        self.s_private = rng.randbytes(noise_python.DH_LEN[dh])
        self.s = noise_python.public_key(dh, self.s_private)

    def make_ephemeral(self, dh, rng):
        self.e_private = rng.randbytes(noise_python.DH_LEN[dh])
        return noise_python.public_key(dh, self.e_private)

    @refusing
    def new(self, protocol, initiator, prologue, rs, re, psks):
        needs = protocol.needs(initiator)
        self.party = noise_python.Party(
            protocol.name, initiator, prologue=prologue, rs=rs, re=re, psks=psks,
            s=self.s_private if needs["s"] else None, e=self.e_private if needs["e"] else None)

    @refusing
    def write(self, payload):
        return self.party.write(payload)

    @refusing
    def read(self, message):
        return self.party.read(message)

    def remote(self):
        return self.party.rs

    def split(self):
        if self.party.wants != "done":
            raise Failure("dissononce has not finished")

    def hash(self):
        return self.party.h

    @refusing
    def encrypt(self, ad, plaintext):
        return self.party.tx.encrypt(ad, plaintext)

    @refusing
    def decrypt(self, ad, message):
        return self.party.rx.decrypt(ad, message)

    def rekey(self, direction):
        (self.party.tx if direction == "sending" else self.party.rx).rekey()

    def close(self):
        pass

    def kill(self):
        pass


class Pair:
    """Ours and theirs. They are made when they are needed and stay for the next play, unless one
    fails: then nobody knows what they are in."""

    def __init__(self, make_ours, make_theirs):
        self.makers = (make_ours, make_theirs)
        self.sides = []

    def attempt(self, step):
        """The result of STEP(ours, theirs)."""
        try:
            while len(self.sides) < len(self.makers):
                self.sides.append(self.makers[len(self.sides)]())
            return step(*self.sides)
        except Failure:
            self.kill()
            raise

    def close(self):
        """A Failure is what shows only at their end."""
        for side in self.sides:
            side.close()

    def kill(self):
        for side in self.sides:
            side.kill()
        self.sides = []
