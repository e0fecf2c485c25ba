#!/usr/bin/python3
"""Random handshakes between the library and an implementation that shares no code with it.

    differential.py --peer NOISE_PEER                        against dissononce, and names
    differential.py --peer NOISE_PEER --flynn FLYNN_PEER     against github.com/flynn/noise
    … --seed S --case N                                      one case again
    … --cases COUNT, --seed random                           more, or others
    … --control NAME                                         with a fault: has to fail
    … --controls                                             every fault has to be found

Every case is played twice: the library initiates, and responds. Patterns, suites, sizes, PSKs,
static keys and what is altered on the way come from the seed. Ephemeral keys do not: the library's
interface has no way to give it any, and that is on purpose. flynn_peer makes its keys itself.

The last line is "N passed, N failed"; the exit status is 1 if a play failed.
"""

import argparse
import os
import sys
import time

sys.dont_write_bytecode = True                            # the source tree stays as it is

import names                                              # noqa: E402
from cases import Case, dissononce_deck, flynn_deck       # noqa: E402
from play import CONTROLS, play                           # noqa: E402
from sides import Dissononce, Failure, Flynn, Pair, Sotto # noqa: E402

SEED = "34"
CASES = {"dissononce": 400, "flynn": 500}
EDITS = 5000
FAILURES_MAX = 5                                          # more of them say no more
CONTROL_CASES = 60                                        # one of these shows any fault


class Run:
    def __init__(self, args):
        self.args = args
        self.seed = os.urandom(8).hex() if args.seed == "random" else args.seed
        self.deck = flynn_deck() if args.flynn else dissononce_deck()
        self.passed = self.failed = 0
        self.pair = Pair(lambda: Sotto(args.peer),
                         lambda: Flynn(args.flynn) if args.flynn else Dissononce())

    def case(self, number):
        return Case(self.deck, self.seed, number, datagrams=not self.args.flynn)

    def again(self, number):
        """The command that plays this case once more."""
        words = [sys.argv[0], "--peer", self.args.peer]
        words += ["--flynn", self.args.flynn] if self.args.flynn else []
        words += ["--control", self.args.control] if self.args.control else []
        return " ".join(words + ["--seed", self.seed, "--case", str(number)])

    def both_roles(self, number):
        case = self.case(number)
        for ours_initiates in (True, False):
            try:
                self.play(case, ours_initiates, self.args.control)
                self.passed += 1
            except Failure as failure:
                self.failed += 1
                role = "initiates" if ours_initiates else "responds"
                print("FAILED case %d, ours %s: %s" % (number, role, failure))
                print("    " + str(case).replace("\n", "\n    "))
                print("    again: %s" % self.again(number), flush=True)

    def all_cases(self):
        numbers = ([self.args.case] if self.args.case is not None
                   else range(self.args.cases or CASES["flynn" if self.args.flynn
                                                       else "dissononce"]))
        for number in numbers:
            self.both_roles(number)
            if self.failed >= FAILURES_MAX:
                print("no more cases after %d failures" % self.failed)
                break

    def play(self, case, ours_initiates, control):
        self.pair.attempt(lambda ours, theirs: play(ours, theirs, case, ours_initiates, control))

    def check_names(self, forgotten):
        return self.pair.attempt(lambda ours, _: names.check(ours, self.seed, EDITS, forgotten))

    def all_names(self):
        """Not the other side's matter: the reader of names is the same for both."""
        if self.args.flynn or self.args.case is not None:
            return
        try:
            print(self.check_names(self.args.control == "names"), flush=True)
            self.passed += 1
        except Failure as failure:
            self.failed += 1
            print("FAILED names, seed %s: %s" % (self.seed, failure), flush=True)

    def control_found(self, control):
        """Does a play fail with this fault?"""
        for number in range(CONTROL_CASES):
            case = self.case(number)
            for ours_initiates in (True, False):
                try:
                    self.play(case, ours_initiates, control)
                except Failure as failure:
                    print("control %s: found in case %d: %s" % (control, number, failure))
                    return True
        print("FAILED control %s: not found in %d cases" % (control, CONTROL_CASES))
        return False

    def names_control_found(self):
        try:
            self.check_names(forgotten=1)
        except Failure as failure:
            print("control names: found: %s" % failure)
            return True
        print("FAILED control names: not found")
        return False

    def all_controls(self):
        controls = [c for c in CONTROLS if not (self.args.flynn and c == "replay")]
        found = [self.control_found(control) for control in controls]
        if not self.args.flynn:
            found.append(self.names_control_found())
        self.passed, self.failed = found.count(True), found.count(False)

    def run(self):
        try:
            if self.args.controls:
                self.all_controls()
            else:
                self.all_names()
                self.all_cases()
            self.pair.close()
        except Failure as failure:                        # a leak, for one
            self.failed += 1
            print("FAILED at the end: %s" % failure)
        finally:
            self.pair.kill()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--flynn")
    parser.add_argument("--seed", default=SEED)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--case", type=int)
    parser.add_argument("--control", choices=CONTROLS + ("names",))
    parser.add_argument("--controls", action="store_true")
    return parser.parse_args()


def main():
    run = Run(parse_arguments())
    start = time.monotonic()
    print("seed %s" % run.seed, flush=True)
    run.run()
    print("in %.1f s" % (time.monotonic() - start))
    print("%d passed, %d failed" % (run.passed, run.failed))
    return 1 if run.failed or not run.passed else 0


if __name__ == "__main__":
    sys.exit(main())
