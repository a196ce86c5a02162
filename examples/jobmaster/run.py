"""The whole of it: `python run.py` deploys, puts jobs into the queue, and works them off.

With `DATABASE_URL=postgresql+pg8000://user:password@host/database python run.py` all of that is in PostgreSQL. The last
part alone is what a line of cron would call.
"""

from __future__ import annotations

from pathlib import Path

from main import jobmaster


def main() -> None:
    """Deploy, insert and run."""
    jobmaster.deploy()
    file = str(Path("sum.txt").resolve())
    jobmaster.insert_job("nice_tasks", "bar", 10, {"file_path": file, "number": 2})
    jobmaster.insert_job("nice_tasks", "bar", 5, {"file_path": file, "number": 3, "letter": "ALL"})
    jobmaster.insert_job("nice_tasks", "baz", 0, {"file_path": file})
    for job in jobmaster.run():
        told = job.result if job.error is None else job.error["message"]
        print(f"{job.priority:3} {job.type_key}.{job.task_key} {job.arguments.get('letter', '')} {job.state}: {told}")


if __name__ == "__main__":
    main()
