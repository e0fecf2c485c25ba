#!/bin/sh
# Does each public header compile alone, and twice over, as C11 and as C++17, with gcc and with clang,
# without a warning, and is each SOTTO_X_INIT in it good for a sotto_x?  With --control: is a header that
# does not caught?
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
warnings='-Wall -Wextra -Wpedantic -Werror'

# compile INCLUDE_DIR HEADER COMPILER LANGUAGE STANDARD
compile()
{
    # A declaration of our own, since ISO C wants at least one.
    printf '#include <%s>\n#include <%s>\nextern int nothing_else;\n' "$2" "$2" >"$work/alone.txt"
    sed -n 's/^#define \(SOTTO_\([A-Z_]*\)_INIT\) .*/\1 \2/p' "$1/$2" | while read -r init type; do
        type=sotto_$(printf '%s' "$type" | tr 'A-Z' 'a-z')
        printf 'size_t f_%s(void);\nsize_t f_%s(void)\n{\n    %s o = %s;\n    return o.size;\n}\n' \
            "$type" "$type" "$type" "$init"
    done >>"$work/alone.txt"
    # shellcheck disable=SC2086
    "$3" -x "$4" -std="$5" $warnings -I "$1" -fsyntax-only "$work/alone.txt" 2>"$work/log"
}

# check INCLUDE_DIR: every header below INCLUDE_DIR/sotto.  Sets count and bad.
check()
{
    count=0 bad=0
    for path in "$1"/sotto/*.h; do
        [ -e "$path" ] || continue
        header=sotto/${path##*/}
        for how in gcc:c:c11 g++:c++:c++17 clang:c:c11 clang++:c++:c++17; do
            compiler=${how%%:*} rest=${how#*:}
            count=$((count + 1))
            if ! compile "$1" "$header" "$compiler" "${rest%%:*}" "${rest#*:}"; then
                printf '%s does not compile alone: %s -std=%s\n' "$header" "$compiler" "${rest#*:}"
                sed 's/^/    /' "$work/log"
                bad=$((bad + 1))
            fi
        done
    done
}

# control NAME EXPECTED: the text on stdin as a header must fail in EXPECTED of the four ways.
control()
{
    mkdir -p "$work/tree/sotto"
    cat >"$work/tree/sotto/control.h"
    check "$work/tree" >/dev/null
    if [ "$count" -eq 4 ] && [ "$bad" -eq "$2" ]; then
        printf 'control: %s: refused %s times, as it should be\n' "$1" "$bad"
    else
        printf 'control: %s: refused %s times of %s, expected %s\n' "$1" "$bad" "$count" "$2"
        control_failed=1
    fi
}

case ${1:-} in
'')
    check include
    if [ "$count" -eq 0 ]; then
        echo 'check-headers: no headers found in include/sotto' >&2
        exit 1
    fi
    printf 'headers: %s compilations, %s failed\n' "$count" "$bad"
    [ "$bad" -eq 0 ]
    ;;
--control)
    control_failed=0
    control 'a good header' 0 <<'END'
#ifndef A
#define A
#include <stddef.h>
size_t sotto_a(void);
#endif
END
    control 'a type from nowhere' 4 <<'END'
#ifndef A
#define A
size_t sotto_a(void);
#endif
END
    control 'no include guard' 4 <<'END'
struct sotto_a {
    int a;
};
END
    control 'C that is not C++' 2 <<'END'
#ifndef A
#define A
static inline int *sotto_a(void *p)
{
    return p;
}
#endif
END
    control 'options that C++ warns of' 2 <<'END'
#ifndef A
#define A
#include <stddef.h>
typedef struct sotto_a {
    size_t size;
    int b;
} sotto_a;
#define SOTTO_A_INIT {.size = sizeof(sotto_a)}
#endif
END
    control 'an extension of the compiler' 4 <<'END'
#ifndef A
#define A
struct sotto_a {
    int a[0];
};
#endif
END
    exit "$control_failed"
    ;;
*)
    echo 'usage: scripts/check-headers.sh [--control]' >&2
    exit 2
    ;;
esac
