"""A scored call in the shape of Amazon's Contact Lens output for calls, as far as sound alone can fill it.

Names are theirs where they mean the same, and others where theirs mean text (docs/contact-lens.md).
"""

import collections
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from raysee.scoring.score import Scores

FOLDER = "json"
_DIGITS = 6  # of a share

Row = Mapping[str, Any]


def name_of(key: str) -> str:
    """The file of a call, in one of 256 folders: by its key, because a call's id may hold anything."""
    return f"{key[:2]}/{key}.json"


def files(scores: Scores) -> Iterator[tuple[str, bytes]]:
    """A JSON file a scored call, and its name."""
    segments: dict[str, list[Row]] = collections.defaultdict(list)
    for segment in scores.segments.to_pylist():
        segments[segment["key"]].append(segment)
    for key, channels in itertools.groupby(scores.calls.to_pylist(), itemgetter("key")):
        document = contact_lens(list(channels), segments[key])
        yield name_of(key), (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def contact_lens(channels: Sequence[Row], segments: Sequence[Row]) -> dict[str, Any]:
    """One call as JSON: rows of schema.CALLS, one a channel, and of schema.SEGMENTS, those of its channels."""
    call, duration_s = channels[0], channels[0]["duration_s"]
    names = {row["channel"]: name for row, name in zip(channels, _names(channels), strict=True)}
    heard = [(names[row["channel"]], row) for row in channels if row["shares"] is not None]
    return {
        "Channel": "VOICE",
        "JobStatus": "COMPLETED",
        "ContentMetadata": {"Output": "Raw"},
        "CustomerMetadata": {
            "ContactId": call["call_id"],
            "InputUri": call["uri"],
            "StartTime": None if call["start_time"] is None else call["start_time"].isoformat(),
            "Carried": dict(call["carried"]),
        },
        "Scoring": {"Key": call["key"], "Work": call["work"], "Labels": call["labels"]},
        "Participants": [
            {
                "ParticipantId": names[row["channel"]],
                "ParticipantRole": row["role"].upper(),
                "AudioChannel": row["channel"],
                "Scored": row["scored"],
                "Flags": row["flags"],
            }
            for row in channels
        ],
        "ConversationCharacteristics": {
            "TotalConversationDurationMillis": _millis(duration_s),
            "Emotion": {
                "OverallShares": {name: _shares(row["labels"], row["shares"]) for name, row in heard},
                "SharesByPeriod": {"QUARTER": {name: _quarters(row) for name, row in heard}},
                "Trend": {name: row["trend"] for name, row in heard},
                "StrongestNegativePassage": {
                    name: {
                        "BeginOffsetMillis": _millis(row["negative_start_s"]),
                        "EndOffsetMillis": _millis(row["negative_end_s"]),
                        "Share": round(row["negative_share"], _DIGITS),
                    }
                    for name, row in heard
                },
            },
            "NonTalkTime": {"TotalTimeMillis": _millis(call["silence_s"])},
            "TalkTime": {
                "TotalTimeMillis": sum(_millis(row["talk_s"]) for row in channels),
                "DetailsByParticipant": {
                    names[row["channel"]]: {"TotalTimeMillis": _millis(row["talk_s"])} for row in channels
                },
            },
        },
        "Segments": [
            {
                "Id": f"{row['channel']}-{number}",
                "ParticipantId": names[row["channel"]],
                "BeginOffsetMillis": _millis(row["start_s"]),
                "EndOffsetMillis": _millis(row["end_s"]),
                "Emotion": row["label"],
                "Confidence": round(row["confidence"], _DIGITS),
                "Probabilities": _shares(row["labels"], row["probabilities"]),
                "LevelDbfs": round(row["level_dbfs"], 2),
            }
            for number, row in enumerate(sorted(segments, key=itemgetter("start_s", "channel")))
        ],
    }


def _names(channels: Sequence[Row]) -> list[str]:
    """Roles in capitals; with the number of the channel, where two have the same."""
    roles = [row["role"].upper() for row in channels]
    if len(set(roles)) == len(roles):
        return roles
    return [f"{role}-{row['channel']}" for role, row in zip(roles, channels, strict=True)]


def _quarters(row: Row) -> list[dict[str, Any]]:
    edges = [_millis(quarter * row["duration_s"] / 4) for quarter in range(5)]
    return [
        {
            "BeginOffsetMillis": begin,
            "EndOffsetMillis": end,
            "Shares": None if shares is None else _shares(row["labels"], shares),
        }
        for (begin, end), shares in zip(itertools.pairwise(edges), row["by_quarter"], strict=True)
    ]


def _shares(labels: Sequence[str], shares: Sequence[float]) -> dict[str, float]:
    return {label: round(share, _DIGITS) for label, share in zip(labels, shares, strict=True)}


def _millis(seconds: float) -> int:
    return round(1000 * seconds)
