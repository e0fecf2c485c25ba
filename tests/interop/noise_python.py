"""Noise, revision 34, in Python: the independent peer for tests of src/noise/.

Patterns, handshake and ciphers are those of dissononce (on cryptography); no code is shared with
the library. Added here is what dissononce lacks or does in another way:

- names are read strictly, and modifiers are applied from left to right;
- every pattern is canonical (Noise 7.2), so after a fallback the initiator is Bob (Noise 10.2);
- in a psk handshake the peer's ephemeral key of a pre-message is mixed too (Noise 9.2);
- Rekey() takes the first 32 bytes and leaves the nonce alone (Noise 4.2, 11.3).
"""

import importlib
import itertools
import os

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519, x448
from dissononce.cipher.aesgcm import AESGCMCipher
from dissononce.cipher.chachapoly import ChaChaPolyCipher
from dissononce.dh.keypair import KeyPair
from dissononce.dh.x25519 import private as private25519, public as public25519
from dissononce.dh.x25519.x25519 import X25519DH
from dissononce.dh.x448 import private as private448, public as public448
from dissononce.dh.x448.x448 import X448DH
from dissononce.exceptions.decrypt import DecryptFailedException
from dissononce.hash.blake2b import Blake2bHash
from dissononce.hash.blake2s import Blake2sHash
from dissononce.hash.sha256 import SHA256Hash
from dissononce.hash.sha512 import SHA512Hash
from dissononce.processing.handshakepatterns.handshakepattern import HandshakePattern
from dissononce.processing.impl.cipherstate import CipherState
from dissononce.processing.impl.handshakestate import HandshakeState
from dissononce.processing.impl.symmetricstate import SymmetricState

MESSAGE_MAX = 65535                                        # Noise 3
TAG_LEN = 16
PSK_LEN = 32
NONCE_RESERVED = 2 ** 64 - 1                               # Noise 5.1

DecryptFailed = DecryptFailedException                     # what .read() and .decrypt() raise

ONE_WAY = ("N", "K", "X")
FUNDAMENTAL = ("NN", "NK", "NX", "KN", "KK", "KX", "XN", "XK", "XX", "IN", "IK", "IX")
DEFERRED = ("NK1", "NX1", "X1N", "X1K", "XK1", "X1K1", "X1X", "XX1", "X1X1",
            "K1N", "K1K", "KK1", "K1K1", "K1X", "KX1", "K1X1",
            "I1N", "I1K", "IK1", "I1K1", "I1X", "IX1", "I1X1")

CIPHERS = {"ChaChaPoly": ChaChaPolyCipher, "AESGCM": AESGCMCipher}
HASHES = {"SHA256": SHA256Hash, "SHA512": SHA512Hash, "BLAKE2s": Blake2sHash,
          "BLAKE2b": Blake2bHash}
HASH_LEN = {"SHA256": 32, "SHA512": 64, "BLAKE2s": 32, "BLAKE2b": 64}
DH_LEN = {"25519": 32, "448": 56}

# Noise 7.2: what becomes of a token when initiator and responder change places.
SWAPPED = {"es": "se", "se": "es"}


class InvalidName(ValueError):
    """A protocol name that revision 34 does not have."""


# ---------------------------------------------------------------- patterns

def _load(folder, names):
    """dissononce has one class for each pattern, in a module of that name."""
    base = "dissononce.processing.handshakepatterns.%s." % folder
    return {name: getattr(importlib.import_module(base + name), name + "HandshakePattern")()
            for name in names}


PATTERNS = {**_load("oneway", ONE_WAY), **_load("interactive", FUNDAMENTAL),
            **_load("deferred", DEFERRED)}


class Pattern:
    """A handshake pattern in canonical form, to which modifiers can be applied."""

    def __init__(self, base):
        if base not in PATTERNS:
            raise InvalidName("no pattern %r" % base)
        pattern = PATTERNS[base]
        self.messages = [tuple(m) for m in pattern.message_patterns]
        self.initiator_pre = tuple(pattern.initiator_pre_message_pattern)
        self.responder_pre = tuple(pattern.responder_pre_message_pattern)
        self.fallback = False

    def apply(self, modifier):
        if modifier == "fallback":
            self._apply_fallback()
        elif modifier[:3] == "psk" and len(modifier) == 4 and modifier[3] in "0123456789":
            self._apply_psk(int(modifier[3]))
        else:
            raise InvalidName("no modifier %r" % modifier)

    def _apply_psk(self, n):
        """Noise 9: psk0 is in front of the first message, pskN behind message N."""
        if n > len(self.messages):
            raise InvalidName("psk%d: there is no message %d" % (n, n))
        if n in self.psk_positions():
            raise InvalidName("psk%d twice" % n)
        if n == 0:
            self.messages[0] = ("psk",) + self.messages[0]
        else:
            self.messages[n - 1] += ("psk",)

    def _apply_fallback(self):
        """Noise 10.2: the first message has been sent, and Bob goes on as initiator.

        A party's pre-message is "e", "s" or "e, s" (Noise 7.1). So the message is "e" or "e, s",
        and Alice had no pre-message before it."""
        if self.fallback:
            raise InvalidName("fallback twice")
        if self.messages[0] not in (("e",), ("e", "s")) or self.initiator_pre:
            raise InvalidName("fallback: the first message cannot be a pre-message")
        if len(self.messages) < 2:
            raise InvalidName("fallback: no message is left")
        self.fallback = True
        self.initiator_pre, self.responder_pre = self.responder_pre, self.messages[0]
        self.messages = [tuple(SWAPPED.get(t, t) for t in m) for m in self.messages[1:]]

    def psk_positions(self):
        found = [0] if self.messages[0][0] == "psk" else []
        return found + [i + 1 for i, m in enumerate(self.messages) if m[-1] == "psk"]


def _modified(section):
    """The pattern that a name section like "XXfallback+psk0" stands for."""
    head = len(section) - len(section.lstrip("NKXI1"))
    pattern = Pattern(section[:head])
    before = None                                          # N of the psk modifier just applied
    for modifier in section[head:].split("+") if section[head:] else ():
        pattern.apply(modifier)
        n = int(modifier[3]) if modifier != "fallback" else None
        if None not in (before, n) and n <= before:
            raise InvalidName("psk modifiers are not sorted")        # Noise 8.1
        before = n
    return pattern


def _subsets(numbers):
    return itertools.chain.from_iterable(
        itertools.combinations(numbers, count) for count in range(len(numbers) + 1))


def _psks(numbers):
    return ["psk%d" % n for n in numbers]


def _candidates(base):
    """All modifier lists that can be right: sorted psks, then perhaps fallback and more of them."""
    positions = range(len(PATTERNS[base].message_patterns) + 1)
    for first in _subsets(positions):
        yield _psks(first)
        for second in _subsets(positions):
            yield _psks(first) + ["fallback"] + _psks(second)


def valid_patterns():
    """Every valid pattern section of a name: 38 base patterns and all their modifiers."""
    found = []
    for base in PATTERNS:
        for modifiers in _candidates(base):
            section = base + "+".join(modifiers)
            try:
                _modified(section)
            except InvalidName:
                continue
            found.append(section)
    return found


# ---------------------------------------------------------------- names

class Protocol:
    """What a full protocol name stands for (Noise 8)."""

    def __init__(self, name):
        sections = name.split("_")
        if len(sections) != 5 or sections[0] != "Noise":
            raise InvalidName("not Noise_PATTERN_DH_CIPHER_HASH: %r" % name)
        self.name = name
        _, self.pattern, self.dh, self.cipher, self.hash = sections
        for value, known in ((self.dh, DH_LEN), (self.cipher, CIPHERS), (self.hash, HASHES)):
            if value not in known:
                raise InvalidName("unknown: %r" % value)
        self.dh_len, self.hash_len = DH_LEN[self.dh], HASH_LEN[self.hash]
        pattern = _modified(self.pattern)
        self.messages = pattern.messages
        self.initiator_pre, self.responder_pre = pattern.initiator_pre, pattern.responder_pre
        self.psk_positions = pattern.psk_positions()
        self.fallback = pattern.fallback
        self.one_way = len(self.messages) == 1 and not self.fallback

    def needs(self, initiator):
        """What that side has to bring before the first message."""
        own, other = self.initiator_pre, self.responder_pre
        if not initiator:
            own, other = other, own
        sent = [t for m in self.messages[0 if initiator else 1::2] for t in m]
        return {"s": "s" in own or "s" in sent, "rs": "s" in other, "e": "e" in own,
                "re": "e" in other}


def parse(name):
    """The protocol of that full name; InvalidName if there is none."""
    return Protocol(name)


# ---------------------------------------------------------------- keys

_KEYS = {"25519": (x25519.X25519PrivateKey, private25519.PrivateKey, public25519.PublicKey),
         "448": (x448.X448PrivateKey, private448.PrivateKey, public448.PublicKey)}


def public_key(dh, private):
    key = _KEYS[dh][0].from_private_bytes(private).public_key()
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def generate(dh):
    """A new key pair: (private, public)."""
    private = os.urandom(DH_LEN[dh])                       # clamped when it is used
    return private, public_key(dh, private)


def _pair(dh, private):
    if private is None:
        return None
    _, private_type, public_type = _KEYS[dh]
    return KeyPair(public_type(public_key(dh, private)), private_type(private))


def _public(dh, public):
    return None if public is None else _KEYS[dh][2](public)


def _dh_with(dh, fixed):
    """dissononce's DH, whose first generated key pair is the given one."""
    functions = {"25519": X25519DH, "448": X448DH}[dh]()
    if fixed is not None:
        functions.generate_keypair = lambda privatekey=None: fixed
    return functions


# ---------------------------------------------------------------- handshake

class _Handshake(HandshakeState):
    """dissononce's, with the pre-messages done as Noise 5.3 and 9.2 want it."""

    def start(self, protocol, prologue, initiator, keys, psks):
        bare = HandshakePattern(protocol.pattern, protocol.messages)
        self.initialize(bare, initiator, prologue, psks=psks, **keys)
        assert self.protocol_name == protocol.name
        self._pskmode = bool(protocol.psk_positions)
        for of_initiator, tokens in ((True, protocol.initiator_pre),
                                     (False, protocol.responder_pre)):
            for token in tokens:
                self._pre_message_key(token, of_initiator == initiator)

    def _pre_message_key(self, token, own):
        key = getattr(self, "_" + token).public if own else getattr(self, "_r" + token)
        self._symmetricstate.mix_hash(key.data)
        if token == "e" and self._pskmode:
            self._symmetricstate.mix_key(key.data)


class Transport:
    """One direction after Split(): dissononce's CipherState with a Rekey() as in Noise 4.2."""

    def __init__(self, state):
        self._state = state

    @property
    def n(self):
        return self._state._nonce

    @n.setter
    def n(self, nonce):
        self._state.set_nonce(nonce)

    def _check(self, length):
        if self.n >= NONCE_RESERVED:
            raise ValueError("nonces are used up")
        if length > MESSAGE_MAX:
            raise ValueError("longer than a Noise message")

    def encrypt(self, ad, plaintext):
        self._check(len(plaintext) + TAG_LEN)
        return self._state.encrypt_with_ad(ad, plaintext)

    def decrypt(self, ad, ciphertext):
        self._check(len(ciphertext))
        return self._state.decrypt_with_ad(ad, ciphertext)

    def rekey(self):
        state, nonce = self._state, self.n
        state.initialize_key(state.cipher.rekey(state._key)[:32])
        state.set_nonce(nonce)


class Party:
    """One side of a handshake, and after it the keys of both directions.

    s and e are private keys as bytes (e fixes the ephemeral key; a fallback's responder has to
    bring it), rs and re public ones, psks a dict from position to 32 bytes. Exactly what the
    pattern needs is taken."""

    def __init__(self, name, initiator, prologue=b"", s=None, rs=None, e=None, re=None, psks=None):
        self.protocol = parse(name)
        self.initiator = initiator
        self.h = self.tx = self.rx = None
        self._check(s=s, rs=rs, e=e, re=re, psks=psks or {})
        dh = self.protocol.dh
        fixed = _pair(dh, e)
        earlier = fixed if self.protocol.needs(initiator)["e"] else None
        symmetric = SymmetricState(CipherState(CIPHERS[self.protocol.cipher]()),
                                   HASHES[self.protocol.hash]())
        self._handshake = _Handshake(symmetric, _dh_with(dh, fixed))
        keys = {"s": _pair(dh, s), "rs": _public(dh, rs), "e": earlier, "re": _public(dh, re)}
        self._handshake.start(self.protocol, prologue, initiator, keys,
                              [psks[n] for n in self.protocol.psk_positions])
        self._rs = rs
        self._done = 0                                     # messages written and read so far
        self._failed = False

    def _check(self, psks, **keys):
        needs = self.protocol.needs(self.initiator)
        for name, key in keys.items():
            if needs[name] and key is None or key is not None and not needs[name] and name != "e":
                raise ValueError("%s is missing or surplus" % name)
        if sorted(psks) != self.protocol.psk_positions:
            raise ValueError("PSKs at %s wanted" % self.protocol.psk_positions)
        if any(len(psk) != PSK_LEN for psk in psks.values()):
            raise ValueError("a PSK has 32 bytes")

    @property
    def wants(self):
        """ "write", "read", "done", or "failed" after an error."""
        if self._failed:
            return "failed"
        if self._done == len(self.protocol.messages):
            return "done"
        return "write" if (self._done % 2 == 0) == self.initiator else "read"

    @property
    def next_payload_encrypted(self):
        """Is there a key by the end of the next message's tokens? False after the last one."""
        if self._done == len(self.protocol.messages):
            return False
        keyless = {"s"} if self.protocol.psk_positions else {"e", "s"}
        return (self._handshake.symmetricstate.cipherstate_has_key()
                or not keyless.issuperset(self.protocol.messages[self._done]))

    @property
    def rs(self):
        """The peer's static key, once the message that brought it has been authenticated."""
        return self._rs

    @property
    def re(self):
        key = self._handshake.re
        return None if key is None else key.data

    def _step(self, wanted, function, data):
        if self.wants != wanted:
            raise RuntimeError("the handshake wants %s" % self.wants)
        out = bytearray()
        self._failed = True                                # until it has succeeded (Noise 5)
        if len(data) > MESSAGE_MAX:
            raise ValueError("longer than a Noise message")
        pair = function(bytes(data), out)
        if len(out) > MESSAGE_MAX:
            raise ValueError("longer than a Noise message")
        self._failed = False
        self._done += 1
        self._rs = self._handshake.rs.data if self._handshake.rs else None
        if pair:
            self._split(pair)
        return bytes(out)

    def _split(self, pair):
        self.h = self._handshake.symmetricstate.get_handshake_hash()
        tx, rx = pair if self.initiator else reversed(pair)
        one_way = self.protocol.one_way                    # Noise 7.4: only the initiator sends
        self.tx = Transport(tx) if self.initiator or not one_way else None
        self.rx = Transport(rx) if not (self.initiator and one_way) else None

    def write(self, payload=b""):
        return self._step("write", self._handshake.write_message, payload)

    def read(self, message):
        return self._step("read", self._handshake.read_message, message)


# ---------------------------------------------------------------- NoiseSocket, revision 2

BODY_MAX = MESSAGE_MAX - TAG_LEN - 2


def _u16(data):
    if len(data) > 0xffff:
        raise ValueError("longer than a length field can say")
    return len(data).to_bytes(2, "big") + data


def handshake_frame(message, negotiation=b""):
    return _u16(negotiation) + _u16(message)


def transport_frame(message):
    return _u16(message)


def encrypted_payload(body, padded_len=0):
    """The plaintext of an encrypted message: padded to that many bytes without the length field.
    A clear handshake payload is the body itself."""
    if max(len(body), padded_len) > BODY_MAX:
        raise ValueError("does not fit into a Noise message")
    return _u16(body) + bytes(max(0, padded_len - len(body)))


def payload_body(plaintext):
    length = int.from_bytes(plaintext[:2], "big")
    if len(plaintext) < 2 + length:
        raise ValueError("shorter than its length field says")
    return plaintext[2:2 + length]


def prologue_initial(negotiation, application=b""):
    return b"NoiseSocketInit1" + _u16(negotiation) + application


def prologue_switch(first_frame, response, application=b""):
    """first_frame: all of it; response: the negotiation data of the responder's frame."""
    return b"NoiseSocketInit2" + first_frame + _u16(response) + application


def prologue_retry(first_frame, response, retry, application=b""):
    """The responder's frame counts whole here; its Noise message is empty."""
    return (b"NoiseSocketInit3" + first_frame + handshake_frame(b"", response) + _u16(retry)
            + application)
