"""A script is looked up among the files that are there: no path leads out of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from easyjobs.errors import ConfigurationError
from easyjobs.tasks.manifest import file_of, home_of, paths_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "scripts"
    for path in ("a.py", "bonds/bonds.py", "bonds/deep/x.R", ".git/hook.py", "bonds/__init__.py", "__pycache__/a.py"):
        file = home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    (tmp_path / "outside.py").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.py").write_text("")
    (home / "out.py").symlink_to(tmp_path / "outside.py")
    (home / "out").symlink_to(tmp_path / "other")
    (home / "in.py").symlink_to("a.py")
    (home / "nowhere.py").symlink_to("none.py")
    (home / "loop.py").symlink_to("loop.py")
    return home


def test_a_file_is_found_by_its_path(folder: Path) -> None:
    home = home_of(folder)
    assert file_of(home, "bonds/deep/x.R") == home / "bonds" / "deep" / "x.R"
    assert file_of(home, "in.py") == home / "a.py"


@pytest.mark.parametrize(
    "path", ["", "/", "/etc/passwd", "../outside.py", "bonds/../a.py", "./a.py", "bonds//bonds.py", "bonds/", "a\0.py"]
)
def test_what_is_no_plain_path_is_none(path: str, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a script"):
        file_of(home_of(folder), path)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("none.py", "there is no none.py"),
        ("a.py/b.py", "there is no a.py/b.py"),
        ("A.PY", "there is no A.PY"),
        ("bonds", "is no file"),
        ("out.py", "is a link that leads out"),
        ("out/b.py", "is a link that leads out"),
        ("nowhere.py", "cannot be read"),
        ("loop.py", "cannot be read"),
    ],
)
def test_what_is_not_there_is_refused(path: str, reason: str, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        file_of(home_of(folder), path)


def test_a_folder_lists_what_is_no_secret_of_a_tool(folder: Path) -> None:
    found = list(paths_in(home_of(folder)))
    assert found == ["a.py", "in.py", "loop.py", "nowhere.py", "out.py", "bonds/bonds.py", "bonds/deep/x.R"]


def test_a_folder_that_is_none_is_refused(folder: Path) -> None:
    for wrong in (folder / "none", folder / "a.py", "nul\0"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            home_of(wrong)
