import datetime
import functools
import itertools
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysee import schema
from raysee.distributed.shards import add
from raysee.evaluation import drift
from raysee.scoring.score import Scores
from raysee.scoring.tally import tally

LABELS = ["anger", "neutral"]
BEGAN = datetime.datetime(2026, 11, 19, 23, 59, 30, tzinfo=datetime.UTC)


def call(key: str, role: str, talk_s: float, began: datetime.datetime | None, *, scored: bool = True) -> dict[str, Any]:
    text = {"work": "w", "call_id": key, "uri": f"s3://calls/{key}"}
    numbers = {"num_channels": 2, "sample_rate_hz": 8000, "duration_s": 60.0, "silence_s": 1.0, "num_segments": 1}
    told = {"channel": int(role == "agent"), "carried": [], "flags": [], "labels": LABELS}
    return {
        **dict.fromkeys(schema.CALLS.names),
        **{"key": key, "role": role, "talk_s": talk_s, "start_time": began, "scored": scored},
        **text,
        **numbers,
        **told,
    }


def segment(
    key: str, start_s: float, speech_s: float, label: str, anger: float = 0.75, dbfs: float = -22.0
) -> dict[str, Any]:
    return {
        **{"key": key, "work": "w", "call_id": key, "channel": 0, "role": "customer", "labels": LABELS},
        **{"start_s": start_s, "end_s": start_s + 2.0, "speech_s": speech_s, "level_dbfs": dbfs},
        **{"probabilities": [anger, 1 - anger], "label": label, "confidence": anger},
    }


def scores(calls: list[dict[str, Any]], segments: list[dict[str, Any]]) -> Scores:
    return Scores(
        pa.Table.from_pylist(segments, schema=schema.SEGMENTS),
        pa.Table.from_pylist(calls, schema=schema.CALLS),
        schema.empty(schema.REJECTS),
        60.0,
        {"read": 1.5},
        [],
    )


CALLS = [
    call("a", "customer", 10.0, BEGAN),
    call("a", "agent", 20.0, BEGAN, scored=False),
    call("b", "customer", 5.0, None),
    call("c", "customer", 0.0, BEGAN),
]
SEGMENTS = [
    segment("a", 0.0, 1.0, "anger"),
    segment("a", 29.9, 1.5, "anger"),  # still before midnight
    segment("a", 30.0, 2.0, "anger"),
    segment("a", 3630.0, 0.5, "unsure", anger=0.5, dbfs=-80.0),
    segment("b", 0.0, 4.0, "neutral", anger=0.25, dbfs=-100.0),
]


def test_a_shard_adds_up() -> None:
    found = tally(scores(CALLS, SEGMENTS), LABELS)
    assert found["channels"] == {"customer": 3, "agent": 1}
    assert found["unscored"] == {"agent": 1}
    assert found["talk_s"] == {"customer": 15.0, "agent": 20.0}
    assert found["seconds"] == {"read": 1.5}
    assert found["speech_s"] == {"anger": 4.5, "unsure": 0.5, "neutral": 4.0}


def test_hours_are_of_the_day_and_go_on_at_midnight() -> None:
    hours = tally(scores(CALLS, SEGMENTS), LABELS)["hours"]
    assert set(hours) == {"anger", "unsure"}, "nobody knows when the other call began"
    assert {hour: its for hour, its in enumerate(hours["anger"]) if its} == {23: 2.5, 0: 2.0}
    assert {hour: its for hour, its in enumerate(hours["unsure"]) if its} == {1: 0.5}
    assert len(hours["anger"]) == 24


def test_an_hour_is_one_of_utc() -> None:
    there = BEGAN.astimezone(datetime.timezone(datetime.timedelta(hours=5, minutes=30)))
    calls, segments = [call("a", "customer", 1.0, there)], [segment("a", 0.0, 1.0, "anger")]
    assert tally(scores(calls, segments), LABELS)["hours"]["anger"][23] == 1.0


def test_histograms_are_of_segments() -> None:
    found = tally(scores(CALLS, SEGMENTS), LABELS)["histograms"]
    assert set(found) == {"level_dbfs", "duration_s", "probability:anger", "probability:neutral"}
    assert found["level_dbfs"] == drift.histogram([-22.0, -22.0, -22.0, -80.0, -100.0], drift.LEVELS_DBFS)
    assert found["duration_s"] == drift.histogram([2.0] * 5, drift.DURATIONS_S)
    assert found["probability:anger"] == drift.histogram([0.75, 0.75, 0.75, 0.5, 0.25], drift.PROBABILITIES)
    assert found["probability:neutral"] == drift.histogram([0.25, 0.25, 0.25, 0.5, 0.75], drift.PROBABILITIES)


def test_a_shard_of_nothing_but_rejects_counts_nothing() -> None:
    found = tally(scores([], []), LABELS)
    assert {name: found[name] for name in ("channels", "unscored", "talk_s", "speech_s", "hours")} == {
        name: {} for name in ("channels", "unscored", "talk_s", "speech_s", "hours")
    }
    assert {sum(counts) for counts in found["histograms"].values()} == {0}
    whole = tally(scores(CALLS, SEGMENTS), LABELS)
    assert add(found, whole) | {"seconds": whole["seconds"]} == whole


@given(st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_shards_add_up_to_the_whole(shards: list[int]) -> None:
    """However calls are divided, and as JSON, which is how a receipt hands it on."""
    whose = dict(zip("abc", shards, strict=False))
    parts = [
        tally(
            scores(
                [row for row in CALLS if whose[row["key"]] == shard],
                [row for row in SEGMENTS if whose[row["key"]] == shard],
            ),
            LABELS,
        )
        for shard in range(4)
    ]
    found = functools.reduce(add, (json.loads(json.dumps(part)) for part in parts), {})
    whole = tally(scores(CALLS, SEGMENTS), LABELS)
    assert found == {**whole, "seconds": {"read": 6.0}}


numbers = st.integers(-1000, 1000)
shards = st.fixed_dictionaries(
    {},
    optional={
        "n": numbers,
        "of": st.dictionaries(st.sampled_from("xyz"), numbers),
        "bins": st.lists(numbers, min_size=3, max_size=3),
    },
)


@given(st.lists(shards, max_size=5))
def test_adding_up_is_associative(found: list[dict[str, Any]]) -> None:
    before = json.dumps(found)
    from_the_left = functools.reduce(add, found, {})
    from_the_right = functools.reduce(lambda total, one: add(one, total), reversed(found), {})
    assert from_the_left == from_the_right
    middle = len(found) // 2
    halves = [functools.reduce(add, half, {}) for half in (found[:middle], found[middle:])]
    assert add(*halves) == from_the_left
    assert from_the_left.get("n", 0) == sum(one.get("n", 0) for one in found)
    names = set(itertools.chain(*(one.get("of", {}) for one in found)))
    assert from_the_left.get("of", {}) == {name: sum(one.get("of", {}).get(name, 0) for one in found) for name in names}
    assert json.dumps(found) == before, "what is added stays as it is"


def test_lists_of_different_lengths_are_not_added() -> None:
    with pytest.raises(ValueError, match="longer|shorter"):
        add({"bins": [1, 2]}, {"bins": [1, 2, 3]})
