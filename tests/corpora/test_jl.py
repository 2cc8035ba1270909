import collections

import pytest

from raysee.corpora.corpus import Clip, LeftOut
from raysee.corpora.jl import JL, parse

FOLDER = "Raw JL corpus (unchecked and unannotated)/JL(wav+txt)"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("male1_angry_1a_1", ("male1", "anger", "male", "1a", "1")),
        ("male2_sad_9b_2", ("male2", "sadness", "male", "9b", "2")),
        ("female1_neutral_10a_1", ("female1", "neutral", "female", "10a", "1")),
        ("female2_happy_15b_2", ("female2", "happiness", "female", "15b", "2")),
        ("male1_excited_12a_1", ("male1", "excited", "male", "12a", "1")),
    ],
)
@pytest.mark.parametrize("place", ["{}.wav", FOLDER + "/{}.wav", "jl/{}.flac"])
def test_a_name_is_read_field_by_field(place: str, name: str, expected: tuple[str, ...]) -> None:
    speaker, label, gender, sentence, session = expected
    assert parse(place.format(name)) == Clip(
        clip_id=name, speaker=speaker, label=label, gender=gender, sentence=sentence, repetition=session
    )


@pytest.mark.parametrize("emotion", ["anxious", "apologetic", "assertive", "concerned", "encouraging"])
def test_secondary_emotions_are_left_out(emotion: str) -> None:
    left = parse(f"{FOLDER}/male2_{emotion}_6b_1.wav")
    assert isinstance(left, LeftOut)
    assert left.clip_id == f"male2_{emotion}_6b_1"
    assert left.reason.startswith(f"{emotion} is a secondary emotion")


@pytest.mark.parametrize(
    "path",
    [
        "male3_angry_1a_1.wav",
        "male_angry_1a_1.wav",
        "xmale1_angry_1a_1.wav",
        "male1_bored_1a_1.wav",
        "male1_angry_0a_1.wav",
        "male1_angry_01a_1.wav",
        "male1_angry_16a_1.wav",
        "male1_angry_1c_1.wav",
        "male1_angry_1_1.wav",
        "male1_angry_1a_3.wav",
        "male1_angry_1a.wav",
        "male1_angry_1a_1.txt",  # its transcript
        "",
    ],
)
def test_another_name_is_no_clip(path: str) -> None:
    assert parse(path) is None


def test_sentences_of_one_and_of_two_digits_do_not_collide() -> None:
    sentences = {parse(f"male1_angry_{number}a_1.wav").sentence for number in range(1, 16)}  # type: ignore[union-attr]
    assert len(sentences) == 15


def test_the_complete_corpus_is_that_of_table_1() -> None:
    clips = [clip for name in JL.expected_ids() if isinstance(clip := parse(f"{FOLDER}/{name}.wav"), Clip)]
    assert len(clips) == sum(JL.counts.values()) == 1200
    assert JL.missing_and_extra(clips) == []
    assert collections.Counter(clip.label for clip in clips) == dict.fromkeys(JL.labels, 240)
    assert collections.Counter(clip.speaker for clip in clips) == {
        "male1": 300,
        "male2": 300,
        "female1": 300,
        "female2": 300,
    }
    assert len({clip.sentence for clip in clips}) == 30
