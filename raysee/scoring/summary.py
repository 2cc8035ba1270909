"""A channel's segments -> what is said of the whole call.

N: scored segments of a channel, K: labels. A segment weighs as much as it holds speech.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from raysee import emotions
from raysee.audio.segments import Segment
from raysee.evaluation.calibration import Floats

UNSURE = "unsure"
#: The shortest passage, in seconds of speech: two or three segments, so that no single answer makes one.
PASSAGE_S = 10.0

NARROW_BAND = "narrow_band"  # recorded at a lower rate than what the model has learned from: its high bands are empty
WIDE_BAND = "wide_band"  # recorded above 8 kHz: a model of the telephone hears it through one
DUAL_MONO = "dual_mono"  # both channels are the same sound: only one has a row
CLIPPED = "clipped"  # more than 0.1 % of the samples are at full scale
QUIET = "quiet"  # half of the speech or more is below -45 dBFS
NO_SPEECH = "no_speech"
CLIPPED_SHARE = 0.001
QUIET_DBFS = -45.0

_QUARTERS = 4
_FEWEST_FOR_TREND = 3


class Scored(NamedTuple):
    """The scored segments of a channel: (N,), and `probabilities` (N, K)."""

    start_s: Floats
    end_s: Floats
    speech_s: Floats
    probabilities: Floats


def negative(labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which labels (K,) are negative emotions, by the scheme "valence"; a class of that scheme is what it says."""
    classes = {**emotions.SCHEMES["valence"], "negative": "negative", "helplessness": "negative"}
    return np.array([classes.get(label) == "negative" for label in labels], dtype=np.bool_)


def summarise(scored: Scored, duration_s: float, labels: Sequence[str], abstain: float) -> dict[str, Any]:
    """The emotional columns of schema.CALLS, null where there is no segment.

    - shares, by_quarter: means of the probabilities, as far as a segment lies in the quarter of the call.
    - trend: slope of the least squares through the share of negative emotions at the segments' middles, per minute;
      null with fewer than three segments.
    - negative passage: of all runs of segments with at least 10 s of speech, that with the highest mean share of
      negative emotions; the earliest of several, the whole where there is less speech.
    """
    if not len(scored.start_s):
        empty = dict.fromkeys(("shares", "by_quarter", "trend"))
        return {**empty, **answer(labels, None, abstain), **_passage(scored, np.zeros(0))}
    badness = scored.probabilities @ negative(labels)
    shares = np.average(scored.probabilities, axis=0, weights=scored.speech_s)
    return {
        "shares": shares,
        "by_quarter": [_share(scored, quarter * duration_s / _QUARTERS, duration_s) for quarter in range(_QUARTERS)],
        **answer(labels, shares, abstain),
        "trend": _trend(scored, badness),
        **_passage(scored, badness),
    }


def answer(labels: Sequence[str], probabilities: Floats | None, abstain: float) -> dict[str, Any]:
    """`label` and `confidence` of probabilities (K,): "unsure" below `abstain`, null where there are none."""
    if probabilities is None:
        return {"label": None, "confidence": None}
    best = int(np.argmax(probabilities))
    confidence = float(probabilities[best])
    return {"label": UNSURE if confidence < abstain else labels[best], "confidence": confidence}


def silence_s(channels: Iterable[Sequence[Segment]], duration_s: float) -> float:
    """The time of a call outside of the segments of all its channels."""
    spoken, until = 0.0, 0.0
    for start, end in sorted((segment.start_s, segment.end_s) for channel in channels for segment in channel):
        spoken += max(end - max(start, until), 0.0)
        until = max(until, end)
    return max(duration_s - spoken, 0.0)


def _share(scored: Scored, begin: float, duration_s: float) -> Floats | None:
    end = begin + duration_s / _QUARTERS
    inside = np.minimum(scored.end_s, end) - np.maximum(scored.start_s, begin)
    weights = scored.speech_s * inside.clip(0) / (scored.end_s - scored.start_s)
    return np.average(scored.probabilities, axis=0, weights=weights) if weights.sum() > 0 else None


def _trend(scored: Scored, badness: Floats) -> float | None:
    if len(badness) < _FEWEST_FOR_TREND:
        return None
    minutes = (scored.start_s + scored.end_s) / 120
    centred = minutes - np.average(minutes, weights=scored.speech_s)
    return float((scored.speech_s * centred) @ badness / ((scored.speech_s * centred) @ centred))


def _passage(scored: Scored, badness: Floats) -> dict[str, float | None]:
    if not len(badness):
        return dict.fromkeys(("negative_start_s", "negative_end_s", "negative_share"))
    speech = np.concatenate([[0.0], np.cumsum(scored.speech_s)])
    bad = np.concatenate([[0.0], np.cumsum(badness * scored.speech_s)])
    wanted = min(PASSAGE_S, speech[-1])
    # The shortest run from each segment on that holds enough; a sum of floats may miss its own total by a little.
    shortest = np.searchsorted(speech, speech[:-1] + wanted - 1e-9)
    start = np.flatnonzero(shortest < len(speech))
    shortest = shortest[start]
    end = shortest
    best_start, best_end, best = 0, 0, -1.0
    while len(start):
        means = (bad[end] - bad[start]) / (speech[end] - speech[start])
        highest = int(np.argmax(means))
        if means[highest] > best:
            best_start, best_end, best = int(start[highest]), int(end[highest]), float(means[highest])
        # A run with so much behind its shortest is two, one of which is no worse.
        end = end + 1
        longer = end < len(speech)
        longer[longer] = speech[end[longer]] - speech[shortest[longer]] < wanted
        start, shortest, end = start[longer], shortest[longer], end[longer]
    return {
        "negative_start_s": float(scored.start_s[best_start]),
        "negative_end_s": float(scored.end_s[best_end - 1]),
        "negative_share": best,
    }
