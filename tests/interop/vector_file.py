"""A file of vectors and the script that makes it: written anew, or compared."""

import os
import sys


def write_or_check(path, text, usage):
    """Without arguments of the command line: write TEXT to PATH. With --check: are they the same?"""
    script = os.path.basename(sys.argv[0])
    if sys.argv[1:] == ["--check"]:
        try:
            with open(path, encoding="ascii") as file:
                same = file.read() == text
        except OSError as error:
            sys.exit("%s: %s" % (script, error))
        if not same:
            sys.exit("%s: %s is not what this script makes" % (script, os.path.basename(path)))
        return
    if sys.argv[1:]:
        sys.exit(usage)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
