#!/usr/bin/env python3
"""End-to-end tests of the command `sotto`, against real servers on loopback.

    tests/e2e/run.py PATH_TO_SOTTO [--examples FOLDER] [--demo SCRIPT] [-k TEXT] [-j N] [-v]

--examples: where the built examples are; --demo: examples/demo.sh.  -k runs the
tests with TEXT in their names, -j N of them at a time, -v names each.  One line for each failure,
and a last line "N passed, N failed".  Exit status 1 when one failed.
"""

import argparse
import concurrent.futures
import os
import signal
import sys
import traceback
from pathlib import Path

sys.dont_write_bytecode = True

import harness  # noqa: E402
import benching, calls, controls, execs, faults, local  # noqa: E401,E402,F401
import noise_examples, serving, trust  # noqa: E401,E402,F401


def run_one(function, programs, worlds):
    """None, or what went wrong in one line."""
    world = harness.World(programs)
    worlds.append(world)
    try:
        function(world)
        return None
    except harness.Failure as failure:
        return str(failure).replace("\n", "\\n")
    except Exception as error:  # a fault of the test itself
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    finally:
        world.close()


def collect(running, verbose):
    """(passed, failed) of the tests in RUNNING, as they end."""
    passed = failed = 0
    for done in concurrent.futures.as_completed(running):
        name, wrong = running[done].__name__, done.result()
        if wrong is not None:
            failed += 1
            print(f"FAILED {name}: {wrong}", flush=True)
            continue
        passed += 1
        if verbose:
            print(f"ok {name}", flush=True)
    return passed, failed


def run_all(tests, programs, jobs, verbose):
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        worlds = []
        running = {pool.submit(run_one, function, programs, worlds): function for function in tests}
        try:
            return collect(running, verbose)
        except (KeyboardInterrupt, SystemExit):
            # Start no more, and end what the running ones wait for.
            pool.shutdown(wait=False, cancel_futures=True)
            for world in worlds:
                world.kill()
            raise


def main():
    parser = argparse.ArgumentParser(description="End-to-end tests of the command sotto.")
    parser.add_argument("sotto", type=Path)
    parser.add_argument("--examples", type=Path)
    parser.add_argument("--demo", type=Path)
    parser.add_argument("-k", metavar="TEXT", default="")
    parser.add_argument("-j", metavar="N", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("-v", action="store_true")
    options = parser.parse_args()

    programs = {"sotto": options.sotto.resolve()}
    if options.examples:
        programs["client"] = options.examples.resolve() / "example_client"
        programs["server"] = options.examples.resolve() / "example_server"
        for name in "noise_xx", "noise_pipes", "sealfile":
            programs[name] = options.examples.resolve() / name
    if options.demo:
        programs["demo"] = options.demo.resolve()
    for name, path in programs.items():
        if not os.access(path, os.X_OK):
            parser.error(f"{name}: {path} is no program")

    # A shell may have started us with SIGINT ignored, and the children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    tests = [function for function in harness.TESTS if options.k in function.__name__]
    passed, failed = run_all(tests, programs, options.j, options.v)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
