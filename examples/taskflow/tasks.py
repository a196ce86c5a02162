"""The kinds of tasks: classes of Python, asynchronous ones, and commands of the shell."""

import asyncio
import pydoc_data.topics
import re
from collections import Counter
from pathlib import Path

from easyjobs import BashTask, NoRetry, Task


class Extract(Task):
    """Writes the chapters of Python's own manual, which every Python has, to a file."""

    def execute(self, task_instance):
        chapters = pydoc_data.topics.topics
        if not chapters:
            raise NoRetry("this Python came without its manual")
        words = task_instance.params.get("only", "")
        chosen = {name: text for name, text in chapters.items() if words in name}
        Path("manual.txt").write_text("\n".join(chosen.values()))
        task_instance.log(f"{len(chosen)} chapters")
        return {name: len(text.split()) for name, text in sorted(chosen.items())}


class Longest(Task):
    """The chapters with the most words."""

    def execute(self, task_instance):
        words = task_instance.parents["extract"]
        return sorted(words, key=words.get, reverse=True)[: task_instance.params["most"]]


class References(Task):
    """How often the manual names which PEP; asynchronous, and in small pieces, so that others have their turn."""

    async def execute(self, task_instance):
        found = Counter()
        text = await asyncio.to_thread(Path("manual.txt").read_text)
        lines = text.splitlines()
        for start in range(0, len(lines), 1000):
            for line in lines[start : start + 1000]:
                found.update(re.findall(r"PEP \d+", line))
            task_instance.progress(start / len(lines))
            await asyncio.sleep(0)
        return found.most_common(task_instance.params["most"])


class Commonest(BashTask):
    """The words that are used most, as the shell counts them."""

    def get_command(self, task_instance):
        most = int(task_instance.params["most"])
        return (
            f"tr -cs A-Za-z '\\n' | tr A-Z a-z | grep -E '^.{{6,}}$' | sort | uniq -c | sort -k1,1nr -k2 | sed {most}q"
        )


class Report(Task):
    """One page of what the others have found."""

    def execute(self, task_instance):
        found = task_instance.parents
        common = [line.split() for line in Path("words.txt").read_text().splitlines()]
        report = {
            "chapters": len(found["extract"]),
            "words": sum(found["extract"].values()),
            "longest": found["longest"],
            "references": dict(found["references"]),
            "commonest": {word: int(count) for count, word in common},
        }
        Path("report.txt").write_text("".join(f"{name}: {value}\n" for name, value in report.items()))
        return report
