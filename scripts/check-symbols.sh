#!/bin/sh
# Which names does the library put into other people's programs?
#
#   scripts/check-symbols.sh libsotto.so   exports sotto_* and nothing else
#   scripts/check-symbols.sh libsotto.a    its global names begin with sotto_ or si_ (what the C++
#                                          compiler mangles or adds may have its own)
#   scripts/check-symbols.sh --control     are libraries with a stray symbol caught?
set -eu

CC=${CC:-cc}
CXX=${CXX:-c++}

# Names of the defined symbols on stdin (output of nm -P), without a version behind "@".
names()
{
    sed -n 's/^\([^ :@]*\)[@ ].*/\1/p' | sort -u
}

# check LIBRARY: prints the strays.
check()
{
    if [ ! -f "$1" ]; then
        printf 'check-symbols: %s: no such file\n' "$1"
        return 1
    fi
    case $1 in
    *.a)
        found=$(nm -P -g --defined-only "$1") || return 1
        allowed='^(sotto_|si_|_Z|DW\.ref\._|__clang_call_terminate$)'
        ;;
    *)
        found=$(nm -P -D --defined-only "$1") || return 1
        allowed='^sotto_'
        ;;
    esac
    found=$(printf '%s\n' "$found" | names)
    strays=$(printf '%s\n' "$found" | grep -Ev "$allowed" | sed '/^$/d') || true
    public=$(printf '%s\n' "$found" | grep -c '^sotto_') || true
    if [ "$public" -eq 0 ]; then
        printf '%s: no sotto_ symbol at all\n' "${1##*/}"
        return 1
    fi
    if [ -n "$strays" ]; then
        # shellcheck disable=SC2086 # one per line
        printf "${1##*/}: stray symbol %s\\n" $strays
        return 1
    fi
    printf '%s: %s public symbols, no strays\n' "${1##*/}" "$public"
}

# expect STATUS TEXT LIBRARY: does check end with STATUS and say TEXT?
expect()
{
    status=0
    said=$(check "$3") || status=1
    case $said in *"$2"*) ;; *) status=wrong ;; esac
    if [ "$status" = "$1" ]; then
        printf 'control: %s: %s, as it should be\n' "$3" "$2"
    else
        printf 'control failed: expected "%s", got "%s"\n' "$2" "$said"
        control_failed=1
    fi
}

controls()
{
    map=$(cd "$(dirname "$0")/../src" && pwd)/libsotto.map
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    control_failed=0

    echo 'int sotto_a(void) { return 1; } int si_b(void) { return 2; }' >good.c
    echo 'int stray_c(void) { return 3; } __attribute__((weak)) int weak_d = 4;' >bad.c
    # A vtable, typeinfo and a template instance: weak symbols that a C++ file leaves behind.
    cat >vague.cpp <<'END'
struct base {
    virtual ~base() {}
};
template <typename T> struct derived : base {
    T t;
};
base *make() { return new derived<int>(); }
extern "C" int sotto_e(void) { return dynamic_cast<derived<int> *>(make()) != nullptr; }
END
    "$CC" -fPIC -c good.c bad.c
    "$CXX" -fPIC -c vague.cpp
    "$CXX" -shared -o good.so good.o vague.o -Wl,--version-script="$map"
    "$CXX" -shared -o hidden.so good.o bad.o -Wl,--version-script="$map"
    "$CC" -shared -o inner.so good.o
    "$CC" -shared -o bad.so good.o bad.o
    "$CXX" -shared -o vague.so vague.o
    "$CC" -shared -o empty.so bad.o -Wl,--version-script="$map"
    ar rcs good.a good.o vague.o
    ar rcs bad.a good.o bad.o

    expect 0 'no strays' good.so
    expect 0 'no strays' hidden.so
    expect 1 'stray symbol si_b' inner.so
    expect 1 'stray symbol stray_c' bad.so
    expect 1 'stray symbol weak_d' bad.so
    expect 1 'stray symbol _ZTV' vague.so
    expect 1 'no sotto_ symbol' empty.so
    expect 0 'no strays' good.a
    expect 1 'stray symbol stray_c' bad.a
    expect 1 'no such file' absent.so
    return "$control_failed"
}

case ${1:-} in
'' | --help)
    echo 'usage: scripts/check-symbols.sh LIBRARY | --control' >&2
    exit 2
    ;;
--control) controls ;;
*) check "$1" ;;
esac
