"""The examples of sotto/noise.h: two programs on a socket pair, Noise Pipes, a sealed file."""

import re

from harness import check, contains, equal, test

FINGERPRINT = r"SHA256:[A-Za-z0-9+/]{43}"


def example(w, name, *args, status=0):
    """Run an example, which has to end with STATUS; None when there are none here."""
    if name not in w.programs:
        return None
    result = w.run_any(*args, program=w.programs[name])
    equal(result.status, status, f"status of {result}")
    equal(result.err == "", status == 0, f"no words without an error, and some with: {result}")
    return result


@test
def example_of_two_programs(w):
    result = example(w, "noise_xx")
    if result is None:
        return
    for name in "Alice", "Bob":
        check(re.search(rf"^{name} talks to {FINGERPRINT}$", result.out, re.M), f"who is who: {result}")
    contains(result.out, 'Bob hears "is anybody listening?"\n', "what Bob hears")
    contains(result.out, 'Alice hears "only you"\n', "what Alice hears")


@test
def example_of_noise_pipes(w):
    result = example(w, "noise_pipes")
    if result is None:
        return
    for name in "Alice", "Bob":
        finished = re.findall(rf"^{name} has finished (\S+)$", result.out, re.M)
        equal(finished, ["XX", "IK", "XXfallback"], f"the protocols of {name}")
    # The second conversation's data arrives, the third one's cannot be read.
    equal(result.out.count('Bob reads "early data"'), 1, f"early data: {result}")


def seal(w, contents):
    (w.path / "in").write_bytes(contents)
    return example(w, "sealfile", "seal", "in", "sealed", "a_25519.key", "b_25519.pub")


def opens(w, status, *keys):
    keys = keys or ("b_25519.key", "a_25519.pub")
    result = example(w, "sealfile", "open", "sealed", "out", *keys, status=status)
    equal((w.path / "out").exists(), status == 0, f"there is an output, or none: {result}")
    equal((w.path / "out.part").exists(), False, "a half of the output is left")
    return result


@test
def example_of_a_sealed_file(w):
    if "sealfile" not in w.programs:
        return
    for name in "a", "b":
        w.run("keygen", "-o", name)
    # Empty, a part that is exactly full, one byte more, several parts.
    for size in 0, 1, 65518, 65519, 200000:
        contents = bytes(i * 7 % 251 for i in range(size))
        seal(w, contents)
        sealed = (w.path / "sealed").read_bytes()
        check(contents[:64] not in sealed or size < 8, "the contents are readable")
        opens(w, 0)
        equal((w.path / "out").read_bytes() == contents, True, f"contents of {size} bytes")
        for name in "out", "sealed":
            (w.path / name).unlink()


@test
def example_of_a_file_that_is_not_right(w):
    if "sealfile" not in w.programs:
        return
    for name in "a", "b":
        w.run("keygen", "-o", name)
    seal(w, b"x" * 70000)
    path = w.path / "sealed"
    sealed = path.read_bytes()
    contains(opens(w, 1, "a_25519.key", "a_25519.pub").err, "another key", "not the recipient")
    contains(opens(w, 1, "b_25519.key", "b_25519.pub").err, "somebody else", "not the sender")
    opens(w, 1, "b_448.key", "a_448.pub")
    # Behind the header, in the handshake, between the parts, before the last byte.
    for length in 0, 10, 20, 21, 22, 60, 118, 119, 120, 121, len(sealed) - 4500, len(sealed) - 1:
        path.write_bytes(sealed[:length])
        opens(w, 1)
    for at in 0, 19, 20, 30, 117, 118, 125, 65000, len(sealed) - 1:
        path.write_bytes(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1:])
        opens(w, 1)
    path.write_bytes(sealed + b"\0")
    contains(opens(w, 1).err, "behind its end", "something more")
    path.write_bytes(sealed)
    opens(w, 0)
    contains(example(w, "sealfile", "open", "sealed", "out", "b_25519.key", "a_25519.pub",
                     status=1).err, "is there already", "an output that exists")
    contains(example(w, "sealfile", "open", "absent", "new", "b_25519.key", "a_25519.pub",
                     status=1).err, "No such file", "an input that does not")
    contains(example(w, "sealfile", status=2).err, "usage", "no arguments")
