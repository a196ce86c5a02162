#!/bin/sh
# The changes of clocks by date: zones-publish.sh OUTPUT INPUT
set -e
sort -t, -k2 "$2" > "$1"
echo "== RESULT START =="
echo "{\"status\": \"success\", \"output_url\": \"$1\", \"row_count\": $(wc -l < "$1")}"
echo "== RESULT END =="
