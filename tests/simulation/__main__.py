"""`python -m tests.simulation 17` tells the story of seed 17, with what the product logs; `17 3` that of 3 managers."""

from __future__ import annotations

import logging
import sys

from easyjobs.testing.loop import VirtualLoop, run
from tests.simulation.story import Story


def main(seed: int, managers: int = 1) -> None:
    """Play a seed, aloud."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)

    def play(loop: VirtualLoop) -> object:
        story = Story(loop, managers)
        story.ledger.tell = lambda event: sys.stdout.write(f"{loop.time():10.3f} {event}\n")  # type: ignore[assignment,method-assign,func-returns-value]
        return story.play()

    run(play, seed=seed, turns=200_000)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
