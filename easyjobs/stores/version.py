"""How far the tables of a store are."""

from __future__ import annotations

from typing import NamedTuple


class Version(NamedTuple):
    """The version of the tables that are `there` (0: none), and the `newest` that this code knows."""

    there: int
    newest: int
