"""Sotto itself: `sotto serve` and `sotto bench`."""

import subprocess

from .peer import CommonPeer
from .process import Failed
from .work import BODY, GROUPS, Work

MESSAGE_LIMIT = "32MiB"


class Sotto(CommonPeer):
    """The endpoint echo, with secrets and keys that were made for this run."""

    name = "sotto"
    built = ["tools/sotto"]
    does = GROUPS

    def __init__(self, setting):
        super().__init__(setting)
        self.command = setting.build / "tools/sotto"
        self.server_command = self.command
        self.home = self.folder / self.name
        self.address = None

    def version(self):
        """As the command prints it."""
        return self.run("--version").split()[-1]

    def run(self, *words):
        """Run the command to its end; what it printed is returned."""
        done = subprocess.run([self.command, *words], capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise Failed(f"sotto {words[0]}: {done.stderr.strip()}")
        return done.stdout

    def start(self):
        """One worker thread; the other limits are far above what is measured."""
        if not self.home.exists():
            self.home.mkdir()
            self.run("secrets", "new", self.home / "secrets")
            # One curve only: a client looks at every key of a bootstrap's document, and the other
            # curve's would take the load longer than all the rest.
            self.run("keygen", "--curve", self.setting.curve, "--output", self.home / "key")
        self.server = self.spawn("server", [
            self.server_command, "serve", "--listen", "127.0.0.1:0", "--workers", 1,
            "--keys", self.home / "key", "--secrets", self.home / "secrets/server.json",
            "--max-message", MESSAGE_LIMIT, *self.more_words(),
        ])
        self.address = self.server.wait_for_line(r"^\s*address\s+(\S+)")[1]

    def more_words(self):
        """Options of the server that not every version has."""
        return ["--max-connections", 20000]

    def load_words(self, work):
        """The client's files stay in the folder of this run, too."""
        words = [
            self.command, "bench", "--json", "--secrets", self.home / "secrets/client.json",
            "--trust", "accept-new", "--known-servers", self.home / "known_servers",
            "--state-dir", self.home / "state", "--max-message", MESSAGE_LIMIT,
            "--curve", self.setting.curve, "--cipher", self.setting.cipher,
        ]
        if work.idle:
            words += ["--idle", work.idle]
        return words if work.size == len(BODY) else words + ["--size", work.size]

    def load_operands(self, work):
        """The common message itself, where it is not about its size."""
        if work.size == len(BODY) and work.repeat != "bootstraps":
            return [self.address, "echo", BODY]
        return [self.address]

    def hold(self, count):
        """The load has such connections; it calls on one more, one call at a time."""
        words = self.load_words(Work("idle", "idle"))
        return self.spawn("holder",
                          [*words, "--idle", count, "--duration", "300s", self.address])


class SottoOther(Sotto):
    """Another build's server (--other), under the same load: what did a change do?"""

    name = "sotto-other"
    does = ["latency", "calls", "batches", "large", "sessions", "bootstraps", "sizes"]

    def __init__(self, setting):
        super().__init__(setting)
        self.server_command = setting.other

    def missing(self):
        """It takes part when it was named."""
        return super().missing() if self.server_command else ["--other PROGRAM"]

    def more_words(self):
        """Its limits are its own."""
        return []
