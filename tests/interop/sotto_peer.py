"""Sotto wire protocol, version 1: an independent peer for tests.

Written from docs/protocol.md alone, on dissononce (Noise) and cryptography (X25519, X448, AEAD).
Nothing here does I/O: bytes in, bytes out. peer_net.py has the blocking sockets.
Numbers such as "protocol 4" in comments are sections of that document.

dissononce was checked against the public vectors of cacophony (XX, NK, IK, NKpsk0, both curves) and
flynn (XX, XXpsk0, NKpsk0, IKpsk0 on 25519). Its handshakes are right; its rekey is not (it keeps 48
bytes and sets the nonce back), so the transport here is on cryptography's AEADs.

Clear rather than fast, and not constant time: for tests only.
"""

import base64
import hashlib
import json
import os
import re
import struct
from collections import namedtuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from dissononce.cipher.aesgcm import AESGCMCipher
from dissononce.cipher.chachapoly import ChaChaPolyCipher
from dissononce.dh.keypair import KeyPair as NoiseKeyPair
from dissononce.dh.x25519.private import PrivateKey as Private25519
from dissononce.dh.x25519.public import PublicKey as Public25519
from dissononce.dh.x25519.x25519 import X25519DH
from dissononce.dh.x448.private import PrivateKey as Private448
from dissononce.dh.x448.public import PublicKey as Public448
from dissononce.dh.x448.x448 import X448DH
from dissononce.exceptions.decrypt import DecryptFailedException
from dissononce.hash.sha256 import SHA256Hash
from dissononce.hash.sha512 import SHA512Hash
from dissononce.processing.handshakepatterns.interactive.IK import IKHandshakePattern
from dissononce.processing.handshakepatterns.interactive.NK import NKHandshakePattern
from dissononce.processing.handshakepatterns.interactive.XX import XXHandshakePattern
from dissononce.processing.impl.cipherstate import CipherState
from dissononce.processing.impl.handshakestate import HandshakeState
from dissononce.processing.impl.symmetricstate import SymmetricState
from dissononce.processing.modifiers.psk import PSKPatternModifier

# some of these only for those who import this module
from strict_json import (CallError, DecryptError, Denied, EndOfStream, HandshakeClosed, Number,
                         Object, ProtocolError, Refused, SottoError, Timeout, TrustError,
                         as_integer, defined_object, dump, has_half_surrogate, in_range, is_string,
                         optional_in_range, parse_json, parse_object)

CURVES = ("25519", "448")
CIPHERS = ("AESGCM", "ChaChaPoly")
BOOTSTRAP_PATTERNS = ("XX", "XXpsk0")
SESSION_PATTERNS = ("NKpsk0", "IKpsk0")
DHLEN = {"25519": 32, "448": 56}
HASH = {"25519": "sha256", "448": "sha512"}          # the hash goes with the curve, protocol 3
NOISE_HASH = {"25519": "SHA256", "448": "SHA512"}

MAX_NEGOTIATION = 1024                                # protocol 2
MAX_HANDSHAKE_NOISE = 2048
MAX_BODY = 65517                                      # 65535 - tag 16 - body_len 2
REKEY_EVERY = 65536                                   # protocol 7
DEFAULT_MAX_MESSAGE = 1048576
DEFAULT_KEEPALIVE_MS = 30000
DEFAULT_ITERATIONS = 10000
MIN_ITERATIONS, MAX_ITERATIONS = 10000, 1000000
GATE_ITERATIONS = 10000
MAX_ID = 2 ** 53 - 1


# ---------------------------------------------------------------- keys

_PRIVATE = {"25519": X25519PrivateKey, "448": X448PrivateKey}
_PUBLIC = {"25519": X25519PublicKey, "448": X448PublicKey}
_RAW = dict(encoding=serialization.Encoding.Raw, format=serialization.PublicFormat.Raw)

KeyPair = namedtuple("KeyPair", "curve private public")


def public_of(curve, private):
    return _PRIVATE[curve].from_private_bytes(private).public_key().public_bytes(**_RAW)


def key_pair(curve, private=None):
    private = private or os.urandom(DHLEN[curve])
    return KeyPair(curve, private, public_of(curve, private))


def _curve_of(key):
    for curve in CURVES:
        if isinstance(key, (_PRIVATE[curve], _PUBLIC[curve])):
            return curve
    raise ValueError("neither X25519 nor X448")


def load_private_pem(path):
    with open(path, "rb") as file:
        key = serialization.load_pem_private_key(file.read(), None)
    raw = key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw,
                            serialization.NoEncryption())
    return key_pair(_curve_of(key), raw)


def load_public_pem(path):
    with open(path, "rb") as file:
        key = serialization.load_pem_public_key(file.read())
    return _curve_of(key), key.public_bytes(**_RAW)


def write_pem(path, pair):
    """PATH.key (PKCS#8) and PATH.pub (SubjectPublicKeyInfo), as openssl genpkey and pkey write."""
    key = _PRIVATE[pair.curve].from_private_bytes(pair.private)
    with open(os.open(path + ".key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                     serialization.NoEncryption()))
    with open(path + ".pub", "wb") as file:
        file.write(key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))


def is_low_order(curve, public):
    """Whether Diffie-Hellman with any private key is all zero. One private key is enough: it is a
    multiple of the cofactor, and no multiple of the large prime is in its range."""
    private = _PRIVATE[curve].from_private_bytes(b"\x01" * DHLEN[curve])
    try:
        shared = private.exchange(_PUBLIC[curve].from_public_bytes(public))
    except ValueError:
        return True
    return not any(shared)


def fingerprint(curve, public):
    digest = hashlib.sha256(curve.encode() + b"\0" + public).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def decode_base64(text):
    """RFC 4648 section 4, padded, strict; None for anything else."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        return None
    return raw if base64.b64encode(raw).decode() == text else None


# ---------------------------------------------------------------- PSK, epoch, gate: protocol 5

def u16(number):
    return struct.pack(">H", number)


def u32(number):
    return struct.pack(">I", number)


def seed_of(server_id, server_string, shared_string):
    return (server_id + u16(len(server_string)) + server_string
            + u16(len(shared_string)) + shared_string)


def derive_psk(curve, server_id, server_string, shared_string, salt, iterations):
    seed = seed_of(server_id, server_string, shared_string)
    return hashlib.pbkdf2_hmac(HASH[curve], seed, salt, iterations, 32)


def derive_gate_psk(curve, shared_string, salt0):
    password = b"sotto gate" + u16(len(shared_string)) + shared_string
    return hashlib.pbkdf2_hmac(HASH[curve], password, salt0, GATE_ITERATIONS, 32)


def epoch_of(server_id):
    return hashlib.sha256(server_id).digest()[:8].hex()


class Secrets:
    """What a deployment shares; server_string is None in a client's copy."""

    def __init__(self, shared_string, salts, iterations=DEFAULT_ITERATIONS, server_string=None):
        self.shared_string, self.salts = shared_string, salts
        self.iterations, self.server_string = iterations, server_string

    @classmethod
    def load(cls, path):
        with open(path, "rb") as file:
            data = json.load(file)
        if data.get("sotto_secrets") != 1:
            raise ValueError("%s: not a sotto secrets file" % path)
        server = data.get("server_string")
        return cls(data["shared_string"].encode(), [bytes.fromhex(s) for s in data["salts"]],
                   data.get("iterations", DEFAULT_ITERATIONS), server.encode() if server else None)

    @classmethod
    def new(cls):
        text = [base64.b64encode(os.urandom(32)) for _ in range(2)]
        return cls(text[0], [os.urandom(32) for _ in range(100)], DEFAULT_ITERATIONS, text[1])

    def save(self, path, role):
        data = {"sotto_secrets": 1, "role": role,
                "server_string": (self.server_string or b"").decode(),
                "shared_string": self.shared_string.decode(),
                "salts": [s.hex() for s in self.salts],
                "iterations": self.iterations}
        if role == "client":
            del data["server_string"]
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(data, file)

    def gate_psk(self, curve):
        return derive_gate_psk(curve, self.shared_string, self.salts[0])


# ---------------------------------------------------------------- Noise

class _Dh25519(X25519DH):
    private_type, public_type = Private25519, Public25519


class _Dh448(X448DH):
    private_type, public_type = Private448, Public448


def _checked_dh(curve, ephemeral):
    """dissononce's DH with an injected ephemeral key, and a refusal of all-zero results (protocol
    1; the libraries below already refuse them, but the rule should not depend on that)."""
    base = {"25519": _Dh25519, "448": _Dh448}[curve]

    class Checked(base):
        def dh(self, keypair, publickey):
            shared = super().dh(keypair, publickey)
            if not any(shared):
                raise ValueError("Diffie-Hellman result is all zero")
            return shared

        def generate_keypair(self, privatekey=None):
            return super().generate_keypair(privatekey or base.private_type(
                ephemeral or os.urandom(DHLEN[curve])))
    return Checked()


_PATTERNS = {"XX": XXHandshakePattern, "NK": NKHandshakePattern, "IK": IKHandshakePattern}
_NOISE_CIPHERS = {"AESGCM": AESGCMCipher, "ChaChaPoly": ChaChaPolyCipher}


class Noise:
    """One handshake. write() and read() in turn; after the last message `keys` is (initiator's
    sending key, responder's sending key) and `hash` the handshake hash."""

    def __init__(self, pattern, curve, cipher, initiator, prologue, s=None, rs=None, psk=None,
                 e=None):
        dh = _checked_dh(curve, e)
        hash_function = SHA256Hash() if curve == "25519" else SHA512Hash()
        self._state = HandshakeState(
            SymmetricState(CipherState(_NOISE_CIPHERS[cipher]()), hash_function), dh)
        shape = _PATTERNS[pattern[:2]]()
        if pattern.endswith("psk0"):
            shape = PSKPatternModifier(0).modify(shape)
        pair = s and NoiseKeyPair(dh.public_type(s.public), dh.private_type(s.private))
        self._state.initialize(shape, initiator, prologue, s=pair,
                               rs=rs and dh.public_type(rs), psks=[psk] if psk else None)
        self.protocol_name = self._state.protocol_name
        self.keys = self.hash = None

    def _split(self, pair):
        if pair:
            # only the keys are taken: dissononce's own rekey keeps 48 bytes and resets the nonce
            self.keys = (pair[0]._key, pair[1]._key)
            self.hash = self._state.symmetricstate.get_handshake_hash()

    def write(self, payload):
        out = bytearray()
        try:
            self._split(self._state.write_message(payload, out))
        except ValueError as error:
            raise DecryptError(str(error))
        return bytes(out)

    def read(self, message):
        out = bytearray()
        try:
            self._split(self._state.read_message(message, out))
        except (DecryptFailedException, InvalidTag, ValueError, AssertionError) as error:
            raise DecryptError("handshake message: %r" % error)
        return bytes(out)

    @property
    def remote_static(self):
        return self._state.rs and self._state.rs.data


class Cipher:
    """One direction of the transport; Noise REKEY() at every multiple of 65536 (protocol 7)."""

    def __init__(self, name, key, nonce=0):
        self.name, self.nonce = name, nonce
        self._set_key(key)

    def _set_key(self, key):
        self.key = key
        self._aead = AESGCM(key) if self.name == "AESGCM" else ChaCha20Poly1305(key)

    def _nonce_bytes(self, nonce):
        return bytes(4) + struct.pack(">Q" if self.name == "AESGCM" else "<Q", nonce)

    def rekey(self):
        """Noise 4.2: the first 32 bytes of ENCRYPT(k, 2^64-1, "", zeros). The nonce goes on."""
        self._set_key(self._aead.encrypt(self._nonce_bytes(2 ** 64 - 1), bytes(32), b"")[:32])

    def _due(self):
        return self.nonce and self.nonce % REKEY_EVERY == 0

    def seal(self, plaintext):
        if self._due():
            self.rekey()
        out = self._aead.encrypt(self._nonce_bytes(self.nonce), plaintext, b"")
        self.nonce += 1
        return out

    def open(self, message):
        if len(message) < 16:
            raise DecryptError("a frame shorter than a tag")
        if self._due():
            self.rekey()
        try:
            out = self._aead.decrypt(self._nonce_bytes(self.nonce), message, b"")
        except InvalidTag:
            raise DecryptError("a record does not verify")
        self.nonce += 1
        return out


# ---------------------------------------------------------------- frames, protocol 2

def pack(body, padding=b""):
    return u16(len(body)) + body + padding


def unpack(plaintext):
    if len(plaintext) < 2:
        raise ProtocolError("plaintext shorter than its length field")
    length = struct.unpack(">H", plaintext[:2])[0]
    if length > len(plaintext) - 2:
        raise ProtocolError("body_len beyond the plaintext")
    return plaintext[2:2 + length]


def handshake_frame(negotiation, noise):
    return u16(len(negotiation)) + negotiation + u16(len(noise)) + noise


def transport_frame(noise):
    return u16(len(noise)) + noise


def prologue_of(negotiation):
    return b"NoiseSocketInit1" + u16(len(negotiation)) + negotiation


class Channel:
    """Both directions after the handshake: bodies to frames and back."""

    def __init__(self, cipher, send_key, receive_key):
        self.tx, self.rx = Cipher(cipher, send_key), Cipher(cipher, receive_key)

    def seal(self, body, padding=b""):
        return transport_frame(self.tx.seal(pack(body, padding)))

    def open(self, message):
        return unpack(self.rx.open(message))


class FrameBuffer:
    """Cuts frames out of received bytes. Lengths before authentication are judged on the prefix,
    before the bytes themselves are there."""

    def __init__(self):
        self.data = bytearray()

    def feed(self, data):
        self.data += data

    def _u16(self, at):
        return struct.unpack_from(">H", self.data, at)[0]

    def _take(self, count):
        out = bytes(self.data[:count])
        del self.data[:count]
        return out

    def handshake(self):
        """(negotiation, noise message), or None when more bytes are needed."""
        if len(self.data) < 2:
            return None
        negotiation = self._u16(0)
        if negotiation > MAX_NEGOTIATION:
            raise ProtocolError("negotiation_len %d" % negotiation)
        if len(self.data) < 4 + negotiation:
            return None
        noise = self._u16(2 + negotiation)
        if noise > MAX_HANDSHAKE_NOISE:
            raise ProtocolError("handshake noise_len %d" % noise)
        if len(self.data) < 4 + negotiation + noise:
            return None
        frame = self._take(4 + negotiation + noise)
        return frame[2:2 + negotiation], frame[4 + negotiation:]

    def has_transport(self):
        return len(self.data) >= 2 and len(self.data) >= 2 + self._u16(0)

    def transport(self):
        if not self.has_transport():
            return None
        return self._take(2 + self._u16(0))[2:]


# ---------------------------------------------------------------- negotiation, protocol 3

NEGOTIATION_MEMBERS = ("sotto", "pattern", "curve", "cipher", "epoch", "max_message")
Negotiation = namedtuple("Negotiation", "pattern curve cipher epoch max_message")


def negotiation_text(pattern, curve, cipher, epoch=None, max_message=None):
    data = {"sotto": 1, "pattern": pattern, "curve": curve, "cipher": cipher}
    if epoch is not None:
        data["epoch"] = epoch
    if max_message is not None:
        data["max_message"] = max_message
    return dump(data)


def judge_negotiation(data, patterns, curves, ciphers, epochs, client_auth="none"):
    """The responder's view of the first frame: a Negotiation, or Refused, in protocol 3's order."""
    try:
        obj = parse_object(data, NEGOTIATION_MEMBERS, "negotiation")
    except ProtocolError as error:
        raise Refused("malformed", str(error))
    version = as_integer(obj.get("sotto"))
    if version is None:
        raise Refused("malformed", "sotto")
    if version != 1:
        raise Refused("unsupported_version")
    for name in ("pattern", "curve", "cipher"):
        if not is_string(obj.get(name)):
            raise Refused("malformed", name)
    pattern, curve, cipher = (obj.get(n) for n in ("pattern", "curve", "cipher"))
    session = pattern in SESSION_PATTERNS
    epoch = obj.get("epoch")
    if session and not (is_string(epoch) and re.fullmatch("[0-9a-f]{16}", epoch)):
        raise Refused("malformed", "epoch")
    if session and not optional_in_range(obj, "max_message", 1024, 2 ** 32 - 1):
        raise Refused("malformed", "max_message")
    if pattern not in patterns:
        raise Refused("unsupported_pattern")
    if curve not in curves:
        raise Refused("unsupported_curve")
    if cipher not in ciphers:
        raise Refused("unsupported_cipher")
    if session and epoch not in epochs:
        raise Refused("unknown_epoch")
    if pattern == "NKpsk0" and client_auth == "required":
        raise Refused("client_key_required")
    limit = as_integer(obj.get("max_message")) if session and "max_message" in obj else None
    return Negotiation(pattern, curve, cipher, epoch if session else None,
                       limit or DEFAULT_MAX_MESSAGE)


def parse_error_member(obj, what):
    """The value of `error` in a refusal, a document or an answer."""
    known = ("code", "message", "retry_after_ms")
    error = defined_object(obj.get("error"), known, what)
    if not is_string(error.get("code")):
        raise ProtocolError("%s: no code" % what)
    if "message" in error and not is_string(error.get("message")):
        raise ProtocolError("%s: message is no string" % what)
    return error


def parse_refusal(data):
    """What the initiator makes of negotiation data in an answer: a Refused, or ProtocolError."""
    obj = parse_object(data, ("error",), "refusal")
    error = parse_error_member(obj, "error")
    if not optional_in_range(error, "retry_after_ms", 1, 2 ** 31):
        raise ProtocolError("retry_after_ms")
    return Refused(error.get("code"), error.get("message"),
                   as_integer(error.get("retry_after_ms")))


def refusal_frame(code, message=None, retry_after_ms=None):
    error = {"code": code}
    if message is not None:
        error["message"] = message
    if retry_after_ms is not None:
        error["retry_after_ms"] = retry_after_ms
    return handshake_frame(dump({"error": error}), b"")


def message1_length(pattern, curve):
    return {"XX": 0, "XXpsk0": 18, "NKpsk0": 18,
            "IKpsk0": DHLEN[curve] + 34}[pattern] + DHLEN[curve]


# ---------------------------------------------------------------- handshakes

class Tamper:
    """Hooks for controls of the tests: a subclass breaks one thing on one side."""

    def prologue(self, data):
        return data

    def psk(self, data):
        return data

    def frame(self, data):
        return data

    def content(self, text):
        return text


def _expect_length(noise, length, what):
    if len(noise) != length:
        raise ProtocolError("%s is %d bytes, not %d" % (what, len(noise), length))


def _expect_empty_body(payload, what):
    if unpack(payload) != b"":
        raise ProtocolError("%s carries a body" % what)


class Initiator:
    """The client's side of one handshake of any of the four patterns."""

    def __init__(self, pattern, curve, cipher, negotiation, s=None, rs=None, psk=None, e=None,
                 tamper=Tamper()):
        self.pattern, self.curve, self.cipher = pattern, curve, cipher
        self.negotiation, self.tamper = negotiation, tamper
        self.noise = Noise(pattern, curve, cipher, True, tamper.prologue(prologue_of(negotiation)),
                           s=s, rs=rs, psk=psk and tamper.psk(psk), e=e)
        self.channel = None

    def first(self):
        payload = b"" if self.pattern == "XX" else pack(b"")   # message 1 of XX is clear: empty
        return self.tamper.frame(handshake_frame(self.negotiation, self.noise.write(payload)))

    def _read_answer(self, negotiation, noise):
        if negotiation:
            if noise:
                raise ProtocolError("negotiation data together with a noise message")
            raise parse_refusal(negotiation)
        return noise

    def _finish(self):
        self.channel = Channel(self.cipher, *self.noise.keys)

    def bootstrap_answer(self, negotiation, noise):
        """Message 2 of XX or XXpsk0; gives the frame of message 3."""
        noise = self._read_answer(negotiation, noise)
        _expect_length(noise, 2 * DHLEN[self.curve] + 34, "message 2")
        _expect_empty_body(self.noise.read(noise), "message 2")
        out = handshake_frame(b"", self.noise.write(pack(b"")))
        self._finish()
        return out

    def session_answer(self, negotiation, noise):
        """Message 2 of NKpsk0 or IKpsk0; gives the server hello."""
        noise = self._read_answer(negotiation, noise)
        if len(noise) < DHLEN[self.curve] + 16:
            raise ProtocolError("message 2 is too short")
        hello = parse_hello(unpack(self.noise.read(noise)))
        self._finish()
        return hello


class Responder:
    """The server's side, once the negotiation has been accepted."""

    def __init__(self, negotiation, raw, s, psk=None, e=None, tamper=Tamper()):
        self.pattern, self.curve, self.cipher = negotiation[:3]
        self.noise = Noise(self.pattern, self.curve, self.cipher, False,
                           tamper.prologue(prologue_of(raw)), s=s, psk=psk and tamper.psk(psk), e=e)
        self.channel, self.tamper = None, tamper

    def read_first(self, noise):
        _expect_length(noise, message1_length(self.pattern, self.curve), "message 1")
        payload = self.noise.read(noise)
        if self.pattern != "XX":
            _expect_empty_body(payload, "message 1")

    def answer(self, body=b"", padding=b""):
        """Message 2: an empty body (bootstrap) or the server hello (session)."""
        out = handshake_frame(b"", self.noise.write(pack(body, padding)))
        if self.noise.keys:
            self._finish()
        return self.tamper.frame(out)

    def read_last(self, negotiation, noise):
        """Message 3 of a bootstrap."""
        if negotiation:
            raise ProtocolError("negotiation data in message 3")
        _expect_length(noise, DHLEN[self.curve] + 34, "message 3")
        _expect_empty_body(self.noise.read(noise), "message 3")
        self._finish()

    def _finish(self):
        self.channel = Channel(self.cipher, self.noise.keys[1], self.noise.keys[0])


# ---------------------------------------------------------------- bootstrap document, protocol 4

Document = namedtuple("Document", "server_id salt_index server_string iterations curve public_key "
                                  "other_keys client_auth expires_in")
DOCUMENT_MEMBERS = Document._fields + ("error",)


def document_text(**members):
    """A document from Document's members, in their order; keys raw, server_id raw."""
    out = {}
    for name in Document._fields:
        value = members.get(name)
        if name == "expires_in" and value is None:
            continue
        if name == "server_id":
            value = value.hex()
        elif name == "server_string":
            value = value.decode()
        elif name == "public_key":
            value = base64.b64encode(value).decode()
        elif name == "other_keys":
            value = {c: base64.b64encode(k).decode() for c, k in value.items()}
        out[name] = value
    return dump(out)


def _key_member(curve, text, what):
    raw = decode_base64(text) if is_string(text) else None
    if raw is None or len(raw) != DHLEN[curve]:
        raise ProtocolError("%s is no key of curve %s" % (what, curve))
    if is_low_order(curve, raw):
        raise ProtocolError("%s is a low-order point" % what)
    return raw


def _other_keys(obj, own):
    keys = {}
    for name, value, _ in defined_object(obj.get("other_keys"), CURVES, "other_keys").pairs:
        if name == own:
            raise ProtocolError("the own curve in other_keys")
        if name in CURVES:                             # unknown curves are ignored
            keys[name] = _key_member(name, value, "other_keys." + name)
    return keys


def parse_document(body, curve, static, salts, min_iterations=MIN_ITERATIONS,
                   max_iterations=MAX_ITERATIONS):
    """Every check that the client makes on a document, except trust. `static` is the key that XX
    authenticated, `salts` the size of the client's own salt array."""
    obj = parse_object(body, DOCUMENT_MEMBERS, "document")
    if "error" in obj:
        raise Denied(parse_error_member(obj, "error").get("code"))
    server_id, text = obj.get("server_id"), obj.get("server_string")
    if not is_string(server_id) or not re.fullmatch("[0-9a-f]{32}", server_id):
        raise ProtocolError("server_id")
    if not is_string(text) or not 1 <= len(text.encode()) <= 1024:
        raise ProtocolError("server_string")
    if not in_range(obj.get("salt_index"), 0, salts - 1):
        raise ProtocolError("salt_index outside the salt array")
    if not in_range(obj.get("iterations"), min_iterations, max_iterations):
        raise ProtocolError("iterations")
    if obj.get("curve") != curve:
        raise ProtocolError("another curve")
    public = _key_member(curve, obj.get("public_key"), "public_key")
    if public != static:
        raise ProtocolError("public_key is not the key that the handshake showed")
    others = _other_keys(obj, curve)
    if obj.get("client_auth") not in ("none", "optional", "required"):
        raise ProtocolError("client_auth")
    if not optional_in_range(obj, "expires_in", 1, 2 ** 31):
        raise ProtocolError("expires_in")
    return Document(bytes.fromhex(server_id), as_integer(obj.get("salt_index")), text.encode(),
                    as_integer(obj.get("iterations")), curve, public, others,
                    obj.get("client_auth"), as_integer(obj.get("expires_in")))


def judge_trust(pins, curve, key, given=None, policy="strict"):
    """The table of protocol 4. `pins` are the keys pinned for the address, {curve: key}; `given` a
    fingerprint. True: go on and pin; False: go on, pinned already."""
    if given is not None and given != fingerprint(curve, key):
        raise TrustError("key_mismatch", "not the given fingerprint")
    if curve in pins:
        if pins[curve] != key:
            raise TrustError("key_mismatch", "not the pinned key")
        return False
    if pins:
        raise TrustError("key_unknown", "only another curve's key is pinned")
    if given is None and policy != "accept-new":
        raise TrustError("key_unknown", "nothing is pinned")
    return True


# ---------------------------------------------------------------- server hello, protocol 6

Hello = namedtuple("Hello", "max_message keepalive_ms agent")


def hello_text(max_message=None, keepalive_ms=None, agent=None):
    pairs = (("max_message", max_message), ("keepalive_ms", keepalive_ms), ("agent", agent))
    return dump({k: v for k, v in pairs if v is not None})


def parse_hello(body):
    obj = parse_object(body, Hello._fields, "server hello")
    if not optional_in_range(obj, "max_message", 1024, 2 ** 32 - 1):
        raise ProtocolError("max_message")
    if not optional_in_range(obj, "keepalive_ms", 1, 2 ** 32 - 1):
        raise ProtocolError("keepalive_ms")
    agent = obj.get("agent", "")
    if not is_string(agent) or len(agent.encode()) > 128:
        raise ProtocolError("agent")
    return Hello(as_integer(obj.get("max_message")) or DEFAULT_MAX_MESSAGE,
                 as_integer(obj.get("keepalive_ms")) or DEFAULT_KEEPALIVE_MS, agent)


# ---------------------------------------------------------------- messages, protocol 7

def pack_messages(*texts):
    return b"".join(u32(len(t)) + t for t in texts)


class MessageBuffer:
    """Cuts messages out of the bodies of one direction."""

    def __init__(self, max_message=DEFAULT_MAX_MESSAGE):
        self.data, self.max_message = bytearray(), max_message

    def feed(self, body):
        self.data += body
        out = []
        while len(self.data) >= 4:
            length = struct.unpack_from(">I", self.data)[0]
            if not 1 <= length <= self.max_message:       # before anything is buffered
                raise ProtocolError("message of %d bytes" % length)
            if len(self.data) < 4 + length:
                break
            out.append(bytes(self.data[4:4 + length]))
            del self.data[:4 + length]
        return out


# kind: request, notification, cancel, close, invalid_request (server); answer, part, error,
# draining, close, ignored (client). `obj` is the parsed object.
Message = namedtuple("Message", "kind id obj", defaults=(None, None))
ENDPOINT = re.compile(r"(\$/)?[A-Za-z0-9._/-]{1,128}")
REQUEST_MEMBERS = ("id", "endpoint", "deadline_ms", "notify", "cancel", "close")
ANSWER_MEMBERS = ("id", "more", "error", "draining", "close")


def _usable_id(obj):
    if not in_range(obj.get("id"), 1, MAX_ID):
        raise ProtocolError("invalid id")
    return as_integer(obj.get("id"))


def request_fault(obj):
    """What is wrong with a request, or None."""
    endpoint = obj.get("endpoint")
    if not is_string(endpoint) or not ENDPOINT.fullmatch(endpoint):
        return "endpoint"
    if "cancel" in obj:
        return "cancel with endpoint"
    if not optional_in_range(obj, "deadline_ms", 1, 2 ** 31):
        return "deadline_ms"
    if obj.get("notify", False) is not False and ("id" in obj or obj.get("notify") is not True):
        return "notify"
    return None


def _close(obj):
    """An object with `close` is a close, whatever its value; but its members are not doubled."""
    if isinstance(obj.get("close"), Object):
        defined_object(obj.get("close"), ("code", "message", "reconnect_after_ms"), "close")
    return Message("close", None, obj)


class RequestReader:
    """The server's view of messages: counts requests and knows the ids in use."""

    def __init__(self, count=0, in_use=()):
        self.count, self.in_use = count, set(in_use)

    def read(self, text):
        obj = parse_object(text, REQUEST_MEMBERS, "message")
        given = _usable_id(obj) if "id" in obj else None
        if "close" in obj:
            return _close(obj)
        if obj.get("notify") is True and given is None:
            return Message("notification", None, obj)
        if given is not None and obj.get("cancel") is True and "endpoint" not in obj:
            return Message("cancel", given, obj)
        self.count += 1
        number = self.count if given is None else given
        if number in self.in_use:
            raise ProtocolError("id %d is in use" % number)
        self.in_use.add(number)
        return Message("invalid_request" if request_fault(obj) else "request", number, obj)


class AnswerReader:
    """The client's view of messages, with the ids that it still waits for."""

    def __init__(self, in_use=()):
        self.in_use = set(in_use)

    def read(self, text):
        obj = parse_object(text, ANSWER_MEMBERS, "message")
        number = _usable_id(obj) if "id" in obj else None
        if "close" in obj:
            return _close(obj)
        if number is not None:
            return self._answer(number, obj)
        if "draining" in obj:
            draining = defined_object(obj.get("draining"), ("reconnect_after_ms",), "draining")
            if "reconnect_after_ms" in draining and as_integer(
                    draining.get("reconnect_after_ms")) is None:
                raise ProtocolError("reconnect_after_ms")
            return Message("draining", None, obj)
        return Message("ignored", None, obj)

    def _answer(self, number, obj):
        if number not in self.in_use:
            return Message("ignored", number, obj)
        if obj.get("more", False) not in (True, False):
            raise ProtocolError("more")
        if "error" in obj:
            parse_error_member(obj, "error")
            if "content" in obj or obj.get("more"):
                raise ProtocolError("error together with content or more")
            self.in_use.discard(number)
            return Message("error", number, obj)
        if obj.get("more", False):
            return Message("part", number, obj)
        self.in_use.discard(number)
        return Message("answer", number, obj)


def close_code(obj):
    """The code of a close, "" when its value is not as it should be."""
    close = obj.get("close")
    code = close.get("code") if isinstance(close, Object) else None
    return code if is_string(code) else ""


def close_text(code, message=None):
    close = {"code": code}
    if message is not None:
        close["message"] = message
    return dump({"close": close})


def request_text(endpoint, content=None, number=None, deadline_ms=None, notify=False):
    """`content` is JSON text, as it will stand in the message."""
    parts = []
    if number is not None:
        parts.append('"id":%d' % number)
    parts.append('"endpoint":' + json.dumps(endpoint))
    if content is not None:
        parts.append('"content":' + content)
    if deadline_ms is not None:
        parts.append('"deadline_ms":%d' % deadline_ms)
    if notify:
        parts.append('"notify":true')
    return ("{" + ",".join(parts) + "}").encode()


def answer_text(number, content, more=False):
    return ('{"id":%d,"content":%s%s}' % (number, content, ',"more":true' if more else "")).encode()


def error_text(number, code, message=None):
    error = {"code": code}
    if message is not None:
        error["message"] = message
    return dump({"id": number, "error": error})
