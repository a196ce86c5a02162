"""What happens around the scripts of `jobs.json`: they get their arguments here, and their results are looked at."""

import os
from pathlib import Path
from typing import Any

OUT = Path(os.environ.get("OUT", "out")).absolute()


class Events:
    def on_task_ready(self, t: Any) -> None:
        t["args"] = self.prep_base_args(t)
        for p in t["parents"]:
            t["args"].append(p["output_url"])

    def prep_base_args(self, t: Any) -> list[Any]:
        folder = OUT / t["job"]["subfolder"]
        folder.mkdir(parents=True, exist_ok=True)
        args = [folder / f"{Path(t.script).stem}.csv"]
        return [*args, t["job"]["year"]] if "year" in t["job"] and not t["parents"] else args

    async def on_task_complete(self, t: Any) -> None:
        if t["row_count"] == 0:
            raise ValueError(f"{t.script} has found nothing")
        self.say(f"{t['job']['name']}: {t.script} has {t['row_count']} rows for {len(t['children'])} more")

    def on_task_fail(self, t: Any) -> None:
        self.say(f"{t['job']['name']}: {t.script} has failed: {t['error']['message']}")

    def say(self, text: str) -> None:
        with (OUT / "report.txt").open("a") as report:
            report.write(text + "\n")
