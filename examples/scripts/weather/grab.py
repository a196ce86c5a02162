"""Make a year of temperatures up and write them to a file; says where it is."""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--year", type=int, required=True)
year = parser.parse_args().year

print("grabbing", year)
if year < 1850:
    result = {"status": "no data", "year": year}
else:
    file = Path(tempfile.mkdtemp()) / f"{year}.csv"
    degrees = [round(10 - 9 * math.cos(2 * math.pi * (month - 0.7) / 12) + year % 7 / 10, 1) for month in range(1, 13)]
    file.write_text("".join(f"{month:02},{degree}\n" for month, degree in enumerate(degrees, 1)))
    result = {"status": "success", "file": str(file), "rows": len(degrees)}

print("== RESULT START ==")
print(json.dumps(result))
print("== RESULT END ==")
