#!/bin/sh
# The whole of Sotto with real parts on this machine: secrets, keys, a server, bootstraps and calls on
# both curves with both ciphers, a gate, a cached session, a wrong pin.  Every step is checked, and the
# first that does not go as expected ends the demo with status 1.
#
#     examples/demo.sh PATH_TO_SOTTO
set -eu

[ $# -eq 1 ] || {
    echo 'usage: examples/demo.sh PATH_TO_SOTTO' >&2
    exit 2
}
sotto_path=$(cd "$(dirname "$1")" && pwd)/${1##*/}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
servers=
steps=0

cleanup()
{
    for pid in $servers; do
        if kill "$pid" 2>/dev/null; then
            wait "$pid" 2>/dev/null || true
        fi
    done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# Nothing of the user's own is read or written.
HOME=$work
export HOME
unset XDG_CONFIG_HOME XDG_STATE_HOME SOTTO_SECRETS SOTTO_KNOWN_SERVERS SOTTO_TIMEOUT || true
cp "$here/devices.json" "$here/summary.sh" "$work"
cd "$work"

sotto()
{
    "$sotto_path" "$@"
}

heading()
{
    printf '\n%s\n\n' "$1"
}

die()
{
    printf '\ndemo: %s\n' "$1" >&2
    exit 1
}

# The arguments as one would type them; & and what follows | belong to the shell.
show()
{
    printf '  $'
    for word; do
        case $word in
        '&' | '| '*) printf ' %s' "$word" ;;
        *[!A-Za-z0-9_./:@%+=,-]*) printf " '%s'" "$word" ;;
        *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
}

# run STATUS COMMAND…: show the command and what it prints; it has to end with STATUS.  The two streams
# stay in the files out and err.
run()
{
    expected=$1
    shift
    show "$@"
    status=0
    "$@" >out 2>err || status=$?
    sed 's/^/    /' err out
    [ "$status" -eq "$expected" ] || die "this ended with status $status, not $expected"
    steps=$((steps + 1))
}

# check WHAT COMMAND…: COMMAND, unseen, has to succeed.
check()
{
    what=$1
    shift
    "$@" >/dev/null 2>&1 || die "$what: not so"
    steps=$((steps + 1))
}

# serve OPTION…: start a server and wait until it is ready.  Sets pid and address.
serve()
{
    show sotto serve "$@" '&'
    rm -f ready
    mkfifo ready
    "$sotto_path" serve "$@" >ready &
    pid=$!
    servers="$servers $pid"
    timeout 20 sed '/^  endpoints/q' <ready >out || die 'the server was not ready within 20 s'
    sed 's/^/    /' out
    address=$(sed -n 's/^  address *//p' out)
    [ -n "$address" ] || die 'the server did not start'
    steps=$((steps + 1))
}

# stop PID: SIGTERM ends a server in good order.
stop()
{
    show kill "$1"
    kill "$1"
    status=0
    wait "$1" || status=$?
    [ "$status" -eq 0 ] || die "the server ended with status $status"
    remaining=
    for pid in $servers; do
        [ "$pid" = "$1" ] || remaining="$remaining $pid"
    done
    servers=$remaining
    steps=$((steps + 1))
}

heading '1. Secrets for a deployment, and keys for its server'
run 0 sotto secrets new secrets
run 0 sotto keygen -o server
run 0 sotto fingerprint server_25519.pub
pin=$(cut -d ' ' -f 1 out)

heading '2. A server, with a program behind one of its endpoints'
serve --listen 127.0.0.1:0 --keys server --secrets secrets/server.json \
    --exec devices/summary=./summary.sh
main=$pid

# From here on, the client's secrets come from the environment.
SOTTO_SECRETS=secrets/client.json
export SOTTO_SECRETS

heading '3. Bootstrap: meet the server, whose fingerprint came by another way'
echo "  \$ export SOTTO_SECRETS=$SOTTO_SECRETS"
run 0 sotto bootstrap -v --pin "$pin" "$address"
check 'the key is the one that was given' grep -q "$pin" out
run 0 sotto trust list

heading '4. Calls: two curves, two ciphers'
for curve in 25519 448; do
    for cipher in AESGCM ChaChaPoly; do
        run 0 sotto call --curve "$curve" --cipher "$cipher" "$address" echo '{"hello":"there"}'
        check 'the answer is the content' grep -qx '{"hello":"there"}' out
    done
done
run 0 sotto call "$address" time

heading '5. A real document, summed up by a program, and back unchanged'
run 0 sotto call --curve 448 --pretty "$address" devices/summary @devices.json
check 'there are 22 devices' grep -q '^  "devices": 22,$' out
show sotto call "$address" echo @devices.json '| cmp - devices.json'
sotto call "$address" echo @devices.json >out || die 'no echo of the document'
check 'what comes back is what was sent' cmp out devices.json
printf '    the same %s bytes\n' "$(wc -c <devices.json | tr -d ' ')"

heading '6. The bootstrap is remembered: this call goes straight to the session'
run 0 sotto call -v "$address" echo '"again"'
check 'there is a session' grep -q '^ *session' err
check 'there is no bootstrap' sh -c '! grep -q "^ *bootstrap" err'

heading '7. A gate: without the secrets nobody can even begin'
serve --listen 127.0.0.1:0 --keys server --secrets secrets/server.json --gate
run 7 sotto call --pin "$pin" "$address" echo 1
run 0 sotto call --pin "$pin" --gate "$address" echo '"through the gate"'
stop "$pid"

heading '8. Somebody else answers: the key is not the one that is trusted'
run 0 sotto keygen --curve 25519 -o somebody
serve --listen 127.0.0.1:0 --keys somebody --secrets secrets/server.json
run 6 sotto call --pin "$pin" "$address" echo '"secret"'
check 'both fingerprints are named' grep -q "$pin" err
stop "$pid"

heading '9. The server finishes what it has, and ends'
stop "$main"

printf '\ndemo: %s steps, all as expected\n' "$steps"
