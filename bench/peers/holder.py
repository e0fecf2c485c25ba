#!/usr/bin/env python3
"""Open many connections to a server on this machine and do nothing with them.

    holder.py PORT COUNT [--tls] [--alpn PROTOCOL] [--say HEX --expect N]

Each connection may say something first and wait for an answer of at least N bytes, so that it has
been in use.  Ends with SIGTERM.
"""

import argparse
import signal
import socket
import ssl
import sys


def parse():
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--alpn")
    parser.add_argument("--say", type=bytes.fromhex, default=b"")
    parser.add_argument("--expect", type=int, default=0)
    return parser.parse_args()


def make_context(args):
    """TLS that takes any certificate: it is this machine's memory that is asked for."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if args.alpn:
        context.set_alpn_protocols([args.alpn])
    return context


def connect(args, context):
    """One connection that has been in use."""
    link = socket.create_connection(("127.0.0.1", args.port), timeout=10)
    if context:
        link = context.wrap_socket(link)
    link.sendall(args.say)
    left = args.expect
    while left > 0:
        got = link.recv(65536)
        if not got:
            raise ConnectionError("the server closed the connection")
        left -= len(got)
    return link


def main():
    """Hold them until somebody ends this process."""
    args = parse()
    context = make_context(args) if args.tls else None
    try:
        held = [connect(args, context) for _ in range(args.count)]
    except OSError as error:
        sys.exit(f"holder: {error}")
    print(f"holding {len(held)}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
