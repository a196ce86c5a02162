"""When clocks are changed in a year, all over the world: zones-grab.py OUTPUT YEAR."""

import csv
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

output, year = Path(sys.argv[1]), int(sys.argv[2])
ZONES = ["Pacific/Auckland", "Europe/Paris", "America/New_York", "Asia/Tokyo", "Africa/Cairo", "Australia/Lord_Howe"]
rows = []
for name in ZONES:
    zone = ZoneInfo(name)
    day = datetime(year, 1, 1, tzinfo=UTC)
    while day.year == year:
        following = day + timedelta(days=1)
        before, after = day.astimezone(zone).utcoffset(), following.astimezone(zone).utcoffset()
        if before != after:
            rows.append((name, day.date(), "forward" if after > before else "back"))
        day = following
with output.open("w", newline="") as file:
    csv.writer(file).writerows(rows)
print("== RESULT START ==")
print(json.dumps({"status": "success", "output_url": str(output), "row_count": len(rows)}))
print("== RESULT END ==")
