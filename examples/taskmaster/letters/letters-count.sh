#!/bin/sh
# How many letters each alphabet has: letters-count.sh OUTPUT INPUT
set -e
cut -d, -f2 "$2" | sort | uniq -c | sort -rn > "$1"
echo "== RESULT START =="
echo "{\"status\": \"success\", \"output_url\": \"$1\", \"row_count\": $(wc -l < "$1")}"
echo "== RESULT END =="
