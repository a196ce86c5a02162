"""Pull workers and their kind as processes, on a cluster's store."""

from __future__ import annotations

from support import APPS, COMMAND, Cluster, Process, until


def beside(cluster: Cluster, *arguments: str) -> Process:
    """`easyjobs …` on the cluster's store."""
    env = {**cluster.settings, "EASYJOBS_SECRET": cluster.secret, "PYTHONPATH": str(APPS)}
    return cluster.start(arguments[0], [COMMAND, *arguments], env)


def pull_worker(cluster: Cluster, queue: str = "pulled", slots: int = 4, module: str = "tasks:worker") -> Process:
    process = beside(cluster, "pull_worker", module, "--queue", queue, "--slots", str(slots))
    until(lambda: "is connected" in process.said(), "the pull worker takes jobs")
    return process
