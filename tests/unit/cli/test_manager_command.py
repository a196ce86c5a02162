"""The command that runs a manager, as far as it refuses."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org"])
def test_without_a_secret_it_listens_to_nobody_else(host: str, tmp_path: os.PathLike[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EASYJOBS_")}
    done = subprocess.run(
        [sys.executable, "-m", "easyjobs", "manager", "--host", host, "--port", "0"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("Error: "), done.stderr
    assert "EASYJOBS_SECRET" in done.stderr
    assert done.stderr.count("\n") == 1
