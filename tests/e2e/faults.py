"""Servers that are not there, go away, or are none."""

import contextlib
import signal
import socket
import threading

from harness import BOUND_S, WAITING, check, contains, equal, test


@contextlib.contextmanager
def impostor(talk):
    """Something else that listens: TALK gets each connection.  Gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(BOUND_S)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.settimeout(BOUND_S)
                        talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(BOUND_S)


def until_end(connection):
    while connection.recv(65536):
        pass


@test
def nobody_listens(w):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, so nobody else can listen there
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for command in (["call", address, "echo", "1"], ["call", address, "echo", "--notify"],
                        ["bootstrap", address]):
            result = w.run(*command, status=5, name="E_CONNECT")
            contains(result.err, address, "the message")


@test
def unknown_host(w):
    result = w.run("call", "--timeout", "20s", "no-such-host.invalid:7448", "echo", "1", status=5,
                   name="E_RESOLVE")
    contains(result.err, "no-such-host.invalid", "the message")


@test
def server_killed_in_mid_call(w):
    alive = w.fifo("alive")
    go = w.fifo("go", writing=True)
    server = w.serve("--exec", "wait=" + WAITING)
    call = w.start_call(server, "wait")
    alive.expect(b"up\n")
    server.signal(signal.SIGKILL)
    result = call.wait().expect(5, "E_LOST")
    equal(result.out, "", "standard output")
    contains(result.err, "may have run", "the message")
    go.write(b"x\n")  # nobody is left to kill the program


@test
def server_killed_between_calls(w):
    server = w.serve()
    w.call(server, "echo", "1")
    server.signal(signal.SIGKILL)
    server.wait()
    w.call(server, "echo", "2", status=5, name="E_CONNECT")
    server = w.serve(listen=server.address)
    equal(w.call(server, "echo", "3", pin=False).out, "3\n", "a call to its successor")


@test
def silent_server(w):
    with impostor(until_end) as address:
        result = w.run("call", "--timeout", "400ms", address, "echo", "1", status=4,
                       name="E_TIMEOUT")
        contains(result.err, address, "the message")


@test
def server_that_hangs_up(w):
    with impostor(lambda connection: None) as address:
        w.run("call", address, "echo", "1", status=7, name="E_HANDSHAKE")
        w.run("bootstrap", "--gate", address, status=7, name="E_HANDSHAKE")


@test
def server_of_another_kind(w):
    def talk(greeting):
        def serve(connection):
            connection.sendall(greeting)
            connection.shutdown(socket.SHUT_WR)
            until_end(connection)
        return serve

    for greeting in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2p1\r\n",
                     b"\xff" * 100, b"\0\0\xff\xff"):
        with impostor(talk(greeting)) as address:
            w.run("call", address, "echo", "1", status=10, name="E_PROTOCOL")


@test
def refusals(w):
    """A refusal is a hint, shown with its text made harmless; only `busy` is tried again."""
    def refuse(text):
        body = text.encode()

        def serve(connection):
            connection.recv(65536)
            connection.sendall(len(body).to_bytes(2, "big") + body + b"\0\0")
            connection.shutdown(socket.SHUT_WR)
            until_end(connection)
        return serve

    for code, status, name in (("unsupported_cipher", 7, "E_REFUSED"),
                               ("malformed", 7, "E_REFUSED"),
                               ("new_code", 7, "E_REFUSED"), ("client_key_required", 8, "E_DENIED"),
                               ("busy", 11, "E_UNAVAILABLE")):
        text = ('{"error":{"code":"%s","message":"\\u001b[31mred\\u0007","retry_after_ms":60000}}'
                % code)
        with impostor(refuse(text)) as address:
            result = w.run("call", "--timeout", "600ms", address, "echo", "1", status=status,
                           name=name)
            check(not any(c in result.err for c in "\x1b\x07"),
                  f"control characters in {result.err!r}")
            contains(result.err, code, "the message")


@test
def proxy_that_changes_bytes(w):
    """A byte changed on the way ends the handshake; the pin and what is kept stay good."""
    server = w.serve()
    w.call(server, "echo", "1")

    def talk(connection):
        with socket.create_connection(("127.0.0.1", server.port), timeout=BOUND_S) as upstream:
            first = bytearray(connection.recv(65536))
            first[-1] ^= 1
            upstream.sendall(first)
            with contextlib.suppress(OSError):
                while data := upstream.recv(65536):
                    connection.sendall(data)

    with impostor(talk) as address:
        w.run("trust", "add", address, "server_25519.pub")
        check(w.run_any("call", "--timeout", "10s", address, "echo", "1").status in (4, 7),
              "a changed first message")
    equal(w.call(server, "echo", "2", pin=False).out, "2\n", "the direct way")
