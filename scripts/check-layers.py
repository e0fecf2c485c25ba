#!/usr/bin/env python3
"""Compare every #include of src/, include/ and tools/ with the layers of docs/architecture.md.

    scripts/check-layers.py [TREE]      the project's own tree unless TREE is given
    scripts/check-layers.py --control   is each kind of forbidden include caught?

A header of the insides is included by layer and name ("noise/symmetric.h"), a public one as
<sotto/call.h> or "sotto/call.h", a header of the command by its name alone.
"""

import re
import sys
import tempfile
from pathlib import Path

# Which layers a layer may include, beside itself and the public headers.
MAY = {
    "base": [],
    "json": ["base"],
    "crypto": ["base"],
    "noise": ["crypto", "base"],
    "identity": ["crypto", "json", "base"],
    "session": ["noise", "crypto", "json", "base"],
    "rpc": ["json", "base"],
    "net": ["base"],
    "server": ["rpc", "session", "identity", "net", "crypto", "json", "base"],
    "client": ["rpc", "session", "identity", "net", "crypto", "json", "base"],
    "tools": [],
}

# Of these layers only these headers, for whoever is named.
ONLY = {
    ("server", "crypto"): ["crypto/random.h", "crypto/keys.h"],
    ("client", "crypto"): ["crypto/random.h", "crypto/keys.h"],
}

# Why not.  (from, to) where the pair has a reason of its own, else the one of the layer itself.
WHY = {
    "base": "base stands at the bottom and knows no other layer",
    "json": "json reads text: nothing but base is below it",
    "crypto": "crypto is primitives over bytes: nothing but base is below it",
    "noise": "noise is the specification's objects on crypto, and nothing of Sotto",
    "identity": "identity is files and secrets: it neither speaks nor listens",
    "session": "session is bytes in, bytes out, without I/O: the runtimes join it to the rest",
    "rpc": "rpc sees a message and a peer, never a key, a socket or a record",
    "net": "net moves bytes: it does not know what they mean",
    "server": "server joins the layers below it and stands beside client",
    "client": "client joins the layers below it and stands beside server",
    "tools": "the command uses the library as everybody else does: public headers only",
    ("server", "client"): "the two runtimes are independent: share through a layer below",
    ("client", "server"): "the two runtimes are independent: share through a layer below",
    ("server", "noise"): "only session drives a handshake",
    ("client", "noise"): "only session drives a handshake",
    ("server", "crypto"): "of crypto a runtime needs random bytes and key types, no primitives",
    ("client", "crypto"): "of crypto a runtime needs random bytes and key types, no primitives",
    ("session", "identity"): "session gets keys and PSKs as arguments, it reads no files",
    ("session", "rpc"): "session carries messages, what they say is rpc's matter",
    ("rpc", "session"): "rpc must not see keys: the runtimes join rpc and session",
    ("rpc", "crypto"): "rpc must not see keys",
    ("noise", "json"): "Noise knows no JSON: negotiation is session's matter",
}

# The only includes whose header is a macro: which file, which macro.
MACROS = {"src/identity/builtin.c": "SI_SECRETS_HEADER"}

# Libraries: by the beginning of the header's name, who may include it, and why nobody else.
LIBRARIES = {
    "sodium": (["src/crypto/"], "only src/crypto/ knows the crypto libraries"),
    "openssl/": (["src/crypto/"], "only src/crypto/ knows the crypto libraries"),
    "intel-ipsec-mb": (["src/crypto/"], "only src/crypto/ knows the crypto libraries"),
    "decaf": (["src/crypto/"], "only src/crypto/ knows the crypto libraries"),
    "simdjson": (["src/json/json.cpp"], "only src/json/json.cpp knows the JSON library"),
    "uv.h": (["src/net/"], "only src/net/ knows libuv"),
    "uv/": (["src/net/"], "only src/net/ knows libuv"),
}

# Layers that touch nothing outside their arguments, and what would let them.
PURE = ["session", "rpc", "noise", "json", "crypto"]
OUTSIDE = re.compile(
    r"""(sys/(socket|un|select|epoll|poll|eventfd|timerfd|time|times|stat|file|ioctl|uio|sendfile|inotify)\.h
       |netinet/.*|arpa/.*|net/.*|linux/.*|netdb\.h|ifaddrs\.h|poll\.h|fcntl\.h|unistd\.h|dirent\.h
       |time\.h|ctime|chrono|fstream|iostream|filesystem)$""", re.X)

STANDARD_C = """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal
    stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time
    uchar wchar wctype"""
STANDARD_C = {name + ".h" for name in STANDARD_C.split()}
# What a system brings along.  Anything else in <> is a library and must stand in LIBRARIES.
SYSTEM = """aio dirent dlfcn fcntl fnmatch getopt glob grp ifaddrs langinfo libgen malloc netdb poll pthread
    pwd sched semaphore spawn strings sysexits syslog termios ucontext unistd utime wordexp
    cpuid immintrin x86intrin arm_neon byteswap endian features"""
SYSTEM = {name + ".h" for name in SYSTEM.split()}
SYSTEM_FOLDERS = ("sys/", "netinet/", "arpa/", "net/", "linux/", "bits/")
# The C++ standard library: header names without an ending.
STANDARD_CXX = re.compile(r"[a-z_]+$")

DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(include_next|include|import)\b[ \t]*(.*)$", re.M)
OPERAND = re.compile(r'<([^>]+)>|"([^"]+)"')
BLOCK_COMMENT = re.compile(r"/\*.*?\*/", re.S)
SOURCES = {".c", ".h", ".cpp", ".hpp", ".cc", ".inc", ".def"}


def includes(path):
    """(line, "angle" or "quote" or None, name) of each #include of a file."""
    text = path.read_text(encoding="utf-8", errors="replace")
    text = BLOCK_COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    for match in DIRECTIVE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        operand = OPERAND.match(match.group(2))
        if match.group(1) != "include" or not operand:
            yield line, None, match.group(2).strip()
        elif operand.group(1):
            yield line, "angle", operand.group(1)
        else:
            yield line, "quote", operand.group(2)


def edge(layer, target, name):
    """The reason why LAYER may not include the header NAME of layer TARGET, or None."""
    if target == layer:
        return None
    allowed = target in MAY[layer]
    if allowed and name in ONLY.get((layer, target), [name]):
        return None
    return WHY.get((layer, target), WHY[layer])


def fault(tree, file, layer, form, name):
    """The reason why FILE (a path below TREE, of LAYER) may not include NAME, or None."""
    if form is None:
        if MACROS.get(file) == name:
            return None
        return "an include must be #include and name its header, in < > or quotes"
    if ".." in name.split("/") or name.startswith("/"):
        return 'name the header by its layer, as in "noise/symmetric.h"'

    if name.startswith("sotto/"):
        if not (tree / "include" / name).is_file():
            return f"there is no public header include/{name}"
        return None

    if form == "quote":
        if layer == "public":
            return "a public header includes standard headers and <sotto/...> only"
        if layer == "tools" and "/" not in name:
            return None if (tree / "tools" / name).is_file() else f"there is no tools/{name}"
        target = name.split("/")[0]
        if "/" not in name or target not in MAY or target == "tools":
            return 'name the header by its layer, as in "noise/symmetric.h"'
        reason = edge(layer, target, name)
        if reason is None and not (tree / "src" / name).is_file():
            reason = f"there is no src/{name}"
        return reason

    for prefix, (owners, reason) in LIBRARIES.items():
        if name.startswith(prefix):
            return None if any(file.startswith(owner) for owner in owners) else reason
    if layer == "public":
        if name in STANDARD_C:
            return None
        return "a public header includes standard headers and <sotto/...> only"
    if layer in PURE and OUTSIDE.match(name):
        return f"{layer} touches no socket, file or clock: bytes and the time are its arguments"
    if name in STANDARD_C or name in SYSTEM or name.startswith(SYSTEM_FOLDERS):
        return None
    if file.endswith(".cpp") and STANDARD_CXX.match(name):
        return None
    if name.split("/")[0] in MAY:
        return 'headers of the insides are included with quotes'
    return "no rule knows this library: give it an owner in scripts/check-layers.py"


def layer_of(file):
    """The layer that a path belongs to: "public", "tools", a folder of src/, or None."""
    parts = file.split("/")
    if parts[0] == "include":
        return "public"
    if parts[0] == "tools":
        return "tools"
    return parts[1] if len(parts) > 2 and parts[1] in MAY and parts[1] != "tools" else None


def check(tree):
    """(number of files, number of includes, [(file, line, name, reason)]) of a tree."""
    files = sorted(path for top in ("src", "include", "tools") for path in (tree / top).rglob("*")
                   if path.suffix in SOURCES and path.is_file())
    count = 0
    faults = []
    for path in files:
        file = path.relative_to(tree).as_posix()
        layer = layer_of(file)
        if layer is None:
            faults.append((file, 1, "", "this folder is no layer: " + ", ".join(MAY)))
            continue
        for line, form, name in includes(path):
            count += 1
            reason = fault(tree, file, layer, form, name)
            if reason:
                faults.append((file, line, name, reason))
    return len(files), count, faults


# ---- The control: a tree in which every forbidden include stands in a file of its own ----

def control_cases():
    """(file, include line) of what must be refused."""
    layers = [layer for layer in MAY if layer != "tools"]
    for layer in MAY:
        place = "tools" if layer == "tools" else f"src/{layer}"
        for target in layers:
            if target != layer and (target not in MAY[layer] or (layer, target) in ONLY):
                yield f"{place}/edge_{target}.c", f'#include "{target}/inner.h"'
        if layer != "crypto":
            yield f"{place}/sodium.c", "#include <sodium.h>"
            yield f"{place}/sodium_utils.c", "#include <sodium/utils.h>"
            yield f"{place}/openssl.c", "#include <openssl/evp.h>"
        if layer != "net":
            yield f"{place}/uv.c", "#include <uv.h>"
        yield f"{place}/simdjson.cpp", "#include <simdjson.h>"
        yield f"{place}/unknown.c", "#include <curl/curl.h>"
    # Whatever the table comes to say: these stay forbidden.
    for edge_text in ("base json", "rpc session", "rpc crypto", "rpc net", "noise json", "noise session",
                      "session identity", "session net", "session rpc", "net session", "identity net",
                      "server client", "client server", "server noise", "tools session"):
        layer, target = edge_text.split()
        place = "tools" if layer == "tools" else f"src/{layer}"
        yield f"{place}/never_{target}.c", f'#include "{target}/inner.h"'
    for layer in PURE:
        for name in ("sys/socket.h", "netinet/in.h", "arpa/inet.h", "time.h", "sys/time.h", "poll.h",
                     "sys/epoll.h", "fcntl.h", "sys/stat.h", "unistd.h"):
            yield f"src/{layer}/{re.sub('[/.]', '_', name)}.c", f"#include <{name}>"
    yield "src/json/chrono.cpp", "#include <chrono>"
    yield "src/noise/short.c", '#include "inner.h"'
    yield "src/noise/up.c", '#include "../crypto/inner.h"'
    yield "src/noise/around.c", '#include "crypto/../session/inner.h"'
    yield "src/noise/angle.c", "#include <crypto/inner.h>"
    yield "src/noise/absent.c", '#include "crypto/absent.h"'
    yield "src/noise/public_absent.c", "#include <sotto/absent.h>"
    yield "src/noise/macro.c", "#include HEADER"
    yield "src/noise/next.c", "#include_next <string.h>"
    yield "src/noise/spaces.c", "  #  include  <uv.h>"
    yield "src/rpc/header.h", "#include <openssl/evp.h>"
    yield "src/rpc/after_comment.c", "/* one */\n/* two\n */\n#include <sodium.h>"
    yield "src/strange/file.c", ""
    yield "src/file.c", ""
    yield "include/sotto/inner.h", '#include "base/inner.h"'
    yield "include/sotto/posix.h", "#include <sys/types.h>"
    yield "include/sotto/uv.h", "#include <uv.h>"
    yield "tools/absent.c", '#include "absent.h"'


def control_good():
    """(file, include line) of what must be allowed."""
    for layer, targets in MAY.items():
        place = "tools" if layer == "tools" else f"src/{layer}"
        for target in targets:
            name = ONLY.get((layer, target), [f"{target}/inner.h"])[0]
            yield f"{place}/good_{target}.c", f'#include "{name}"'
        if layer != "tools":
            yield f"{place}/good.c", f'#include "{layer}/inner.h"\n#include "sotto/good.h"'
        yield f"{place}/standard.c", "#include <sotto/good.h>\n#include <stdio.h>\n#include <string.h>"
        yield f"{place}/comment.c", "/*\n#include <uv.h>\n*/\n// #include <uv.h>"
        if layer not in PURE:
            yield f"{place}/clock.c", "#include <time.h>\n#include <unistd.h>\n#include <sys/stat.h>"
    yield "src/crypto/sodium_dh.c", "#include <sodium.h>\n#include <openssl/evp.h>"
    yield "src/json/json.cpp", "#include <simdjson.h>\n#include <new>\n#include <string_view>"
    yield "src/net/loop.c", "#include <uv.h>\n#include <netinet/in.h>"
    yield "src/identity/builtin.c", "#include SI_SECRETS_HEADER"
    yield "tools/print.c", '#include "print.h"'
    yield "include/sotto/sotto.h", "#include <sotto/good.h>\n#include <stdint.h>"


def plant(tree, cases):
    for layer in MAY:
        if layer != "tools":
            (tree / "src" / layer).mkdir(parents=True)
            (tree / "src" / layer / "inner.h").write_text("")
    (tree / "src/crypto/random.h").write_text("")
    (tree / "tools").mkdir()
    (tree / "tools/print.h").write_text("")
    (tree / "include/sotto").mkdir(parents=True)
    (tree / "include/sotto/good.h").write_text("#include <stddef.h>\n")
    for file, line in cases:
        path = tree / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(line + "\n")


def control():
    bad = list(control_cases())
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        plant(tree, bad)
        found = {file for file, *_ in check(tree)[2]}
        wrong += [f"not reported: {file}: {line}" for file, line in bad if file not in found]
        wrong += [f"reported without cause: {file}" for file in found - {file for file, _ in bad}]
    good = list(control_good())
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        plant(tree, good)
        wrong += [f"reported without cause: {file}: {name} ({reason})"
                  for file, _, name, reason in check(tree)[2]]
    for text in wrong:
        print("control failed:", text)
    print(f"control: {len(bad)} forbidden includes, {len(good)} files with allowed ones, "
          f"{len(wrong)} wrong answers")
    return 1 if wrong else 0


def main(arguments):
    if arguments == ["--control"]:
        return control()
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        print("usage: scripts/check-layers.py [TREE | --control]", file=sys.stderr)
        return 2
    tree = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    files, count, faults = check(tree)
    for file, line, name, reason in faults:
        print(f"{file}:{line}: {name}: {reason}" if name else f"{file}: {reason}")
    print(f"layers: {files} files, {count} includes, {len(faults)} forbidden")
    return 1 if faults or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
