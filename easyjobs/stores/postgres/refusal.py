"""How a batch that cannot be written together says so."""

from __future__ import annotations


class Refused(Exception):
    """A row was not there, or other than it should be: what was written must be undone and done in smaller parts."""
