"""Random cases from a seed: case N of seed S is the same in every run."""

import random

from sides import noise_python

SUITES = [(dh, cipher, hash_) for dh in ("25519", "448") for cipher in ("ChaChaPoly", "AESGCM")
          for hash_ in ("SHA256", "SHA512", "BLAKE2s", "BLAKE2b")]
TRANSPORT_MAX = noise_python.MESSAGE_MAX - noise_python.TAG_LEN

FLYNN_BASES = ("N", "K", "X", "NN", "NK", "NX", "KN", "KK", "KX", "XN", "XK", "XX", "IN", "IK",
               "IX")


class Shape:
    """One handshake message as its tokens have it: the length without payload, with the tag if
    there is a key by the end of the tokens."""

    def __init__(self, overhead, encrypted):
        self.overhead = overhead
        self.encrypted = encrypted

    @property
    def payload_max(self):
        return noise_python.MESSAGE_MAX - self.overhead


def shapes(protocol):
    """Noise 5.3, and 9.2 for handshakes with a PSK: where is a key, and what adds how much?"""
    mixes_e = bool(protocol.psk_positions)
    has_key = mixes_e and "e" in protocol.initiator_pre + protocol.responder_pre
    found = []
    for tokens in protocol.messages:
        overhead = 0
        for token in tokens:
            if token == "e":
                overhead += protocol.dh_len
                has_key = has_key or mixes_e
            elif token == "s":
                overhead += protocol.dh_len + (noise_python.TAG_LEN if has_key else 0)
            else:
                has_key = True
        found.append(Shape(overhead + (noise_python.TAG_LEN if has_key else 0), has_key))
    return found


def psk_message(position):
    """The index of the message that has the token of pskN."""
    return max(position - 1, 0)


def modifiers_of(section):
    """("XX", ["fallback", "psk0"]) of "XXfallback+psk0"."""
    base = next(name for name in sorted(noise_python.PATTERNS, key=len, reverse=True)
                if section.startswith(name))
    rest = section[len(base):]
    return base, rest.split("+") if rest else []


def kind_of(section):
    modifiers = modifiers_of(section)[1]
    if "fallback" in modifiers:
        return "fallback"
    return ("plain", "psk", "psks")[min(len(modifiers), 2)]


class Deck:
    """Deals patterns: the kinds take turns, and within a kind every base pattern has its turn, so
    that some hundred cases meet them all. Which modifiers they have is random."""

    def __init__(self, sections, suites):
        self.suites = suites
        self.kinds = {}
        for section in sections:
            base = modifiers_of(section)[0]
            self.kinds.setdefault(kind_of(section), {}).setdefault(base, []).append(section)

    def deal(self, number, rng):
        kinds = sorted(self.kinds)
        bases = self.kinds[kinds[number % len(kinds)]]
        sections = bases[sorted(bases)[number // len(kinds) % len(bases)]]
        return "Noise_%s_%s_%s_%s" % ((rng.choice(sections),) + rng.choice(self.suites))


def dissononce_deck():
    return Deck(noise_python.valid_patterns(), SUITES)


def flynn_deck():
    """What version 1.0.0 has: see flynn_peer.go."""
    sections = [section for section in noise_python.valid_patterns()
                if modifiers_of(section)[0] in FLYNN_BASES and kind_of(section) in ("plain", "psk")]
    return Deck(sections + ["XXfallback"], [suite for suite in SUITES if suite[0] == "25519"])


def random_size(rng, largest):
    """Often small, at times at one of the ends."""
    kind = rng.random()
    if kind < 0.2:
        return 0
    if kind < 0.6:
        return min(rng.randrange(200), largest)
    if kind < 0.75:
        return min(rng.choice((1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 4096)), largest)
    if kind < 0.85:
        return rng.randrange(largest + 1)
    return largest - rng.choice((0, 0, 1, 2, 16))


def random_ad(rng):
    """Mostly little; nothing limits it to the length of a message."""
    if rng.random() < 0.02:
        return rng.randbytes(rng.choice((65535, 65536, 70001)))
    return rng.randbytes(rng.choice((0, 0, 1, 12, 15, 16, 17, rng.randrange(300))))


class Message:
    """A transport message; the initiator or the responder sends it."""

    def __init__(self, rng, from_initiator):
        self.from_initiator = from_initiator
        self.ad = random_ad(rng)
        self.plaintext = rng.randbytes(random_size(rng, TRANSPORT_MAX))
        self.place = rng.choice(("apart", "same"))
        self.forged = rng.random() < 0.4

    def __str__(self):
        return "%s %d+%d%s" % ("->" if self.from_initiator else "<-", len(self.plaintext),
                               len(self.ad), " forged" if self.forged else "")


class Rekey:
    def __init__(self, from_initiator):
        self.from_initiator = from_initiator

    def __str__(self):
        return "%s rekey" % ("->" if self.from_initiator else "<-")


class Case:
    """All that is random about one handshake and its transport, whoever plays which side."""

    def __init__(self, deck, seed, number, datagrams):
        rng = random.Random("%s/%d" % (seed, number))
        self.seed, self.number = seed, number
        self.protocol = noise_python.parse(deck.deal(number, rng))
        self.shapes = shapes(self.protocol)
        self.prologue = rng.randbytes(rng.choice((0, 1, 32, rng.randrange(2000), 66000)))
        self.payloads = [rng.randbytes(random_size(rng, shape.payload_max))
                         for shape in self.shapes]
        self.psks = {n: rng.randbytes(noise_python.PSK_LEN) for n in self.protocol.psk_positions}
        self.psk_ways = {n: rng.choice(("options", "late", "lookup")) for n in self.psks}
        self.earlier = self._earlier(rng)                 # what a fallback falls back from
        self.answered = rng.random() < 0.5                # by a message that nobody could read
        self.takes_re = rng.random() < 0.5                # its ephemeral key by value
        self.tampers = rng.random() < 0.25
        self.split = "datagrams" if datagrams and rng.random() < 0.3 else "ordered"
        self.transport = self._transport(rng)

    def _earlier(self, rng):
        """Noise 10.2 wants the same curve and nothing else."""
        suite = rng.choice([suite for suite in SUITES if suite[0] == self.protocol.dh])
        return "Noise_%s_%s_%s_%s" % ((rng.choice(("NN", "XX", "IK")),) + suite)

    def _transport(self, rng):
        steps = []
        for _ in range(rng.randrange(4, 13)):
            from_initiator = self.protocol.one_way or rng.random() < 0.5
            steps.append(Rekey(from_initiator) if rng.random() < 0.25
                         else Message(rng, from_initiator))
        # The last word is a message, so that no rekeying is left without one that needs it.
        steps += [Message(rng, True)] + ([] if self.protocol.one_way else [Message(rng, False)])
        return steps

    def rng(self, ours_initiates):
        """Random numbers for what depends on the roles."""
        return random.Random("%s/%d/%s" % (self.seed, self.number, ours_initiates))

    def __str__(self):
        lines = [self.protocol.name,
                 "prologue %d" % len(self.prologue),
                 "payloads %s, at most %s" % ([len(p) for p in self.payloads],
                                              [shape.payload_max for shape in self.shapes]),
                 "psks %s" % {n: "%s by %s" % (psk.hex(), self.psk_ways[n])
                              for n, psk in self.psks.items()}]
        if self.protocol.fallback:
            lines.append("falls back from %s%s" % (self.earlier,
                                                   ", re by value" if self.takes_re else ""))
        lines.append("%s, %s: %s" % ("tampered with" if self.tampers else "genuine", self.split,
                                     ", ".join(map(str, self.transport))))
        return "\n".join(lines)
