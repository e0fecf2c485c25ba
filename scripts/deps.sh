#!/bin/sh
# Install the Debian packages that Sotto needs.
#
#   scripts/deps.sh build   what builds the library, the command and the man pages
#   scripts/deps.sh test    that, and what the tests and checks need (the default)
#   scripts/deps.sh bench   what builds it, and the programs that Sotto is compared with
#
# Asks dpkg first: when nothing is missing it says nothing, touches nothing and is quick.  The names
# are those of Debian 12; elsewhere it says what is needed and goes on when the tools are there.
set -eu

build_packages='gcc g++ meson ninja-build pkg-config scdoc
    libsodium-dev libssl-dev libuv1-dev libsimdjson-dev'
# For AESGCM with vectors, and for quicker keys: Debian has the first for amd64 only, the second was
# measured there only, and Meson does without.
case $(uname -m) in
x86_64) build_packages="$build_packages libipsec-mb-dev libdecaf-dev" ;;
esac
# clang needs its runtime for the sanitizers and the fuzzers, procps is ps for the end-to-end tests.
test_packages='clang libclang-rt-14-dev clang-format libcmocka-dev
    python3 python3-dissononce openssl mandoc procps
    golang-go golang-github-flynn-noise-dev'

bench_packages='python3 openssl gnuplot-nox redis-server redis-tools nginx-light wrk
    libzmq3-dev libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
    liburing-dev nettle-dev'

build_tools='gcc g++ meson ninja pkg-config scdoc'
test_tools='clang clang++ clang-format python3 openssl mandoc ps go'
build_libraries='libsodium libcrypto libuv simdjson'
test_libraries='cmocka'
# Peers that are not there are left out of the comparison.
bench_tools='python3 openssl gnuplot'
# Debian has Go packages as sources, in a tree that GOPATH names.
flynn_noise=/usr/share/gocode/src/github.com/flynn/noise

die()
{
    printf 'deps: %s\n' "$*" >&2
    exit 1
}

# Tools and libraries that are not there, by the names of programs and of pkg-config files.
missing_tools()
{
    for tool in $tools; do
        command -v "$tool" >/dev/null 2>&1 || printf ' %s' "$tool"
    done
    for library in $libraries; do
        pkg-config --exists "$library" 2>/dev/null || printf ' %s' "$library"
    done
    if [ "$set" = test ] && ! python3 -c 'import dissononce' 2>/dev/null &&
        ! /usr/bin/python3 -c 'import dissononce' 2>/dev/null; then
        printf ' python3-dissononce'
    fi
    if [ "$set" = test ] && ! [ -d "$flynn_noise" ]; then
        printf ' golang-github-flynn-noise-dev'
    fi
}

missing_packages()
{
    # "ii " (or "hi " for a package on hold) and the name; what dpkg does not know goes to stderr.
    # shellcheck disable=SC2086 # a list of words
    installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' $packages 2>/dev/null |
        sed -n 's/^.i //p') || true
    for package in $packages; do
        case "
$installed
" in
        *"
$package
"*) ;;
        *) printf ' %s' "$package" ;;
        esac
    done
}

is_debian_12()
{
    command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1 || return 1
    [ -r /etc/os-release ] || return 1
    # In a subshell: the file sets many names.
    # shellcheck disable=SC1091
    (. /etc/os-release && [ "${ID:-}" = debian ] && [ "${VERSION_ID:-}" = 12 ])
}

set=${1:-test}
case $set in
build) packages=$build_packages tools=$build_tools libraries=$build_libraries ;;
test)
    packages="$build_packages $test_packages"
    tools="$build_tools $test_tools"
    libraries="$build_libraries $test_libraries"
    ;;
bench)
    packages="$build_packages $bench_packages"
    tools="$build_tools $bench_tools"
    libraries=$build_libraries
    ;;
*) die "usage: scripts/deps.sh [build|test|bench]" ;;
esac

if ! is_debian_12; then
    absent=$(missing_tools)
    [ -n "$absent" ] || exit 0
    printf 'deps: this is not Debian 12, so nothing is installed.  Needed are (Debian names):\n' >&2
    # shellcheck disable=SC2086
    printf '    %s\n' $packages >&2
    die "not found here:$absent"
fi

absent=$(missing_packages)
[ -n "$absent" ] || exit 0
printf 'deps: missing packages:%s\n' "$absent"
absent_before=$absent

as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 ||
        die "not root, and there is no sudo; as root run: apt-get install$absent"
    as_root=sudo
fi

apt()
{
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

apt update || die "apt-get update failed (network? package sources?)"
# shellcheck disable=SC2086
apt install -y --no-install-recommends $absent ||
    die "apt-get could not install:$absent"
absent=$(missing_packages)
[ -z "$absent" ] || die "still missing after the installation:$absent"

# Debian starts the services of the two servers; the comparison starts servers of its own.
for service in redis-server nginx; do
    case "$absent_before " in
    *" $service"*)
        if command -v systemctl >/dev/null 2>&1; then
            $as_root systemctl disable --now "$service" 2>/dev/null || true
        fi
        ;;
    esac
done
