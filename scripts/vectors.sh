#!/bin/sh
# The Noise layer and the primitives against vectors: the own ones of tests/vectors/noise.json, and
# the published ones, if their folder is there.  Prints a table; exit status 1 if anything is not as
# it should be.
#
#   scripts/vectors.sh [BUILD]    build in BUILD (the default is build/), then run
#
# SOTTO_VECTORS names the folder; without it, that is ../shared/vectors as seen from the project,
# which may be missing.  A folder that is named, or is there, has to hold every file of the runner's
# table (tests/vectors/noise/main.c).
set -eu
# As seen from where we were called.
case ${SOTTO_VECTORS:-} in
'' | /*) folder=${SOTTO_VECTORS:-} ;;
*) folder=$PWD/$SOTTO_VECTORS ;;
esac
cd "$(dirname "$0")/.."

build=${1:-build}
program=tests/vectors/noise/noise_vectors
own=tests/vectors/noise.json

if [ -n "$folder" ] && [ ! -d "$folder" ]; then
    printf 'vectors: SOTTO_VECTORS names no folder: %s\n' "$folder" >&2
    exit 1
fi

scripts/deps.sh test
# What the build says is of interest only when it fails.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { [ -f "$build/build.ninja" ] || meson setup "$build"; } >"$log" 2>&1 ||
    ! ninja -C "$build" "$program" >>"$log" 2>&1; then
    cat "$log" >&2
    echo 'vectors: the runner cannot be built' >&2
    exit 1
fi

if [ -z "$folder" ]; then
    folder=../shared/vectors
    if [ ! -d "$folder" ]; then
        printf 'no folder %s and no SOTTO_VECTORS: published vectors are not run\n' "$folder"
        "$build/$program" "$own"
        exit
    fi
fi
"$build/$program" "$own" "$folder"
