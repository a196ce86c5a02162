"""The house's own rules that neither ruff nor import-linter can say."""

from __future__ import annotations

import ast
import re

import pytest
from source import PACKAGE, ROOT, files, imports, trees

LONGEST = 400


def test_a_file_is_one_idea_and_short() -> None:
    assert {path: lines for path, text in files().items() if (lines := text.count("\n")) > LONGEST} == {}


def test_the_page_of_errors_imports_nothing_of_ours() -> None:
    assert not [name for name in imports(trees()["errors.py"]) if name.startswith("easyjobs")]


def test_the_page_of_errors_draws_every_error() -> None:
    tree = trees()["errors.py"]
    drawn = ast.get_docstring(tree) or ""
    missing = [node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.name not in drawn]
    assert not missing


def test_nothing_is_imported_for_types_alone() -> None:
    # a circle that only the type checker sees is a circle; the front door names its rooms without opening them
    assert [path for path, text in files().items() if "TYPE_CHECKING" in text] == ["__init__.py"]


def test_time_and_chance_have_two_doors() -> None:
    doors = {"clock.py", "ids.py", "testing/loop.py"}
    modules = {"time", "random", "secrets"}
    functions = {"uuid1", "uuid4", "urandom", "now", "utcnow", "today"}
    owners = {"uuid", "os", "datetime", "datetime.datetime", "date", "datetime.date"}
    taken = {path for path, tree in trees().items() if modules & set(imports(tree))}
    asked = {
        path
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in functions and ast.unparse(node.value) in owners
    }
    assert taken <= doors
    assert asked <= doors


def test_coroutines_are_started_in_the_nursery_alone() -> None:
    starters = {"create_task", "ensure_future", "TaskGroup", "eager_task_factory"}
    started = {
        path
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in starters)
        or (isinstance(node, ast.Name) and node.id in starters)
    }
    assert started == {"background.py"}


def test_a_blanket_except_stands_where_users_code_runs() -> None:
    blanket = {path for path, text in files().items() if "BLE001" in text}
    assert all(path.startswith(("executors/", "tasks/safely.py")) for path in blanket)


def test_every_room_says_what_it_is() -> None:
    rooms = [path for path in files() if path.endswith("__init__.py")]
    assert [room for room in rooms if not ast.get_docstring(trees()[room])] == []


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "HACK"])
def test_nothing_is_left_for_later(word: str) -> None:
    assert [path for path, text in files().items() if re.search(rf"\b{word}\b", text)] == []


def test_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()


def test_no_two_files_of_tests_share_a_name() -> None:
    # pytest imports them by their last name alone: the second one of a name cannot be collected
    names = sorted(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert names == sorted(set(names))
