#!/usr/bin/python3
"""Writes tests/vectors/protocol.json, fixed vectors of the whole protocol, from sotto_peer.py.

    make_vectors.py            write the file
    make_vectors.py --check    make it again and compare (exit 1 on a difference)

What is expected of a negative vector is written down here by hand from docs/protocol.md; the peer
has to agree, or nothing is written. tests/vectors/README.md describes the file.
"""

import base64
import hashlib
import json
import os
import sys

sys.dont_write_bytecode = True                             # nothing but the file is written

import peer_net as net
import sotto_peer as peer
from vector_cases import (client_cases, document_cases, first_frame_cases, hello_cases,
                          negotiation_cases, plaintext_cases, refusal_cases, server_cases,
                          stream_cases, trust_cases)
from vector_file import write_or_check

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vectors", "protocol.json")


def fixed(label, length):
    """Fixed bytes that look random: SHA-512 of a label."""
    return hashlib.sha512(b"sotto vector: " + label.encode()).digest()[:length]


def fixed_pair(label, curve):
    return peer.key_pair(curve, fixed(label + " " + curve, peer.DHLEN[curve]))


def texts_of(data):
    """The hex of a JSON text, and the text itself where it can be shown."""
    out = {"hex": data.hex()}
    try:
        out["text"] = data.decode()
    except UnicodeDecodeError:
        pass
    return out


# ---------------------------------------------------------------- the deployment

SALTS = [fixed("salt %d" % i, 32) for i in range(100)]
SERVER_ID = bytes(range(16))
SALT_INDEX = 57
SERVER_STRING = 'server "sérver" \\ string'.encode()
SHARED_STRING = "sh€red string".encode()
STATICS = {curve: fixed_pair("server static", curve) for curve in peer.CURVES}
IDENTITIES = {curve: fixed_pair("client identity", curve) for curve in peer.CURVES}
SECRETS = peer.Secrets(SHARED_STRING, SALTS, 10000, SERVER_STRING)
CONFIG = net.ServerConfig(STATICS, SECRETS, SERVER_ID, SALT_INDEX)


def deployment():
    return {"server_id": SERVER_ID.hex(), "epoch": peer.epoch_of(SERVER_ID),
            "server_string": SERVER_STRING.decode(), "server_string_hex": SERVER_STRING.hex(),
            "shared_string": SHARED_STRING.decode(), "shared_string_hex": SHARED_STRING.hex(),
            "salt_index": SALT_INDEX, "iterations": SECRETS.iterations,
            "server_static": {c: {"private": p.private.hex(), "public": p.public.hex(),
                                  "fingerprint": peer.fingerprint(c, p.public)}
                              for c, p in STATICS.items()},
            "client_identity": {c: {"private": p.private.hex(), "public": p.public.hex(),
                                    "fingerprint": peer.fingerprint(c, p.public)}
                                for c, p in IDENTITIES.items()},
            "salts": [s.hex() for s in SALTS]}


# ---------------------------------------------------------------- transcripts

class Transcript:
    """Plays both sides of one connection and writes down every frame."""

    def __init__(self, pattern, curve, cipher, suffix="", max_message=None):
        self.name = "%s %s %s%s" % (pattern, curve, cipher, suffix)
        session = pattern in peer.SESSION_PATTERNS
        psk = {"XX": lambda: None, "XXpsk0": lambda: SECRETS.gate_psk(curve)}.get(
            pattern, lambda: CONFIG.psk(curve))()
        text = peer.negotiation_text(pattern, curve, cipher,
                                     peer.epoch_of(SERVER_ID) if session else None, max_message)
        ephemeral = {side: fixed("%s ephemeral of %s" % (side, self.name), peer.DHLEN[curve])
                     for side in ("client", "server")}
        static = IDENTITIES[curve] if pattern != "NKpsk0" else None
        self.client = peer.Initiator(pattern, curve, cipher, text, s=static, psk=psk,
                                     rs=STATICS[curve].public if session else None,
                                     e=ephemeral["client"])
        accepted = peer.judge_negotiation(text, peer.BOOTSTRAP_PATTERNS + peer.SESSION_PATTERNS,
                                          peer.CURVES, peer.CIPHERS, CONFIG.epochs)
        self.server = peer.Responder(accepted, text, STATICS[curve], psk, e=ephemeral["server"])
        self.requests, self.answers = peer.RequestReader(), peer.AnswerReader()
        self.buffers = {side: peer.MessageBuffer() for side in ("client", "server")}
        self.frames = []
        self.out = self._header(pattern, curve, cipher, text, psk, static, ephemeral)

    def _header(self, pattern, curve, cipher, text, psk, static, ephemeral):
        out = {"name": self.name, "noise_name": self.client.noise.protocol_name, "pattern": pattern,
               "curve": curve, "cipher": cipher, "server_id": SERVER_ID.hex(),
               "server_string": SERVER_STRING.decode(), "shared_string": SHARED_STRING.decode(),
               "salt_index": SALT_INDEX, "salt": SALTS[SALT_INDEX].hex(),
               "gate_salt": SALTS[0].hex(),
               "iterations": SECRETS.iterations}
        if pattern in peer.SESSION_PATTERNS:
            out.update(epoch=peer.epoch_of(SERVER_ID), psk=psk.hex())
        elif pattern == "XXpsk0":
            out["gate_psk"] = psk.hex()
        out.update(negotiation=text.decode(), prologue=peer.prologue_of(text).hex(),
                   server_static_private=STATICS[curve].private.hex(),
                   server_static_public=STATICS[curve].public.hex())
        if static:
            out.update(client_static_private=static.private.hex(),
                       client_static_public=static.public.hex())
        out.update(client_ephemeral_private=ephemeral["client"].hex(),
                   client_ephemeral_public=peer.public_of(curve, ephemeral["client"]).hex(),
                   server_ephemeral_private=ephemeral["server"].hex(),
                   server_ephemeral_public=peer.public_of(curve, ephemeral["server"]).hex())
        return out

    def _handshake(self, side, name, wire, body=b"", padding=b"", clear=False):
        negotiation, noise = self._split(wire)
        self.frames.append({
            "from": side, "kind": "handshake", "name": name, "negotiation": negotiation.decode(),
            "body": body.hex(), "padding": padding.hex(),
            "payload": "" if clear else peer.pack(body, padding).hex(),
            "noise": noise.hex(), "wire": wire.hex()})
        if body:
            self.frames[-1]["body_text"] = body.decode()
        return negotiation, noise

    @staticmethod
    def _split(wire):
        buffer = peer.FrameBuffer()
        buffer.feed(wire)
        frame = buffer.handshake()
        assert not buffer.data
        return frame

    def first(self):
        wire = self.client.first()
        noise = self._handshake("client", "message 1", wire, clear=self.client.pattern == "XX")[1]
        self.server.read_first(noise)

    def bootstrap(self):
        self.first()
        frame = self._handshake("server", "message 2", self.server.answer())
        self.server.read_last(*self._handshake("client", "message 3",
                                               self.client.bootstrap_answer(*frame)))
        self._finished()

    def session(self, hello=b"{}", padding=b""):
        self.first()
        wire = self.server.answer(hello, padding)
        self.client.session_answer(*self._handshake("server", "message 2, server hello", wire,
                                                    hello,
                                                    padding))
        self._finished()

    def _finished(self):
        keys = self.client.noise.keys
        assert self.client.noise.hash == self.server.noise.hash and keys == self.server.noise.keys
        self.out.update(handshake_hash=self.client.noise.hash.hex(),
                        client_to_server_key=keys[0].hex(),
                        server_to_client_key=keys[1].hex())

    def record(self, side, name, body=b"", padding=b"", texts=()):
        """One transport frame; `texts` are the messages that it completes."""
        sender, receiver = (self.client, self.server) if side == "client" else (self.server,
                                                                                self.client)
        nonce = sender.channel.tx.nonce
        wire = sender.channel.seal(body, padding)
        assert receiver.channel.open(wire[2:]) == body
        frame = {"from": side, "kind": "transport", "name": name, "nonce": nonce,
                 "body": body.hex(),
                 "padding": padding.hex(), "wire": wire.hex()}
        if texts:
            frame["messages"] = [t.decode() for t in texts]
        self.frames.append(frame)

    def say(self, side, name, *texts, cuts=(), padding=b""):
        """Messages, in one record or, with `cuts`, split before these bytes."""
        data = peer.pack_messages(*texts)
        edges = [0, *cuts, len(data)]
        done = []
        for at, end in zip(edges, edges[1:]):
            got = self.buffers[side].feed(data[at:end])
            part = name if not cuts else "%s, part %d" % (name, edges.index(at) + 1)
            self.record(side, part, data[at:end], padding, got)
            done += got
        assert done == list(texts)
        for text in texts:
            self._read(side, text)

    def _read(self, side, text):
        if side == "client":
            message = self.requests.read(text)
            assert message.kind != "invalid_request", text
            if message.kind == "request":
                self.answers.in_use.add(message.id)
        else:
            message = self.answers.read(text)
            assert message.kind != "ignored", text
            if message.kind in ("answer", "error"):
                self.requests.in_use.discard(message.id)

    def result(self):
        assert not self.answers.in_use
        return dict(self.out, frames=self.frames)


def bootstrap_transcript(pattern, curve, cipher):
    out = Transcript(pattern, curve, cipher)
    out.bootstrap()
    body = peer.document_text(**CONFIG.document(curve))
    padding = b""
    if cipher == "ChaChaPoly":
        # the same document as another server may write it: blanks, escapes, another order,
        # an unknown member, an unknown curve, expires_in, nonzero padding
        members = peer.parse_json(body)
        others = ",".join('"%s":"%s"' % (c, base64.b64encode(p.public).decode())
                          for c, p in STATICS.items() if c != curve)
        body = ('{ "curve" : "%s",\n "public_key":"%s","other_keys":{"x":[1,{}],%s},\n'
                ' "server_string":"server \\"s\\u00e9rver\\" \\u005c string",'
                '"server\\u005fid":"%s",'
                '"salt_index":%d,"iterations":%d,"expires_in":86400,"client_auth":"optional",'
                '"new":{"a":[null,1.5e3]} }'
                % (curve, members.get("public_key"), others, SERVER_ID.hex(), SALT_INDEX,
                   SECRETS.iterations)).encode()
        padding = bytes(range(1, 33))
    found = peer.parse_document(body, curve, STATICS[curve].public, len(SALTS))
    assert found.server_string == SERVER_STRING and found.server_id == SERVER_ID
    assert found.other_keys == {c: p.public for c, p in STATICS.items() if c != curve}
    out.record("server", "bootstrap document", body, padding)
    out.frames[-1]["body_text"] = body.decode()
    return out.result()


def session_transcript(pattern, curve, cipher):
    plain = cipher == "AESGCM"
    out = Transcript(pattern, curve, cipher, max_message=None if plain else 65536)
    hello = b"{}" if plain else peer.hello_text(65536, 30000, "sotto vectors é")
    out.session(hello, b"" if plain else b"\x01\x80\xff padding")
    # ids are all given or all counted
    given = (lambda n: n) if pattern == "IKpsk0" else (lambda n: None)
    number = (lambda n: n) if pattern == "NKpsk0" else (lambda n: 10 * n)
    ask = lambda n, *more, **options: peer.request_text(
        *more, number=given(number(n)), **options)
    out.record("client", "first transport frame, empty")
    out.record("server", "keep-alive, answers the empty record")
    out.say("client", "request", ask(1, "echo", '"héllo"'))
    out.say("server", "answer", peer.answer_text(number(1), '"héllo"'))
    out.say("client", "three requests and a notification in one record",
            ask(2, "echo", '{"a":[1,2.50,null]}', deadline_ms=2000),
            ask(3, "billing.sum/v-1_x", "[1,2]"),
            peer.request_text("log", '"note"', notify=True), ask(4, "time"))
    out.say("server", "two answers in one record, out of order",
            peer.answer_text(number(4), '{"unix_ms":1700000000000}'),
            peer.answer_text(number(2), '{"a":[1,2.50,null]}'))
    out.say("server", "an error", peer.error_text(number(3), "billing.no_credit", "no crédit"))
    out.say("client", "a request split inside its length prefix", ask(5, "echo", '"split"'),
            cuts=(2,))
    text = ask(6, "numbers", "3")
    cut = 4 + len(text) // 2
    data = peer.pack_messages(text)
    out.buffers["client"].feed(data[:cut])
    out.record("client", "first half of a request", data[:cut])
    out.record("client", "keep-alive between the halves of a message")
    out.record("server", "keep-alive, answer to it")
    out.record("client", "second half of the request", data[cut:],
               texts=out.buffers["client"].feed(data[cut:]))
    out._read("client", text)
    out.say("server", "an answer split over three records", peer.answer_text(number(5), '"split"'),
            cuts=(4, 15))
    out.say("server", "parts of a streamed answer",
            peer.answer_text(number(6), "1", more=True),
            peer.answer_text(number(6), "2", more=True))
    out.say("server", "last part", peer.answer_text(number(6), "3"))
    out.say("client", "a request in a record with nonzero padding", ask(7, "slow"),
            padding=b"\xffpadding\x00\x01")
    out.say("client", "cancel", peer.dump({"id": number(7), "cancel": True}))
    out.say("server", "the cancelled request's answer, padded",
            peer.error_text(number(7), "cancelled"),
            padding=bytes(range(256)))
    out.record("client", "keep-alive with padding", b"", b"\x2a" * 14)
    out.record("server", "keep-alive, answer to it")
    out.say("server", "draining", b'{"draining":{"reconnect_after_ms":500}}')
    out.say("client", "close", peer.close_text("done"))
    out.say("server", "close", peer.close_text("done", "bye"))
    return out.result()


def denied_transcripts():
    """Answers that are no: a document with an error, a close to an unknown identity, a refusal."""
    out = Transcript("XX", "25519", "ChaChaPoly", ", denied")
    out.bootstrap()
    body = peer.dump({"error": {"code": "denied", "message": "unknown client key"}})
    out.record("server", "bootstrap document", body)
    out.frames[-1]["body_text"] = body.decode()
    yield out.result()
    out = Transcript("IKpsk0", "448", "AESGCM", ", denied")
    out.session(peer.hello_text(agent="x"))
    out.record("client", "first transport frame, empty")
    out.say("server", "close", peer.close_text("denied"))
    yield out.result()
    out = Transcript("NKpsk0", "25519", "AESGCM", ", refused")
    wire = out.client.first()
    out._handshake("client", "message 1", wire)
    wire = peer.refusal_frame("unknown_epoch", "no such epoch", 250)
    out.frames.append({"from": "server", "kind": "refusal", "name": "refusal",
                       "negotiation": out._split(wire)[0].decode(), "noise": "",
                       "wire": wire.hex()})
    yield out.result()


def transcripts():
    out = []
    for curve in peer.CURVES:
        for cipher in peer.CIPHERS:
            out += [bootstrap_transcript(p, curve, cipher) for p in peer.BOOTSTRAP_PATTERNS]
            out += [session_transcript(p, curve, cipher) for p in peer.SESSION_PATTERNS]
    return out + list(denied_transcripts())


# ---------------------------------------------------------------- kdf, protocol 5

def kdf_case(name, server_id, server_string, shared_string, salt, iterations, **more):
    out = {"name": name, "server_id": server_id.hex(), "server_string_hex": server_string.hex(),
           "shared_string_hex": shared_string.hex(), **more, "salt": salt.hex(),
           "iterations": iterations}
    if len(server_string) + len(shared_string) < 100:
        out["seed"] = peer.seed_of(server_id, server_string, shared_string).hex()
    out["epoch"] = peer.epoch_of(server_id)
    for curve in peer.CURVES:
        out["psk_" + curve] = peer.derive_psk(curve, server_id, server_string, shared_string, salt,
                                              iterations).hex()
    return out


def gate_case(name, shared_string, salt):
    return {"name": name, "shared_string_hex": shared_string.hex(), "salt0": salt.hex(),
            **{"gate_" + c: peer.derive_gate_psk(c, shared_string,
                                                 salt).hex() for c in peer.CURVES}}


EXAMPLE = {                                                # as printed in protocol 5
    "seed": "000102030405060708090a0b0c0d0e0f000773c3a97276657200087368e282ac726564",
    "epoch": "be45cb2605bf36be",
    "psk_25519": "a3035cef8d35e658269c317325f698e6848b1acc4e616a629b12481b3fafad96",
    "psk_448": "5b24c8b9d55716707bcaa7fa56bc447da97411155bafc03cbcb79156f3cc8c68",
    "gate_25519": "2fd4781f461035781f5a3bba8be6b946ebd1ea8849a5980c30eee3eecaff9ecb",
    "gate_448": "9907aa7158d99b00ddcef960c3d782f4a167e0ae84429fb7bad5a10132f2f8a4",
    "25519": "SHA256:qwUSQs0wTNvxAnr49h95ae0Zh3ZjB4TFxSR9Ds8JaBY",
    "448": "SHA256:HGp3l3Ye+keN95TDweqtEa8htEZdPxnPsya18UCLsKg"}


def kdf():
    ids = [bytes(range(16)), bytes(16), b"\xff" * 16, fixed("server id", 16)]
    strings = [("one byte each", b"a", b"b"), ("the split moved: ab, c", b"ab", b"c"),
               ("the split moved: a, bc", b"a", b"bc"),
               ("1024 bytes each", b"s" * 1024, b"t" * 1024),
               ("1024 bytes of UTF-8", ("€" * 341 + "x").encode(), "é".encode() * 512),
               ("a zero byte inside", b"a\0b", b"\0"),
               ("JSON specials", b'"\\/\x01\x1f\x7f', b"{}\n\t"),
               ("outside the BMP", "𝄞😀".encode(), "𐍈".encode()),
               ("composed", "é".encode(), "Å".encode()),
               ("decomposed: no normalisation", "é".encode(), "Å".encode())]
    example = ("sérver".encode(), "sh€red".encode(), bytes(range(32)))
    psk = [kdf_case("the example of section 5", ids[0], *example, 10000)]
    psk += [kdf_case(name, ids[i % 4], a, b, SALTS[i], 10000, salt_index=i)
            for i, (name, a, b) in enumerate(strings)]
    psk += [kdf_case("salt %d of the deployment" % i, SERVER_ID, SERVER_STRING, SHARED_STRING,
                     SALTS[i],
                     10000, salt_index=i) for i in (0, 1, SALT_INDEX, 99)]
    psk += [kdf_case("%d iterations" % n, ids[3], b"server", b"shared", SALTS[7], n, salt_index=7)
            for n in (10001, 20000, 65536, 1000000)]
    psk += [kdf_case("a salt of %d bytes" % n, ids[3], b"server", b"shared", fixed("long salt", n),
                     10000)
            for n in (16, 17, 64)]
    gate = [gate_case("the example of section 5", *example[1:])]
    gate += [gate_case(name, b, SALTS[0]) for name, _, b in strings]
    gate += [gate_case("a salt of 16 bytes", b"shared", fixed("long salt", 16)),
             gate_case("a salt of 64 bytes", b"shared", fixed("long salt", 64))]
    keys = [(c, bytes(range(peer.DHLEN[c]))) for c in peer.CURVES]
    keys += [(c, p.public) for pairs in (STATICS, IDENTITIES) for c, p in pairs.items()]
    prints = [{"curve": c, "public_key": k.hex(), "base64": base64.b64encode(k).decode(),
               "fingerprint": peer.fingerprint(c, k)} for c, k in keys]
    for found in (psk[0], gate[0], {p["curve"]: p["fingerprint"] for p in prints[:2]}):
        assert all(EXAMPLE[k] == v for k, v in found.items() if k in EXAMPLE), found
    return {"psk": psk, "gate": gate, "fingerprint": prints,
            "epoch": [{"server_id": i.hex(), "epoch": peer.epoch_of(i)} for i in ids]}


# ---------------------------------------------------------------- rekey, records: protocol 7 and 2

def rekey():
    out = []
    for name in peer.CIPHERS:
        cipher = peer.Cipher(name, fixed("rekey " + name, 32))
        start, records = cipher.key, []
        for nonce in (0, 1, 65534, 65535, 65536, 65537, 131071, 131072, 131073):
            cipher.nonce = nonce
            before, body = cipher.key, b"record %d" % nonce
            message = cipher.seal(peer.pack(body))
            records.append({"nonce": nonce, "key_before": before.hex(), "key": cipher.key.hex(),
                            "rekeyed": before != cipher.key, "body": body.hex(),
                            "wire": peer.transport_frame(message).hex()})
        out.append({"cipher": name, "key": start.hex(), "records": records})
    return out


def records():
    """Sizes; the body is one byte repeated, the wire is given as length, hash and last bytes."""
    out = []
    for name in peer.CIPHERS:
        for count, padding in ((0, 0), (1, 0), (0, 65517), (65516, 1), (65517, 0)):
            cipher = peer.Cipher(name, fixed("record " + name, 32), 3)
            wire = peer.transport_frame(cipher.seal(peer.pack(b"a" * count, b"p" * padding)))
            out.append({"cipher": name, "key": fixed("record " + name, 32).hex(), "nonce": 3,
                        "body_byte": "61", "body_count": count, "padding_byte": "70",
                        "padding_count": padding, "wire_length": len(wire),
                        "wire_sha256": hashlib.sha256(wire).hexdigest(),
                        "wire_end": wire[-24:].hex()})
    return out


# ---------------------------------------------------------------- negative vectors

def agree(case, found):
    """The peer's verdict has to be the one written down by hand."""
    wanted = {k: case[k] for k in found}
    if wanted != found:
        raise SystemExit("peer disagrees: %r\n  hand: %r\n  peer: %r" % (case, wanted, found))


def with_text(case, found, order=("why", "expect")):
    agree(case, found)
    data = case.pop("data")
    return {**{k: case[k] for k in case}, **texts_of(data)}


def verdict(function, *arguments):
    try:
        return function(*arguments)
    except peer.ProtocolError:
        return None


def negotiations():
    for case in negotiation_cases(peer.epoch_of(SERVER_ID)):
        server = case["server"]
        patterns = ("XXpsk0" if server["gated"] else "XX",) + peer.SESSION_PATTERNS
        try:
            got = peer.judge_negotiation(case["data"], patterns, peer.CURVES, peer.CIPHERS,
                                         CONFIG.epochs, server["client_auth"])
            found = {"expect": "accept"}
            case["max_message"] = got.max_message
        except peer.Refused as refusal:
            found = {"expect": refusal.code}
        yield with_text(case, found)


def refusals():
    for case in refusal_cases():
        got = verdict(peer.parse_refusal, case["data"])
        found = {"expect": "refusal" if got else "reject"}
        if got:
            found.update(code=got.code, retry_after_ms=got.retry_after_ms)
        yield with_text(case, found)


def documents():
    keys = {c: p.public for c, p in STATICS.items()}
    for case in document_cases(keys, SERVER_ID.hex()):
        context = case["context"]
        try:
            got = peer.parse_document(case["data"], context["curve"],
                                      bytes.fromhex(context["authenticated_key"]), context["salts"])
            found = {"expect": "accept"}
            case["parsed"] = {
                "server_id": got.server_id.hex(), "salt_index": got.salt_index,
                "server_string_hex": got.server_string.hex(), "iterations": got.iterations,
                "other_keys": {c: k.hex() for c, k in got.other_keys.items()},
                "client_auth": got.client_auth, "expires_in": got.expires_in}
        except peer.Denied:
            found = {"expect": "denied"}
        except peer.ProtocolError:
            found = {"expect": "reject"}
        yield with_text(case, found)


def hellos():
    for case in hello_cases():
        got = verdict(peer.parse_hello, case["data"])
        if got:
            case["parsed"] = got._asdict()
        yield with_text(case, {"expect": "accept" if got else "reject"})


def envelopes(cases, reader):
    for case in cases:
        got = verdict(reader(case).read, case["data"])
        found = {"expect": got.kind if got else "protocol_error"}
        if got and got.id is not None and got.kind != "ignored":
            found["id"] = got.id
        if got and got.kind in ("request", "notification", "answer", "part"):
            case["content"] = got.obj.text("content")
        yield with_text(case, found)


def first_frame(data):
    """A server's answer to the first bytes: (what it does, code)."""
    buffer = peer.FrameBuffer()
    buffer.feed(data)
    frame = buffer.handshake()
    if not frame:
        return "wait", None
    try:
        accepted = peer.judge_negotiation(frame[0], ("XX",) + peer.SESSION_PATTERNS, peer.CURVES,
                                          peer.CIPHERS, CONFIG.epochs)
    except peer.Refused as refusal:
        return "refuse", refusal.code
    server = peer.Responder(accepted, frame[0], STATICS[accepted.curve])
    server.read_first(frame[1])
    server.answer()
    return "message 2", None


def first_frames():
    for case in first_frame_cases():
        try:
            expect, code = first_frame(bytes.fromhex(case["bytes"]))
        except (peer.ProtocolError, peer.DecryptError):
            expect, code = "close", None
        agree(case, {"expect": expect, **({"code": code} if code else {})})
        yield case


def plaintexts():
    for case in plaintext_cases():
        got = verdict(peer.unpack, bytes.fromhex(case["plaintext"]))
        agree(case, {"body": None if got is None else got.hex()})
        yield case


def streams():
    for case in stream_cases():
        buffer, found = peer.MessageBuffer(case["max_message"]), []
        result = "ok"
        for body in case["bodies"]:
            got = verdict(buffer.feed, bytes.fromhex(body))
            if got is None:
                result = "protocol_error"
                break
            found += [t.decode() for t in got]
        agree(case, {"expect": result, "messages": found})
        yield case


def trusts():
    keys = {"A25519": ("25519", STATICS["25519"].public), "A448": ("448", STATICS["448"].public),
            "B25519": ("25519", IDENTITIES["25519"].public)}
    for case in trust_cases():
        pins = dict(keys[name] for name in case["pinned"])
        given = case["given"] and peer.fingerprint(*keys[case["given"]])
        try:
            found = {"expect": "pin" if peer.judge_trust(pins, *keys[case["shown"]], given,
                                                         case["policy"]) else "go on"}
        except peer.TrustError as error:
            found = {"expect": error.kind}
        agree(case, found)
        yield case


def negative():
    return {
        "negotiation": list(negotiations()), "refusal": list(refusals()),
        "document": list(documents()),
        "hello": list(hellos()),
        "client_to_server": list(envelopes(client_cases(), lambda c: peer.RequestReader(
            c["count"], c["in_use"]))),
        "server_to_client": list(envelopes(server_cases(),
                                           lambda c: peer.AnswerReader(c["in_use"]))),
        "plaintext": list(plaintexts()), "stream": list(streams()),
        "first_frame": list(first_frames()), "trust": list(trusts())}


# ---------------------------------------------------------------- the file

def make():
    data = {"about": "Fixed vectors of the Sotto wire protocol, version 1; see README.md here. "
                     "Made by tests/interop/make_vectors.py.",
            "deployment": deployment(), "transcripts": transcripts(), "kdf": kdf(),
            "rekey": rekey(),
            "records": records(), "negative": negative()}
    return json.dumps(data, indent=1) + "\n"


def main():
    write_or_check(PATH, make(), __doc__)


if __name__ == "__main__":
    main()
