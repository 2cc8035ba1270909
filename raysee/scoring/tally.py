"""What a night adds up to, shard by shard, so that nobody has to read its rows again."""

import collections
from typing import Any

import numpy as np

from raysee.evaluation import drift
from raysee.scoring.score import Scores

HOURS = 24


def tally(scores: Scores, labels: list[str]) -> dict[str, Any]:
    """Of the scores of a shard, as JSON that can be added up.

    - seconds: of work by stage. channels: how many by role; unscored: how many of these were only listened to.
    - talk_s: by role. speech_s: scored speech by label; hours: the same by hour of the day (UTC), from the beginning of
      the call plus the time in it, where it is known when a call began.
    - histograms: counts in the bins of raysee.evaluation.drift.
    """
    calls = scores.calls.select(["key", "start_time", "role", "scored", "talk_s"]).to_pylist()
    segments = scores.segments.to_pylist()
    talk_s: dict[str, float] = collections.defaultdict(float)
    for row in calls:
        talk_s[row["role"]] += row["talk_s"]
    began = {row["key"]: row["start_time"] for row in calls}
    speech_s: dict[str, float] = collections.defaultdict(float)
    hours: dict[str, list[float]] = collections.defaultdict(lambda: [0.0] * HOURS)
    for row in segments:
        label, seconds = row["label"], row["speech_s"]
        speech_s[label] += seconds
        if (start := began[row["key"]]) is not None:
            second = start.hour * 3600 + start.minute * 60 + start.second + row["start_s"]
            hours[label][int(second // 3600) % HOURS] += seconds
    probabilities = np.array([row["probabilities"] for row in segments]).reshape(len(segments), len(labels))
    durations = [row["end_s"] - row["start_s"] for row in segments]
    return {
        "seconds": scores.seconds,
        "channels": dict(collections.Counter(row["role"] for row in calls)),
        "unscored": dict(collections.Counter(row["role"] for row in calls if not row["scored"])),
        "talk_s": dict(talk_s),
        "speech_s": dict(speech_s),
        "hours": dict(hours),
        "histograms": {
            "level_dbfs": drift.histogram([row["level_dbfs"] for row in segments], drift.LEVELS_DBFS),
            "duration_s": drift.histogram(durations, drift.DURATIONS_S),
            **{
                f"probability:{label}": drift.histogram(probabilities[:, number], drift.PROBABILITIES)
                for number, label in enumerate(labels)
            },
        },
    }
