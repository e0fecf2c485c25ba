"""Protocol names: sotto_protocol_describe() and the independent reader have to agree on each."""

import itertools
import random
import string

from cases import SUITES
from play import equal
from sides import Failure, Refused, noise_python

# Characters and pieces of names, so that an edit often makes something that is nearly one.
CHARACTERS = ("NKXI10123456789psk+_fallbackSHA" + string.ascii_letters + string.punctuation +
              " \n\x7f\u00e9\u00b2")
PIECES = ["Noise", "_", "+", "psk0", "psk1", "psk2", "psk3", "psk4", "psk5", "psk00", "psk10",
          "psk", "fallback", "+psk1", "+fallback", "hfs", "noidh",
          "NN", "XX", "IK", "X1X1", "1", "K", "N",
          "25519", "448", "ChaChaPoly", "AESGCM", "SHA256", "SHA512", "BLAKE2s", "BLAKE2b", "",
          "SHA3", "chachapoly", "P256", "NoisePSK", " ", "x" * 255]
BATCH = 500                                               # names that are asked about at once
MODIFIERS = ["psk%d" % n for n in range(6)] + ["fallback"]


def facts(protocol):
    """The answer of noise_peer to "describe", from the independent reader."""
    def flags(initiator):
        needs = protocol.needs(initiator)
        return [str(int(needs[key])) for key in ("s", "rs")]

    return ([protocol.dh, protocol.cipher, protocol.hash, str(protocol.hash_len),
             str(len(protocol.messages)), "".join(map(str, protocol.psk_positions)) or "-",
             str(int(protocol.one_way)), str(int(protocol.fallback))] + flags(True) + flags(False))


def wanted(name):
    try:
        return facts(noise_python.parse(name))
    except noise_python.InvalidName:
        return "E_UNSUPPORTED"


def described(sotto, names):
    """Each of the names with what the library says of it: facts, or the name of an error."""
    names = iter(names)
    while batch := list(itertools.islice(names, BATCH)):
        for name, answer in zip(batch, sotto.describe_all(batch), strict=True):
            yield name, str(answer) if isinstance(answer, Refused) else answer


def compare(sotto, names):
    """Equal in what they accept and in every fact; each of the names, and True if it is one."""
    for name, got in described(sotto, names):
        equal("the name %r" % name, got, wanted(name))
        yield name, got != "E_UNSUPPORTED"


def full(section, suite):
    return "Noise_%s_%s_%s_%s" % ((section,) + suite)


def check_valid(sotto, sections):
    """All of them, in all suites."""
    valid = [full(section, suite) for section, suite in itertools.product(sections, SUITES)]
    for name, accepted in compare(sotto, valid):
        if not accepted:
            raise Failure("%s is refused by both" % name)
    return len(valid)


def sequences():
    """Every sequence of up to three modifiers, and all sorted sets, alone and with fallback between
    two of them."""
    for length in range(4):
        yield from itertools.product(MODIFIERS, repeat=length)
    psks = MODIFIERS[:5]
    sets = [s for length in range(6) for s in itertools.combinations(psks, length)]
    yield from sets
    for before, after in itertools.product(sets, sets):
        yield before + ("fallback",) + after


def check_exactly(sotto, sections):
    """The library accepts what is in the list of all patterns, and nothing else."""
    all_modifiers = set(sequences())
    tried = [base + "+".join(modifiers) for base, modifiers
             in itertools.product(noise_python.PATTERNS, sorted(all_modifiers))]
    known = {full(section, SUITES[0]) for section in sections}
    for name, got in described(sotto, (full(section, SUITES[0]) for section in tried)):
        equal("accepted, %s" % name, isinstance(got, list), name in known)
    return len(tried), set(sections).difference(tried)


def edit(rng, name):
    at = rng.randrange(len(name) + 1)
    to = min(len(name), at + rng.choice((1, 1, 1, 2, 4, 8)))
    piece = rng.choice(PIECES)
    kind = rng.randrange(8)
    if kind == 0:
        return name[:at] + rng.choice(CHARACTERS) + name[at:]
    if kind == 1:
        return name[:at] + name[to:]
    if kind == 2:
        return name[:at] + rng.choice(CHARACTERS) + name[at + 1:]
    if kind == 3:
        return name[:at] + name[at:to].swapcase() + name[to:]
    if kind == 4:
        return name[:to] + name[at:]
    if kind == 5:
        return name[:at] + piece + name[at:]
    return edit_piece(rng, name, piece)


def edit_piece(rng, name, piece):
    """Another section, or another modifier."""
    separator = rng.choice("_+")
    parts = name.split(separator)
    parts[rng.randrange(len(parts))] = piece
    return separator.join(parts)


def edited(sections, rng, count):
    """Names that were edited at random."""
    for _ in range(count):
        name = full(rng.choice(sections), rng.choice(SUITES))
        for _ in range(rng.choice((1, 1, 2, 3))):
            name = edit(rng, name)
        yield name


def check_edits(sotto, sections, rng, count):
    """Some are names still: the two agree on those as well."""
    accepted = sum(is_one for _, is_one in compare(sotto, edited(sections, rng, count)))
    if not 0 < accepted < count:
        raise Failure("%d of %d edited names are names: the edits test nothing" % (accepted, count))
    return accepted


def check(sotto, seed, edits, forgotten=0):
    """All checks. FORGOTTEN names are taken from the list: a fault that has to be found."""
    sections = noise_python.valid_patterns()
    sections = sections[:len(sections) - forgotten]
    valid = check_valid(sotto, sections)
    tried, rest = check_exactly(sotto, sections)
    if rest:
        raise Failure("never tried: %s" % sorted(rest)[:5])
    accepted = check_edits(sotto, sections, random.Random("%s/names" % seed), edits)
    return ("names: %d valid ones, %d arrangements of modifiers, %d edited ones (%d of them valid)"
            % (valid, tried, edits, accepted))
