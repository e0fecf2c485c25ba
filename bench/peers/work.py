"""What is measured: the works, and the one message that all peers carry."""

from dataclasses import dataclass

BODY = (
    '{"device":"gateway-17","at":"2026-01-15T08:30:00Z","temperature":21.5,'
    '"humidity":48.25,"online":true,"battery":0.873}'
)
LARGE = 1 << 20


@dataclass(frozen=True)
class Work:
    """One load.  ROUNDS limits in how many rounds it runs, SHARE is its part of --seconds.

    WARM_UP is in seconds: the memory for large messages has to come from the system first.
    """

    name: str
    group: str
    connections: int = 1
    in_flight: int = 1
    size: int = len(BODY)
    repeat: str = "calls"
    idle: int = 0
    rounds: int = 1000
    share: float = 1.0
    warm_up: float = 0.3


COMPARED = [
    Work("latency", "latency"),
    Work("calls", "calls", connections=64),
    Work("batches", "batches", connections=64, in_flight=64),
    Work("large", "large", connections=4, size=LARGE),
    Work("sessions", "sessions", connections=16, repeat="sessions"),
    Work("bootstraps", "bootstraps", connections=16, repeat="bootstraps"),
]
GROUPS = [work.name for work in COMPARED] + ["idle", "growth", "sizes"]

OPEN_SESSIONS = [10, 100, 1000, 5000]
SIZES = [1 << shift for shift in range(10, 25, 2)]
TOGETHER = 1 << 18  # bytes in flight on a connection, or one message


def works(groups):
    """All works of these groups, in the order in which they run."""
    found = [work for work in COMPARED if work.group in groups]
    if "growth" in groups:
        for count in OPEN_SESSIONS:
            found.append(Work(f"growth-idle-{count}", "growth", connections=64, idle=count,
                              rounds=5, share=0.4))
            found.append(Work(f"growth-active-{count}", "growth", connections=count,
                              rounds=5, share=0.4))
    if "sizes" in groups:
        for size in SIZES:
            more = {"size": size, "rounds": 3, "share": 0.4, "warm_up": 1 if size > LARGE else 0.3}
            found.append(Work(f"sizes-alone-{size}", "sizes", **more))
            found.append(Work(f"sizes-together-{size}", "sizes", connections=4,
                              in_flight=min(64, max(1, TOGETHER // size)), **more))
    return found


assert len(BODY) == 117
