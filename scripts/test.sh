#!/bin/sh
# Every check and test, one after the other; goes on after a failure.  What each printed is kept in
# build-test/logs/.  The last line is "N passed, N failed", and the exit status is 1 if any failed.
#
#   scripts/test.sh               everything
#   scripts/test.sh build DIR …   (used by itself) configure DIR with the arguments … and build it
#   scripts/test.sh man DIR       (used by itself) lint the man pages that were built in DIR
set -eu
self=$(cd "$(dirname "$0")" && pwd)/test.sh
cd "$(dirname "$0")/.."

top=build-test
logs=$top/logs
# No run takes longer than this, whatever hangs; each step has a smaller bound of its own, too.
total_seconds=1080

build()
{
    dir=$1
    shift
    wanted="$CC $CXX $*"
    # Configured otherwise, or not to the end: begin anew.
    if [ ! -f "$dir/build.ninja" ] || [ "$(cat "$dir/arguments" 2>/dev/null)" != "$wanted" ]; then
        rm -rf "$dir"
        meson setup "$dir" "$@"
        printf '%s\n' "$wanted" >"$dir/arguments"
    fi
    # The measuring programs that need nothing besides, so that they go on compiling.
    exec ninja -C "$dir" all bench_own
}

# What mandoc finds wrong with the pages, except for the empty paragraphs that scdoc always writes.
lint()
{
    mandoc -Tlint -W warning "$@" | grep -v 'skipping paragraph macro' || true
}

man()
{
    # The control first: an unknown macro is an error.
    if [ -z "$(printf '.TH A 1\n.SH NAME\na \\- b\n.UNKNOWN\n' | lint)" ]; then
        echo 'control failed: mandoc finds nothing wrong with a bad page'
        return 1
    fi
    # Pages of one line lead to another one, which mandoc would rather have as a link.
    pages=$(find "$1" -type f -name '*.[1-9]' ! -name '*.so.*' ! -exec grep -q '^\.so ' {} \; -print)
    if [ -z "$pages" ]; then
        echo "no man pages in $1"
        return 1
    fi
    printf '%s\n' "$pages"
    # shellcheck disable=SC2086 # a list of files
    faults=$(lint $pages)
    [ -z "$faults" ] || printf '%s\n' "$faults"
    [ -z "$faults" ]
}

case ${1:-} in
'') ;;
build | man)
    "$@"
    exit
    ;;
*)
    echo 'usage: scripts/test.sh' >&2
    exit 2
    ;;
esac

passed=0
failed=0
skipped=
began=$(date +%s)

# The packages of scripts/deps.sh belong to the system's Python; another one may stand in front.
if ! python3 -c 'import dissononce' 2>/dev/null; then
    PATH=/usr/bin:$PATH
    export PATH
fi
# shellcheck disable=SC3045 # dash, bash and ksh have it
ulimit -c 0

# bounded NAME SECONDS COMMAND…: runs it with a log of its own.  Sets log and took.
bounded()
{
    printf '\n%s\n' "$1"
    log=$logs/$(printf '%s' "$1" | tr ' +' '__').log
    start=$(date +%s)
    limit=$((began + total_seconds - start))
    [ "$limit" -le "$2" ] || limit=$2
    shift 2
    if [ "$limit" -le 0 ]; then
        echo "no time left of $total_seconds s" >"$log"
        took=0
        return 124
    fi
    status=0
    timeout --foreground -k 10 "$limit" "$@" </dev/null >"$log" 2>&1 || status=$?
    took=$(($(date +%s) - start))
    [ "$status" -ne 124 ] || echo "stopped after $limit s" >>"$log"
    return "$status"
}

fail()
{
    failed=$((failed + ${2:-1}))
    printf '  FAILED: %s\n' "$1"
}

show_log()
{
    printf '  the end of %s:\n' "$log"
    tail -n 40 "$log" | sed 's/^/    /'
}

# check NAME SECONDS COMMAND…: counts as one.
check()
{
    if bounded "$@"; then
        passed=$((passed + 1))
        printf '  ok (%s s)\n' "$took"
    else
        fail "after $took s"
        show_log
        return 1
    fi
}

# read_results DIR: what Meson wrote about its tests.  Prints what went wrong and who was skipped;
# leaves "passed failed missing skipped" and the skipped names in the file counts.
read_results()
{
    meson introspect "$1" --tests >"$logs/tests.json" || echo '[]' >"$logs/tests.json"
    python3 - "$1/meson-logs/testlog.json" "$logs/tests.json" "$logs/counts" <<'END'
import json, sys

log, tests, counts = sys.argv[1:]
try:
    with open(log, encoding="utf-8") as lines:
        results = [json.loads(line) for line in lines if line.strip()]
except OSError:
    results = []
with open(tests, encoding="utf-8") as file:
    expected = len(json.load(file))

good = [r for r in results if r["result"] in ("OK", "EXPECTEDFAIL")]
skipped = [r for r in results if r["result"] == "SKIP"]
bad = [r for r in results if r not in good and r not in skipped]
for result in bad:
    print(f"  {result['result']}: {result['name']}")
    output = (result.get("stdout") or "") + (result.get("stderr") or "")
    for line in output.splitlines()[-40:]:
        print("    " + line)
for result in skipped:
    print(f"  skipped: {result['name']}")
with open(counts, "w", encoding="utf-8") as file:
    print(len(good), len(bad), max(0, expected - len(results)), len(skipped), file=file)
    print(", ".join(result["name"] for result in skipped), file=file)
END
}

# suite NAME SECONDS DIR COMMAND…: all Meson tests of a build; each counts as one.
suite()
{
    name=$1 seconds=$2 dir=$3
    shift 3
    rm -f "$dir/meson-logs/testlog.json"
    suite_status=0
    bounded "$name" "$seconds" "$@" || suite_status=$?
    if ! read_results "$dir"; then
        fail 'the results of Meson cannot be read'
        show_log
        return
    fi
    { read -r good bad missing left_out && read -r who; } <"$logs/counts" || true
    passed=$((passed + good))
    printf '  %s passed, %s failed, %s skipped (%s s)\n' "$good" "$bad" "$left_out" "$took"
    [ "$bad" -eq 0 ] || fail "$bad tests" "$bad"
    if [ "$missing" -gt 0 ]; then
        fail "$missing tests did not run" "$missing"
        show_log
    elif [ $((good + bad + left_out)) -eq 0 ]; then
        fail 'there are no tests'
        show_log
    elif [ "$suite_status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        fail "meson test ended with status $suite_status"
        show_log
    fi
    [ "$left_out" -eq 0 ] || skipped="$skipped
skipped, $name: $who"
}

not_run()
{
    printf '\n%s\n' "$1"
    fail 'not run, since the build failed'
}

mkdir -p "$logs"

check 'format' 60 scripts/check-format.sh || true
check 'format, control' 60 scripts/check-format.sh --control || true
check 'layers' 60 scripts/check-layers.py || true
check 'layers, control' 60 scripts/check-layers.py --control || true
check 'references' 60 scripts/check-references.py || true
check 'references, control' 60 scripts/check-references.py --control || true
check 'manual' 60 scripts/check-manual.py || true
check 'manual, control' 60 scripts/check-manual.py --control || true
check 'headers alone' 120 scripts/check-headers.sh || true
check 'headers alone, control' 60 scripts/check-headers.sh --control || true

gcc=$top/gcc
if check 'build with gcc' 300 env CC=gcc CXX=g++ "$self" build "$gcc" -Dwerror=true \
    -Ddefault_library=both; then
    built=yes
else
    built=
fi
# Without what is optional, so that it stays optional, and what OpenSSL may drop one day.
clang=$top/clang
if check 'build with clang, without ipsec-mb and decaf' 300 env CC=clang CXX=clang++ "$self" build "$clang" \
    -Dwerror=true -Dipsec-mb=disabled -Ddecaf=disabled -Dc_args=-DOPENSSL_NO_DEPRECATED; then
    without=yes
else
    without=
fi

if [ "$built" ]; then
    suite 'tests' 400 "$gcc" meson test -C "$gcc" --timeout-multiplier 2
else
    not_run 'tests'
fi

if [ "$without" ]; then
    suite 'tests without ipsec-mb and decaf' 400 "$clang" meson test -C "$clang" --timeout-multiplier 2
else
    not_run 'tests without ipsec-mb and decaf'
fi

# gcc's runtime names functions and lines by itself; clang's would need llvm-symbolizer for that.
# _FORTIFY_SOURCE is taken back because its checked functions escape AddressSanitizer.
asan=$top/asan
if check 'build with sanitizers' 300 env CC=gcc CXX=g++ "$self" build "$asan" \
    -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 -Ddebug=true \
    -Dc_args=-U_FORTIFY_SOURCE; then
    suite 'tests under AddressSanitizer and UBSan' 600 "$asan" \
        env ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 \
        UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        meson test -C "$asan" --timeout-multiplier 5
else
    not_run 'tests under AddressSanitizer and UBSan'
fi

if [ "$built" ]; then
    shared=$(find "$gcc" -type f \( -name 'libsotto.so' -o -name 'libsotto.so.*' \) \
        ! -name '*.symbols' ! -name '*.p' | head -n 1)
    check 'symbols of the shared library' 60 scripts/check-symbols.sh "${shared:-libsotto.so}" || true
    static=$(find "$gcc" -type f -name libsotto.a | head -n 1)
    check 'symbols of the static library' 60 scripts/check-symbols.sh "${static:-libsotto.a}" || true
else
    not_run 'symbols of the libraries'
fi
check 'symbols, control' 60 scripts/check-symbols.sh --control || true

if [ "$built" ]; then
    check 'embedded secrets' 300 scripts/check-embed.sh "$gcc/tools/sotto" "$top/embedded" || true
else
    not_run 'embedded secrets'
fi

if [ "$built" ]; then
    check 'Noise alone' 120 scripts/check-alone.sh "$gcc" || true
else
    not_run 'Noise alone'
fi

# Not for the figures: that the programs and the script work.
if [ "$built" ]; then
    check 'a small comparison' 120 bench/run.py --build "$gcc" --only latency --peers sotto,tcp \
        --rounds 1 --seconds 0.5 || true
else
    not_run 'a small comparison'
fi

if [ "$built" ]; then
    check 'man pages' 60 "$self" man "$gcc" || true
else
    not_run 'man pages'
fi

printf '\nin %s s\n' "$(($(date +%s) - began))"
[ -z "$skipped" ] || printf '%s\n' "$skipped" | sed '/^$/d'
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
