"""A worker of the tasks of `nice_tasks` and `cool_tasks`, each in the queue of its type key."""

import cool_tasks
import nice_tasks

from easyjobs import EasyJobsWorker

worker = EasyJobsWorker()
worker.include(nice_tasks, by_type_key=True)
worker.include(cool_tasks, by_type_key=True)
