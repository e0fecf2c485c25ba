#!/bin/sh
# `meson -Dsecrets=`: secrets that were made and embedded by one build, and built in by another one.
# SOTTO is a command with the published defaults, DIR the folder for the build.
#
#     scripts/check-embed.sh SOTTO DIR
#
# The control is SOTTO itself: it has to warn where the build with secrets of its own must not.
set -eu

[ $# -eq 2 ] || {
    echo 'usage: scripts/check-embed.sh SOTTO DIR' >&2
    exit 2
}
sotto=$1
dir=$2
HOME=$(mktemp -d)
export HOME
unset XDG_CONFIG_HOME XDG_STATE_HOME SOTTO_SECRETS SOTTO_KNOWN_SERVERS || true
trap 'rm -rf "$HOME"' EXIT

warns()
{
    # Nobody listens on port 1: what counts is what the command says about its secrets.
    "$1" call 127.0.0.1:1 echo >"$HOME/said" 2>&1 || true
    grep -q 'built-in secrets, which everybody knows' "$HOME/said"
}

"$sotto" secrets new "$HOME/secrets"
"$sotto" secrets embed "$HOME/secrets/server.json" >"$HOME/embedded.h"
rm -rf "$dir"
meson setup "$dir" -Dsecrets="$HOME/embedded.h" -Dwerror=true
ninja -C "$dir" tools/sotto

warns "$sotto" || {
    echo 'control failed: the published secrets are used without a warning'
    exit 1
}
if warns "$dir/tools/sotto"; then
    echo 'the build with embedded secrets takes them for public'
    exit 1
fi
# The embedded secrets are the very ones of the file: embedding them again gives the same header.
"$dir/tools/sotto" secrets embed "$HOME/secrets/server.json" | cmp - "$HOME/embedded.h"
if meson setup "$dir-missing" -Dsecrets="$HOME/missing.h" >"$HOME/said" 2>&1; then
    echo 'a header that is missing is not noticed'
    exit 1
fi
rm -rf "$dir-missing"
grep 'no such file' "$HOME/said"
