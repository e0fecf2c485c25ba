"""One case, played message by message: a handshake, and what is sent after it."""

from cases import TRANSPORT_MAX, Message, psk_message
from sides import Failure, Refused, noise_python

WINDOW = 4032                                             # SOTTO_DATAGRAM_WINDOW
NONCE_LAST = 2 ** 64 - 2                                  # Noise 5.1: the next one is reserved

# What a deliberate fault of the other side or of a comparison is called: see differential.py.
CONTROLS = ("prologue", "psk", "payload", "hash", "remote", "length", "rekey", "forgery", "nonces",
            "replay")


def must_refuse(wanted, function, *arguments):
    """The library has to refuse, with exactly that error, no output, and words if it gives any."""
    try:
        function(*arguments)
    except Refused as error:
        if str(error) != wanted:
            raise Failure("refused as %s instead of %s" % (error, wanted)) from None
        return
    raise Failure("accepted what it has to refuse as %s" % wanted)


def equal(what, got, wanted):
    if got != wanted:
        raise Failure("%s: %s instead of %s" % (what, shown(got), shown(wanted)))


def shown(value):
    if isinstance(value, tuple):
        return "(%s)" % ", ".join(map(shown, value))
    if isinstance(value, bytes):
        return "%d bytes %s" % (len(value), value[:64].hex())
    return str(value)


def flip(rng, data):
    at = rng.randrange(8 * len(data))
    changed = bytearray(data)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def mutate(rng, message):
    """A bit flipped, the end cut off, something appended, far too much appended."""
    kind = rng.random()
    if kind < 0.6 and message:
        return flip(rng, message)
    if kind < 0.8 and message:
        return message[:rng.randrange(len(message))]
    if kind < 0.95:
        return message + rng.randbytes(rng.choice((1, 16, 100)))
    return message + bytes(noise_python.MESSAGE_MAX + 1 - len(message))


class Play:
    def __init__(self, case, ours, theirs, ours_initiates, control=None):
        self.case, self.ours, self.theirs = case, ours, theirs
        self.ours_initiates = ours_initiates
        self.control = control
        self.protocol = case.protocol
        self.rng = case.rng(ours_initiates)

    def run(self):
        self._begin()
        if not self._handshake():
            return
        self._results()
        if self.case.split == "ordered":
            Ordered(self).run()
        else:
            Datagrams(self).run()

    def spoiled(self, control, data):
        """The data, altered if that is the control."""
        return flip(self.rng, data) if self.control == control and data else data

    # ---- keys and the beginning

    def _begin(self):
        protocol, initiates = self.protocol, self.ours_initiates
        ours, theirs = protocol.needs(initiates), protocol.needs(not initiates)
        if ours["s"]:
            self.ours.make_static(protocol.dh, self.rng)
        if theirs["s"]:
            self.theirs.make_static(protocol.dh, self.rng)
        ephemerals = self._ephemerals(ours)
        self._new_ours(ours, ephemerals)
        self.theirs.new(protocol, not initiates, self._their_prologue(),
                        self.ours.s if theirs["rs"] else None,
                        ephemerals.get("theirs_re"), self._their_psks())

    def _their_prologue(self):
        return self.case.prologue + (b"x" if self.control == "prologue" else b"")

    def _their_psks(self):
        return {n: self.spoiled("psk", psk) for n, psk in self.case.psks.items()}

    def _ephemerals(self, ours):
        """Noise 10.2: whoever responds in a fallback has sent a first message of another handshake,
        and the ephemeral key in it now counts."""
        if ours["e"]:
            return {"theirs_re": self._our_first_message(), "from_earlier": True}
        if not ours["re"]:
            return {}
        re = self.theirs.make_ephemeral(self.protocol.dh, self.rng)
        if self.case.takes_re:
            return {"re": re}
        self._read_first_message(re)
        return {"from_earlier": True}

    def _earlier(self, initiator):
        """An unfinished handshake of ours, with a key of a responder whom nobody knows."""
        name = self.case.earlier
        needs = noise_python.parse(name).needs(initiator)
        if needs["s"] and self.ours.s is None:
            self.ours.make_static(self.protocol.dh, self.rng)
        stranger = noise_python.generate(self.protocol.dh)[1]
        self.ours.new(name, initiator, with_s=needs["s"], rs=stranger if needs["rs"] else None)

    def _our_first_message(self):
        self._earlier(True)
        message = self.ours.write(b"lost")
        if self.case.answered:
            must_refuse("E_AUTH", self.ours.read, self.rng.randbytes(300))
        return message[:self.protocol.dh_len]

    def _read_first_message(self, re):
        """NN and XX accept whatever stands behind the key; IK fails at it, and has the key."""
        self._earlier(False)
        message = re + self.rng.randbytes(200)
        if "_IK_" in self.case.earlier:
            must_refuse("E_AUTH", self.ours.read, message)
        else:
            equal("the first message's payload", self.ours.read(message), message[len(re):])

    def _new_ours(self, needs, ephemerals):
        psks, ways = self.case.psks, self.case.psk_ways
        by = {way: {n: psks[n] for n in psks if ways[n] == way} for way in ("options", "lookup")}
        self.late = {n for n in psks if ways[n] == "late"}
        self.ours.new(self.protocol.name, self.ours_initiates, self.case.prologue,
                      rs=self.theirs.s if needs["rs"] else None, re=ephemerals.get("re"),
                      psks=by["options"], lookups=by["lookup"], with_s=needs["s"],
                      from_earlier="from_earlier" in ephemerals)

    # ---- the handshake

    def _handshake(self):
        """Play all messages. False when one was tampered with and somebody noticed, as they have
        to."""
        tampered = self._choose_tampered()
        for index, payload in enumerate(self.case.payloads):
            ours_writes = (index % 2 == 0) == self.ours_initiates
            self._check_state(index, ours_writes, len(payload))
            self._give_psks(index, ours_writes, payload)
            if ours_writes:
                if not self._ours_to_theirs(payload, index, expect_failure=self.altered):
                    return False
            elif not self._theirs_to_ours(payload, index, index == tampered):
                return False
        if self.altered:
            raise Failure("an altered message was accepted, and nobody noticed later")
        return True

    def _choose_tampered(self):
        """Which message of theirs is altered on its way, if any."""
        self.altered = False
        first = 1 if self.ours_initiates else 0
        theirs = range(first, len(self.case.payloads), 2)
        return self.rng.choice(theirs) if self.case.tampers and theirs else None

    def _check_state(self, index, ours_writes, payload_len):
        shape = self.case.shapes[index]
        length = payload_len + shape.overhead + (self.control == "length")
        state, too_long, hash_, remote = self.ours.before_message(payload_len,
                                                                  shape.payload_max + 1)
        equal("what is said of message %d" % (index + 1), state,
              ("write" if ours_writes else "read", length, shape.payload_max, shape.encrypted))
        equal("the length of a message that is too long", too_long[1], 0)
        equal("a handshake hash before the end", hash_, b"")
        self._check_remote(index, remote)

    def _check_remote(self, done, remote):
        """What is known of the other side's static key after so many messages. It is a claim until
        a message was read whose key has a DH with it."""
        if self.altered:
            return
        messages, initiates = self.protocol.messages[:done], self.ours_initiates
        theirs = [m for i, m in enumerate(messages) if (i % 2 == 1) == initiates]
        known = self.protocol.needs(initiates)["rs"] or any("s" in m for m in theirs)
        mixes_rs = {"ss", "es" if initiates else "se"}
        proven = any(mixes_rs & {t for m in messages[:i + 1] for t in m}
                     for i in range(1 if initiates else 0, done, 2))
        wanted = self.spoiled("remote", self.theirs.s) if known else None
        equal("static key of theirs after %d messages, and proven" % done, remote,
              (wanted, proven))

    def _give_psks(self, index, ours_writes, payload):
        """Those that come late: anywhere before their message, which does not go without them. (A
        lookup would be asked instead, and its failure is final.)"""
        missing = [n for n in self.late if psk_message(n) == index]
        if missing and "lookup" not in self.case.psk_ways.values():
            step = self.ours.write if ours_writes else self.ours.read
            must_refuse("E_USAGE", step, payload)
        for n in sorted(self.late):
            if n in missing or self.rng.random() < 0.3:
                self.ours.set_psk(n, self.case.psks[n])
                self.late.remove(n)
                must_refuse("E_USAGE", self.ours.set_psk, n, self.case.psks[n])

    def _ours_to_theirs(self, payload, index, expect_failure):
        shape = self.case.shapes[index]
        if self.rng.random() < 0.1:
            must_refuse("E_USAGE", self.ours.read, payload)
        if len(payload) == shape.payload_max:
            must_refuse("E_TOO_LARGE", self.ours.write, payload + b"x")
        message = self.ours.write(payload)
        equal("length of message %d" % (index + 1), len(message), len(payload) + shape.overhead)
        try:
            got = self.theirs.read(message)
        except Refused as error:
            if expect_failure:
                return False
            raise Failure("theirs refuses message %d: %s" % (index + 1, error)) from None
        equal("payload %d" % (index + 1), self.spoiled("payload", got), payload)
        return True

    def _theirs_to_ours(self, payload, index, tamper):
        shape = self.case.shapes[index]
        message = self.theirs.write(payload)
        if self.rng.random() < 0.1:
            must_refuse("E_USAGE", self.ours.write, payload)
        if self.altered:
            self._final_refusal(message)
            return False
        if tamper:
            return self._tampered(message, shape)
        try:
            got = self.ours.read(message)
        except Refused as error:
            raise Failure("ours refuses message %d: %s" % (index + 1, error)) from None
        equal("payload %d" % (index + 1), self.spoiled("payload", got), payload)
        return True

    def _tampered(self, message, shape):
        """An altered message is refused at once where there is a key. In the clear nobody notices
        yet, but whoever reads the next message does."""
        changed = message if self.control == "forgery" else mutate(self.rng, message)
        if (shape.encrypted or len(changed) < shape.overhead
                or len(changed) > noise_python.MESSAGE_MAX):
            self._final_refusal(changed)
            return False
        self.ours.read(changed)
        self.altered = True
        return True

    def _final_refusal(self, message):
        must_refuse("E_AUTH", self.ours.read, message)
        equal("the action after a failure", self.ours.state(0), ("failed", 0, 0, False))
        for step in (self.ours.read, self.ours.write):
            must_refuse("E_USAGE", step, message[:100])
        must_refuse("E_USAGE", self.ours.split, self.case.split)
        equal("a handshake hash after a failure", self.ours.hash(), b"")
        equal("a static key after a failure", self.ours.remote(), (None, False))

    def _results(self):
        equal("the action at the end", self.ours.state(0), ("split", 0, 0, False))
        for step in (self.ours.read, self.ours.write):
            must_refuse("E_USAGE", step, b"one message more")
        self.ours.split(self.case.split)
        self.theirs.split()
        must_refuse("E_USAGE", self.ours.split, self.case.split)
        equal("the action after the split", self.ours.state(0), ("none", 0, 0, False))
        equal("handshake hash", self.ours.hash(), self.spoiled("hash", self.theirs.hash()))
        self._check_remote(len(self.protocol.messages), self.ours.remote())
        # It may have one besides, for the handshake that it fell back from.
        has_s = self.protocol.needs(self.ours_initiates)["s"]
        equal("static key that theirs sees", self.theirs.remote(), self.ours.s if has_s else None)


class Transport:
    """What both kinds have in common: steps that go one way or the other. A kind says what becomes
    of a message."""

    def __init__(self, play):
        self.play, self.rng = play, play.rng
        self.ours, self.theirs = play.ours, play.theirs
        self.place = "apart"

    def run(self):
        for step in self.play.case.transport:
            from_ours = step.from_initiator == self.play.ours_initiates
            if isinstance(step, Message):
                self.message(step, from_ours)
            else:
                self.rekey(from_ours)
        self.end()

    def rekey(self, from_ours):
        self.ours.rekey("sending" if from_ours else "receiving")
        if self.play.control != "rekey":
            self.theirs.rekey("receiving" if from_ours else "sending")

    def their_encrypt(self, step):
        try:
            return self.theirs.encrypt(step.ad, step.plaintext)
        except Refused as error:
            raise Failure("theirs does not encrypt: %s" % error) from None

    def their_decrypt(self, step, message):
        """Theirs takes what ours has encrypted."""
        equal("length of a transport message", len(message), len(step.plaintext) + 16)
        try:
            got = self.theirs.decrypt(step.ad, message)
        except Refused as error:
            raise Failure("theirs refuses a transport message: %s" % error) from None
        equal("plaintext that theirs reads", self.play.spoiled("payload", got), step.plaintext)

    def our_encrypt(self, step):
        if len(step.plaintext) == TRANSPORT_MAX:
            must_refuse("E_TOO_LARGE", self.ours.encrypt, step.place, step.ad,
                        step.plaintext + b"x")
        return self.ours.encrypt(step.place, step.ad, step.plaintext)

    def our_decrypt(self, step, message, *nonce):
        """Ours takes the genuine message, also after forgeries of it."""
        if step.forged:
            self._forgeries(step, message, *nonce)
        try:
            got = self.ours.decrypt(step.place, step.ad, message, *nonce)
        except Refused as error:
            raise Failure("ours refuses a transport message: %s" % error) from None
        equal("plaintext that ours reads", got, step.plaintext)

    def _forgeries(self, step, message, *nonce):
        genuine = self.play.control == "forgery"
        changed = message if genuine else mutate(self.rng, message)
        must_refuse("E_AUTH", self.ours.decrypt, step.place, step.ad, changed, *nonce)
        changed = message if genuine else flip(self.rng, message)
        must_refuse("E_AUTH", self.ours.decrypt, step.place, step.ad, changed, *nonce)
        ad = flip(self.rng, step.ad) if step.ad else b"ad"
        must_refuse("E_AUTH", self.ours.decrypt, step.place, ad, message, *nonce)

    def forbidden_direction(self):
        """Noise 7.4: whoever receives in a one-way pattern never sends, and the other way round."""
        if not self.play.protocol.one_way:
            return
        nonce = [0] if isinstance(self, Datagrams) else []
        if self.play.ours_initiates:
            must_refuse("E_USAGE", self.ours.rekey, "receiving")
            must_refuse("E_USAGE", self.ours.decrypt, "apart", b"", bytes(40), *nonce)
        else:
            must_refuse("E_USAGE", self.ours.rekey, "sending")
            must_refuse("E_USAGE", self.ours.encrypt, "apart", b"", b"answer")

    def end(self):
        self.forbidden_direction()


class Ordered(Transport):
    def __init__(self, play):
        super().__init__(play)
        self.sent = self.received = 0

    def message(self, step, from_ours):
        if from_ours:
            self.their_decrypt(step, self.our_encrypt(step)[0])
            self.sent += 1
        else:
            self.our_decrypt(step, self.their_encrypt(step))
            self.received += 1

    def end(self):
        super().end()
        equal("the nonces", self.ours.nonces(),
              [self.sent, self.received + (self.play.control == "nonces")])


class Datagrams(Transport):
    """Noise 11.4: in any order, with losses, jumps and repetitions. Delivered when the direction
    gets a new key, and at the end."""

    def __init__(self, play):
        super().__init__(play)
        self.flight = {True: [], False: []}               # by from_ours: (step, message, nonce)
        self.seen, self.largest = set(), -1               # of what ours has accepted
        self.sent = 0

    def message(self, step, from_ours):
        if from_ours:
            message, nonce = self.our_encrypt(step)
            equal("nonce of a datagram", nonce, self.sent)
            self.sent += 1
        else:
            nonce = self._jump()
            message = self.their_encrypt(step)
        self.flight[from_ours].append((step, message, nonce))

    def _jump(self):
        """Nonces that are never seen are lost messages; ours must not care how many there were."""
        tx = self.theirs.party.tx
        gap = self.rng.choice((0, 0, 0, 1, 63, 64, 65, WINDOW - 1, WINDOW, WINDOW + 1, 2 ** 32))
        if self.rng.random() < 0.02:
            gap = NONCE_LAST - 20 - tx.n
        tx.n = min(tx.n + max(gap, 0), max(tx.n, NONCE_LAST - 20))
        return tx.n

    def rekey(self, from_ours):
        self._deliver(from_ours)
        super().rekey(from_ours)

    def _deliver(self, from_ours):
        flight, self.flight[from_ours] = self.flight[from_ours], []
        self.rng.shuffle(flight)
        for step, message, nonce in flight:
            if self.rng.random() < 0.1:
                continue                                  # lost
            if from_ours:
                self.theirs.party.rx.n = nonce
                self.their_decrypt(step, message)
            else:
                self._to_ours(step, message, nonce)

    def _to_ours(self, step, message, nonce):
        if nonce + WINDOW <= self.largest:
            must_refuse("E_REPLAY", self.ours.decrypt, step.place, step.ad, message, nonce)
            return
        self.our_decrypt(step, message, nonce)
        self.seen.add(nonce)
        self.largest = max(self.largest, nonce)
        old = self.rng.choice(sorted(self.seen))
        if self.play.control == "replay":
            old = NONCE_LAST - 1                          # never seen
        must_refuse("E_REPLAY", self.ours.decrypt, step.place, step.ad, message, old)

    def end(self):
        self._deliver(True)
        self._deliver(False)
        super().end()
        equal("the nonces", self.ours.nonces(), [self.sent + (self.play.control == "nonces")])
        if not (self.play.protocol.one_way and self.play.ours_initiates):
            must_refuse("E_NONCE", self.ours.decrypt, "apart", b"", bytes(40), NONCE_LAST + 1)


def play(ours, theirs, case, ours_initiates, control=None):
    """Both sides forget everything at the end, so that each play can be repeated alone, and what
    goes wrong when memory is freed belongs to the play that had it."""
    try:
        Play(case, ours, theirs, ours_initiates, control).run()
        ours.forget()
        theirs.forget()
    except Refused as error:
        raise Failure("refused: %s" % error) from error
