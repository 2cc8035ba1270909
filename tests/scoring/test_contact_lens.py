import datetime
import json
from typing import Any

import pyarrow as pa
import pytest

from raysee import schema
from raysee.scoring.contact_lens import contact_lens, files
from raysee.scoring.score import Scores

LABELS = ["anger", "neutral"]
CALL_ID = 'a/b "c"\n<d>'

Row = dict[str, Any]


def channel(number: int, role: str, *, scored: bool, key: str = "ab" * 16) -> Row:
    """A row of schema.CALLS: 40 s, with somebody who speaks in the second and the last quarter where it is scored."""
    emotions: Row = dict.fromkeys(
        ("shares", "by_quarter", "label", "confidence", "trend", "negative_start_s", "negative_end_s", "negative_share")
    )
    if scored:
        emotions = {
            "shares": [0.75, 0.25],
            "by_quarter": [None, [0.5, 0.5], None, [1.0, 0.0]],
            "label": "anger",
            "confidence": 0.75,
            "trend": 1.5,
            "negative_start_s": 12.3456,
            "negative_end_s": 38.0,
            "negative_share": 0.75,
        }
    return {
        "key": key,
        "work": "w",
        "call_id": CALL_ID,
        "uri": "s3://archive/call.wav",
        "start_time": datetime.datetime(2026, 11, 19, 23, 59, tzinfo=datetime.UTC),
        "carried": [("queue", "007")],
        "channel": number,
        "role": role,
        "scored": scored,
        "num_channels": 2,
        "sample_rate_hz": 8000,
        "duration_s": 40.0,
        "talk_s": 8.0 if scored else 4.5,
        "silence_s": 28.0005,
        "num_segments": 2,
        "flags": ["narrow_band"],
        "labels": LABELS,
        **emotions,
    }


def segment(start_s: float, probabilities: list[float], number: int = 1, key: str = "ab" * 16) -> Row:
    """A row of schema.SEGMENTS."""
    return {
        **{"key": key, "work": "w", "call_id": CALL_ID, "channel": number, "role": "customer", "labels": LABELS},
        "start_s": start_s,
        "end_s": start_s + 4,
        "speech_s": 4.0,
        "level_dbfs": -20.128,
        "probabilities": probabilities,
        "label": "unsure",
        "confidence": max(probabilities),
    }


def scores(calls: list[Row], segments: list[Row]) -> Scores:
    return Scores(
        pa.Table.from_pylist(segments, schema=schema.SEGMENTS),
        pa.Table.from_pylist(calls, schema=schema.CALLS),
        pa.Table.from_pylist([], schema=schema.REJECTS),
        0.0,
        {},
        [],
    )


def test_a_call_is_in_the_shape_of_contact_lens() -> None:
    calls = [channel(0, "agent", scored=False), channel(1, "customer", scored=True)]
    found = contact_lens(calls, [segment(34.0, [0.9, 0.1]), segment(12.3456, [0.5, 0.5])])
    assert found["Channel"] == "VOICE"
    assert found["CustomerMetadata"] == {
        "ContactId": CALL_ID,
        "InputUri": "s3://archive/call.wav",
        "StartTime": "2026-11-19T23:59:00+00:00",
        "Carried": {"queue": "007"},
    }
    assert [(one["ParticipantId"], one["ParticipantRole"], one["Scored"]) for one in found["Participants"]] == [
        ("AGENT", "AGENT", False),
        ("CUSTOMER", "CUSTOMER", True),
    ]
    characteristics = found["ConversationCharacteristics"]
    assert characteristics["TotalConversationDurationMillis"] == 40_000
    assert characteristics["NonTalkTime"] == {"TotalTimeMillis": 28_000}
    assert characteristics["TalkTime"] == {
        "TotalTimeMillis": 12_500,
        "DetailsByParticipant": {"AGENT": {"TotalTimeMillis": 4500}, "CUSTOMER": {"TotalTimeMillis": 8000}},
    }
    emotion = characteristics["Emotion"]
    assert emotion["OverallShares"] == {"CUSTOMER": {"anger": 0.75, "neutral": 0.25}}, "of nobody else"
    quarters = emotion["SharesByPeriod"]["QUARTER"]["CUSTOMER"]
    assert [(one["BeginOffsetMillis"], one["EndOffsetMillis"]) for one in quarters] == [
        *((0, 10_000), (10_000, 20_000), (20_000, 30_000), (30_000, 40_000)),
    ]
    assert [one["Shares"] for one in quarters] == [
        *(None, {"anger": 0.5, "neutral": 0.5}, None, {"anger": 1.0, "neutral": 0.0}),
    ]
    assert emotion["StrongestNegativePassage"]["CUSTOMER"] == {
        "BeginOffsetMillis": 12_346,
        "EndOffsetMillis": 38_000,
        "Share": 0.75,
    }
    first, second = found["Segments"]
    assert first == {
        "Id": "1-0",
        "ParticipantId": "CUSTOMER",
        "BeginOffsetMillis": 12_346,
        "EndOffsetMillis": 16_346,
        "Emotion": "unsure",
        "Confidence": 0.5,
        "Probabilities": {"anger": 0.5, "neutral": 0.5},
        "LevelDbfs": -20.13,
    }
    assert second["BeginOffsetMillis"] == 34_000


def test_a_call_in_which_nobody_speaks_has_no_emotions() -> None:
    silent = channel(0, "agent", scored=False) | {"role": "customer", "scored": True, "start_time": None}
    found = contact_lens([silent], [])
    assert found["Segments"] == []
    assert found["ConversationCharacteristics"]["Emotion"]["OverallShares"] == {}
    assert found["CustomerMetadata"]["StartTime"] is None


@pytest.mark.parametrize("roles", [("customer", "customer"), ("customer", "Customer")])
def test_two_channels_of_one_role_are_two_participants(roles: tuple[str, str]) -> None:
    calls = [channel(number, role, scored=True) for number, role in enumerate(roles)]
    found = contact_lens(calls, [segment(1.0, [0.5, 0.5], number=1), segment(0.0, [0.5, 0.5], number=0)])
    names = [one["ParticipantId"] for one in found["Participants"]]
    assert names == ["CUSTOMER-0", "CUSTOMER-1"]
    assert list(found["ConversationCharacteristics"]["TalkTime"]["DetailsByParticipant"]) == names
    assert [one["ParticipantId"] for one in found["Segments"]] == names


def test_a_file_a_call_is_named_after_its_key_and_is_json() -> None:
    one, other = "ab" * 16, "cd" * 16
    calls = [
        *(channel(0, "agent", scored=False, key=one), channel(1, "customer", scored=True, key=one)),
        channel(1, "customer", scored=True, key=other),
    ]
    found = dict(files(scores(calls, [segment(0.0, [0.3, 0.7], key=other)])))
    assert list(found) == [f"ab/{one}.json", f"cd/{other}.json"]
    read = [json.loads(data) for data in found.values()]
    assert [(len(call["Participants"]), len(call["Segments"])) for call in read] == [(2, 0), (1, 1)]
    assert read[1]["Segments"][0]["Probabilities"] == {"anger": 0.3, "neutral": 0.7}, "without the tail of float32"
    assert all(call["CustomerMetadata"]["ContactId"] == CALL_ID for call in read)
