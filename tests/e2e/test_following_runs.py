"""A run is followed on a terminal, and the manager is killed meanwhile."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from support import COMMAND, SECRET, Cluster, until


def test_who_follows_a_run_waits_for_a_manager_that_restarts(tmp_path: Path) -> None:
    with Cluster(tmp_path / "c") as cluster:
        cluster.start_manager()
        worker = cluster.start("worker", [COMMAND, "worker", "waits:worker"], cluster.worker_env("q"))
        cluster.until_connected(worker)
        gate = cluster.gate()
        env = cluster.env({"EASYJOBS_SECRET": SECRET, "EASYJOBS_URL": cluster.url})
        command = [COMMAND, "workflows", "run", "waits", f"gate={gate}", "--follow", "--json"]
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as following:
            until(lambda: [line for line in cluster.effects() if line.what == "second"], "the run goes on")
            assert cluster.manager is not None
            cluster.manager.kill()
            assert following.stderr is not None
            said = iter(following.stderr.readline, "")
            assert any("waiting for the manager" in line for line in said)
            cluster.start_manager()
            assert any("the manager is back" in line for line in said)
            gate.touch()
            out, rest = following.communicate(timeout=30)
            assert (following.returncode, json.loads(out)["result"]) == (0, 2), rest


def test_a_key_that_cannot_be_sent_is_a_wrong_call_and_not_a_silent_manager(tmp_path: Path) -> None:
    with Cluster(tmp_path / "c") as cluster:
        cluster.start_manager()
        broken = cluster.run("workflows", "run", "waits", "--key", "a\nb")
        assert (broken.returncode, broken.stdout) == (1, "")
        assert "this cannot be asked for: " in broken.stderr
        foreign = cluster.run("workflows", "run", "waits", "--key", "schlüssel")
        assert "Traceback" not in foreign.stderr
        assert "No workflow 'waits'" in foreign.stderr
