import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysee.audio.segments import Segment
from raysee.scoring.summary import PASSAGE_S, Scored, answer, negative, silence_s, summarise

LABELS = ["anger", "neutral"]
Floats = npt.NDArray[np.float64]


def scored(*rows: tuple[float, float, float, float]) -> Scored:
    """Rows of start, end, speech, and the probability of anger."""
    start, end, speech, anger = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    return Scored(start, end, speech, np.stack([anger, 1 - anger], axis=1))


def summary(*rows: tuple[float, float, float, float], duration_s: float, abstain: float = 0.0) -> dict[str, Any]:
    return summarise(scored(*rows), duration_s, LABELS, abstain)


def passage(*rows: tuple[float, float, float, float]) -> tuple[float, float, float]:
    found = summary(*rows, duration_s=rows[-1][1])
    return found["negative_start_s"], found["negative_end_s"], found["negative_share"]


# --- worked out by hand


def test_a_segment_weighs_as_much_as_it_holds_speech() -> None:
    found = summary((0, 8, 6, 1.0), (10, 14, 2, 0.0), duration_s=16)
    assert found["shares"] == pytest.approx([0.75, 0.25])
    assert (found["label"], found["confidence"]) == ("anger", pytest.approx(0.75))


def test_a_quarter_has_what_lies_in_it() -> None:
    # Quarters of 10 s. The second segment has 4 s of speech: 3 of its 4 seconds are in the first quarter.
    found = summary((0, 5, 5, 1.0), (7, 11, 4, 0.0), (31, 35, 1, 0.25), duration_s=40)
    first, second, third, fourth = found["by_quarter"]
    assert first == pytest.approx([5 / 8, 3 / 8])
    assert second == pytest.approx([0.0, 1.0])
    assert third is None, "nobody speaks"
    assert fourth == pytest.approx([0.25, 0.75])


def test_the_trend_is_the_slope_of_a_line_per_minute() -> None:
    # Middles at 0.5, 1.5 and 2.5 minutes.
    rising = summary((27, 33, 4, 0.1), (87, 93, 4, 0.4), (147, 153, 4, 0.7), duration_s=180)
    assert rising["trend"] == pytest.approx(0.3)
    # y = 0, 0, 1 at x = 0, 1, 2 with weights 1, 1, 2: means 1.25 and 0.5, slope 1.5 / 2.75.
    bent = summary((-1, 1, 1, 0.0), (59, 61, 1, 0.0), (119, 121, 2, 1.0), duration_s=180)
    assert bent["trend"] == pytest.approx(1.5 / 2.75)
    assert summary((0, 4, 4, 0.1), (60, 64, 4, 0.9), duration_s=70)["trend"] is None, "a line through two says nothing"


def test_the_strongest_negative_passage() -> None:
    calm, cross = 0.1, 0.9
    found = passage((0, 8, 8, calm), (10, 18, 8, cross), (20, 24, 4, 0.6), (30, 38, 8, calm))
    assert found == pytest.approx((10, 24, (8 * 0.9 + 4 * 0.6) / 12))
    # One that is short and cross is no passage by itself: 10 s of speech are wanted.
    found = passage((0, 6, 6, 0.2), (10, 12, 2, 1.0), (20, 26, 6, 0.4), (30, 38, 8, 0.3))
    assert found == pytest.approx((10, 38, (2 + 2.4 + 2.4) / 16))
    # Where there is less speech it is all of it, and of equal ones the first.
    assert passage((1, 4, 3, 0.5), (6, 8, 2, 0.0)) == pytest.approx((1, 8, 0.3))
    assert passage(*((10.0 * number, 10.0 * number + 5, 5.0, 0.5) for number in range(5)))[:2] == (0, 15)


def test_a_passage_may_be_longer_than_the_shortest_with_enough_speech() -> None:
    """The last second is cross, and only with all that is before it are there 10 s."""
    assert passage((0, 8, 8, 0.0), (9, 10.5, 1.5, 0.0), (11, 12, 1, 0.0), (13, 14, 1, 1.0)) == pytest.approx(
        (0, 14, 1 / 11.5)
    )


def test_where_nobody_speaks_nothing_is_said() -> None:
    nobody = Scored(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros((0, 2)))
    found = summarise(nobody, 60.0, LABELS, 0.5)
    names = ("shares", "by_quarter", "label", "confidence", "trend", "negative_start_s", "negative_end_s")
    assert found == dict.fromkeys((*names, "negative_share"))


@pytest.mark.parametrize(
    ("probabilities", "abstain", "label"),
    [([0.6, 0.4], 0.6, "anger"), ([0.6, 0.4], 0.61, "unsure"), ([0.5, 0.5], 0.0, "anger"), ([0.2, 0.8], 1.0, "unsure")],
)
def test_below_the_threshold_the_label_is_unsure(probabilities: list[float], abstain: float, label: str) -> None:
    found = answer(LABELS, np.array(probabilities), abstain)
    assert found == {"label": label, "confidence": max(probabilities)}


def test_abstaining_changes_labels_alone() -> None:
    rows = ((0, 8, 6, 0.7), (10, 14, 2, 0.2), (20, 24, 2, 0.6))
    sure, unsure = (summary(*rows, duration_s=30, abstain=abstain) for abstain in (0.0, 0.99))
    assert (sure.pop("label"), unsure.pop("label")) == ("anger", "unsure")
    assert str(sure) == str(unsure)


def test_which_emotions_are_negative() -> None:
    labels = ["anger", "boredom", "calm", "fear", "happiness", "neutral", "sadness", "surprise", "disgust", "high"]
    found = dict(zip(labels, negative(labels), strict=True))
    assert {label for label, its in found.items() if its} == {"anger", "boredom", "fear", "sadness", "disgust"}
    assert negative(["negative", "neutral", "positive"]).tolist() == [True, False, False]


def test_without_a_negative_emotion_nothing_is_negative() -> None:
    found = summarise(scored((0, 8, 8, 0.5), (10, 18, 8, 0.5), (20, 28, 8, 0.5)), 30.0, ["low", "high"], 0.0)
    assert (found["negative_share"], found["trend"]) == (0.0, 0.0)


def spoken(start_s: float, end_s: float) -> Segment:
    return Segment(start_s, end_s, end_s - start_s, start_s, end_s)


def test_silence_is_outside_of_all_channels() -> None:
    left = [spoken(1.0, 4.0), spoken(8.0, 9.0)]
    right = [spoken(3.0, 5.0), spoken(3.5, 4.5)]
    assert silence_s([left, right], 10.0) == pytest.approx(5.0)
    assert silence_s([left], 10.0) == pytest.approx(6.0)
    assert silence_s([[], []], 10.0) == 10.0
    assert silence_s([], 0.0) == 0.0
    assert silence_s([[spoken(0.0, 10.001)]], 10.0) == 0.0, "a last frame may be longer than the recording"


# --- whatever the call


@st.composite
def calls(draw: st.DrawFn) -> tuple[Scored, float]:
    """Segments in order with pauses between, of every length down to a tenth of a second, and the call's duration."""
    count = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return made(rng, count)


def made(rng: np.random.Generator, count: int) -> tuple[Scored, float]:
    lengths = rng.uniform(0.1, rng.choice([0.5, 3.0, 8.0]), count)
    pauses = rng.choice([0.0, 1.0, 30.0]) * rng.random(count)
    end = np.cumsum(lengths + pauses)
    probabilities = rng.dirichlet([0.5, 0.5, 0.5], count)
    return Scored(end - lengths, end, lengths * rng.uniform(0.3, 1, count), probabilities), float(end[-1] + pauses[0])


THREE = ["anger", "neutral", "sadness"]


@given(calls())
def test_shares_and_quarters_agree(call: tuple[Scored, float]) -> None:
    its, duration_s = call
    found = summarise(its, duration_s, THREE, 0.0)
    assert sum(found["shares"]) == pytest.approx(1)
    together = np.zeros(3)
    for quarter, shares in enumerate(found["by_quarter"]):
        begin, end = quarter * duration_s / 4, (quarter + 1) * duration_s / 4
        inside = (np.minimum(its.end_s, end) - np.maximum(its.start_s, begin)).clip(0) / (its.end_s - its.start_s)
        if shares is not None:
            assert sum(shares) == pytest.approx(1)
            together += shares * float(its.speech_s @ inside)
    assert together / its.speech_s.sum() == pytest.approx(found["shares"])
    assert found["confidence"] == pytest.approx(max(found["shares"]))
    assert found["label"] == THREE[int(np.argmax(found["shares"]))]


@given(calls())
def test_no_passage_is_worse_than_the_one_that_is_found(call: tuple[Scored, float]) -> None:
    its, duration_s = call
    found = summarise(its, duration_s, THREE, 0.0)
    cross = its.probabilities[:, 0] + its.probabilities[:, 2]
    wanted = min(PASSAGE_S, its.speech_s.sum()) - 1e-6
    runs = {
        (first, last): float(cross[first:last] @ its.speech_s[first:last] / its.speech_s[first:last].sum())
        for first in range(len(cross))
        for last in range(first + 1, len(cross) + 1)
        if its.speech_s[first:last].sum() >= wanted
    }
    assert found["negative_share"] == pytest.approx(max(runs.values()))
    mine = [
        mean
        for (first, last), mean in runs.items()
        if (its.start_s[first], its.end_s[last - 1]) == (found["negative_start_s"], found["negative_end_s"])
    ]
    assert mine == [pytest.approx(found["negative_share"])], "its times are those of the run with that share"


@given(calls())
def test_the_trend_is_that_of_least_squares(call: tuple[Scored, float]) -> None:
    its, duration_s = call
    trend = summarise(its, duration_s, THREE, 0.0)["trend"]
    if len(its.start_s) < 3:
        assert trend is None
        return
    cross = its.probabilities[:, 0] + its.probabilities[:, 2]
    minutes = (its.start_s + its.end_s) / 120
    slope = np.polyfit(minutes, cross, 1, w=np.sqrt(its.speech_s))[0]
    assert trend == pytest.approx(slope, rel=1e-6, abs=1e-6)


@given(st.lists(st.lists(st.tuples(st.floats(0, 50), st.floats(0.01, 20)), max_size=5), max_size=3), st.floats(0.1, 70))
def test_silence_is_between_nothing_and_the_whole(channels: list[list[tuple[float, float]]], duration_s: float) -> None:
    its = [[spoken(start, start + length) for start, length in channel] for channel in channels]
    silence = silence_s(its, duration_s)
    assert 0 <= silence <= duration_s
    longest = max((length for channel in channels for _, length in channel), default=0.0)
    total = sum(length for channel in channels for _, length in channel)
    assert max(duration_s - total, 0) - 1e-9 <= silence <= max(duration_s - longest, 0) + 1e-9


@pytest.mark.parametrize("count", [1, 10_000])
def test_one_segment_and_ten_thousand(count: int) -> None:
    its, duration_s = made(np.random.default_rng(0), count)
    found = summarise(its, duration_s, THREE, 0.0)
    assert sum(found["shares"]) == pytest.approx(1)
    assert 0 <= found["negative_start_s"] < found["negative_end_s"] <= duration_s
    if count > 1:
        cross = its.probabilities[:, 0] + its.probabilities[:, 2]
        inside = (its.start_s >= found["negative_start_s"]) & (its.end_s <= found["negative_end_s"])
        assert its.speech_s[inside].sum() >= PASSAGE_S - 1e-6
        assert found["negative_share"] == pytest.approx(np.average(cross[inside], weights=its.speech_s[inside]))
        assert found["negative_share"] > np.average(cross, weights=its.speech_s)
        assert math.isfinite(found["trend"])
