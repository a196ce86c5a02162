"""The letters with the longest names: letters-longest.py OUTPUT INPUT."""

import csv
import json
import sys
from pathlib import Path

output, source = map(Path, sys.argv[1:])
with source.open(newline="", encoding="utf-8") as file:
    longest = sorted(csv.reader(file), key=lambda row: -len(row[2]))[:10]
output.write_text("".join(f"{letter} {name}\n" for letter, _, name in longest), encoding="utf-8")
print("== RESULT START ==")
print(json.dumps({"status": "success", "output_url": str(output), "row_count": len(longest)}))
print("== RESULT END ==")
