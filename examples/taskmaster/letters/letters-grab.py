"""The letters that Unicode knows, with their names: letters-grab.py OUTPUT."""

import csv
import json
import sys
import unicodedata
from pathlib import Path

output = Path(sys.argv[1])
letters = [chr(code) for code in range(0x3000) if unicodedata.category(chr(code)) in ("Ll", "Lu")]
with output.open("w", newline="", encoding="utf-8") as file:
    csv.writer(file).writerows(
        (letter, unicodedata.name(letter).split()[0], unicodedata.name(letter)) for letter in letters
    )
print(f"{len(letters)} letters of Unicode {unicodedata.unidata_version}")
print("== RESULT START ==")
print(json.dumps({"status": "success", "output_url": str(output), "row_count": len(letters)}))
print("== RESULT END ==")
