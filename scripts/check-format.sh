#!/bin/sh
# Are the sources laid out as .clang-format says?  With --fix: lay them out.  With --control: is a
# source that is not noticed?
set -eu
cd "$(dirname "$0")/.."

case ${1:-} in
'') mode='--dry-run -Werror' ;;
--fix) mode=-i ;;
--control)
    layout='clang-format --style=file --assume-filename=src/control.c --dry-run -Werror'
    printf 'int a(void)\n{\n    return 1;\n}\n' | $layout
    if printf 'int a(void) {\n  return 1; }\n' | $layout 2>/dev/null; then
        echo 'control failed: clang-format finds nothing wrong with a bad source'
        exit 1
    fi
    echo 'control: a good source passes, a bad one is refused, as it should be'
    exit
    ;;
*)
    echo 'usage: scripts/check-format.sh [--fix | --control]' >&2
    exit 2
    ;;
esac

files=$(for dir in src include tools tests examples fuzz bench; do
    [ -d "$dir" ] && find "$dir" -type f \( -name '*.c' -o -name '*.h' -o -name '*.cpp' -o \
        -name '*.hpp' -o -name '*.cc' \)
done | sort)
if [ -z "$files" ]; then
    echo 'check-format: no sources found' >&2
    exit 1
fi

# No file name of the project has a space in it.
# shellcheck disable=SC2086
clang-format --style=file $mode $files
# shellcheck disable=SC2086
[ "$mode" = -i ] || printf 'format: %s files as they should be\n' "$(printf '%s\n' $files | wc -l)"
