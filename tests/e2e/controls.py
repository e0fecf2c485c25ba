"""Does the harness notice what it is there to notice?  Each of these makes it fail and looks."""

import signal

from harness import (ERROR, READY, WAITING, Failure, Result, check, contains, equal, fails, lacks,
                     test)


@test
def control_wrong_status(w):
    fails(lambda: w.run("--version", status=3), "a status that is not the expected one")
    fails(lambda: w.run("--nonsense", status=0), "an error where success is expected")


@test
def control_wrong_error_name(w):
    fails(lambda: w.run("--nonsense", status=2, name="E_FILE"), "an error with another name")


@test
def control_hanging_command(w):
    fails(lambda: w.run_any("-c", "read line <$W/go", program="/bin/sh", bound_s=0.2)
          if w.fifo("go", writing=True) else None, "a command that hangs")


@test
def control_hanging_fifo(w):
    fifo = w.fifo("nobody")
    fails(lambda: fifo.read(bound_s=0.1), "a FIFO to which nobody writes")


@test
def control_sanitizer(w):
    for text in ("==1==ERROR: AddressSanitizer: heap-use-after-free",
                 "x.c:1:1: runtime error: signed integer overflow",
                 "==1==ERROR: LeakSanitizer: detected memory leaks"):
        fails(lambda t=text: Result(["x"], 0, "", t).expect(0), "what a sanitizer prints")


@test
def control_crash(w):
    result = w.run_any("-c", "kill -SEGV $$", program="/bin/sh")
    fails(lambda: result.expect(0), "a crash")
    fails(lambda: result.expect(1), "a crash")


@test
def control_error_form(w):
    good = "sotto: what\n  why\n  try: hint  [E_FILE, exit 12]\n"
    check(Result(["x"], 12, "", good).error()["hint"] == "hint", "an error in good form is refused")
    check(ERROR.match("sotto: what  [E_FILE, exit 12]\n"), "one line is enough")
    check(ERROR.match("sotto: what\n  why  [E_FILE, exit 12]\n"), "two lines are enough")
    for bad in ("", "Segmentation fault\n", good[:-1], "sotto: what\n  why\n", good + "more\n",
                good.replace("12", "13"), good.replace("[E_FILE, exit 12]", "")):
        fails(lambda t=bad: Result(["x"], 12, "", t).error(), f"an error of another form: {bad!r}")


@test
def control_ready_form(w):
    good = ("sotto 0.1.0 ready\n  address      127.0.0.1:1\n"
            "  fingerprint  25519  SHA256:" + 43 * "a" + "\n  endpoints    echo time\n")
    check(READY.match(good), "ready lines in good form are refused")
    for bad in (good + "more\n", good.replace("ready", "up"), good.replace("25519  ", "25519 "),
                good.replace("  endpoints    echo time\n", "")):
        check(not READY.match(bad), f"ready lines of another form are taken: {bad!r}")


@test
def control_checks(w):
    fails(lambda: check(False, "x"), "check")
    fails(lambda: equal(1, 2, "x"), "equal")
    fails(lambda: contains("a", "b", "x"), "contains")
    fails(lambda: lacks("a", "a", "x"), "lacks")
    try:
        fails(lambda: None, "x")
    except Failure:
        return
    raise Failure("fails() does not notice success")


@test
def control_program_that_lives_on(w):
    """expect_end() has to notice a program that is still there, or it proves nothing."""
    alive = w.fifo("alive")
    w.fifo("go", writing=True)
    program = w.start("-c", WAITING, program="/bin/sh")
    alive.expect(b"up\n")
    fails(lambda: equal(alive.read(bound_s=0.2), b"", "the end"), "a program that lives on")
    program.signal(signal.SIGKILL)
    alive.expect_end()


@test
def control_server_status(w):
    server = w.serve()
    fails(lambda: server.stop(status=1), "another status of a server")
