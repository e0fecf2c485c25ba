"""Interop tests of `sotto call` and `sotto bootstrap`: the Python peer is the server, often a
malicious one. See run.py."""

import base64
import json

import peer_net as net
import sotto_peer as peer
from interop_suite import (Failure, Home, WAIT_S, check, check_in, each_combination, must_fail,
                           test)


# ================ sotto call: what works

def check_call(suite, expected=(0,), content='{"a":[1,2.50,"é"]}', server=None, found=None,
               **options):
    """One call of echo against a Python server; exit status, and the content when it is 0."""
    with Home(suite) as home:
        code, out, err = home.call(server.address, content=content, **options)
        check_in("exit (%s)" % err.strip()[-200:], expected, code)
        if code == 0:
            check("answer", json.loads(found or content), json.loads(out))
        else:
            check("standard output of a failed call", "", out)
    crashes = [e for e in server.events if e[0] == "crash"]
    check("errors of the Python server", [], crashes)


@each_combination
def call_XX_and_NKpsk0(suite, curve, cipher):
    with suite.peer_server() as server:
        check_call(suite, server=server, curve=curve, cipher=cipher)
        check("patterns", [("open", "XX"), ("open", "NKpsk0")],
              [e for e in server.events if e[0] == "open"])


@each_combination
def call_IKpsk0(suite, curve, cipher):
    known = {(c, p.public) for c, p in suite.identities.items()}
    with suite.peer_server(client_auth="required", known=known, restricted=True) as server:
        check_call(suite, server=server, curve=curve, cipher=cipher,
                   identity=suite.file("client_%s.key" % curve))
        check("patterns", 1, server.count("session", "IKpsk0"))


@each_combination
def call_gate_XXpsk0(suite, curve, cipher):
    with suite.peer_server(gated=True) as server:
        check_call(suite, server=server, curve=curve, cipher=cipher, gate=True)
        check("patterns", 1, server.count("open", "XXpsk0"))


@test
def call_byte_by_byte(suite):
    with suite.peer_server(chunk=1) as server:
        check_call(suite, server=server)


@test
def call_content_from_a_file_and_standard_input(suite):
    with suite.peer_server() as server, Home(suite) as home:
        with open(home.file("in.json"), "w") as file:
            file.write(' {"a": "é"}\n')
        for content, data in (("@" + home.file("in.json"), b""), ("-", '{"a": "é"}'.encode())):
            code, out, err = home.call(server.address, content=content, data=data)
            check("exit " + err, 0, code)
            check("answer", {"a": "é"}, json.loads(out))


@test
def bootstrap_alone(suite):
    with suite.peer_server() as server, Home(suite) as home:
        code, _, err = home.bootstrap(server.address)
        check("exit " + err, 0, code)
        check("documents and sessions", (1, 0), (server.count("document"), server.count("session")))
        check("exit of a call under the pin", 0, home.call(server.address, trust="strict")[0])


class Padded(net.ServerConnection):
    """Nonzero padding wherever padding may be."""

    def send_document(self, body):
        self.wire.send(self.channel.seal(body, b"\xff" * 1000))

    def session(self):
        answer = self.responder.answer
        self.responder.answer = lambda body: answer(body, b"\x80padding")
        super().session()

    def record(self, body, padding=b"\x01\x02\x03"):
        super().record(body, padding)


class Split(net.ServerConnection):
    """Answers in records of one byte, with keep-alives between."""

    def reply(self, texts):
        for byte in peer.pack_messages(*texts):
            self.record(bytes([byte]))
            self.record(b"")


class Answers(net.ServerConnection):
    """Other texts in place of the answer; ID stands for the request's id."""
    texts = ()

    def message(self, message):
        if message.kind != "request":
            return super().message(message)
        self.log("request", message.obj.get("endpoint"))
        return [t.replace(b"ID", b"%d" % message.id) for t in self.texts]


def answering(*texts):
    return type("Answering", (Answers,), {"texts": texts})


@test
def call_padding(suite):
    with suite.peer_server(Padded) as server:
        check_call(suite, server=server)


@test
def call_records_of_one_byte(suite):
    with suite.peer_server(Split) as server:
        check_call(suite, server=server)


class OneByteRecords(net.ServerConnection):
    def reply(self, texts):
        data = peer.pack_messages(*texts)
        self.wire.send(b"".join(self.channel.seal(data[i:i + 1]) for i in range(len(data))))


@test
def call_rekeys(suite):
    content = '"%s"' % ("0123456789" * 6600)              # an answer of more than 65536 records
    with suite.peer_server(OneByteRecords) as server, Home(suite) as home:
        with open(home.file("in.json"), "w") as file:
            file.write(content)
        code, out, err = home.call(server.address, content="@" + home.file("in.json"))
        check("exit " + err, 0, code)
        check("answer", content, out.strip())


@test
def call_too_large_for_the_server(suite):
    with suite.peer_server(answering(b'{"id":ID}'), hello={"max_message": 1024}) as server:
        check_call(suite, (10,), server=server, content='"%s"' % ("x" * 1024))
        check("requests that were sent", 0, server.count("request"))


class AnswersAfterKeepAlive(Answers):
    """Answers when a keep-alive has come after the request."""
    due = None

    def message(self, message):
        self.due = super().message(message)
        return []

    def keep_alive(self):
        super().keep_alive()
        texts, self.due = self.due or [], None
        self.reply(texts)
        return True


@test
def call_sends_keep_alives(suite):
    connection = type("Later", (AnswersAfterKeepAlive,), {"texts": (b'{"id":ID,"content":1}',)})
    with suite.peer_server(connection, hello={"keepalive_ms": 100}) as server:
        check_call(suite, server=server, found="1")


class Deaf(net.ServerConnection):
    """Answers nothing at all, and notes how the client closes."""

    def message(self, message):
        return []

    def keep_alive(self):
        return True


@test
def call_gives_up_an_idle_server(suite):
    with suite.peer_server(Deaf, hello={"keepalive_ms": 100}) as server:
        check_call(suite, (5, 11), server=server)
    check("close", 1, server.count("close", "idle"))


@test
def call_answers_to_others_are_ignored(suite):
    connection = answering(b'{"id":900,"content":1}', b'{"id":901,"error":{"code":"internal"}}',
                           b'{"news":1}',
                           b'{"id":902,"content":1,"more":true}',
                           b'{"id":ID,"content":"mine","x":[]}')
    with suite.peer_server(connection) as server:
        check_call(suite, server=server, found='"mine"')


@test
def call_draining_and_an_answer(suite):
    with suite.peer_server(answering(b'{"draining":{"reconnect_after_ms":1}}',
                                     b'{"id":ID,"content":2}')) as server:
        check_call(suite, server=server, found="2")


@test
def call_parts_of_an_answer(suite):
    connection = answering(b'{"id":ID,"content":"first","more":true}',
                           b'{"id":ID,"content":"second","more":true}',
                           b'{"id":ID,"content":"last","more":false}')
    with suite.peer_server(connection) as server, Home(suite) as home:
        code, out, err = home.call(server.address)
        check("exit " + err, 0, code)
        check("the last part is printed", True, '"last"' in out)


@test
def call_missing_content_is_null(suite):
    with suite.peer_server(answering(b'{"id":ID}')) as server:
        check_call(suite, server=server, found="null")


@test
def call_exit_statuses_of_errors(suite):
    for code, status in (("billing.no_credit", 3), ("internal", None), ("denied", 8),
                         ("not_found", 9), ("too_large", 10),
                         ("deadline_exceeded", 4), ("unavailable", 11), ("overloaded", 11)):
        text = b'{"id":ID,"error":{"code":"%s","message":"x"}}' % code.encode()
        with suite.peer_server(answering(text)) as server:
            check_call(suite, (status,) if status else (1, 3), server=server)
    with suite.peer_server() as server, Home(suite) as home:
        check("no such endpoint", 9, home.call(server.address, "nothing")[0])


@test
def call_exit_statuses_of_this_machine(suite):
    with suite.peer_server() as server, Home(suite) as home:
        check("content that is no JSON", 12, home.call(server.address, content="{")[0])
        check("no secrets file", 12, home.call(server.address, secrets=home.file("none"))[0])
        check("no content file", 12, home.call(server.address, content="@" + home.file("none"))[0])
        check("an unknown option", 2, home.call(server.address, curve="41417")[0])
        check("connections", [], [e for e in server.events if e[0] in ("document", "session")])
        address = server.address
    with Home(suite) as home:
        check("nobody listens", 5, home.call(address, timeout="3s")[0])


# ================ sotto call: trust

@test
def call_trust(suite):
    prints = {c: peer.fingerprint(c, p.public) for c, p in suite.statics.items()}
    wrong = peer.fingerprint("25519", suite.others["25519"].public)
    with suite.peer_server() as server:
        for name, status, options in (("strict, nothing pinned", 6, {"trust": "strict"}),
                                      ("another fingerprint", 6, {"trust": "strict", "pin": wrong}),
                                      ("another fingerprint, accept-new", 6, {"pin": wrong}),
                                      ("the fingerprint", 0,
                                       {"trust": "strict", "pin": prints["25519"]})):
            before = server.count("session")
            with Home(suite) as home:
                check(name, status, home.call(server.address, **options)[0])
                check(name + ": sessions", status == 0, server.count("session") > before)


@test
def call_pins_all_keys_of_a_document(suite):
    with suite.peer_server() as server, Home(suite) as home:
        check("first call", 0, home.call(server.address)[0])
        check("again, strict", 0, home.call(server.address, trust="strict", fresh=True)[0])
        check("the other curve, strict", 0,
              home.call(server.address, trust="strict", curve="448")[0])


@test
def call_never_overwrites_a_pin(suite):
    config = suite.config()
    with suite.peer_server(config=config) as server, Home(suite) as home:
        check("first call", 0, home.call(server.address)[0])
        config.statics = suite.others
        for options in ({"trust": "strict"}, {},
                        {"pin": peer.fingerprint("25519", suite.others["25519"].public)}):
            check("a changed key", 6, home.call(server.address, fresh=True, **options)[0])
        config.statics = suite.statics
        check("the old key again", 0, home.call(server.address, trust="strict", fresh=True)[0])


class NoOtherKeys(net.ServerConnection):
    def document_body(self):
        return peer.document_text(**dict(self.config.document(self.negotiation.curve),
                                         other_keys={}))


@test
def call_a_pin_of_the_other_curve_only(suite):
    with suite.peer_server(NoOtherKeys) as server, Home(suite) as home:
        check("first call", 0, home.call(server.address)[0])
        for trust in ("strict", "accept-new"):
            check("448 with " + trust, 6, home.call(server.address, curve="448", trust=trust)[0])


# ================ sotto call: malicious servers

def with_document(change):
    """A server that changes its document; `change` takes and gives the members as JSON values."""
    class Liar(net.ServerConnection):
        def document_body(self):
            data = json.loads(super().document_body())
            out = change(data)
            return out if isinstance(out, bytes) else peer.dump(data if out is None else out)
    return Liar


def lies(suite):
    b64 = lambda curve: base64.b64encode(suite.others[curve].public).decode()
    put = lambda **members: lambda d: d.update(members)
    return [
        ("another public key", put(public_key=b64("25519"))),
        ("no public key", lambda d: d.pop("public_key")and None),
        ("the other curve", put(curve="448", public_key=b64("448"))),
        ("salt_index 100", put(salt_index=100)), ("salt_index -1", put(salt_index=-1)),
        ("salt_index 1.0", put(salt_index=1.0)), ("iterations 9999", put(iterations=9999)),
        ("iterations 1000001", put(iterations=1000001)),
        ("iterations 2^32", put(iterations=2 ** 32 + 10000)),
        ("server_id too short", put(server_id="00" * 15)),
        ("server_id in upper case", put(server_id="AB" * 16)),
        ("server_string empty", put(server_string="")),
        ("server_string too long", put(server_string="x" * 1025)),
        ("a low-order other key", put(other_keys={"448": base64.b64encode(bytes(56)).decode()})),
        ("the own curve in other_keys", put(other_keys={"25519": b64("25519")})),
        ("client_auth of another word", put(client_auth="maybe")),
        ("expires_in 0", put(expires_in=0)),
        ("no object", lambda d: b"[]"), ("no JSON", lambda d: b"{"),
        ("an empty body", lambda d: b""),
        ("a duplicate member", lambda d: peer.dump(d)[:-1] + b',"salt_index":1}')]


def check_lie_once(suite, name, change):
    with suite.peer_server(with_document(change)) as server:
        check_call(suite, (6, 7, 10), server=server)
        check(name + ": sessions that were tried", 0, server.count("open", "NKpsk0"))


def check_lie(suite, name, change):
    """Two hundred calls, each within the five seconds of protocol 2: one may fall into a moment in
    which the machine stands still (exit 4), and is made once more. A hang comes back."""
    try:
        check_lie_once(suite, name, change)
    except Failure as failure:
        if not str(failure).endswith("came 4"):
            raise
        check_lie_once(suite, name, change)


@test
def call_documents_that_lie(suite):
    wrong = []
    for name, change in lies(suite):
        try:
            check_lie(suite, name, change)
        except Failure as failure:
            wrong.append("%s: %s" % (name, failure))
    if wrong:
        raise Failure("; ".join(wrong[:5]))


@test
def control_an_honest_document_is_noticed(suite):
    must_fail(lambda: check_lie(suite, "honest", lambda d: None))


class MoreThanADocument(net.ServerConnection):
    def send_document(self, body):
        self.wire.send(self.channel.seal(body) + self.channel.seal(b""))


class NoDocument(net.ServerConnection):
    def send_document(self, body):
        self.wire.close()


class HalfDocument(net.ServerConnection):
    def send_document(self, body):
        self.wire.send(self.channel.seal(body)[:-1])


class AlteredDocument(net.ServerConnection):
    def send_document(self, body):
        frame = self.channel.seal(body)
        self.wire.send(frame[:-1] + bytes([frame[-1] ^ 1]))


@test
def call_broken_bootstraps(suite):
    for connection, status in ((MoreThanADocument, (7, 10)), (NoDocument, (5, 7)),
                               (HalfDocument, (5, 7)),
                               (AlteredDocument, (5, 7, 10))):
        with suite.peer_server(connection) as server:
            check_call(suite, status, server=server)
            check(connection.__name__ + ": sessions that were tried", 0,
                  server.count("open", "NKpsk0"))


@test
def call_denied_document(suite):
    with suite.peer_server(restricted=True) as server:
        check_call(suite, (8,), server=server)


@test
def call_denied_session(suite):
    with suite.peer_server(client_auth="required", known=set()) as server:
        check_call(suite, (8,), server=server, identity=suite.file("client_25519.key"))


@test
def call_without_the_key_that_is_required(suite):
    with suite.peer_server(client_auth="required") as server:
        check_call(suite, (7, 8), server=server)


def with_hello(body):
    class Hello(net.ServerConnection):
        def session(self):
            self.wire.send(self.responder.answer(body))
            self.channel = self.responder.channel
            try:
                self.log("after", self.wire.transport())
            except peer.EndOfStream:
                self.log("silence")
    return Hello


@test
def call_bad_hellos(suite):
    for body in (b"", b"[]", b'{"max_message":1}', b'{"keepalive_ms":0}', b'{"agent":5}',
                 b'{"agent":1,"agent":2}'):
        with suite.peer_server(with_hello(body)) as server:
            check_call(suite, (7, 10), server=server)
        check("frames after the hello %r" % body, (0, 1),
              (server.count("after"), server.count("silence")))


class WrongMessage2(net.ServerConnection):
    """Message 2 changed by `change(frame)`."""

    def send_message2(self, frame):
        self.wire.send(self.change(frame))
        try:
            self.log("after", self.wire.handshake())
        except peer.EndOfStream:
            self.log("silence")

    def bootstrap(self):
        self.send_message2(self.responder.answer())


@test
def call_broken_message_2(suite):
    changes = [("a flipped byte", lambda f: f[:-1] + bytes([f[-1] ^ 1])),
               ("a byte less", lambda f: f[:2] + peer.u16(len(f) - 5) + f[4:-1]),
               ("a byte more", lambda f: f[:2] + peer.u16(len(f) - 3) + f[4:] + b"\0"),
               ("negotiation data too", lambda f: b"\0\2{}" + f[2:]),
               ("both empty", lambda f: bytes(4)), ("huge lengths", lambda f: b"\xff" * 4),
               ("noise_len 2049", lambda f: b"\0\0\x08\x01"),
               ("a zero key", lambda f: f[:4] + bytes(32) + f[36:])]
    for name, change in changes:
        connection = type("Changed", (WrongMessage2,),
                          {"change": lambda self, frame, c=change: c(frame)})
        with suite.peer_server(connection) as server:
            check_call(suite, (5, 7, 10), server=server)
        check("message 3 after " + name, 0, server.count("after"))


class Refusing(net.ServerConnection):
    """Refuses sessions with `refusals` in turn (the last for ever), then None: accepts."""
    refusals, bootstraps_too = (), False

    def judge(self, raw):
        negotiation = super().judge(raw)
        if self.bootstraps_too or negotiation.pattern in peer.SESSION_PATTERNS:
            done = self.server.count("refused")
            refusal = self.refusals[min(done, len(self.refusals) - 1)]
            if refusal:
                raise peer.Refused(*refusal)
        return negotiation


def refusing(*refusals, bootstraps_too=False):
    return type("RefusingSome", (Refusing,),
                {"refusals": refusals, "bootstraps_too": bootstraps_too})


@test
def call_refusals(suite):
    for code in ("malformed", "unsupported_version", "unsupported_pattern", "unsupported_curve",
                 "unsupported_cipher",
                 "tired"):
        for too in (False, True):
            with suite.peer_server(refusing((code, "no"), bootstraps_too=too)) as server:
                check_call(suite, (7,), server=server)
            check("attempts after " + code, 1, server.count("refused"))


@test
def call_busy_and_then_not(suite):
    for too in (False, True):
        connection = refusing(("busy", None, 20), ("busy", "later", 20), None, bootstraps_too=too)
        with suite.peer_server(connection) as server:
            check_call(suite, server=server)
            check("refusals", 2, server.count("refused"))


@test
def call_busy_for_ever(suite):
    with suite.peer_server(refusing(("busy", None, 50))) as server:
        check_call(suite, (4, 11), server=server, timeout="1s")


@test
def call_busy_for_longer_than_the_deadline(suite):
    with suite.peer_server(refusing(("busy", None, 2 ** 31))) as server:
        check_call(suite, (4, 11), server=server, timeout="1s")


class Malformed(net.ServerConnection):
    answer = b""

    def judge(self, raw):
        self.wire.send(peer.handshake_frame(self.answer, b""))
        raise peer.EndOfStream("sent")


@test
def call_refusals_that_are_none(suite):
    for answer in (b"{}", b"[]", b"busy", b'{"error":{}}',
                   b'{"error":{"code":"busy","retry_after_ms":0}}',
                   b'{"error":{"code":"busy","code":"busy"}}', b"\xff"):
        with suite.peer_server(type("Bad", (Malformed,), {"answer": answer})) as server:
            check_call(suite, (7, 10), server=server)


@test
def call_new_epoch_under_the_pin(suite):
    config = suite.config()
    with suite.peer_server(config=config) as server, Home(suite) as home:
        check("first call", 0, home.call(server.address)[0])
        config.new_epoch()
        code, out, err = home.call(server.address, trust="strict")
        check("call in the new epoch (%s)" % err.strip(), (0, '"x"'), (code, out.strip()))
        check("bootstraps", 2, server.count("document"))


@test
def call_new_epoch_with_another_key(suite):
    config = suite.config()
    with suite.peer_server(config=config) as server, Home(suite) as home:
        check("first call", 0, home.call(server.address)[0])
        config.new_epoch()
        config.statics = suite.others
        check("exit", 6, home.call(server.address)[0])
        check("sessions", 1, server.count("session"))


@test
def call_unknown_epoch_for_ever(suite):
    with suite.peer_server(refusing(("unknown_epoch",))) as server:
        check_call(suite, (7,), server=server)
        check("at most one more bootstrap", True, 1 <= server.count("document") <= 2)


@test
def call_cached_bootstrap(suite):
    with suite.peer_server() as server, Home(suite) as home:
        for count, options in ((1, {}), (1, {}), (2, {"fresh": True})):
            check("exit", 0, home.call(server.address, **options)[0])
            check("bootstraps so far", count, server.count("document"))


@test
def call_other_shared_string(suite):
    secrets = peer.Secrets(b"another", suite.server_secrets.salts, 10000, b"server")
    with suite.peer_server(config=net.ServerConfig(suite.statics, secrets)) as server:
        check_call(suite, (7,), server=server)
        check("sessions", 0, server.count("session"))
        server.config.gated = True
        check_call(suite, (7,), server=server, gate=True)


@test
def call_no_fallback_from_a_gate(suite):
    with suite.peer_server() as server:                   # refuses XXpsk0 with unsupported_pattern
        check_call(suite, (7,), server=server, gate=True)
        check("connections that XX opened", 0, server.count("open", "XX"))


class Ends(net.ServerConnection):
    """Ends in the middle: `stage` is hello, request or answer."""
    stage = "hello"

    def session(self):
        if self.stage == "hello":
            self.wire.send(self.responder.answer(b"{}")[:30])
        else:
            super().session()

    def message(self, message):
        if self.stage == "answer":
            self.wire.send(self.channel.seal(b"x" * 100)[:50])
        raise peer.EndOfStream("on purpose")


@test
def call_truncated_streams(suite):
    for stage, status in (("hello", (5, 7)), ("request", (5,)), ("answer", (5,))):
        with suite.peer_server(type("Ending", (Ends,), {"stage": stage})) as server:
            check_call(suite, status, server=server)


@test
def call_closes_in_place_of_answers(suite):
    for code, status in (("draining", 11), ("overloaded", 11), ("idle", 11), ("done", 11),
                         ("denied", 8)):
        with suite.peer_server(answering(peer.close_text(code))) as server:
            check_call(suite, (status,), server=server)


@test
def call_draining_and_unavailable(suite):
    connection = answering(b'{"draining":{"reconnect_after_ms":1}}',
                           b'{"id":ID,"error":{"code":"unavailable"}}',
                           peer.close_text("draining"))
    with suite.peer_server(connection) as server:
        check_call(suite, (11,), server=server)


class Watching(Answers):
    """Answers, then notes what the client's end was."""

    def reply(self, texts):
        super().reply(texts)
        if texts:
            self.watch()

    def watch(self):
        try:
            while True:
                body = self.channel.open(self.wire.transport())
                for text in self.buffer.feed(body):
                    self.log("end", peer.close_code(peer.parse_json(text)))
        except peer.EndOfStream:
            self.log("end of stream")


@test
def call_breaches_of_the_protocol(suite):
    cases = [b"[]", b"{", b"\xff", b'{"id":0,"content":1}', b'{"id":"ID","content":1}',
             b'{"id":ID,"id":ID}',
             b'{"id":ID,"content":1,"more":1}', b'{"id":ID,"error":5}',
             b'{"id":ID,"error":{"code":5}}',
             b'{"id":ID,"content":%s}' % (b"[" * 64 + b"]" * 64), b'{"draining":5}',
             b'{"x":1,"x":1}']
    wrong = []
    for text in cases:
        with suite.peer_server(type("Breach", (Watching,), {"texts": (text,)})) as server:
            try:
                check_call(suite, (10,), server=server)
            except Failure as failure:
                wrong.append("%r: %s" % (text[:40], failure))
        if server.count("end", "protocol_error") != 1:
            wrong.append("%r: no close protocol_error from the client" % text[:40])
    if wrong:
        raise Failure("; ".join(wrong[:5]))


class BadRecord(Watching):
    """Sends `raw` in place of the answer: (plaintext to be sealed, or None, or a broken frame)."""

    def message(self, message):
        self.wire.send(self.make(self.channel))
        self.watch()
        raise peer.EndOfStream("on purpose")


@test
def call_bad_records(suite):
    seal = lambda channel, plaintext: peer.transport_frame(channel.tx.seal(plaintext))
    for name, make, status, close in (
            ("plaintext of no byte", lambda c: seal(c, b""), (10,), 1),
            ("body_len beyond", lambda c: seal(c, b"\0\5abc"), (10,), 1),
            ("message length 0", lambda c: c.seal(bytes(4)), (10,), 1),
            ("message length 2^32 - 1", lambda c: c.seal(b"\xff" * 4), (10,), 1),
            ("a flipped byte", lambda c: c.seal(b"x")[:-1] + b"\0", (5, 7, 10), 0),
            ("a short frame", lambda c: b"\0\x0f" + bytes(15), (5, 7, 10), 0),
            ("an empty frame", lambda c: b"\0\0", (5, 7, 10), 0)):
        with suite.peer_server(type("Bad", (BadRecord,), {"make": staticmethod(make)})) as server:
            check_call(suite, status, server=server)
        check("close protocol_error after " + name, close, server.count("end", "protocol_error"))


class Silent(net.ServerConnection):
    def judge(self, raw):
        self.wire.set_deadline(WAIT_S)
        self.wire.fill()                                  # until the client gives up
        raise peer.EndOfStream("silent")


class SilentSession(net.ServerConnection):
    def message(self, message):
        return []


@test
def call_silent_servers(suite):
    for connection in (Silent, SilentSession):
        with suite.peer_server(connection) as server:
            check_call(suite, (4, 5, 7) if connection is Silent else (4,), server=server,
                       timeout="1s")
