"""How long the random stories are told here."""

from hypothesis import Phase, settings


def so_many(stories: int) -> settings:
    """So many, as the suite itself tells them."""
    return settings(max_examples=stories, stateful_step_count=25, phases=[Phase.generate], derandomize=True)
