import pytest

from raysee.config import ScoreConfig
from raysee.scoring.roles import is_scored, named, roles

CONFIG = ScoreConfig(channels=(("customer",), ("agent", "customer"), ("customer", "agent")))


@pytest.mark.parametrize(
    ("told", "num_channels", "expected"),
    [
        ([], 1, ["customer"]),
        ([], 2, ["agent", "customer"]),  # the first of the configuration that fits
        ([], 3, ["unknown", "unknown", "unknown"]),
        (["customer", "agent"], 2, ["customer", "agent"]),  # a list knows more of this call
        (["agent"], 1, ["agent"]),
        (["customer"], 2, ["agent", "customer"]),  # but not of a call with other channels
        (["agent", "customer", "customer"], 2, ["agent", "customer"]),
        (["a", "b", "c"], 3, ["a", "b", "c"]),
    ],
)
def test_a_list_knows_before_the_configuration_does(told: list[str], num_channels: int, expected: list[str]) -> None:
    assert roles(told, num_channels, CONFIG) == expected


def test_nobody_is_known_where_nobody_was_named() -> None:
    assert roles([], 2, ScoreConfig()) == ["unknown", "unknown"]


@pytest.mark.parametrize(
    ("role", "by_default"), [("customer", True), ("caller", True), ("agent", False), ("unknown", False)]
)
def test_agents_are_scored_for_a_reason_only(role: str, by_default: bool) -> None:
    assert is_scored(role, ScoreConfig()) is by_default
    assert is_scored(role, ScoreConfig(score_agents=True))


@pytest.mark.parametrize("written", ["agent", "Agent", " AGENT ", "", "  ", "Unknown", "agnet", "supervisor"])
def test_an_agent_is_one_however_it_is_written(written: str) -> None:
    (role,) = named([written])
    assert not is_scored(role, ScoreConfig())


def test_no_name_keeps_its_place() -> None:
    assert named(["", "Customer", " "]) == ["unknown", "customer", "unknown"]
