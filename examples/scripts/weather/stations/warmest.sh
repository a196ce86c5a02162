#!/bin/sh
# warmest.sh FILE MONTHS: the warmest months of a file
set -e
test -r "$1"
echo "reading $1"
months=$(sort -t, -k2 -rn "$1" | head -n "$2" | cut -d, -f1 | paste -sd, - | sed 's/[0-9][0-9]/"&"/g')
echo "== RESULT START =="
echo "{\"status\": \"success\", \"warmest\": [$months]}"
echo "== RESULT END =="
