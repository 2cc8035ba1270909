import pytest

from raysee.corpora.corpus import Clip, LeftOut
from raysee.corpora.shemo import SHEMO, parse
from raysee.emotions import canonical


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("female/F01A02.wav", ("F01A02", "F01", "anger", "female")),
        ("female/F31H01.wav", ("F31H01", "F31", "happiness", "female")),
        ("female/F09N10.wav", ("F09N10", "F09", "neutral", "female")),
        ("male/M01S01.wav", ("M01S01", "M01", "sadness", "male")),
        ("male/M56W99.wav", ("M56W99", "M56", "surprise", "male")),
        ("shemo/male/M20A05.flac", ("M20A05", "M20", "anger", "male")),
    ],
)
def test_a_name_is_read_field_by_field(path: str, expected: tuple[str, ...]) -> None:
    clip_id, speaker, label, gender = expected
    assert parse(path) == Clip(clip_id=clip_id, speaker=speaker, label=label, gender=gender)


@pytest.mark.parametrize("path", ["female/F05F01.wav", "male/M23F02.wav"])
def test_fear_is_left_out(path: str) -> None:
    outcome = parse(path)
    assert isinstance(outcome, LeftOut)
    assert outcome.clip_id == path.partition("/")[2].removesuffix(".wav")
    assert "fear" in outcome.reason


@pytest.mark.parametrize(
    "path",
    [
        "male/F01A02.wav",  # the folder says another gender
        "female/M01A02.wav",
        "female/F32A01.wav",  # there is no such speaker
        "female/F00A01.wav",
        "male/M57A01.wav",
        "male/M00A01.wav",
        "male/M01B01.wav",  # nor such an emotion
        "male/M01a01.wav",
        "male/M01A1.wav",
        "male/M01A011.wav",
        "male/XM01A01.wav",
        "notmale/M01A01.wav",
        "male/more/M01A01.wav",
        "M01A01.wav",
        "transcript/final text/M01A01.ort",
        "male/M01A01.ort",
        "",
    ],
)
def test_another_name_is_no_clip(path: str) -> None:
    assert parse(path) is None


def test_every_speaker_is_read() -> None:
    paths = [f"female/F{n:02}A01.wav" for n in range(100)] + [f"male/M{n:02}A01.wav" for n in range(100)]
    speakers = [outcome.speaker for path in paths if isinstance(outcome := parse(path), Clip)]
    assert speakers == [f"F{n:02}" for n in range(1, 32)] + [f"M{n:02}" for n in range(1, 57)]
    assert len(speakers) == SHEMO.num_speakers == 87


def test_the_counts_are_those_of_table_1() -> None:
    assert sum(SHEMO.counts.values()) == 3000 - 38
    assert {canonical(label) for label in SHEMO.labels} == set(SHEMO.counts)
