"""What a night adds up to, shard by shard, so that nobody has to read its rows again."""

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
    calls, segments = scores.calls, scores.segments.to_pylist()
    channels: dict[str, int] = {}
    unscored: dict[str, int] = {}
    talk_s: dict[str, float] = {}
    for role, scored, talk in zip(*(calls[name].to_pylist() for name in ("role", "scored", "talk_s")), strict=True):
        channels[role] = channels.get(role, 0) + 1
        talk_s[role] = talk_s.get(role, 0.0) + talk
        if not scored:
            unscored[role] = unscored.get(role, 0) + 1
    began = dict(zip(calls["key"].to_pylist(), calls["start_time"].to_pylist(), strict=True))
    speech_s: dict[str, float] = {}
    hours: dict[str, list[float]] = {}
    for row in segments:
        label, seconds = row["label"], row["speech_s"]
        speech_s[label] = speech_s.get(label, 0.0) + seconds
        if (start := began[row["key"]]) is not None:
            second = start.hour * 3600 + start.minute * 60 + start.second + row["start_s"]
            hours.setdefault(label, [0.0] * HOURS)[int(second // 3600) % HOURS] += seconds
    probabilities = np.array([row["probabilities"] for row in segments]).reshape(len(segments), len(labels))
    durations = [row["end_s"] - row["start_s"] for row in segments]
    return {
        "seconds": scores.seconds,
        "channels": channels,
        "unscored": unscored,
        "talk_s": talk_s,
        "speech_s": speech_s,
        "hours": hours,
        "histograms": {
            "level_dbfs": drift.histogram([row["level_dbfs"] for row in segments], drift.LEVELS_DBFS),
            "duration_s": drift.histogram(durations, drift.DURATIONS_S),
            **{
                f"probability:{label}": drift.histogram(probabilities[:, number], drift.PROBABILITIES)
                for number, label in enumerate(labels)
            },
        },
    }
