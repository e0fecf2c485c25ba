#!/usr/bin/python3
"""Interop tests: the sotto command against an independent peer (sotto_peer.py).

    run.py --sotto BINARY      the real command (default: environment variable SOTTO_BIN)
    run.py --self              peer_cli.py in its place: tests this runner
    run.py --control NAME      breaks the Python side (psk, prologue, flip, content); has to fail
    run.py --only TEXT         tests whose name contains TEXT; -v names each test, --list lists them

One line per failed test, and "N passed, N failed" at the end. Exit status 1 if a test failed.
"""

import argparse
import os
import sys
import time

sys.dont_write_bytecode = True                            # the source tree stays as it is

import interop_files                                      # noqa: F401 (tests register themselves)
import sotto_peer as peer
from interop_call import call_gate_XXpsk0, call_IKpsk0, call_XX_and_NKpsk0
from interop_serve import serve_gate_XXpsk0, serve_IKpsk0, serve_XX_and_NKpsk0
from interop_suite import CONTROLS, HERE, TESTS, Failure, Skip, Suite, must_fail



def add_control(name, what, function):
    def run(suite):
        if type(suite.tamper) is not peer.Tamper:
            raise Skip("a control inside a control")
        suite.tamper = CONTROLS[name]()
        try:
            must_fail(lambda: function(suite))
        finally:
            suite.tamper = peer.Tamper()
    TESTS.append(("control: %s on %s is noticed" % (name, what), run))


for control in ("psk", "prologue", "flip", "content"):
    add_control(control, "serve NKpsk0",
                lambda suite: serve_XX_and_NKpsk0(suite, "25519", "AESGCM"))
    add_control(control, "serve IKpsk0", lambda suite: serve_IKpsk0(suite, "448", "AESGCM"))
    add_control(control, "serve XXpsk0",
                lambda suite: serve_gate_XXpsk0(suite, "25519", "ChaChaPoly"))
    add_control(control, "call NKpsk0",
                lambda suite: call_XX_and_NKpsk0(suite, "448", "ChaChaPoly"))
    add_control(control, "call IKpsk0", lambda suite: call_IKpsk0(suite, "25519", "ChaChaPoly"))
    add_control(control, "call XXpsk0", lambda suite: call_gate_XXpsk0(suite, "448", "AESGCM"))


# ---------------------------------------------------------------- main

def run_tests(suite, args):
    passed = failed = skipped = 0
    for name, function in TESTS:
        if args.only and args.only not in name:
            continue
        start = time.monotonic()
        try:
            function(suite)
            passed += 1
            verdict = "ok"
        except Skip as reason:
            skipped += 1
            verdict = "skipped: %s" % reason
        except (Failure, peer.SottoError) as error:
            failed += 1
            kind = "" if isinstance(error, Failure) else error.kind + ": "
            print("FAILED %s: %s%s" % (name, kind, error), flush=True)
            continue
        except Exception as error:                        # a fault of a test ends that test only
            failed += 1
            print("FAILED %s: %r" % (name, error), flush=True)
            continue
        if args.verbose:
            print("%s: %s (%.1f s)" % (name, verdict, time.monotonic() - start), flush=True)
    print("%d passed, %d failed%s" % (passed, failed, ", %d skipped" % skipped if skipped else ""))
    return 1 if failed else 0


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sotto", default=os.environ.get("SOTTO_BIN"))
    parser.add_argument("--self", action="store_true", dest="self_test")
    parser.add_argument("--control", choices=sorted(CONTROLS))
    parser.add_argument("--only")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    if not (args.sotto or args.self_test or args.list):
        parser.error("--sotto PATH, SOTTO_BIN or --self is needed")
    return args


def main():
    args = parse_arguments()
    if args.list:
        print("\n".join(name for name, _ in TESTS))
        return 0
    command = ([sys.executable, os.path.join(HERE, "peer_cli.py")] if args.self_test
               else [os.path.abspath(args.sotto)])
    suite = Suite(command, args.control, args.self_test)
    try:
        try:
            suite.prepare()
        except (Failure, OSError, ValueError, KeyError) as error:
            print("FAILED keys and secrets: %s\n0 passed, 1 failed" % error)
            return 1
        return run_tests(suite, args)
    finally:
        suite.end()


if __name__ == "__main__":
    sys.exit(main())
