#!/usr/bin/python3
"""Writes tests/vectors/noise.json, vectors for what the public files lack, from noise_python.py.

    make_noise_vectors.py            write the file
    make_noise_vectors.py --check    make it again and compare (exit 1 on a difference)

Both sides of everything are played here, and have to understand each other, before it is written
down. Nothing is random. tests/vectors/NOISE.md describes the file.
"""

import hashlib
import itertools
import json
import os
import sys

sys.dont_write_bytecode = True                             # nothing but the file is written

import noise_python as noise
from vector_file import write_or_check

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vectors", "noise.json")

SUITES = ["%s_%s_%s" % suite for suite in itertools.product(noise.DH_LEN, noise.CIPHERS,
                                                            noise.HASHES)]
SUITES_448 = [suite for suite in SUITES if suite.startswith("448")]


def fixed(label, length):
    """Fixed bytes that look random: SHA-256 of a label and a counter."""
    blocks = (hashlib.sha256(b"noise vector: %s %d" % (label.encode(), i)).digest()
              for i in range(length // 32 + 1))
    return b"".join(blocks)[:length]


def some(label, least, most):
    """Fixed bytes of a fixed length, which may be 0."""
    return fixed(label, least + fixed(label + " length", 1)[0] % (most + 1 - least))


class Rotation:
    """Gives each next case the next suite, so that each is used about as often as the others."""

    def __init__(self, suites):
        self._suites = itertools.cycle(suites)

    def name(self, pattern):
        return "Noise_%s_%s" % (pattern, next(self._suites))


# ---------------------------------------------------------------- handshakes

SIDES = {"init": True, "resp": False}


def other(side):
    return "resp" if side == "init" else "init"


def keys_of(protocol, label, given):
    """Static and ephemeral keys of both sides as far as the pattern has them. What is in GIVEN
    already stays: a fallback goes on with keys of the handshake before it."""
    out = {}
    for side, initiator in SIDES.items():
        if protocol.needs(initiator)["s"]:
            out[side + "_static"] = fixed("%s %s static" % (label, side), protocol.dh_len).hex()
        sent = [t for m in protocol.messages[0 if initiator else 1::2] for t in m]
        if "e" in sent or protocol.needs(initiator)["e"]:
            out[side + "_ephemeral"] = fixed("%s %s ephemeral" % (label, side),
                                             protocol.dh_len).hex()
    out.update(given)
    for side, initiator in SIDES.items():
        if protocol.needs(initiator)["rs"] and side + "_remote_static" not in out:
            private = bytes.fromhex(out[other(side) + "_static"])
            out[side + "_remote_static"] = noise.public_key(protocol.dh, private).hex()
    return out


def described(name, label, prologue_len, given=()):
    """The members of a handshake that come before its messages."""
    protocol = noise.parse(name)
    psks = [fixed("%s psk %d" % (label, n), noise.PSK_LEN).hex() for n in protocol.psk_positions]
    prologue = fixed(label + " prologue", prologue_len).hex()
    return {"protocol_name": name, "init_prologue": prologue, "resp_prologue": prologue,
            **keys_of(protocol, label, dict(given)), "init_psks": psks, "resp_psks": psks}


def party(vector, side, re=None):
    """That side of a handshake, from nothing but what the vector says."""
    protocol = noise.parse(vector["protocol_name"])
    keys = {short: bytes.fromhex(vector[side + member])
            for short, member in (("s", "_static"), ("rs", "_remote_static"), ("e", "_ephemeral"))
            if side + member in vector}
    psks = dict(zip(protocol.psk_positions, map(bytes.fromhex, vector[side + "_psks"])))
    return noise.Party(protocol.name, SIDES[side], bytes.fromhex(vector[side + "_prologue"]),
                       re=re, psks=psks, **keys)


def play(initiator, responder, label):
    """The whole handshake, with payloads of some bytes or none."""
    messages = []
    while initiator.wants != "done":
        writer, reader = ((initiator, responder) if initiator.wants == "write"
                          else (responder, initiator))
        payload = some("%s payload %d" % (label, len(messages)), 0, 20)
        ciphertext = writer.write(payload)
        assert reader.read(ciphertext) == payload
        messages.append({"payload": payload.hex(), "ciphertext": ciphertext.hex()})
    assert responder.wants == "done" and initiator.h == responder.h
    return messages


# ---------------------------------------------------------------- transport

def sent(side, nonce, rekeys=0, ad=0, payload=12):
    """One line of a transport; ad and payload are lengths."""
    return {"from": side, "nonce": nonce, "rekeys": rekeys, "ad": ad, "payload": payload}


def both(*lines):
    """The same from both sides, in turn."""
    return [sent(side, *line) for line in lines for side in ("initiator", "responder")]


SHORT = [sent("initiator", 0), sent("responder", 0, ad=21), sent("initiator", 1, payload=0)]
LONG = both((0,), (1, 0, 7), (255,), (256, 0, 0, 0), (65536, 0, 3), (65537, 1))
AD = both((0, 0, 1, 0), (1, 0, 16, 16), (2, 0, 64, 1), (3, 0, 300, 33), (4, 0, 0, 64),
          (5, 0, 5000, 15))
SIZES = both(*((n, 0, 0, size) for n, size in enumerate(
    (0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257))))
LARGEST = [sent("initiator", 0, payload=noise.MESSAGE_MAX - noise.TAG_LEN), sent("responder", 0)]
# The directions are rekeyed at different times; two and three rekeys at once; one before the first
# message of all; and messages that are not listed in between.
REKEYS = [sent("initiator", 0), sent("responder", 0, 1), sent("initiator", 1, 1),
          sent("responder", 1, 1, 9), sent("initiator", 2, 1, 9), sent("responder", 2, 3),
          sent("initiator", 7, 2, 0, 0), sent("responder", 300, 6), sent("initiator", 8, 5, 1, 40),
          sent("responder", 301, 6, 0, 0), sent("initiator", 9, 5)]


def transport(initiator, responder, lines, label):
    """Encrypts LINES with one side and decrypts them with the other one."""
    out = []
    parties = {"initiator": (initiator, responder), "responder": (responder, initiator)}
    rekeys = dict.fromkeys(parties, 0)
    for i, line in enumerate(lines):
        side = line["from"]
        if side == "responder" and initiator.protocol.one_way:
            continue                                       # Noise 7.4
        tx, rx = parties[side][0].tx, parties[side][1].rx
        assert tx.n == rx.n <= line["nonce"]
        tx.n = rx.n = line["nonce"]
        for state in (tx, rx) * (line["rekeys"] - rekeys[side]):
            state.rekey()                                  # which leaves the nonce alone
        rekeys[side] = line["rekeys"]
        ad = fixed("%s ad %d" % (label, i), line["ad"])
        payload = fixed("%s transport %d" % (label, i), line["payload"])
        ciphertext = tx.encrypt(ad, payload)
        assert rx.decrypt(ad, ciphertext) == payload
        out.append({**line, "ad": ad.hex(), "payload": payload.hex(),
                    "ciphertext": ciphertext.hex()})
    return out


def complete(vector, label, lines, re=None):
    """Adds to a described handshake what is sent."""
    initiator, responder = party(vector, "init", re), party(vector, "resp")
    vector["messages"] = play(initiator, responder, label)
    vector["handshake_hash"] = initiator.h.hex()
    vector["transport"] = transport(initiator, responder, lines, label)
    return vector


def handshake(name, lines=SHORT, tag="", prologue_len=None):
    label = name + tag
    if prologue_len is None:
        prologue_len = len(some(label + " prologue", 0, 24))
    return complete(described(name, label, prologue_len), label, lines)


# ---------------------------------------------------------------- fallback (Noise 10.2)

def begun_handshake(name, fallback, label, wrong):
    """The handshake that Alice began before FALLBACK. WRONG: what makes Bob's reading fail, if
    anything: "static" (Alice has another key of his in mind), "psk" or "prologue"."""
    given = {ours: fallback[theirs] for ours, theirs in
             (("init_static", "resp_static"), ("init_ephemeral", "resp_ephemeral"),
              ("resp_static", "init_static")) if theirs in fallback}
    protocol = noise.parse(name)
    for side, initiator in SIDES.items():
        if not protocol.needs(initiator)["s"]:
            given.pop(side + "_static", None)
    if wrong == "static":
        old = fixed(label + " first old static", protocol.dh_len)
        given["init_remote_static"] = noise.public_key(protocol.dh, old).hex()
    first = described(name, label + " first", 9, given)
    first.pop("resp_ephemeral", None)                      # Bob does not get that far
    if wrong == "psk":
        old = fixed(label + " first old psk", noise.PSK_LEN).hex()
        first["resp_psks"] = [old] * len(first["init_psks"])
    if wrong == "prologue":
        first["resp_prologue"] = fixed(label + " first other prologue", 9).hex()
    return first


def first_message(first, label):
    """Adds the message that Alice sent, and whether Bob could read it."""
    payload = some(label + " first payload", 1, 20)
    ciphertext = party(first, "init").write(payload)
    first.update(payload=payload.hex(), ciphertext=ciphertext.hex(),
                 readable=can_read(party(first, "resp"), ciphertext, payload))
    return first


def can_read(reader, ciphertext, payload):
    try:
        return reader.read(ciphertext) == payload
    except noise.DecryptFailed:
        return False


def fallback_handshake(name, begun=None, wrong=None, lines=SHORT):
    """begun: the pattern of the first message; without it, the one that the fallback is made of."""
    label = name + (" after %s %s" % (begun, wrong) if begun else "")
    protocol = noise.parse(name)
    begun = begun or protocol.pattern.split("fallback")[0].rstrip("+")
    vector = described(name, label, len(some(label, 0, 24)))
    first = begun_handshake(name.replace(protocol.pattern, begun, 1), vector, label, wrong)
    vector["first"] = first_message(first, label)
    assert vector["first"]["readable"] == (wrong is None)
    re = bytes.fromhex(vector["first"]["ciphertext"])[:protocol.dh_len]
    return complete(vector, label, lines, re=re)


# What Alice may have tried and Bob could not read; then he uses her ephemeral key alone. Her first
# message may be of any pattern, as long as it begins with "e".
FAILED_FIRST = [("XXfallback", "IK", "static"), ("XXfallback", "XK", "static"),
                ("XXfallback", "IKpsk1", "psk"), ("XXfallback", "IKpsk2", "prologue"),
                ("NXfallback", "NK", "static"), ("XX1fallback", "NK", "static"),
                ("XXfallback+psk0", "IKpsk1", "psk"), ("XXfallback+psk2", "IK", "static"),
                ("NNfallback+psk1", "NKpsk2", "static"), ("XNfallback+psk0+psk2", "XK", "static")]


# ---------------------------------------------------------------- which handshakes

def base_handshakes():
    """The public files have these, 448 included; here they come with associated data and more."""
    rotation = Rotation(SUITES)
    return [handshake(rotation.name(base)) for base in noise.PATTERNS]


def psk_modifiers(base):
    """psk0 and one for each message."""
    return ["psk%d" % n for n in range(len(noise.PATTERNS[base].message_patterns) + 1)]


# Several psks at once over 448; over 25519 the public files have most of them.
MULTI_448 = ["XXpsk0+psk1", "XXpsk0+psk2", "XXpsk0+psk3", "XXpsk1+psk2", "XXpsk1+psk3",
             "XXpsk2+psk3", "XXpsk0+psk1+psk2", "XXpsk1+psk2+psk3", "NKpsk0+psk1", "NKpsk0+psk2",
             "NKpsk1+psk2", "IKpsk0+psk1", "IKpsk0+psk2", "IKpsk1+psk2", "KKpsk0+psk2",
             "Xpsk0+psk1", "NK1psk0+psk2", "XX1psk0+psk3", "X1X1psk1+psk4", "X1K1psk0+psk4",
             "K1K1psk1+psk3", "IK1psk1+psk2", "I1K1psk0+psk3", "KX1psk0+psk2"]


def psk_handshakes():
    """Each psk alone over 448, all psks of a pattern at once over both, and MULTI_448."""
    rotation, rotation_448 = Rotation(SUITES), Rotation(SUITES_448)
    out = []
    for base in noise.PATTERNS:
        modifiers = psk_modifiers(base)
        out += [handshake(rotation_448.name(base + psk)) for psk in modifiers]
        out.append(handshake(rotation.name(base + "+".join(modifiers))))
    out += [handshake(rotation_448.name(section)) for section in MULTI_448]
    out.append(handshake(rotation_448.name("XXpsk0+psk1+psk2+psk3")))
    return out


FALLBACKS = [section for section in noise.valid_patterns() if section.endswith("fallback")]
PLAIN_FALLBACKS = [section for section in FALLBACKS if "psk" not in section]


def psk_fallbacks():
    """psks behind the fallback, in front of it, and on both sides."""
    wanted = [section for section in noise.valid_patterns() if "fallback" in section
              and "psk" in section and section.startswith(("XXpsk", "XXfallback+"))]
    for section in PLAIN_FALLBACKS:
        base = section[:-len("fallback")]
        wanted += [section + "+psk0", section + "+psk1", base + "psk2+fallback"]
    wanted += ["IXfallback+psk0+psk1", "NK1fallback+psk0+psk1", "X1X1fallback+psk0+psk3",
               "X1K1psk2+psk4+fallback+psk0"]
    return list(dict.fromkeys(wanted))


def fallback_handshakes():
    rotation = Rotation(SUITES)
    out = [fallback_handshake(rotation.name(section)) for section in PLAIN_FALLBACKS * 2]
    out += [fallback_handshake(rotation.name(section)) for section in psk_fallbacks()]
    for dh in noise.DH_LEN:
        rotation = Rotation([suite for suite in SUITES if suite.startswith(dh)])
        out += [fallback_handshake(rotation.name(section), begun, wrong)
                for section, begun, wrong in FAILED_FIRST]
    return out


def transport_handshakes():
    """What only the transport shows: nonces, rekeys, associated data, sizes; for both ciphers."""
    out = []
    for cipher, dh, hash_name in (("ChaChaPoly", "25519", "BLAKE2s"), ("AESGCM", "448", "SHA512")):
        suite = "_%s_%s_%s" % (dh, cipher, hash_name)
        for tag, lines in (("long", LONG), ("rekey", REKEYS), ("ad", AD), ("sizes", SIZES)):
            out.append(handshake("Noise_NN" + suite, lines, " " + tag))
        out.append(handshake("Noise_IKpsk2" + suite, REKEYS, " rekey"))
        out.append(handshake("Noise_N" + suite, REKEYS + [sent("initiator", 256, 6)], " rekey"))
        out.append(fallback_handshake("Noise_XXfallback+psk1" + suite, "IKpsk2", "static", REKEYS))
    return out


def size_handshakes():
    """The largest message there is, and prologues of many sizes."""
    out = [handshake("Noise_NN_25519_ChaChaPoly_SHA256", LARGEST, " largest")]
    for size in (0, 1, 63, 64, 65, 127, 128, 129, 1000):
        out.append(handshake("Noise_NK_25519_AESGCM_BLAKE2b", SHORT[:2], " prologue", size))
    return out


def handshakes():
    out = (base_handshakes() + psk_handshakes() + fallback_handshakes() + transport_handshakes()
           + size_handshakes())
    names = {vector["protocol_name"].split("_", 2)[1] for vector in out}
    assert names >= set(noise.PATTERNS) | set(PLAIN_FALLBACKS) | set(MULTI_448)
    assert {vector["protocol_name"].split("_", 2)[2] for vector in out} == set(SUITES)
    return out


# ---------------------------------------------------------------- low-order points

# Prime, A of the Montgomery curve, bits of an encoding that count, some points in use.
CURVES = {"25519": (2 ** 255 - 19, 486662, 255, (9,)),
          "448": (2 ** 448 - 2 ** 224 - 1, 156326, 448, (5,))}


def square_root(a, p):
    """A square root of a modulo p, or None; p is 3 mod 4 or 5 mod 8."""
    root = pow(a, (p + 1) // 4 if p % 4 == 3 else (p + 3) // 8, p)
    for candidate in (root, root * pow(2, (p - 1) // 4, p) % p):
        if candidate * candidate % p == a % p:
            return candidate
    return None


def low_order_points(dh):
    """All u whose order divides 8, on the curve and its twist, with their orders.

    0 has order 2, and doubling 1 and -1 gives 0. What doubles to 1 fulfils
    (u^2 - 1)^2 = 4u (u^2 + Au + 1), or with w = u + 1/u: (w - 2)^2 = 4 (A + 2); what doubles to -1
    likewise with -(w + 2)^2 = 4 (A - 2)."""
    p, a = CURVES[dh][:2]
    found = {0: 2, 1: 4, p - 1: 4}
    for centre, square in ((2, 4 * (a + 2)), (-2, -4 * (a - 2))):
        root = square_root(square, p)
        for w in [] if root is None else [centre + root, centre - root]:
            inner = square_root(w * w - 4, p)              # u^2 - wu + 1 = 0
            for u in [] if inner is None else [w + inner, w - inner]:
                found[u * pow(2, -1, p) % p] = 8
    return found


def encodings(dh, u):
    """Every byte string that decodes to u: (bytes, "" or why it is not canonical)."""
    p, _, bits, _ = CURVES[dh]
    for value, why in ((u, ""), (u + p, ", as u + p")):
        if value < 2 ** bits:
            yield value.to_bytes(noise.DH_LEN[dh], "little"), why
            if bits % 8:
                top = (value + 2 ** bits).to_bytes(noise.DH_LEN[dh], "little")
                yield top, why + ", with the unused bit set"


def refused(dh, public):
    """Does the library below find E_DH? It has to agree with the arithmetic here."""
    party = noise.Party("Noise_N_%s_AESGCM_SHA256" % dh, True, rs=public)
    try:
        party.write(b"")
    except ValueError:
        return True
    return False


def low_order():
    out = []
    for dh in CURVES:
        for u, order in low_order_points(dh).items():
            for public, why in encodings(dh, u):
                assert refused(dh, public)
                out.append({"dh": dh, "public": public.hex(),
                            "why": "order %d%s" % (order, why)})
    return out


def not_low_order():
    """Controls: keys that have to work, also where the encoding is not canonical (RFC 7748, 5)."""
    out = []
    for dh, (p, _, bits, base) in CURVES.items():
        good = [(public, "the base point" + why) for public, why in encodings(dh, base[0])]
        good.append((noise.public_key(dh, fixed("good " + dh, noise.DH_LEN[dh])), "a public key"))
        good.append(((2 ** (8 * noise.DH_LEN[dh]) - 1).to_bytes(noise.DH_LEN[dh], "little"),
                     "all bits set"))
        if bits % 8:
            twice = (2 * p - 1).to_bytes(noise.DH_LEN[dh], "little")
            good.append((twice, "2p - 1, which is p - 20 without the unused bit"))
        for public, why in good:
            assert not refused(dh, public)
            out.append({"dh": dh, "public": public.hex(), "why": why})
    return out


# ---------------------------------------------------------------- NoiseSocket

NAMES = {"init": "alice", "resp": "bob"}


class Socket:
    """Plays one NoiseSocket connection. Alice opens it; she is the first protocol's initiator."""

    def __init__(self, label, padded):
        self.label, self.padded = label, padded
        self.messages = []
        self.writer = self.reader = None

    def send(self, negotiation=b"", readable=True):
        """The next frame, which takes the writer's next message; then the other side writes."""
        i = len(self.messages)
        writer, reader = self.writer, self.reader
        clear = writer.wants == "write" and not writer.next_payload_encrypted
        body = some("%s body %d" % (self.label, i), 0, 30)
        padded_len = (24, 32, 100)[i % 3] if self.padded and not clear else 0
        payload = body if clear else noise.encrypted_payload(body, padded_len)
        if writer.wants == "write":
            message = writer.write(payload)
            frame = noise.handshake_frame(message, negotiation)
            assert can_read(reader, message, payload) == readable
        else:
            message = writer.tx.encrypt(b"", payload)
            frame = noise.transport_frame(message)
            assert reader.rx.decrypt(b"", message) == payload
        assert clear or noise.payload_body(payload) == body
        self._note(negotiation, frame, message_body=body.hex(),
                   **({"padded_length": padded_len} if padded_len else {}))
        self.writer, self.reader = reader, writer
        return frame

    def refuse(self, negotiation):
        """A frame without Noise message: a retry is wanted."""
        self._note(negotiation, noise.handshake_frame(b"", negotiation))

    def _note(self, negotiation, frame, **rest):
        out = {"negotiation_data": negotiation.hex()} if negotiation else {}
        self.messages.append({**out, **rest, "message": frame.hex()})


def block(vector, swapped=False):
    """The part of a described handshake that NoiseSocket vectors have for each protocol."""
    out = {"protocol_name": vector["protocol_name"]}
    for side in SIDES:
        name = NAMES[other(side) if swapped else side]
        for member in ("_static", "_ephemeral", "_remote_static"):
            if side + member in vector:
                out[name + member] = vector[side + member]
    return out


def with_prologue(vector, prologue):
    return {**vector, "init_prologue": prologue.hex(), "resp_prologue": prologue.hex()}


def start(socket, vector, prologue, re=None):
    """A protocol begins, and its initiator writes: Alice, after a switch Bob."""
    vector = with_prologue(vector, prologue)
    socket.writer, socket.reader = party(vector, "init", re), party(vector, "resp")


def psks_of(first, second=None):
    """Alice's and Bob's psks are the same ones in both protocols of a connection."""
    if second is not None:
        assert len(first["init_psks"]) == len(second["init_psks"])
        second["init_psks"] = second["resp_psks"] = first["init_psks"]
    if not first["init_psks"]:
        return {}
    return {"alice_psks": first["init_psks"], "bob_psks": first["resp_psks"]}


def socket_vector(kind, name, second, padded, application):
    """kind: "accept", "switch" or "retry"; second: the protocol after a switch or retry."""
    label = "socket %s %s %s %d" % (kind, name, second, padded)
    socket = Socket(label, padded)
    first = described(name, label, 0)
    then = described(second, label + " second", 0) if kind != "accept" else None
    shared = psks_of(first, then)
    offer, answer = b"offer " + name.encode(), kind.encode()
    start(socket, first, noise.prologue_initial(offer, application))
    frame = socket.send(offer)
    if kind == "switch":
        start(socket, then, noise.prologue_switch(frame, answer, application))
        socket.send(answer)
    if kind == "retry":
        socket.refuse(answer)
        choice = some(label + " choice", 0, 12)
        start(socket, then, noise.prologue_retry(frame, answer, choice, application))
        socket.send(choice)
    return socket_result(socket, kind, block(first), then and block(then, kind == "switch"),
                         shared, application)


def socket_result(socket, kind, first, second, shared, application):
    """Plays on until both sides have sent in the transport, and puts the vector together."""
    while socket.writer.wants != "done":
        socket.send()
    for _ in range(3):
        socket.send()
    out = {"initial": first}
    if second:
        out[kind] = second
    out.update(alice_prologue=application.hex(), bob_prologue=application.hex(), **shared)
    out.update(handshake_hash=socket.writer.h.hex(), messages=socket.messages)
    return out


# The first protocol, and the one after a switch or retry; as many psks in both.
SOCKET_PAIRS = [("XX", "IX"), ("NK", "XX"), ("IK", "X1X1"), ("NN", "NX"),
                ("NKpsk0", "XXpsk3"), ("IKpsk2", "KKpsk0"), ("XXpsk0+psk3", "IKpsk1+psk2"),
                ("XXpsk3", "NNpsk0")]


def noisesockets():
    rotation = Rotation(SUITES_448)
    out = []
    for i, (first, second) in enumerate(SOCKET_PAIRS):
        for j, kind in enumerate(("accept", "switch", "retry")):
            padded = (i + j) % 2 == 1
            application = fixed("application prologue", 11) if i % 4 < 2 else b""
            out.append(socket_vector(kind, rotation.name(first), rotation.name(second), padded,
                                     application))
    return out


def socket_fallback(suite, failed, second, padded):
    """Noise 10.4 over NoiseSocket: Bob cannot read message 1 and switches to a fallback, with the
    ephemeral key that he finds in it."""
    name, then_name = ("Noise_%s_%s" % (pattern, suite) for pattern in (failed, second))
    label = "socket fallback %s %s" % (name, then_name)
    socket = Socket(label, padded)
    then = described(then_name, label, 0)
    first = begun_handshake(name, then, label, "static")
    shared = psks_of(first, then)
    offer, answer = b"offer " + name.encode(), b"switch " + then_name.encode()
    start(socket, first, noise.prologue_initial(offer))
    frame = socket.send(offer, readable=False)
    re = frame[4 + len(offer):][:noise.parse(name).dh_len]
    start(socket, then, noise.prologue_switch(frame, answer), re)
    socket.send(answer)
    return socket_result(socket, "switch", block(first), block(then, True), shared, b"")


def noisesocket_fallbacks():
    return [socket_fallback("25519_ChaChaPoly_BLAKE2s", "IK", "XXfallback", False),
            socket_fallback("448_AESGCM_SHA512", "IK", "XXfallback", True),
            socket_fallback("25519_AESGCM_SHA256", "IKpsk2", "XXfallback+psk2", True),
            socket_fallback("448_ChaChaPoly_BLAKE2b", "NKpsk0", "NXfallback+psk0", False)]


# ---------------------------------------------------------------- the file

def lines(items):
    return "[\n%s\n]" % ",\n".join(json.dumps(item) for item in items)


def make():
    """A line for each vector, so that a change shows what it changes."""
    lists = [("handshakes", handshakes()), ("low_order", low_order()),
             ("not_low_order", not_low_order()), ("noisesocket", noisesockets()),
             ("noisesocket_fallback", noisesocket_fallbacks())]
    about = "Vectors of the Noise layer; see NOISE.md here. Made by tests/interop/%s." % (
        os.path.basename(__file__))
    return '{"about": %s,\n%s}\n' % (json.dumps(about), ",\n".join(
        '"%s": %s' % (name, lines(items)) for name, items in lists))


def main():
    text = make()
    assert len(text) < 1500000
    write_or_check(PATH, text, __doc__)


if __name__ == "__main__":
    main()
