"""Where the jobs are: a SQLite file beside the code, or what DATABASE_URL names."""

from __future__ import annotations

import os

import nice_tasks  # tasks are found in the modules that are loaded

from easyjobs import JobMaster

url = os.environ.get("DATABASE_URL", "sqlite:///jobs.db")
jobmaster = JobMaster(db_engine=url, system_process_units=1_000, modules=[nice_tasks])
