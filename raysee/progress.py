"""How a long stage says how far it is."""

from collections.abc import Callable

#: Things done, things in all, a remark.
OnProgress = Callable[[int, int, str], None]


def quiet(done: int, total: int, remark: str) -> None:
    """Say nothing."""
