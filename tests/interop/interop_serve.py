"""Interop tests of `sotto serve`: the Python peer is the client. See run.py."""

import json
import socket

import peer_net as net
import sotto_peer as peer
from interop_suite import (Failure, Serve, Skip, WrongPrologue, check, check_error, check_in,
                           each_combination, echo, must_fail, test)


# ================ sotto serve: what works

@test
def serve_says_what_it_is(suite):
    server = suite.serve()
    check("first line", True, server.first.startswith("sotto ") and server.first.endswith(" ready"))
    check("fingerprints", {c: peer.fingerprint(c, p.public) for c, p in suite.statics.items()},
          server.fingerprints)
    for name in ("echo", "time"):
        check_in("endpoints", server.endpoints, name)


@each_combination
def serve_XX_and_NKpsk0(suite, curve, cipher):
    server = suite.serve()
    client = suite.client(server, curve, cipher)
    document = suite.document(client, server)
    check("other_keys", {c: p.public for c, p in suite.statics.items() if c != curve},
          document.other_keys)
    check("iterations", suite.server_secrets.iterations, document.iterations)
    check("server_string", suite.server_secrets.server_string, document.server_string)
    check("client_auth", "none", document.client_auth)
    session = client.session(document)
    echo(suite, session)
    json.loads(session.call("time"))
    check("close", "done", session.close())


@each_combination
def serve_IKpsk0(suite, curve, cipher):
    session = suite.session(suite.serve(), curve, cipher, identity=suite.identities[curve])
    echo(suite, session)
    check("close", "done", session.close())


@each_combination
def serve_gate_XXpsk0(suite, curve, cipher):
    session = suite.session(suite.serve("--gate"), curve, cipher, gate=True)
    echo(suite, session)
    check("close", "done", session.close())


@test
def serve_byte_by_byte(suite):
    session = suite.session(suite.serve(), chunk=1)
    echo(suite, session)
    check("close", "done", session.close())


@test
def serve_own_endpoints(suite):
    session = suite.session(suite.serve())
    check("$/ping", "[1]", session.call("$/ping", "[1]"))
    check("$/health", {"status": "serving"}, json.loads(session.call("$/health")))
    names = [e["name"] for e in json.loads(session.call("$/endpoints"))]
    check("echo and time in $/endpoints", True, {"echo", "time"} <= set(names))
    check("$/ names in $/endpoints", [], [n for n in names if n.startswith("$")])
    check_error("an unknown endpoint", "call:not_found", lambda: session.call("nothing"))
    check_error("an unknown $/ endpoint", "call:not_found", lambda: session.call("$/nothing"))
    session.close()


@test
def serve_contents_of_all_kinds(suite):
    session = suite.session(suite.serve())
    for content in ("null", "true", "-0.0", "1e5", '"\\u0000\\ud834\\udd1e"', "[[],{}]",
                    "123456789012345678901234567890",
                    '{"a":1,"a":2}', '"%s"' % ("é" * 5000), "[%s1]" % ("1," * 20000),
                    "[" * 63 + "]" * 63):
        found = session.call("echo", content)
        check("echo of %s" % content[:30], json.loads(content), json.loads(found))
    check("a missing content is null", "null", session.call("echo"))
    session.close()


@test
def serve_many_messages_in_few_records(suite):
    session = suite.session(suite.serve())
    texts = [peer.request_text("echo", str(i)) for i in range(500)]
    numbers = [session.expect() for _ in texts]
    session.send(*texts)
    check("answers", [str(i) for i in range(500)], [session.wait(n) for n in numbers])
    session.close()


@test
def serve_messages_split_and_padded(suite):
    session = suite.session(suite.serve())
    text = peer.request_text("echo", '"split"')
    for size, padding in ((1, b""), (3, b"\xff" * 7), (1000, bytes(range(256)) * 40)):
        number = session.expect()
        session.stream(peer.pack_messages(text), size, padding)
        check("echo in records of %d" % size, '"split"', session.wait(number))
    session.record(b"", b"\x01" * 65517)
    echo(suite, session)
    session.close()


@test
def serve_first_record_with_requests(suite):
    client = suite.client(suite.serve())
    session = client.session(suite.document(client, suite.serve()),
                             first=peer.pack_messages(peer.request_text("echo", "1"),
                                                      peer.request_text("echo", "2")))
    numbers = [session.expect(), session.expect()]
    check("answers", ["1", "2"], [session.wait(n) for n in numbers])
    session.close()


@test
def serve_given_ids(suite):
    session = suite.session(suite.serve())
    for number in (7, 3, peer.MAX_ID, 7):
        check("echo", str(number), session.call("echo", str(number), number=number))
    session.close()


@test
def serve_large_messages(suite):
    session = suite.session(suite.serve())
    content = '"%s"' % ("0123456789" * 50000)
    check("500 kB", len(content), len(session.call("echo", content)))
    session.close()


@test
def serve_answers_keep_alives(suite):
    session = suite.session(suite.serve())
    echo(suite, session)
    before = session.keepalives
    session.record(b"")
    session.record(b"", b"padding")
    while session.keepalives < before + 2:
        session.pump()
    session.close()


@test
def serve_rekeys(suite):
    for cipher in peer.CIPHERS:
        session = suite.session(suite.serve(), cipher=cipher)
        echo(suite, session)
        while session.channel.tx.nonce < peer.REKEY_EVERY + 100:   # every keep-alive is answered
            start = session.keepalives
            session.wire.set_deadline(net.DEADLINE_S)
            session.wire.send(b"".join(session.channel.seal(b"") for _ in range(500)))
            while session.keepalives < start + 500:
                session.pump()
        check("both directions", True, session.channel.rx.nonce > peer.REKEY_EVERY)
        echo(suite, session)
        session.close()


@test
def serve_too_large_for_the_client(suite):
    session = suite.session(suite.serve(), max_message=1024)
    content = '"%s"' % ("x" * 2000)
    check_error("an answer above max_message", "call:too_large",
                lambda: session.call("echo", content))
    echo(suite, session)
    session.close()


@test
def serve_answers_before_its_close(suite):
    session = suite.session(suite.serve())
    numbers = [session.expect() for _ in range(20)]
    session.send(*[peer.request_text("echo", str(i)) for i in range(20)],
                 peer.close_text("done"), peer.request_text("echo", '"ignored"'))
    check("close", "done", session.until_close())
    check("answers", [str(i) for i in range(20)], [session.wait(n) for n in numbers])
    check("end of stream", False, session.wire.fill())
    session.wire.close()


@test
def serve_drains_on_SIGTERM(suite):
    with Serve(suite) as server:
        session = suite.session(server)
        echo(suite, session)
        server.terminate()
        check("close", "draining", session.until_close())
        session.wire.close()
        check("exit status", 0, server.wait())


@test
def serve_drains_without_clients(suite):
    with Serve(suite) as server:
        server.terminate()
        check("exit status", 0, server.wait())


@test
def serve_new_epoch_after_a_restart(suite):
    client = suite.client(suite.serve())
    document = suite.document(client, suite.serve())
    with Serve(suite) as server:
        client.address = server.address
        check_error("the old epoch", "refused:unknown_epoch", lambda: client.session(document))
        check("the new epoch differs", True,
              suite.document(client, server).server_id != document.server_id)


# ================ sotto serve: client keys

@test
def serve_required_keys(suite):
    server = suite.serve("--client-auth", "required", "--clients", suite.file("clients"))
    client = suite.client(server, identity=suite.identities["25519"])
    document = suite.document(client, server)
    check("client_auth", "required", document.client_auth)
    session = client.session(document)
    echo(suite, session)
    session.close()
    client.identity = None
    check_error("NKpsk0", "refused:client_key_required", lambda: client.session(document))
    client.identity = suite.others["25519"]
    session = client.session(document)
    check("close to an unknown key", "denied", session.until_close())
    session.wire.close()


@test
def serve_required_keys_say_nothing_while_half_open(suite):
    server = suite.serve("--client-auth", "required", "--clients", suite.file("clients"))
    client = suite.client(server, identity=suite.identities["25519"])
    document = suite.document(client, server)
    client.identity = suite.others["25519"]
    wire, initiator = client.start_session(document)
    initiator.session_answer(*wire.handshake())
    wire.sock.shutdown(socket.SHUT_WR)
    check("bytes before the first frame", (False, 0), (wire.fill(), len(wire.frames.data)))
    wire.close()


@test
def serve_optional_keys(suite):
    server = suite.serve("--client-auth", "optional", "--clients", suite.file("clients"))
    for identity in (None, suite.identities["448"], suite.others["448"]):
        session = suite.session(server, "448", identity=identity)
        check("close", "done", session.close())


# ================ sotto serve: what it refuses

def silence(wire, what="answer"):
    """The peer closes without sending a byte."""
    try:
        while wire.fill():
            pass
    except peer.EndOfStream:
        pass                                              # a reset is an end as well
    check("bytes that came as " + what, 0, len(wire.frames.data))
    wire.close()


def negotiation_verdict(server, data, noise):
    """The refusal's code, or "accept" for silence (the noise message is rubbish)."""
    wire = net.connect(server.address)
    try:
        wire.send(peer.handshake_frame(data, noise))
        negotiation, noise = wire.handshake()
        check("noise message of a refusal", b"", noise)
        return peer.parse_refusal(negotiation).code
    except peer.EndOfStream:
        return "accept"
    finally:
        wire.close()


def check_negotiations(suite, server, cases):
    client = suite.client(server, gate=server is suite.serve("--gate"))
    epoch = peer.epoch_of(suite.document(client, server).server_id).encode()
    old = suite.vectors["deployment"]["epoch"].encode()
    wrong = []
    for case in cases:
        data = bytes.fromhex(case["hex"]).replace(old, epoch).replace(old.upper(), epoch.upper())
        data = data.replace(old[:15], epoch[:15]).replace(old[1:], epoch[1:])
        found = negotiation_verdict(server, data, b"rubbish")
        if found not in [case["expect"]] + case.get("also", []):
            wrong.append("%s: expected %s, came %s" % (case["why"], case["expect"], found))
    if wrong:
        raise Failure("%d of %d: %s" % (len(wrong), len(cases), "; ".join(wrong[:5])))


def negotiation_cases(suite, gated, client_auth):
    return [c for c in suite.vectors["negative"]["negotiation"]
            if c["server"] == {"gated": gated, "client_auth": client_auth}]


@test
def serve_negotiation_vectors(suite):
    check_negotiations(suite, suite.serve(), negotiation_cases(suite, False, "none"))


@test
def serve_negotiation_vectors_at_a_gate(suite):
    check_negotiations(suite, suite.serve("--gate"), negotiation_cases(suite, True, "none"))


@test
def control_a_wrong_negotiation_vector_is_noticed(suite):
    case = next(c for c in negotiation_cases(suite, False,
                                             "none") if c["expect"] == "unsupported_version")
    must_fail(lambda: check_negotiations(suite, suite.serve(),
                                         [dict(case, expect="malformed", also=[])]))


@test
def serve_first_frame_vectors(suite):
    server, wrong = suite.serve(), []
    for case in suite.vectors["negative"]["first_frame"]:
        wire = net.connect(server.address)
        try:
            wire.send(bytes.fromhex(case["bytes"]))
            if case["expect"] == "wait":
                wire.sock.shutdown(socket.SHUT_WR)
            negotiation, noise = wire.handshake()
            found = "refuse " + peer.parse_refusal(negotiation).code if negotiation else "message 2"
        except peer.EndOfStream:
            found = "wait" if case["expect"] == "wait" else "close"
        except peer.Timeout:
            found = "no end"
        finally:
            wire.close()
        expect = " ".join(filter(None, (case["expect"], case.get("code"))))
        if found != expect:
            wrong.append("%s: expected %s, came %s" % (case["why"], expect, found))
    if wrong:
        raise Failure("%d wrong: %s" % (len(wrong), "; ".join(wrong[:5])))


@test
def serve_refuses_the_other_bootstrap(suite):
    check_error("XXpsk0 without gate", "refused:unsupported_pattern",
                lambda: suite.client(suite.serve(), gate=True).bootstrap({}, policy="accept-new"))
    check_error("XX at a gate", "refused:unsupported_pattern",
                lambda: suite.client(suite.serve("--gate")).bootstrap({}, policy="accept-new"))


@test
def serve_gate_without_the_shared_string(suite):
    client = suite.client(suite.serve("--gate"), gate=True)
    client.secrets = peer.Secrets(b"guess", suite.client_secrets.salts)
    silence(client.start_bootstrap()[0])


@test
def serve_wrong_psk_is_silence(suite):
    server = suite.serve()
    for identity in (None, suite.identities["25519"]):
        client = suite.client(server, identity=identity)
        document = suite.document(client, server)
        silence(client.start_session(document._replace(server_string=b"x"))[0])


@test
def serve_wrong_static_key_is_silence(suite):
    client = suite.client(suite.serve())
    document = suite.document(client, suite.serve())
    silence(client.start_session(document._replace(public_key=suite.others["25519"].public))[0])


def tampered(suite, tamper, **options):
    """A session's message 1, broken on this side only."""
    client = suite.client(suite.serve(), **options)
    document = suite.document(client, suite.serve())
    client.tamper = tamper
    silence(client.start_session(document)[0])


@test
def serve_other_prologue_is_silence(suite):
    tampered(suite, WrongPrologue())


@test
def serve_every_byte_of_message_1_counts(suite):
    client = suite.client(suite.serve())
    document = suite.document(client, suite.serve())
    wire, initiator = client.start_session(document)
    wire.close()
    size = peer.message1_length("NKpsk0", "25519")

    class Flip(peer.Tamper):
        def frame(self, data):
            data = bytearray(data)
            data[self.at] ^= 1
            return bytes(data)
    client.tamper = Flip()
    for at in range(-size, 0):
        client.tamper.at = at
        silence(client.start_session(document)[0], "answer to a flip at %d" % at)


@test
def serve_altered_message_3_gives_no_document(suite):
    client = suite.client(suite.serve())
    for at in (-1, -18, -19, 4):
        wire, initiator = client.start_bootstrap()
        frame = bytearray(initiator.bootstrap_answer(*wire.handshake()))
        frame[at] ^= 1
        wire.send(bytes(frame))
        silence(wire, "document")


@test
def serve_negotiation_data_in_message_3(suite):
    wire, initiator = suite.client(suite.serve()).start_bootstrap()
    frame = initiator.bootstrap_answer(*wire.handshake())
    wire.send(peer.u16(2) + b"{}" + frame[2:])
    silence(wire, "document")


@test
def serve_replayed_bootstrap_gives_no_document(suite):
    server = suite.serve("--gate")
    wire, initiator = suite.client(server, gate=True).start_bootstrap(e=b"\x07" * 32)
    first = initiator.bootstrap_answer(*wire.handshake())
    wire.close()
    again = suite.client(server,
                         gate=True).start_bootstrap(e=b"\x07" * 32)[0]   # the same bytes as before
    check("length of message 2", 2 * 32 + 34, len(again.handshake()[1]))
    again.send(first)                                     # the message 3 of the recorded connection
    silence(again, "document")


@test
def serve_replayed_session_does_nothing(suite):
    server = suite.serve()
    client = suite.client(server)
    document = suite.document(client, server)
    wire, initiator = client.start_session(document, e=b"\x09" * 32)
    initiator.session_answer(*wire.handshake())
    record = initiator.channel.seal(peer.pack_messages(peer.request_text("echo", "1")))
    wire.close()
    again = client.start_session(document, e=b"\x09" * 32)[0]
    again.handshake()
    again.send(record)                                    # sealed with the first connection's keys
    silence(again, "answer to a replayed record")


@test
def serve_bootstrap_connection_has_one_use(suite):
    server = suite.serve()
    client = suite.client(server)
    for second in ("record", "handshake"):
        wire, initiator = client.start_bootstrap()
        client.read_document(wire, initiator, {}, server.fingerprints["25519"])
        try:
            if second == "record":
                wire.send(initiator.channel.seal(peer.pack_messages(peer.request_text("echo",
                                                                                      "1"))))
            else:
                wire.send(peer.handshake_frame(peer.negotiation_text("XX", "25519", "AESGCM"),
                                               bytes(32)))
        except peer.EndOfStream:
            pass                                          # closed already: as good
        silence(wire, "second use")


@test
def serve_a_request_after_message_3_is_no_session(suite):
    server = suite.serve()
    wire, initiator = suite.client(server).start_bootstrap()
    frame = initiator.bootstrap_answer(*wire.handshake())
    wire.send(frame + initiator.channel.seal(peer.pack_messages(peer.request_text("echo", "1"))))
    body = initiator.channel.open(wire.transport())
    check("what came is the document", True, b'"server_id"' in body)
    silence(wire, "answer")


@test
def serve_half_open_says_nothing(suite):
    server = suite.serve()
    for data in (b"\0\x10" + bytes(16), b"\0\x0f" + bytes(15), b"\0\0", b"\0\x12" + bytes(18)):
        client = suite.client(server)
        wire, initiator = client.start_session(suite.document(client, server))
        initiator.session_answer(*wire.handshake())
        wire.send(data)
        silence(wire, "answer to a bad first record")


def settle(suite, session):
    """A call, and the answer to the first, empty record (a keep-alive, protocol 7), in any order:
    after them the server owes nothing."""
    echo(suite, session)
    while not session.keepalives:
        session.pump()


@test
def serve_altered_record_is_silence(suite):
    for change in (lambda r: r[:-1] + bytes([r[-1] ^ 1]), lambda r: peer.u16(len(r) - 3) + r[2:-1],
                   lambda r: b"\0\x03abc"):
        session = suite.session(suite.serve())
        settle(suite, session)
        session.wire.send(change(session.channel.seal(b"")))
        silence(session.wire, "answer to an altered record")


@test
def serve_repeated_record_is_silence(suite):
    session = suite.session(suite.serve())
    settle(suite, session)
    record = session.channel.seal(peer.pack_messages(peer.request_text("log", "1", notify=True)))
    session.wire.send(record)
    echo(suite, session)
    session.wire.send(record)
    silence(session.wire, "answer to a repeated record")


def expect_protocol_error(session, what):
    """The close that answers a breach, then the end of the stream."""
    check("close after " + what, "protocol_error", session.until_close())
    silence(session.wire, "more than the close")


@test
def serve_plaintext_vectors(suite):
    for case in suite.vectors["negative"]["plaintext"]:
        session = suite.session(suite.serve())
        echo(suite, session)
        message = session.channel.tx.seal(bytes.fromhex(case["plaintext"]))
        session.wire.send(peer.transport_frame(message))
        if case["body"] is None:
            expect_protocol_error(session, case["why"])
        elif not case["body"]:
            echo(suite, session)
        session.wire.close()


@test
def serve_bad_lengths_of_messages(suite):
    limit = suite.session(suite.serve()).hello.max_message
    for prefix in (0, limit + 1, 2 ** 32 - 1, 2 ** 31):
        session = suite.session(suite.serve())
        session.record(peer.u32(prefix))
        expect_protocol_error(session, "a length of %d" % prefix)


END = 4242                                                # the request that ends an envelope test


def envelope_verdict(session, text):
    """How the server took one message: (kind, id). A request and a close follow it; that the
    request is answered shows that the message was no close, and all answers are there then."""
    session.reader.in_use.update([END, 1, 7, peer.MAX_ID])
    session.send(text, peer.request_text("echo", "0", END), peer.close_text("done"))
    session.until_close()
    others = [m for n, m in session.answers.items() if n != END]
    if session.closed == "protocol_error" or END not in session.answers:
        return ("protocol_error" if session.closed == "protocol_error" else "close"), None
    if not others:
        return "no answer", None
    error = others[0].obj.get("error")
    invalid = error and error.get("code") == "invalid_request"
    return ("invalid_request" if invalid else "request"), others[0].id


def check_envelopes(suite, cases):
    wrong = []
    for case in cases:
        session = suite.session(suite.serve())
        try:
            kind, number = envelope_verdict(session, bytes.fromhex(case["hex"]))
        except peer.SottoError as error:
            kind, number = error.kind, None
        session.wire.close()
        quiet = {"notification": "no answer", "cancel": "no answer"}
        allowed = [quiet.get(e, e) for e in [case["expect"]] + case.get("also", [])]
        expected = case["id"] if kind in ("request", "invalid_request") and "id" in case else None
        if kind not in allowed or number != expected:
            wrong.append("%s: expected %s %s, came %s %s" % (case["why"], allowed[0],
                                                             case.get("id"), kind, number))
    if wrong:
        raise Failure("%d of %d: %s" % (len(wrong), len(cases), "; ".join(wrong[:5])))


def envelope_cases(suite):
    return [c for c in suite.vectors["negative"]["client_to_server"]
            if c["expect"] == "cancel" or not c["count"] and not c["in_use"]]


@test
def serve_envelope_vectors(suite):
    check_envelopes(suite, envelope_cases(suite))


@test
def control_a_wrong_envelope_vector_is_noticed(suite):
    case = next(c for c in envelope_cases(suite) if c["expect"] == "request")
    for change in ({"expect": "protocol_error"}, {"id": 3}, {"expect": "cancel"}):
        must_fail(lambda: check_envelopes(suite, [dict(case, **change)]))


@test
def serve_ordinals_count_requests_only(suite):
    session = suite.session(suite.serve())
    session.reader.in_use.update([1, 2, 3])
    session.send(peer.request_text("log", "1", notify=True), peer.request_text("echo", '"one"'),
                 b'{"id":99,"cancel":true}', b'{"endpoint":""}',
                 peer.request_text("echo", '"three"'))
    check("first", '"one"', session.wait(1))
    check_error("second", "call:invalid_request", lambda: session.wait(2))
    check("third", '"three"', session.wait(3))
    session.close()


@test
def serve_survives_clients_that_go_away(suite):
    server = suite.serve()
    for end in range(5):
        client = suite.client(server)
        document = suite.document(client, server)
        if end == 0:
            net.connect(server.address).close()
        elif end == 1:
            wire = net.connect(server.address)
            wire.send(b"\0\x10half")
            wire.close()
        elif end == 2:
            client.start_session(document)[0].close()
        else:
            session = client.session(document)
            record = session.channel.seal(peer.pack_messages(peer.request_text("echo", "1")))
            session.wire.send(record[:end * 5])
            session.wire.close()
    echo(suite, suite.session(server))


# the rest needs --exec, which peer_cli.py does not have

def slow_server(suite):
    if suite.self_test:
        raise Skip("needs --exec")
    return suite.serve("--exec", "slow=sleep 10")


@test
def serve_deadline_and_order(suite):
    session = suite.session(slow_server(suite))
    slow = session.request("slow", "1", deadline_ms=300)
    echo(suite, session)                                  # answered while the slow one is running
    check_error("deadline", "call:deadline_exceeded", lambda: session.wait(slow))
    session.wire.close()


@test
def serve_id_in_use(suite):
    session = suite.session(slow_server(suite))
    session.request("slow", "1", number=7)
    session.send(peer.request_text("echo", "1", 7))
    expect_protocol_error(session, "an id in use")


@test
def serve_cancel(suite):
    session = suite.session(slow_server(suite))
    slow = session.request("slow", "1", number=7)
    session.send(b'{"id":7,"cancel":true}')
    check_error("cancel", "call:cancelled", lambda: session.wait(slow))
    session.close()
