from typing import Any

import pytest

from raysee.evaluation import drift
from raysee.receipts import Receipt
from raysee.scoring.watch import FEWEST_SEGMENTS, Limits, drifts, warnings

NONE: dict[str, dict[str, float]] = {"training": {}, "nights": {}}


def night(**histograms: list[int]) -> Receipt:
    details: dict[str, Any] = {"histograms": histograms} if histograms else {}
    return Receipt(
        stage="score", fingerprint="", config={}, inputs={}, counts={}, rejects={}, details=details, wall_s=0
    )


def counts(out: int, rejected: int, already: int = 0) -> dict[str, int]:
    return {"in": out + rejected + already, "out": out, "rejected": rejected, "already": already}


def test_nights_are_taken_together() -> None:
    tonight = {"level_dbfs": [500, 500]}
    earlier = [night(level_dbfs=[400, 0]), night(level_dbfs=[0, 400]), night()]
    found = drifts(tonight, {"level_dbfs": [1000, 0]}, earlier)
    assert found["nights"] == {"level_dbfs": 0.0}
    assert found["training"] == {"level_dbfs": drift.distance([500, 500], [1000, 0])}


def test_nothing_in_common_is_a_distance_of_one() -> None:
    assert drifts({"a": [500, 0]}, {}, [night(a=[0, 500])]) == {"training": {}, "nights": {"a": 1.0}}


def test_what_only_one_side_has_is_left_out() -> None:
    tonight = {"a": [500, 0], "b": [500, 0]}
    found = drifts(tonight, {"b": [1, 1], "c": [1, 1]}, [night(a=[500, 0]), night(c=[500, 0])])
    assert set(found["training"]) == {"b"}
    assert found["nights"] == {"a": 0.0}
    assert drifts({}, {"b": [1, 1]}, [night(a=[500, 0])]) == NONE, "a night without a segment"
    assert drifts({"a": [0, 0]}, {"a": [1, 1]}, [night(a=[500, 0])]) == NONE
    assert drifts(tonight, {}, []) == NONE, "the first night"


@pytest.mark.parametrize(
    ("tonight", "before", "compared"),
    [(FEWEST_SEGMENTS, 10_000, True), (FEWEST_SEGMENTS - 1, 10_000, False), (10_000, FEWEST_SEGMENTS - 1, False)],
)
def test_a_few_segments_differ_from_others_by_chance(tonight: int, before: int, compared: bool) -> None:
    """A late arrival is a night of one call."""
    found = drifts({"a": [tonight, 0]}, {"a": [0, 7]}, [night(a=[0, before])])
    assert found["nights"] == ({"a": 1.0} if compared else {})
    assert found["training"] == {"a": 1.0}, "which no limit is for"


def test_bins_of_another_version_stop_no_night() -> None:
    found = drifts({"a": [500, 500]}, {"a": [1, 2, 3]}, [night(a=[1, 2, 3]), night(a=[0, 600])])
    assert (found["training"], set(found["nights"])) == ({}, {"a"})


@pytest.mark.parametrize(
    ("night_counts", "warned"),
    [
        (counts(95, 5), False),  # the limit may be reached
        (counts(94, 6), True),
        (counts(0, 1), True),
        (counts(0, 0, already=100), False),  # nothing was new
        (counts(10, 1, already=1000), True),  # what was done before does not thin them out
    ],
)
def test_rejects_are_a_share_of_what_was_new(night_counts: dict[str, int], warned: bool) -> None:
    found = warnings(night_counts, NONE, Limits())
    assert set(found) == ({"rejects"} if warned else set())


def test_a_warning_of_rejects_is_a_sentence() -> None:
    assert warnings(counts(3, 1), NONE, Limits(rejects=0.1))["rejects"] == (
        "1 of 4 calls were rejected (25.0%, limit 10.0%): see the table of rejects."
    )
    assert warnings(counts(0, 4), NONE, Limits(rejects=1.0)) == {}


def test_drift_is_from_the_nights_before_and_not_from_the_training() -> None:
    """A model that was trained on actors is far from every call; the nights say whether something has changed."""
    far = {"a": 0.9, "b": 0.251, "c": 0.25}
    assert warnings(counts(9, 0), {"training": far, "nights": {}}, Limits()) == {}
    found = warnings(counts(9, 0), {"training": {}, "nights": far}, Limits())
    assert set(found) == {"drift"}
    assert "(a 0.90, b 0.25; limit 0.25)" in found["drift"]
    both = warnings(counts(1, 9), {"training": {}, "nights": far}, Limits(drift=0.5))
    assert set(both) == {"rejects", "drift"}
    assert "(a 0.90; limit 0.50)" in both["drift"]
