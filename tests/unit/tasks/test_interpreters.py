"""What runs a script: its extension, its first line, or what was configured."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from easyjobs.errors import ConfigurationError
from easyjobs.tasks.interpreters import Interpreters, command_of, is_script


def command(folder: Path, name: str, text: str | bytes = "", **known: list[str]) -> list[str]:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    interpreters: Interpreters = {f".{extension}": words for extension, words in known.items()}
    *interpreter, last = command_of(file, name, interpreters)
    assert last == str(file)
    return interpreter


def test_python_is_this_one_whatever_the_first_line_says(tmp_path: Path) -> None:
    assert command(tmp_path, "a.py", "#!/usr/bin/env python3\n") == [sys.executable]


def test_others_run_by_their_first_line_executable_or_not(tmp_path: Path) -> None:
    assert command(tmp_path, "a", "#!/bin/sh\n") == ["/bin/sh"]
    assert command(tmp_path, "a.sh", "#! /usr/bin/env -S sh -e\n") == ["/usr/bin/env", "-S sh -e"]
    assert command(tmp_path, "b.sh", "echo\n") == ["sh"]


def test_what_is_configured_comes_first(tmp_path: Path) -> None:
    assert command(tmp_path, "a.py", py=["sh", "-e"]) == ["sh", "-e"]
    assert command(tmp_path, "a.txt", txt=["cat"]) == ["cat"]


def test_a_program_runs_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(b"\x7fELF...")
    assert not is_script(file, {})
    file.chmod(0o755)
    assert command_of(file, "program", {}) == [str(file)]


@pytest.mark.parametrize(("name", "text"), [("data.csv", "a,b\n"), ("x", ""), ("x", "#!\n"), ("x.bin", b"\x00\xff")])
def test_what_nothing_runs_is_no_script(name: str, text: str | bytes, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing says what runs"):
        command(tmp_path, name, text)
    assert not is_script(tmp_path / name, {})


def test_a_file_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert not is_script(tmp_path / "none", {})


def test_a_script_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read all, and so may these tests
    with pytest.raises(ConfigurationError, match=r"a\.py cannot be read: Permission denied"):
        command(tmp_path, "a.py")


@pytest.mark.parametrize(
    ("name", "text", "missing"),
    [
        ("a.R", "", "runs with Rscript, which is not found here: install R"),
        ("a.r", "", "runs with Rscript"),
        ("a", "#!/no/such/program -x\n", "runs with /no/such/program, which is not found here: install it"),
        ("b", "#!/usr/bin/env -S A=1 nosuch -x\n", "runs with nosuch"),
    ],
)
def test_an_interpreter_that_is_missing_is_named_before_anything_runs(
    name: str, text: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=missing):
        command(tmp_path, name, text)
    assert is_script(tmp_path / name, {})
