#!/bin/sh
# A program for `sotto serve --exec devices/summary=examples/summary.sh`: reads the device list (see
# devices.json) on standard input and prints a summary of it as JSON.
#
# Not a JSON parser, but enough for documents whose layout may change and whose members do not: one
# member a line, then awk.
set -eu

tr ',{}[]' '[\n*]' | LC_ALL=C awk '
    # "name": value
    match($0, /"[a-z_]+"[ \t]*:[ \t]*/) {
        key = substr($0, RSTART + 1)
        sub(/".*/, "", key)
        value = substr($0, RSTART + RLENGTH)
        sub(/[ \t\r]+$/, "", value)
    }
    !/"[a-z_]+"[ \t]*:/ { next }
    key == "id" { id = value; devices++ }
    key == "status" { gsub(/"/, "", value); count[value]++ }
    key == "battery" && value ~ /^[0-9]/ && value + 0 < 0.2 { low = low (low == "" ? "" : ",") id }
    key == "celsius" && value ~ /^-?[0-9]/ {
        sum += value
        readings++
        if (readings == 1 || value + 0 > warmest + 0) { warmest = value; warmest_id = id }
        if (readings == 1 || value + 0 < coldest + 0) { coldest = value; coldest_id = id }
    }
    END {
        if (readings == 0) {
            print "no devices in this document" > "/dev/stderr"
            exit 1
        }
        printf "{\"devices\":%d,\"online\":%d,\"offline\":%d,\"updating\":%d,", devices,
            count["online"], count["offline"], count["updating"]
        printf "\"mean_celsius\":%.1f,", sum / readings
        printf "\"warmest\":{\"id\":%s,\"celsius\":%s},", warmest_id, warmest
        printf "\"coldest\":{\"id\":%s,\"celsius\":%s},", coldest_id, coldest
        printf "\"low_battery\":[%s]}\n", low
    }'
