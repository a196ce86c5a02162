"""Which file runs for a task: one that is really in the folder, found by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from easyjobs.errors import ConfigurationError
from easyjobs.executors.scripts import script_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "tasks"
    home.mkdir()
    (home / "good.py").touch()
    (tmp_path / "outside.py").touch()
    return home


def test_a_file_is_found_by_the_name_of_its_task(folder: Path) -> None:
    assert script_of("good", str(folder)) == folder / "good.py"
    (folder / "v1.2.py").touch()
    assert script_of("v1.2", str(folder)) == folder / "v1.2.py"


def test_links_within_the_folder_and_to_it_are_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "alias.py").symlink_to(folder / "good.py")
    (tmp_path / "link").symlink_to(folder)
    assert script_of("alias", str(tmp_path / "link")) == folder / "good.py"


@pytest.mark.parametrize("name", ["../outside", "..", "", "good.py", "GOOD", "good\0", "/etc/passwd", "sub/good"])
def test_a_name_is_never_made_into_a_path(name: str, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "good.py").touch()
    with pytest.raises(ConfigurationError, match="there is no"):
        script_of(name, str(folder))


def test_what_is_no_file_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "out.py").symlink_to(tmp_path / "outside.py")
    (folder / "nowhere.py").symlink_to(folder / "gone.py")
    (folder / "round.py").symlink_to(folder / "round.py")
    (folder / "folder.py").mkdir()
    for name, why in (("out", "out of"), ("nowhere", "nowhere"), ("round", "nowhere"), ("folder", "no file")):
        with pytest.raises(ConfigurationError, match=why):
            script_of(name, str(folder))


@pytest.mark.parametrize(("where", "why"), [(None, "not set"), ("", "not set"), ("/no/such", "cannot be read")])
def test_a_folder_that_is_not_there_is_named(where: str | None, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        script_of("good", where)
