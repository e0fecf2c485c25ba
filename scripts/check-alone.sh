#!/bin/sh
# Is sotto/noise.h usable on its own?  A program of Noise alone is built as a user does it, with
# pkg-config against an installed copy of BUILD, and gets nothing of servers, JSON and event loops:
# not by its includes, not by the names that it asks of the shared library, and not into the program
# when it is linked with the static one, for which the libraries of the cryptography have to be enough.
#
#     scripts/check-alone.sh BUILD
#
# The control is the example client, with which each of the three has to be noticed.
set -eu
cd "$(dirname "$0")/.."

[ $# -eq 1 ] || {
    echo 'usage: scripts/check-alone.sh BUILD' >&2
    exit 2
}
CC=${CC:-cc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
meson install -C "$1" --no-rebuild --destdir "$work/root" >"$work/log" 2>&1 || {
    cat "$work/log"
    exit 1
}
pc=$(find "$work/root" -name sotto.pc)
PKG_CONFIG_PATH=${pc%/*}
export PKG_CONFIG_PATH
prefix=$(pkg-config --variable=prefix sotto)

# What pkg-config says, for the copy.
pkg()
{
    pkg-config --define-variable=prefix="$work/root$prefix" "$@" sotto
}

libdir=$(pkg --variable=libdir)
LD_LIBRARY_PATH=$libdir
export LD_LIBRARY_PATH

# The three checks of the example NAME; each prints what it finds.
includes()
{
    # shellcheck disable=SC2046 # words
    "$CC" -M "examples/$1.c" $(pkg --cflags) | tr ' ' '\n' | grep '/sotto/[a-z]*\.h' |
        grep -Ev '/sotto/(noise|key|error)\.h$' || true
}

# shellcheck disable=SC2046
shared()
{
    "$CC" -o "$work/$1" "examples/$1.c" $(pkg --cflags --libs)
    nm -D --undefined-only "$work/$1" | sed 's/.* U //; s/@.*//' | grep '^\(sotto\|uv\|si\)_' |
        grep -Ev '^sotto_(handshake|transport|datagrams|keypair|public_key|fingerprint|strerror)' || true
}

# shellcheck disable=SC2046
static()
{
    "$CC" -o "$work/$1.static" "examples/$1.c" $(pkg --cflags) "$libdir/libsotto.a" -lsodium \
        -lcrypto $(pkg --libs --static | tr ' ' '\n' | grep -x -e -lIPSec_MB -e -ldecaf) >"$work/log" 2>&1 || {
        echo 'it does not link with the libraries of the cryptography alone'
        return
    }
    nm "$work/$1.static" | sed 's/.* //' |
        grep -E '^(uv_|si_json|si_rpc|si_session|si_loop|sotto_(session|server|client|json))|simdjson' || true
}

failed=0
for check in includes shared static; do
    found=$("$check" noise_xx)
    if [ -n "$found" ]; then
        printf '%s: Noise alone brings along:\n%s\n' "$check" "$found"
        failed=1
    fi
    if [ -z "$("$check" client)" ]; then
        echo "control failed: $check finds nothing wrong with the example client"
        failed=1
    fi
done
for program in noise_xx noise_xx.static; do
    "$work/$program" >"$work/said" || failed=1
    grep -q 'Alice hears "only you"' "$work/said" || {
        echo "$program does not run"
        failed=1
    }
done
[ "$failed" -ne 0 ] || echo 'Noise alone: three headers, no other part of the library'
exit "$failed"
