"""The store that keeps all in memory; the executable specification of the contract.

tables.py   the rows, and what each write does to them
store.py    the store around them: units, the claim, the upkeep, the reads
"""

from easyjobs.stores.memory.store import MemoryStore

__all__ = ["MemoryStore"]
