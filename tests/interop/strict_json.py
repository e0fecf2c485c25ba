"""Strict JSON as protocol 1 wants it, and the errors of the peer. See sotto_peer.py."""

import json
import re

MAX_DEPTH = 64


# ---------------------------------------------------------------- errors

class SottoError(Exception):
    """Anything that ends an attempt. `kind` is a short stable word, for tests."""
    kind = "error"


class ProtocolError(SottoError):
    kind = "protocol_error"


class DecryptError(SottoError):
    """A failed decryption: closed without a word (protocol 1)."""
    kind = "decrypt"


class EndOfStream(SottoError):
    """The byte stream ended where more was due: a truncation, a lost connection."""
    kind = "truncated"


class HandshakeClosed(EndOfStream):
    """Closed without a word instead of message 2: a wrong PSK, an altered byte (protocol 3)."""
    kind = "handshake"


class Timeout(SottoError):
    kind = "deadline"


class Refused(SottoError):
    """A negotiation that was refused (protocol 3)."""
    kind = "refused"

    def __init__(self, code, message=None, retry_after_ms=None):
        super().__init__("%s%s" % (code, ": " + message if message else ""))
        self.code, self.message, self.retry_after_ms = code, message, retry_after_ms


class Denied(SottoError):
    """A bootstrap document that holds an error (protocol 4)."""
    kind = "denied"


class TrustError(SottoError):
    """`kind` is key_unknown or key_mismatch (the table of protocol 4)."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


class CallError(SottoError):
    """The final answer of a call was an error, or a close came instead of it."""
    kind = "call"

    def __init__(self, code, message=None):
        super().__init__(code)
        self.code, self.message = code, message


# ---------------------------------------------------------------- strict JSON, protocol 1

class Number:
    """A JSON number, kept as written: 1, 1.0 and 1e0 differ here, and 25519 is not "25519"."""

    def __init__(self, text):
        self.text = text


class Object:
    """A JSON object as a list of (name, value, text of the value), duplicates kept."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __contains__(self, name):
        return any(n == name for n, _, _ in self.pairs)

    def get(self, name, missing=None):
        return next((v for n, v, _ in self.pairs if n == name), missing)

    def text(self, name):
        return next((t for n, _, t in self.pairs if n == name), None)

    def names(self):
        return [n for n, _, _ in self.pairs]


_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_ESCAPE = r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_PLAIN = r'[^"\\\x00-\x1f]*'
_STRING = re.compile('"(%s(?:%s%s)*)"' % (_PLAIN, _ESCAPE, _PLAIN))
_UNSIGNED = re.compile(r"0|[1-9][0-9]*")
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _unescape(text):
    if "\\" not in text:
        return text

    def one(match):
        seq = match.group(0)
        return chr(int(seq[2:], 16)) if seq[1] == "u" else _SHORT.get(seq[1], seq[1])
    units = re.sub(_ESCAPE, one, text)
    # joins pairs of surrogates that came from two escapes; halves stay as they are
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


class _Parser:
    def __init__(self, text):
        self.text, self.at = text, 0

    def fail(self, why):
        raise ProtocolError("JSON: %s at %d" % (why, self.at))

    def space(self):
        self.at = _SPACE.match(self.text, self.at).end()

    def take(self, char):
        if self.text[self.at:self.at + 1] != char:
            self.fail("expected %r" % char)
        self.at += 1

    def string(self):
        match = _STRING.match(self.text, self.at)
        if not match:
            self.fail("bad string")
        self.at = match.end()
        return _unescape(match.group(1))

    def value(self, depth):
        start = self.text[self.at:self.at + 1]
        if start == '"':
            return self.string()
        if start in ("{", "[") and start:
            if depth > MAX_DEPTH:
                self.fail("nested too deep")
            return self.object(depth) if start == "{" else self.array(depth)
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        match = _NUMBER.match(self.text, self.at)
        if not match:
            self.fail("bad value")
        self.at = match.end()
        return Number(match.group(0))

    def items(self, close, item):
        self.at += 1
        self.space()
        if self.text[self.at:self.at + 1] == close:
            self.at += 1
            return
        while True:
            item()
            self.space()
            if self.text[self.at:self.at + 1] != ",":
                break
            self.at += 1
            self.space()
        self.take(close)

    def array(self, depth):
        out = []
        self.items("]", lambda: out.append(self.value(depth + 1)))
        return out

    def object(self, depth):
        out = []

        def member():
            name = self.string()
            self.space()
            self.take(":")
            self.space()
            start = self.at
            value = self.value(depth + 1)
            out.append((name, value, self.text[start:self.at]))
        self.items("}", member)
        return Object(out)


def parse_json(data):
    """Strict RFC 8259, no byte order mark, at most 64 deep. Duplicates are for the caller."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ProtocolError("JSON: not UTF-8")
    if text.startswith("\ufeff"):
        raise ProtocolError("JSON: byte order mark")
    parser = _Parser(text)
    parser.space()
    value = parser.value(1)
    parser.space()
    if parser.at != len(text):
        parser.fail("trailing text")
    return value


def has_half_surrogate(text):
    return any("\ud800" <= c <= "\udfff" for c in text)


def defined_object(value, known, what):
    """An object that the protocol defines: no duplicate member and no half surrogate, except inside
    the values of members that are not in `known` and of those that belong to the application."""
    if not isinstance(value, Object):
        raise ProtocolError("%s is not an object" % what)
    names = value.names()
    if len(set(names)) != len(names):
        raise ProtocolError("%s has a duplicate member" % what)
    for name, inner, _ in value.pairs:
        if has_half_surrogate(name):
            raise ProtocolError("%s has half a surrogate pair in a name" % what)
        if name in known and is_string(inner) and has_half_surrogate(inner):
            raise ProtocolError("%s.%s has half a surrogate pair" % (what, name))
    return value


def parse_object(data, known, what):
    return defined_object(parse_json(data), known, what)


def is_string(value):
    return isinstance(value, str)


def as_integer(value):
    """An integer of protocol 1 (unsigned; no fraction, exponent or leading zero), or None."""
    if not isinstance(value, Number) or not _UNSIGNED.fullmatch(value.text):
        return None
    return int(value.text) if len(value.text) <= 20 else 10 ** 20


def in_range(value, low, high):
    number = as_integer(value)
    return number is not None and low <= number <= high


def optional_in_range(obj, name, low, high):
    return name not in obj or in_range(obj.get(name), low, high)


def dump(value):
    """The JSON text that this peer writes: compact, UTF-8 as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
