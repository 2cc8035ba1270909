import collections

import pytest

from raysee.corpora.corpus import Clip
from raysee.corpora.ravdess import RAVDESS, parse
from raysee.synthesis.trees import ravdess_clips

FOLDER = "Audio_Speech_Actors_01-24"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("03-01-01-01-01-01-01", ("01", "neutral", "male", "normal", "kids", "01")),
        ("03-01-02-02-02-02-02", ("02", "calm", "female", "strong", "dogs", "02")),
        ("03-01-03-01-02-01-09", ("09", "happiness", "male", "normal", "dogs", "01")),
        ("03-01-04-02-01-02-10", ("10", "sadness", "female", "strong", "kids", "02")),
        ("03-01-05-01-01-01-19", ("19", "anger", "male", "normal", "kids", "01")),
        ("03-01-06-02-02-01-20", ("20", "fear", "female", "strong", "dogs", "01")),
        ("03-01-07-01-01-02-23", ("23", "disgust", "male", "normal", "kids", "02")),
        ("03-01-08-02-01-01-24", ("24", "surprise", "female", "strong", "kids", "01")),
    ],
)
def test_a_name_is_read_field_by_field(name: str, expected: tuple[str, ...]) -> None:
    actor, label, gender, intensity, sentence, repetition = expected
    assert parse(f"{FOLDER}/Actor_{actor}/{name}.wav") == Clip(
        clip_id=name,
        speaker=actor,
        label=label,
        gender=gender,
        session=None,
        sentence=sentence,
        intensity=intensity,
        repetition=repetition,
    )


@pytest.mark.parametrize(
    "path",
    [
        "Actor_07/03-01-05-02-01-01-07.wav",  # the archive's folder itself
        "Audio/Actor_07/03-01-05-02-01-01-07.wav",
        f"ravdess/{FOLDER}/Actor_07/03-01-05-02-01-01-07.flac",
    ],
)
def test_mirrors_are_read_too(path: str) -> None:
    clip = parse(path)
    assert clip is not None
    assert (clip.clip_id, clip.speaker) == ("03-01-05-02-01-01-07", "07")


@pytest.mark.parametrize(
    "path",
    [
        "Audio_Song_Actors_01-24/Actor_07/03-02-05-02-01-01-07.wav",  # song
        "Video_Speech_Actor_07/Actor_07/01-01-05-02-01-01-07.mp4",
        "Actor_07/02-01-05-02-01-01-07.wav",  # the sound of a video
        "Actor_08/03-01-05-02-01-01-07.wav",  # the folder says another actor
        "Actor_25/03-01-05-02-01-01-25.wav",
        "Actor_00/03-01-05-02-01-01-00.wav",
        "Actor_07/03-01-00-02-01-01-07.wav",
        "Actor_07/03-01-09-02-01-01-07.wav",
        "Actor_07/03-01-05-03-01-01-07.wav",
        "Actor_07/03-01-05-02-03-01-07.wav",
        "Actor_07/03-01-05-02-01-03-07.wav",
        "Actor_07/03-01-05-02-01-01.wav",
        "Actor_07/03-01-05-02-01-01-07-07.wav",
        "Actor_07/03-01-05-02-01-01-07.mp4",
        "NotActor_07/03-01-05-02-01-01-07.wav",
        "",
    ],
)
def test_another_name_is_no_clip(path: str) -> None:
    assert parse(path) is None


def test_the_complete_corpus_is_that_of_table_1() -> None:
    clips = [parse(f"{FOLDER}/Actor_{name[-2:]}/{name}.wav") for name in RAVDESS.expected_ids()]
    assert all(clips)
    assert collections.Counter(clip.label for clip in clips if clip) == {
        "anger": 192,
        "happiness": 192,
        "sadness": 192,
        "fear": 192,
        "surprise": 192,
        "disgust": 192,
        "neutral": 96,
        "calm": 192,
    }
    assert sum(RAVDESS.counts.values()) == len(clips) == 1440
    assert collections.Counter(clip.speaker for clip in clips if clip) == {f"{n:02}": 60 for n in range(1, 25)}
    assert not any(clip.label == "neutral" and clip.intensity == "strong" for clip in clips if clip)
    assert RAVDESS.missing_and_extra(clip for clip in clips if clip) == []


def test_the_synthetic_tree_reads_as_what_it_was_made_of() -> None:
    clips = [(made, parse(made.path)) for made in ravdess_clips()]
    for made, clip in clips:
        assert clip is not None
        assert (f"ravdess-{clip.speaker}", clip.gender, clip.label) == (made.speaker, made.gender, made.emotion)
        assert {"kids": "ravdess-01", "dogs": "ravdess-02"}[str(clip.sentence)] == made.sentence
        assert {"normal": 1.0, "strong": 1.5}[str(clip.intensity)] == made.intensity
        assert int(str(clip.repetition)) == made.take
    assert RAVDESS.missing_and_extra(clip for _, clip in clips if clip) == []
