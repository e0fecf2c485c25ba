"""Blocking sockets for sotto_peer.py: a client, and a server with a thread per connection, whose
single steps the malicious servers of the tests override. Sections in comments as there."""

import os
import select
import socket
import threading
import time

from sotto_peer import (AnswerReader, BOOTSTRAP_PATTERNS, CIPHERS, CallError, DEFAULT_MAX_MESSAGE,
                        EndOfStream, FrameBuffer, HandshakeClosed, Initiator, MAX_BODY,
                        MessageBuffer, ProtocolError, Refused, RequestReader, Responder,
                        SESSION_PATTERNS, SottoError, Tamper, Timeout, answer_text, close_code,
                        close_text, derive_psk, document_text, dump, epoch_of, error_text,
                        judge_negotiation, judge_trust, key_pair, negotiation_text, pack_messages,
                        parse_document, refusal_frame, request_text)

DEADLINE_S = 5.0                                          # protocol 2


class Wire:
    """A socket with a deadline and frames. `chunk` 1 delivers byte by byte."""

    def __init__(self, sock, deadline_s=DEADLINE_S, chunk=None):
        self.sock, self.chunk = sock, chunk
        self.frames = FrameBuffer()
        self.received = self.ended = 0
        self.set_deadline(deadline_s)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            pass                                          # not a TCP socket

    def set_deadline(self, seconds):
        self.deadline = time.monotonic() + seconds

    def _arm(self):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Timeout("deadline")
        self.sock.settimeout(left)

    def send(self, data):
        step = self.chunk or len(data) or 1
        try:
            for at in range(0, len(data), step):
                self._arm()
                self.sock.sendall(data[at:at + step])
        except socket.timeout:
            raise Timeout("deadline while sending")
        except OSError as error:
            raise EndOfStream("connection lost: %s" % error)

    def fill(self):
        """Reads once. False at the end of the stream."""
        self._arm()
        try:
            data = self.sock.recv(65536)
        except socket.timeout:
            raise Timeout("deadline while waiting")
        except OSError as error:
            raise EndOfStream("connection lost: %s" % error)
        self.received += len(data)
        self.ended = not data
        self.frames.feed(data)
        return bool(data)

    def readable(self, seconds):
        """Whether bytes, or the end, come within this time."""
        left = min(seconds, self.deadline - time.monotonic())
        return bool(select.select([self.sock], [], [], max(0, left))[0])

    def _next(self, cut):
        while True:
            frame = cut()
            if frame is not None:
                return frame
            if not self.fill():
                inside = " inside a frame" if self.frames.data else ""
                raise EndOfStream("end of stream" + inside)

    def handshake(self):
        return self._next(self.frames.handshake)

    def transport(self):
        return self._next(self.frames.transport)

    def finish(self):
        """Protocol 1, "Ending a connection": at most 1 s and 4 MiB of input are discarded."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
            self.set_deadline(1.0)
            start = self.received
            while not self.ended and self.received - start < 4 << 20 and self.fill():
                self.frames.data.clear()
        except (SottoError, OSError):
            pass
        self.close()

    def close(self):
        self.sock.close()


def answer_of(wire):
    """The frame that answers message 1."""
    try:
        return wire.handshake()
    except EndOfStream as error:
        raise HandshakeClosed(str(error))


def connect(address, deadline_s=DEADLINE_S, chunk=None):
    host, port = address.rsplit(":", 1)
    return Wire(socket.create_connection((host.strip("[]"), int(port)), timeout=deadline_s),
                deadline_s, chunk)


class Client:
    """Blocking client: bootstrap(), then session(). `secrets` is a client's copy."""

    def __init__(self, address, secrets, curve="25519", cipher="ChaChaPoly", identity=None,
                 gate=False,
                 chunk=None, tamper=Tamper()):
        self.address, self.secrets, self.curve, self.cipher = address, secrets, curve, cipher
        self.identity, self.gate, self.chunk, self.tamper = identity, gate, chunk, tamper
        if identity and identity.curve != curve:
            self.identity = None                          # an identity is one key pair per curve

    def start_bootstrap(self, e=None):
        """(wire, initiator) up to and with message 1."""
        pattern = "XXpsk0" if self.gate else "XX"
        initiator = Initiator(
            pattern, self.curve, self.cipher, negotiation_text(pattern, self.curve, self.cipher),
            s=self.identity or key_pair(self.curve),
            psk=self.secrets.gate_psk(self.curve) if self.gate else None, e=e, tamper=self.tamper)
        wire = connect(self.address, chunk=self.chunk)
        wire.send(initiator.first())
        return wire, initiator

    def read_document(self, wire, initiator, pins, given=None, policy="strict"):
        message3 = initiator.bootstrap_answer(*answer_of(wire))
        # before message 3, which shows the client's identity key
        judge_trust(pins, self.curve, initiator.noise.remote_static, given, policy)
        wire.send(message3)
        body = initiator.channel.open(wire.transport())
        if wire.frames.data:
            raise ProtocolError("bytes beyond the document")
        document = parse_document(body, self.curve, initiator.noise.remote_static,
                                  len(self.secrets.salts))
        # all keys at once, and what is stored is never overwritten (protocol 4)
        for curve, key in [(self.curve, document.public_key), *document.other_keys.items()]:
            pins.setdefault(curve, key)
        return document

    def bootstrap(self, pins, given=None, policy="strict"):
        wire, initiator = self.start_bootstrap()
        try:
            return self.read_document(wire, initiator, pins, given, policy)
        finally:
            wire.close()

    def psk(self, document):
        return derive_psk(self.curve, document.server_id, document.server_string,
                          self.secrets.shared_string, self.secrets.salts[document.salt_index],
                          document.iterations)

    def start_session(self, document, max_message=None, e=None, epoch=None):
        """(wire, initiator) up to and with message 1."""
        pattern = "IKpsk0" if self.identity else "NKpsk0"
        text = negotiation_text(pattern, self.curve, self.cipher,
                                epoch or epoch_of(document.server_id), max_message)
        initiator = Initiator(pattern, self.curve, self.cipher, text, s=self.identity,
                              rs=document.public_key, psk=self.psk(document), e=e,
                              tamper=self.tamper)
        wire = connect(self.address, chunk=self.chunk)
        wire.send(initiator.first())
        return wire, initiator

    def session(self, document, max_message=None, first=b""):
        wire, initiator = self.start_session(document, max_message)
        try:
            hello = initiator.session_answer(*answer_of(wire))
            session = ClientSession(wire, initiator, hello, max_message or DEFAULT_MAX_MESSAGE)
            session.record(first)                         # at once after message 2, protocol 6
            return session
        except SottoError:
            wire.close()
            raise


class ClientSession:
    """An open session. Calls may be in flight together; answers are kept by id."""

    def __init__(self, wire, initiator, hello, max_message):
        self.wire, self.channel, self.hello = wire, initiator.channel, hello
        self.handshake_hash = initiator.noise.hash
        self.buffer, self.reader = MessageBuffer(max_message), AnswerReader()
        self.count, self.answers, self.parts = 0, {}, {}
        self.keepalives = 0
        self.draining = self.closed = None

    def record(self, body, padding=b""):
        self.wire.send(self.channel.seal(body, padding))

    def stream(self, data, size=MAX_BODY, padding=b""):
        for at in range(0, len(data), size):
            self.record(data[at:at + size], padding)

    def send(self, *texts):
        self.stream(pack_messages(*texts))

    def request(self, endpoint, content=None, number=None, deadline_ms=None):
        """Sends one request, gives its id. `content` is JSON text."""
        text = request_text(endpoint, content, number, deadline_ms)
        if len(text) > self.hello.max_message:
            raise CallError("too_large")
        self.expect(number)
        self.send(text)
        return number or self.count

    def expect(self, number=None):
        """Books the id of a request that is sent by hand."""
        self.count += 1
        self.reader.in_use.add(number or self.count)
        return number or self.count

    def pump(self):
        """One record. False when the peer has closed or ended."""
        try:
            self._await_record()
            body = self.channel.open(self.wire.transport())
            if not body:
                self.keepalives += 1
            for text in self.buffer.feed(body):
                if not self.closed:                       # messages after a close are ignored
                    self._message(self.reader.read(text))
        except ProtocolError:
            self.send(close_text("protocol_error"))
            self.wire.finish()
            raise
        return not self.closed

    def _await_record(self):
        """Keep-alives while nothing comes; idle after twice keepalive_ms (protocol 7)."""
        quiet = 0
        while not self.wire.frames.has_transport():
            late = time.monotonic() > self.wire.deadline  # fill() will say so
            if late or self.wire.readable(self.hello.keepalive_ms / 1000):
                if not self.wire.fill():
                    raise EndOfStream("end of stream without a close")
                continue
            quiet += 1
            if quiet == 2:
                self.send(close_text("idle"))
                self.wire.finish()
                raise EndOfStream("idle")
            self.record(b"")

    def _message(self, message):
        if message.kind == "close":
            self.closed = close_code(message.obj) or "?"
        elif message.kind == "draining":
            self.draining = message.obj
        elif message.kind == "part":
            self.parts.setdefault(message.id, []).append(message.obj.text("content") or "null")
        elif message.kind in ("answer", "error"):
            self.answers[message.id] = message

    def wait(self, number):
        """The answer's content as JSON text; CallError for an error or a close."""
        while number not in self.answers:
            if self.closed or not self.pump() and number not in self.answers:
                raise CallError("denied" if self.closed == "denied" else "unavailable", self.closed)
        message = self.answers.pop(number)
        if message.kind == "error":
            raise CallError(message.obj.get("error").get("code"))
        return message.obj.text("content") or "null"

    def call(self, endpoint, content=None, **options):
        return self.wait(self.request(endpoint, content, **options))

    def until_close(self):
        """Reads on until the server's close; EndOfStream when it never comes."""
        while not self.closed:
            self.pump()
        return self.closed

    def close(self, code="done"):
        """Sends a close and gives the server's, after the answers that are still due."""
        self.send(close_text(code))
        try:
            self.wire.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        try:
            return self.until_close()
        finally:
            self.wire.close()


class AppError(Exception):
    def __init__(self, code, message=None):
        super().__init__(code)
        self.code, self.message = code, message


class ServerConfig:
    """What a server is. Tests change the members."""

    def __init__(self, statics, secrets, server_id=None, salt_index=None):
        self.statics, self.secrets = statics, secrets     # statics: {curve: KeyPair}
        self.server_id = server_id or os.urandom(16)
        self.salt_index = salt_index if salt_index is not None else (
            int.from_bytes(os.urandom(4), "big") % len(secrets.salts))
        self.ciphers, self.gated = CIPHERS, False
        self.client_auth, self.known = "none", set()      # known: {(curve, raw key)}
        self.restricted = False                           # documents for known keys only
        self.expires_in = None
        self.hello = {"agent": "sotto_peer"}
        self.max_message = DEFAULT_MAX_MESSAGE
        self.endpoints = {"echo": lambda content: content,
                          "time": lambda content: '{"unix_ms":%d}' % (time.time() * 1000)}
        self._psks = {}

    def new_epoch(self):
        self.server_id = os.urandom(16)

    @property
    def epochs(self):
        return (epoch_of(self.server_id),)

    @property
    def patterns(self):
        return ("XXpsk0" if self.gated else "XX",) + SESSION_PATTERNS

    def psk(self, curve):
        key = (self.server_id, curve)
        if key not in self._psks:                         # once per epoch, never per connection
            self._psks[key] = derive_psk(
                curve, self.server_id, self.secrets.server_string, self.secrets.shared_string,
                self.secrets.salts[self.salt_index], self.secrets.iterations)
        return self._psks[key]

    def document(self, curve):
        return dict(server_id=self.server_id, salt_index=self.salt_index,
                    server_string=self.secrets.server_string, iterations=self.secrets.iterations,
                    curve=curve, public_key=self.statics[curve].public,
                    other_keys={c: p.public for c, p in self.statics.items() if c != curve},
                    client_auth=self.client_auth, expires_in=self.expires_in)


class ServerConnection:
    """One accepted connection. Malicious servers of the tests override single steps."""

    def __init__(self, config, wire, tamper=Tamper()):
        self.config, self.wire, self.tamper = config, wire, tamper
        self.negotiation = self.raw = self.responder = self.channel = self.identity = None

    def run(self):
        try:
            self.raw, noise = self.wire.handshake()
            self.negotiation = self.judge(self.raw)
            self.log("open", self.negotiation.pattern)
            self.handshake(noise)
        except Refused as refusal:
            self.log("refused", refusal.code)
            self.wire.send(refusal_frame(refusal.code, refusal.message, refusal.retry_after_ms))
            self.wire.finish()
        except SottoError as error:
            self.log("failed", error.kind)
        finally:
            self.wire.close()

    def log(self, *event):
        """Overridden by tests that want to know what happened."""

    def judge(self, raw):
        config = self.config
        return judge_negotiation(raw, config.patterns, tuple(config.statics), config.ciphers,
                                 config.epochs, config.client_auth)

    def psk(self):
        if self.negotiation.pattern == "XX":
            return None
        if self.negotiation.pattern == "XXpsk0":
            return self.config.secrets.gate_psk(self.negotiation.curve)
        return self.config.psk(self.negotiation.curve)

    def handshake(self, noise):
        static = self.config.statics[self.negotiation.curve]
        self.responder = Responder(self.negotiation, self.raw, static, self.psk(),
                                   tamper=self.tamper)
        self.responder.read_first(noise)
        if self.negotiation.pattern in BOOTSTRAP_PATTERNS:
            self.bootstrap()
        else:
            self.session()

    def client_key(self):
        return self.negotiation.curve, self.responder.noise.remote_static

    # bootstrap, protocol 4

    def bootstrap(self):
        self.wire.send(self.responder.answer())
        self.responder.read_last(*self.wire.handshake())
        self.channel = self.responder.channel
        self.identity = self.client_key()
        self.send_document(self.document_body())
        self.log("document")
        self.wire.finish()

    def document_body(self):
        if self.config.restricted and self.identity not in self.config.known:
            return dump({"error": {"code": "denied"}})
        return document_text(**self.config.document(self.negotiation.curve))

    def send_document(self, body):
        self.wire.send(self.channel.seal(body))

    # session, protocol 6 and 7

    def session(self):
        self.wire.send(self.responder.answer(dump(self.config.hello)))
        self.channel = self.responder.channel
        self.buffer, self.reader = MessageBuffer(self.config.max_message), RequestReader()
        message = self.wire.transport()                   # half-open until this has decrypted
        self.wire.set_deadline(30)
        try:
            body = self.channel.open(message)
            self.log("session", self.negotiation.pattern)
            if self.negotiation.pattern == "IKpsk0":
                self.identity = self.client_key()
                if self.config.client_auth == "required" and self.identity not in self.config.known:
                    return self.close("denied")
            self.opened()
            while self.body(body):
                body = self.channel.open(self.wire.transport())
        except ProtocolError as error:
            self.log("protocol_error", str(error))
            self.close("protocol_error")

    def opened(self):
        """For tests: the first frame has decrypted."""

    def body(self, body):
        """One record. False when the connection is over."""
        if not body:
            return self.keep_alive()
        out, closed = [], False
        for text in self.buffer.feed(body):
            message = self.reader.read(text)
            if message.kind == "close":
                self.log("close", close_code(message.obj))
                closed = True                             # what comes after it is ignored
                break
            out += self.message(message)
        self.reply(out)
        self.reader.in_use.clear()                        # all of them have their answer now
        if closed:
            self.close("done")
        return not closed

    def keep_alive(self):
        self.record(b"")                                  # each is answered with one
        return True

    def record(self, body, padding=b""):
        self.wire.send(self.channel.seal(body, padding))

    def reply(self, texts):
        data = pack_messages(*texts)
        for at in range(0, len(data), MAX_BODY):
            self.record(data[at:at + MAX_BODY])

    def message(self, message):
        """The texts that answer one message."""
        if message.kind == "notification":
            self.log("notification", message.obj.text("content"))
        if message.kind not in ("request", "invalid_request"):
            return []
        if message.kind == "invalid_request":
            return [error_text(message.id, "invalid_request")]
        text = self.answer(message)
        if len(text) > self.negotiation.max_message:
            return [error_text(message.id, "too_large")]
        return [text]

    def answer(self, message):
        name, content = message.obj.get("endpoint"), message.obj.text("content") or "null"
        try:
            return answer_text(message.id, self.tamper.content(self.endpoint(name)(content)))
        except AppError as error:
            return error_text(message.id, error.code, error.message)

    def endpoint(self, name):
        names = sorted(self.config.endpoints)
        own = {"$/ping": lambda content: content,
               "$/health": lambda content: '{"status":"serving"}',
               "$/endpoints": lambda content: dump([{"name": n} for n in names]).decode()}
        found = own.get(name) or self.config.endpoints.get(name)
        if not found:
            raise AppError("not_found")
        return found

    def close(self, code):
        self.reply([close_text(code)])
        self.wire.finish()


class Server:
    """Accepts on 127.0.0.1, a thread per connection; with Server(...) as server: server.address."""

    def __init__(self, config, connection=ServerConnection, chunk=None, tamper=Tamper(), port=0):
        self.config, self.connection, self.chunk, self.tamper = config, connection, chunk, tamper
        self.events, self._threads, self._wires = [], [], []
        self.sock = socket.create_server(("127.0.0.1", port))
        self.address = "127.0.0.1:%d" % self.sock.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self._acceptor.start()
        return self

    def __exit__(self, *unused):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)          # wakes accept()
        except OSError:
            pass
        self.sock.close()
        self._acceptor.join(5)
        for wire in self._wires:
            try:
                wire.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(5)

    def _accept(self):
        number = 0
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            number += 1
            wire = Wire(sock, chunk=self.chunk)
            connection = self.connection(self.config, wire, self.tamper)
            connection.number, connection.server = number, self
            connection.log = lambda *event: self.events.append(event)
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            self._wires.append(wire)
            self._threads.append(thread)
            thread.start()

    def _run(self, connection):
        try:
            connection.run()
        except Exception as error:                        # seen by the tests, not by the terminal
            self.events.append(("crash", repr(error)))

    def count(self, *event):
        return sum(e[:len(event)] == event for e in self.events)
