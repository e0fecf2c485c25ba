#!/usr/bin/env python3
"""Do the texts name things that exist?

    scripts/check-references.py             README.md and docs/*.md
    scripts/check-references.py --control   is each kind of wrong reference noticed?

Checked are: `file: function` and `file: function, function` (the file has such functions), `path/to/file`
in backquotes, where its first folder is one of ours, and links to files.
"""

import re
import sys
import tempfile
from pathlib import Path

FUNCTIONS = re.compile(r"`([\w./-]+\.(?:c|h|py)): (\w+(?:, \w+)*)`")
PATH = re.compile(r"`((?:bench|docs|examples|include|scripts|src|tests|tools)/[\w./-]+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


def line_of(text, match):
    return text.count("\n", 0, match.start()) + 1


def defines(path, function):
    text = path.read_text(encoding="utf-8")
    return re.search(rf"^(?:def |[A-Za-z].*\b){function}\(", text, re.M) is not None


def faults(root, document):
    """Each wrong reference of DOCUMENT as a line; and how many references there are."""
    text = document.read_text(encoding="utf-8")
    name = document.relative_to(root)
    wrong, count = [], 0
    for match in FUNCTIONS.finditer(text):
        path = root / match[1]
        for function in match[2].split(", "):
            count += 1
            if not path.is_file() or not defines(path, function):
                wrong.append(f"{name}:{line_of(text, match)}: {match[1]} has no {function}")
    for pattern, base in (PATH, root), (LINK, document.parent):
        for match in pattern.finditer(text):
            count += 1
            if not (base / match[1]).exists():
                wrong.append(f"{name}:{line_of(text, match)}: there is no {match[1]}")
    return wrong, count


def check(root):
    """Prints what is wrong; whether all is right."""
    all_wrong, all_count = [], 0
    for document in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        wrong, count = faults(root, document)
        all_wrong += wrong
        all_count += count
    for fault in all_wrong:
        print(fault)
    print(f"references: {all_count}, {len(all_wrong)} wrong")
    return not all_wrong and all_count > 0


def controls():
    good = "`tests/a.c: there, too` `tests/a.c` [a](docs/b.md#x) [b](https://example.org/c)\n"
    bad = {
        "a function that is not there": "`tests/a.c: gone`\n",
        "the second of two functions": "`tests/a.c: there, gone`\n",
        "a file that is not there": "`tests/b.c: there`\n",
        "a call that is no definition": "`tests/a.c: called`\n",
        "a path": "`tests/c.c`\n",
        "a link": "[a](docs/c.md)\n",
    }
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "docs").mkdir()
        (root / "tests").mkdir()
        (root / "docs/b.md").write_text("", encoding="utf-8")
        (root / "tests/a.c").write_text("static void there(void)\n{\n    called();\n}\n"
                                        "int too(int a)\n{\n}\n", encoding="utf-8")
        for what, text in [("good references", good), *bad.items()]:
            (root / "README.md").write_text(text, encoding="utf-8")
            wrong, _ = faults(root, root / "README.md")
            expected = 0 if text is good else 1
            right = len(wrong) == expected
            failed = failed or not right
            print(f"control{'' if right else ' failed'}: {what}: {len(wrong)} wrong")
    return not failed


def main():
    if sys.argv[1:] == ["--control"]:
        return 0 if controls() else 1
    if sys.argv[1:]:
        print("usage: scripts/check-references.py [--control]", file=sys.stderr)
        return 2
    return 0 if check(Path(__file__).resolve().parent.parent) else 1


if __name__ == "__main__":
    sys.exit(main())
