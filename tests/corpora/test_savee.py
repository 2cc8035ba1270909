import collections

import pytest

from raysee.corpora.corpus import Clip
from raysee.corpora.savee import SAVEE, parse
from raysee.emotions import canonical


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("AudioData/DC/a01.wav", ("DC_a01", "DC", "anger", "a01")),
        ("AudioData/JE/d15.wav", ("JE_d15", "JE", "disgust", "d15")),
        ("AudioData/JK/f09.wav", ("JK_f09", "JK", "fear", "f09")),
        ("AudioData/KL/h10.wav", ("KL_h10", "KL", "happiness", "h10")),
        ("AudioData/DC/n30.wav", ("DC_n30", "DC", "neutral", "n30")),
        ("AudioData/DC/sa02.wav", ("DC_sa02", "DC", "sadness", "sa02")),
        ("AudioData/DC/su02.wav", ("DC_su02", "DC", "surprise", "su02")),
        ("JE_n23.wav", ("JE_n23", "JE", "neutral", "n23")),  # a mirror without folders
        ("ALL/KL_sa15.wav", ("KL_sa15", "KL", "sadness", "sa15")),
        ("DC/a01.wav", ("DC_a01", "DC", "anger", "a01")),
        ("savee/AudioData/DC/a01.flac", ("DC_a01", "DC", "anger", "a01")),
    ],
)
def test_a_name_is_read_field_by_field(path: str, expected: tuple[str, ...]) -> None:
    clip_id, speaker, label, sentence = expected
    assert parse(path) == Clip(clip_id=clip_id, speaker=speaker, label=label, gender="male", sentence=sentence)


@pytest.mark.parametrize(
    "path",
    [
        "AudioData/DC/a00.wav",
        "AudioData/DC/a16.wav",  # 15 of every emotion
        "AudioData/DC/sa16.wav",
        "AudioData/DC/n31.wav",  # 30 of neutral
        "AudioData/DC/n00.wav",
        "AudioData/DC/a1.wav",
        "AudioData/DC/a011.wav",
        "AudioData/DC/s01.wav",  # sadness or surprise
        "AudioData/DC/A01.wav",
        "AudioData/XX/a01.wav",
        "AudioData/a01.wav",
        "a01.wav",
        "XDC_a01.wav",
        "AudioData/DC/a01.txt",
        "AudioData/DC/more/a01.wav",
        "",
    ],
)
def test_another_name_is_no_clip(path: str) -> None:
    assert parse(path) is None


@pytest.mark.parametrize("flat", [False, True])
def test_the_complete_corpus_is_that_of_table_1(flat: bool) -> None:
    ids = SAVEE.expected_ids()
    clips = [parse(f"{name}.wav" if flat else f"AudioData/{name.replace('_', '/')}.wav") for name in ids]
    assert {clip.clip_id for clip in clips if clip} == ids
    assert collections.Counter(clip.speaker for clip in clips if clip) == {"DC": 120, "JE": 120, "JK": 120, "KL": 120}
    assert sum(SAVEE.counts.values()) == len(ids) == 480
    assert {canonical(label) for label in SAVEE.labels} == set(SAVEE.counts)
    assert SAVEE.missing_and_extra(clip for clip in clips if clip) == []
