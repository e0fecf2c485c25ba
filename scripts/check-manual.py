#!/usr/bin/env python3
"""Compare the manual pages of section 3 with the headers that they describe.

    scripts/check-manual.py [TREE]      the project's own tree unless TREE is given
    scripts/check-manual.py --control   is each kind of fault found?

A function has a page when its name stands in the NAME section of a .3 page.  What a page declares
in its SYNOPSIS is what the header declares, apart from comments and white space.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

# The headers that section 3 describes, all of each.
HEADERS = ("key.h", "noise.h", "noisesocket.h", "error.h")
# Pages that describe no function: the name of the page is not one.
OVERVIEWS = {"sotto_noise"}
COMPILER = ["gcc", "-std=c11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
# man indents literal text by 11 columns, and a terminal has 80.
CODE_WIDTH = 69

COMMENT = re.compile(r"/\*.*?\*/", re.S)
TOP_COMMENT = re.compile(r"^/\*.*?\*/", re.S | re.M)
CXX_ONLY = re.compile(r"^#ifdef __cplusplus$.*?^#endif$", re.S | re.M)
DIRECTIVE = re.compile(r"^#(?:.*\\\n)*.*$", re.M)
MARKS = {"SOTTO_API", "SOTTO_MUST_CHECK", "static", "inline"}
BLOCK = re.compile(r"^```\n(.*?)^```$", re.S | re.M)
HEADING = re.compile(r"^# (.+)\n", re.M)
LONE_BACKSLASH = re.compile(r"(?<!\\)\\(\\\\)*(?!\\)")
INCLUDE = re.compile(r"^#include <sotto/(.+)>$", re.M)
REFERENCE = re.compile(r"\*(sotto[\w-]*)\*\((\d?)\)")


# ---- Headers -------------------------------------------------------------------------------------

def declarations(text):
    """The declarations in C text, each as its tokens with a space between; bodies are left out."""
    for pattern in (COMMENT, CXX_ONLY, DIRECTIVE):
        text = pattern.sub(" ", text)
    found, now, depth, body = [], [], 0, False
    for token in re.findall(r"\w+|\S", text):
        depth += token == "{"
        body = body or (token == "{" and depth == 1 and now[-1:] == [")"])
        ends = depth == 0 and token == ";" or body and token == "}" and depth == 1
        depth -= token == "}"
        if not body and not (depth == 0 and token == ";") and token not in MARKS:
            now.append(token)
        if ends:
            found.append(" ".join(now))
            now, body = [], False
    return found + ([" ".join(now)] if now else [])


def function_name(declaration):
    """The function that is declared, or None for a type."""
    match = re.match(r"(?!typedef |enum |struct |union )[^(]*?(\w+) \(", declaration)
    return match.group(1) if match else None


def functions(text):
    """{name: declaration} of a piece of C."""
    return {function_name(one): one for one in declarations(text) if function_name(one)}


def error_codes(text):
    """{function: codes that the comment in front of it names} of a header."""
    codes, comment, at = {}, "", 0
    for match in [*TOP_COMMENT.finditer(text), None]:
        for name in functions(text[at:match.start() if match else None]):
            codes[name] = set(re.findall(r"\bE_[A-Z_]+\b", comment))
        if match:
            comment, at = match.group(), match.end()
    return codes


# ---- Pages ---------------------------------------------------------------------------------------

class Page:
    """A page's source, taken apart."""

    def __init__(self, path):
        self.name, self.section = path.name.removesuffix(".scd").rsplit(".", 1)
        self.text = path.read_text(encoding="utf-8")
        # Headings are looked for outside of code, where a line may begin the same way.
        prose = BLOCK.sub(lambda match: re.sub(r"[^\n]", "x", match.group()), self.text)
        marks = [(match.group(1), match.start(), match.end()) for match in HEADING.finditer(prose)]
        ends = [start for _, start, _ in marks[1:]] + [len(prose)]
        self.parts = {title: self.text[begin:end] for (title, _, begin), end in zip(marks, ends)}
        self.prose = BLOCK.sub("", self.text)
        head = re.split(r"\s-\s", self.parts.get("NAME", ""), maxsplit=1)[0]
        self.names = [name.strip() for name in head.split(",")]

    def code(self, part):
        """The literal blocks of a part, without scdoc's escapes."""
        return [re.sub(r"\\(.)", r"\1", block) for block in BLOCK.findall(self.parts.get(part, ""))]

    def programs(self):
        """Blocks of code outside the SYNOPSIS; what is no C, commands and drawings, is left out."""
        blocks = [block for part in self.parts if part != "SYNOPSIS" for block in self.code(part)]
        return [block for block in blocks if ";" in block or "#include" in block]


def check_head(page):
    """What is wrong with title and NAME."""
    if not page.text.startswith(f"{page.name}(3)\n"):
        yield f"its first line is not {page.name}(3)"
    if page.names[0] != page.name:
        yield f"NAME does not begin with {page.name}"


def check_synopsis(page, headers):
    """What is wrong with the declarations of a page; HEADERS is {name: text}."""
    synopsis = "\n".join(page.code("SYNOPSIS"))
    included = INCLUDE.findall(synopsis)
    known = {one for name in included for one in declarations(headers.get(name, ""))}
    declared = functions(synopsis)
    for one in declarations(synopsis):
        if one not in known:
            yield f"SYNOPSIS: not so in {', '.join(included) or 'any header'}: {one}"
    for name in page.names:
        if name not in declared and name not in OVERVIEWS:
            yield f"NAME has {name}, SYNOPSIS does not"
    for name in declared:
        if name not in page.names:
            yield f"SYNOPSIS has {name}, NAME does not"


def check_words(page, headers, pages, described):
    """References, constants and error codes: do they exist, and are all codes told?"""
    for name, section in REFERENCE.findall(page.prose):
        found = name in described if section in ("", "3") else f"{name}.{section}" in pages
        if not found and not (section == "3" and name in OVERVIEWS and f"{name}.3" in pages):
            yield f"there is no {name}({section})"
    words = set(re.findall(r"\w+", " ".join(headers.values())))
    for word in sorted(set(re.findall(r"\bSOTTO_[A-Z0-9_]+\b", page.text))):
        # The codes are made by a macro, which puts the prefix in front.
        if word not in words and word.removeprefix("SOTTO_") not in words:
            yield f"no header has {word}"
    codes = {name: names for header in HEADERS for name, names in
             error_codes(headers[header]).items()}
    for name in page.names:
        for code in sorted(codes.get(name, ())):
            if f"*SOTTO_{code}*" not in page.parts.get("ERRORS", ""):
                yield f"ERRORS does not tell SOTTO_{code}, which {name} has"


def check_code(page, tree):
    """Do the programs compile, and is all code shown as it is, and on a terminal?"""
    for program in page.programs():
        if "#include" not in program:
            yield "EXAMPLES: code that includes nothing, so that nothing can compile it"
            continue
        result = subprocess.run([*COMPILER, "-I", tree / "include", "-x", "c", "-"], input=program,
                                capture_output=True, text=True, check=False)
        if result.returncode != 0:
            yield "EXAMPLES: a program does not compile:\n" + result.stderr.rstrip()
    for line in "".join(BLOCK.findall(page.text)).splitlines():
        if len(line) > CODE_WIDTH:
            yield f"code of more than {CODE_WIDTH} columns: {line}"
        if LONE_BACKSLASH.search(line):
            yield f"code with a single backslash, which scdoc drops: {line}"


def check_list(folder, pages):
    """Pages without a place in meson.build, and places without a page."""
    match = re.search(r"^man_pages = \[(.*?)\]", (folder / "meson.build").read_text("utf-8"),
                      re.S | re.M)
    listed = re.findall(r"'([^']+)'", match.group(1)) if match else []
    for name in sorted(set(pages) - set(listed)):
        yield f"{name}.scd", "meson.build does not have it"
    for name in sorted(set(listed) - set(pages)):
        yield "meson.build", f"there is no {name}.scd"
    for name in sorted(name for name in set(listed) if listed.count(name) > 1):
        yield "meson.build", f"{name} stands there twice"


def check_functions(headers, manual):
    """Functions without a page or with two, names that are no function."""
    places = {}
    for page in manual:
        for name in page.names:
            places.setdefault(name, []).append(page.name)
    declared = {name: header for header in HEADERS for name in functions(headers[header])}
    for name, header in declared.items():
        count = len(places.get(name, []))
        if count != 1:
            yield header, f"{name} has " + (f"{count} pages" if count else "no page")
    for name in sorted(set(places) - set(declared) - OVERVIEWS):
        yield f"{places[name][0]}.3.scd", f"NAME has {name}, which no header declares"


def check(tree):
    """(pages, functions, programs, [(file, fault)]) of a tree."""
    folder = tree / "docs/man"
    headers = {path.name: path.read_text(encoding="utf-8")
               for path in sorted((tree / "include/sotto").glob("*.h"))}
    pages = {path.name.removesuffix(".scd"): path for path in sorted(folder.glob("*.scd"))}
    manual = [Page(path) for name, path in pages.items() if name.endswith(".3")]
    described = {name for page in manual for name in page.names} - OVERVIEWS
    faults = [*check_list(folder, pages), *check_functions(headers, manual)]
    for page in manual:
        file = f"{page.name}.3.scd"
        for part in (check_head(page), check_synopsis(page, headers),
                     check_words(page, headers, pages, described), check_code(page, tree)):
            faults += [(file, fault) for fault in part]
    return len(manual), len(described), sum(len(page.programs()) for page in manual), faults


# ---- The control: a small tree without a fault, and what must be found when it has one -----------

GOOD = {
    "include/sotto/error.h": """#define SOTTO_API
#define SOTTO_ERRORS(X) X(OK, 0, "") X(E_USAGE, 1, "") X(E_AUTH, 30, "")
#define SOTTO_X(name, value, text) SOTTO_##name = value,
typedef enum sotto_err { SOTTO_ERRORS(SOTTO_X) } sotto_err;
""",
    "include/sotto/key.h": """/* Keys. */
#include "sotto/error.h"
#ifdef __cplusplus
extern "C" {
#endif
#define SOTTO_TWO_LINES        \\
    {        \\
        0        \\
    }
typedef struct sotto_key { /* a key */
    int curve;
} sotto_key;

/* Make one.  E_USAGE: no curve; see sotto_key_free(). */
SOTTO_API sotto_err sotto_key_new(int curve,
                                  sotto_key *out);

/* Wipe it. */
SOTTO_API void sotto_key_free(sotto_key *key);

/* Is there one? */
static inline int sotto_key_is(const sotto_key *key)
{
    if (key) {
        return 1;
    }
    return 0;
}
#ifdef __cplusplus
}
#endif
""",
    "include/sotto/noise.h": """#include "sotto/key.h"

/* Read it.  E_AUTH: forged. */
SOTTO_API sotto_err sotto_read(const sotto_key *key);
""",
    "include/sotto/noisesocket.h": '#include "sotto/noise.h"\n',
    "docs/man/meson.build": "man_pages = [\n  'sotto.1', 'sotto_key_new.3', 'sotto_noise.3',\n"
                            "  'sotto_read.3',\n]\n",
    "docs/man/sotto.1.scd": "sotto(1)\n",
    "docs/man/sotto_noise.3.scd": "sotto_noise(3)\n\n# NAME\n\nsotto_noise - all of it\n\n"
                                  "# SEE ALSO\n\n*sotto_read*(3), *sotto*(1)\n",
    "docs/man/sotto_read.3.scd": """sotto_read(3)

# NAME

sotto_read - read

# SYNOPSIS

```
#include <sotto/noise.h>

sotto_err sotto_read(const sotto_key *key);
```

# ERRORS

*SOTTO_E_AUTH*
	It is forged.

# SEE ALSO

*sotto_noise*(3)
""",
    "docs/man/sotto_key_new.3.scd": """sotto_key_new(3)

# NAME

sotto_key_new, sotto_key_free,
sotto_key_is - keys

# SYNOPSIS

```
#include <sotto/key.h>

typedef struct sotto_key {
    int curve;
} sotto_key;

sotto_err
sotto_key_new(int curve, sotto_key *out);
void sotto_key_free(sotto_key *key);
int sotto_key_is(const sotto_key *key);
```

# DESCRIPTION

*sotto_key_new*() makes one, which *sotto_key_free*(3) wipes.

```
u16 length | key
```

# ERRORS

*SOTTO_E_USAGE*
	There is no such curve.

# EXAMPLES

```
#include <sotto/key.h>
#include <stdio.h>

int main(void)
{
    sotto_key key;

    if (sotto_key_new(1, &key) == SOTTO_OK)
        putchar('\\\\n');
    return 0;
}
```
""",
}

KEY, NOISE, SOCKET = (f"include/sotto/{name}" for name in HEADERS[:3])
PAGE, READ, LIST = (f"docs/man/{name}" for name in
                    ("sotto_key_new.3.scd", "sotto_read.3.scd", "meson.build"))
NEW = "\nSOTTO_API int sotto_more(void);\n"

# (what is wrong, file, text, what it becomes, part of what must be reported).  Without a text: the
# file gets another end, or with None it is removed.
BAD = [
    ("a function of key.h without a page", KEY, "", NEW, "sotto_more has no page"),
    ("one of noise.h", NOISE, "", NEW, "sotto_more has no page"),
    ("one of noisesocket.h", SOCKET, "", NEW, "sotto_more has no page"),
    ("an inline one", NOISE, "", "static inline int sotto_more(void)\n{\n    return 1;\n}\n",
     "sotto_more has no page"),
    ("a name too few", PAGE, " sotto_key_free,", "", "sotto_key_free has no page"),
    ("a page that is removed", READ, "", None, "sotto_read has no page"),
    ("a function on two pages", READ, "sotto_read -", "sotto_read, sotto_key_is -",
     "sotto_key_is has 2 pages"),
    ("a function that is gone", NOISE, "sotto_read(", "sotto_read_all(",
     "NAME has sotto_read, which no header"),
    ("a name that is no function", PAGE, "sotto_key_is -", "sotto_key_is, sotto_no -",
     "NAME has sotto_no, which no header"),
    ("a name without a prototype", PAGE, "void sotto_key_free(sotto_key *key);\n", "",
     "NAME has sotto_key_free, SYNOPSIS does not"),
    ("a prototype without a name", PAGE, " sotto_key_free,", "",
     "SYNOPSIS has sotto_key_free, NAME does not"),
    ("another type of an argument", PAGE, "new(int curve", "new(long curve", "SYNOPSIS: not so"),
    ("another name of an argument", PAGE, "new(int curve", "new(int c", "SYNOPSIS: not so"),
    ("another result", PAGE, "int sotto_key_is", "long sotto_key_is", "SYNOPSIS: not so"),
    ("a const that is missing", READ, "read(const ", "read(", "SYNOPSIS: not so"),
    ("a pointer too much", PAGE, "free(sotto_key *key", "free(sotto_key **key", "not so"),
    ("an argument too few", PAGE, "curve, sotto_key *out", "curve", "SYNOPSIS: not so"),
    ("a header that has changed", KEY, "new(int curve,", "new(int curve, int more,",
     "SYNOPSIS: not so"),
    ("another member of a struct", PAGE, "    int curve;", "    int curves;", "SYNOPSIS: not so"),
    ("a struct that has changed", KEY, "    int curve;", "    int curve, id;", "SYNOPSIS: not so"),
    ("another header", PAGE, "#include <sotto/key.h>\n\nt", "#include <sotto/noise.h>\n\nt",
     "SYNOPSIS: not so in noise.h"),
    ("no header", READ, "#include <sotto/noise.h>\n", "", "SYNOPSIS: not so in any header"),
    ("a page that is not listed", LIST, " 'sotto_key_new.3',", "", "meson.build does not have it"),
    ("a list with a page too many", LIST, "  'sotto_r", "  'sotto_x.3', 'sotto_r",
     "there is no sotto_x.3.scd"),
    ("a page that is listed twice", LIST, "'sotto.1', ", "'sotto.1', 'sotto.1', ", "twice"),
    ("another title", PAGE, "sotto_key_new(3)\n\n#", "sotto_key(3)\n\n#", "its first line is not"),
    ("another first name", PAGE, "sotto_key_new, sotto_key_free", "sotto_key_free, sotto_key_new",
     "NAME does not begin with"),
    ("an example with a syntax error", PAGE, "return 0;", "return 0", "does not compile"),
    ("an example with a warning", PAGE, "    sotto_key key;\n", "    sotto_key key;\n    int i;\n",
     "does not compile"),
    ("an example with an old call", PAGE, "new(1, &key)", "new(1)", "does not compile"),
    ("an example with a backslash that scdoc drops", PAGE, "'\\\\n'", "'\\n'", "single backslash"),
    ("an example that is a fragment", READ, "# SEE", "# EXAMPLES\n\n```\nread(key);\n```\n\n# SEE",
     "includes nothing"),
    ("code that is too wide", PAGE, "u16 length", "u16 length" + 60 * " ", "columns"),
    ("an error that is not told", PAGE, "*SOTTO_E_USAGE*\n", "", "does not tell SOTTO_E_USAGE"),
    ("an error that is new", NOISE, "E_AUTH: forged.", "E_AUTH, E_USAGE.", "SOTTO_E_USAGE"),
    ("an error that does not exist", PAGE, "\n# ERRORS", "\n*SOTTO_E_NO*\n\n# ERRORS",
     "no header has SOTTO_E_NO"),
    ("a reference to no function", PAGE, "*sotto_key_free*(3)", "*sotto_key_wipe*(3)",
     "there is no sotto_key_wipe(3)"),
    ("a call of no function", PAGE, "*sotto_key_new*()", "*sotto_key_make*()",
     "there is no sotto_key_make()"),
    ("a call of an overview", READ, "*sotto_noise*(3)", "*sotto_noise*()",
     "there is no sotto_noise()"),
    ("a reference to no page", READ, "*sotto_noise*(3)", "*sotto-call*(1)",
     "there is no sotto-call(1)"),
    ("no overview to refer to", "docs/man/sotto_noise.3.scd", "", None,
     "there is no sotto_noise(3)"),
]


def reports(files):
    """What is reported of a tree of FILES, as texts."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name, text in files.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return [f"{file}: {fault}" for file, fault in check(tree)[3]]


def spoil(file, text, becomes):
    """The good files with a fault in one of them; None if TEXT does not stand there just once."""
    files = dict(GOOD)
    if becomes is None:
        del files[file]
    elif text:
        if files[file].count(text) != 1:
            return None
        files[file] = files[file].replace(text, becomes)
    else:
        files[file] += becomes
    return files


def control():
    """Is a good tree accepted, and each kind of fault reported?"""
    wrong = [f"reported without cause: {text}" for text in reports(GOOD)]
    for title, file, text, becomes, expected in BAD:
        files = spoil(file, text, becomes)
        if files is None:
            wrong.append(f"{title}: the control itself is out of date")
        elif not any(expected in report for report in reports(files)):
            wrong.append(f"not reported: {title}")
    for text in wrong:
        print("control failed:", text)
    print(f"control: {len(BAD)} faults, a tree without any, {len(wrong)} wrong answers")
    return 1 if wrong else 0


def main(arguments):
    if arguments == ["--control"]:
        return control()
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        print("usage: scripts/check-manual.py [TREE | --control]", file=sys.stderr)
        return 2
    tree = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    pages, count, programs, faults = check(tree)
    for file, fault in faults:
        print(f"{file}: {fault}")
    print(f"manual: {pages} pages, {count} functions, {programs} example programs, "
          f"{len(faults)} faults")
    return 1 if faults or not pages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
