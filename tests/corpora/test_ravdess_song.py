import collections

import pytest

from raysee.corpora.corpus import Clip
from raysee.corpora.ravdess import RAVDESS_SONG
from raysee.corpora.ravdess import parse_song as parse
from raysee.emotions import canonical

FOLDER = "Audio_Song_Actors_01-24"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("03-02-01-01-01-01-01", ("01", "neutral", "male", "normal", "kids", "01")),
        ("03-02-02-02-02-02-02", ("02", "calm", "female", "strong", "dogs", "02")),
        ("03-02-03-01-02-01-09", ("09", "happiness", "male", "normal", "dogs", "01")),
        ("03-02-04-02-01-01-17", ("17", "sadness", "male", "strong", "kids", "01")),
        ("03-02-05-01-01-02-19", ("19", "anger", "male", "normal", "kids", "02")),
        ("03-02-06-02-02-01-24", ("24", "fear", "female", "strong", "dogs", "01")),
    ],
)
def test_a_name_is_read_field_by_field(name: str, expected: tuple[str, ...]) -> None:
    actor, label, gender, intensity, sentence, repetition = expected
    clip = Clip(
        clip_id=name,
        speaker=actor,
        label=label,
        gender=gender,
        sentence=sentence,
        intensity=intensity,
        repetition=repetition,
    )
    for root in (f"{FOLDER}/", "", "ravdess/Audio/"):
        assert parse(f"{root}Actor_{actor}/{name}.wav") == clip


@pytest.mark.parametrize(
    "path",
    [
        "Actor_07/03-01-05-02-01-01-07.wav",  # speech
        "Actor_07/01-02-05-02-01-01-07.mp4",
        "Actor_07/02-02-05-02-01-01-07.wav",
        "Actor_08/03-02-05-02-01-01-07.wav",  # the folder says another actor
        "Actor_18/03-02-05-02-01-01-18.wav",  # who did not sing
        "Actor_25/03-02-05-02-01-01-25.wav",
        "Actor_00/03-02-05-02-01-01-00.wav",
        "Actor_07/03-02-07-02-01-01-07.wav",  # nobody sang disgust
        "Actor_07/03-02-08-02-01-01-07.wav",
        "Actor_07/03-02-01-02-01-01-07.wav",  # nor strongly neutral
        "Actor_07/03-02-05-03-01-01-07.wav",
        "Actor_07/03-02-05-02-03-01-07.wav",
        "Actor_07/03-02-05-02-01-03-07.wav",
        "Actor_07/03-02-05-02-01-01-07-07.wav",
        "NotActor_07/03-02-05-02-01-01-07.wav",
        "03-02-05-02-01-01-07.wav",
        "",
    ],
)
def test_another_name_is_no_clip(path: str) -> None:
    assert parse(path) is None


def test_the_complete_part_has_44_songs_of_23_actors() -> None:
    ids = RAVDESS_SONG.expected_ids()
    clips = [clip for name in ids if (clip := parse(f"{FOLDER}/Actor_{name[-2:]}/{name}.wav"))]
    assert len(clips) == len(ids) == sum(RAVDESS_SONG.counts.values()) == 1012
    assert collections.Counter(clip.speaker for clip in clips) == {f"{n:02}": 44 for n in range(1, 25) if n != 18}
    assert collections.Counter(clip.label for clip in clips) == {
        "neutral": 92,
        "calm": 184,
        "happiness": 184,
        "sadness": 184,
        "anger": 184,
        "fear": 184,
    }
    assert {canonical(label) for label in RAVDESS_SONG.labels} == set(RAVDESS_SONG.counts)
    assert RAVDESS_SONG.missing_and_extra(clips) == []
