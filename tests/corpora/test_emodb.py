import collections

import pytest

from raysee.corpora.corpus import Clip
from raysee.corpora.emodb import EMODB, parse
from raysee.synthesis.trees import emodb_clips


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("wav/03a01Wa.wav", ("03a01Wa", "03", "anger", "male", "a01", "a")),
        ("wav/08a02Lb.wav", ("08a02Lb", "08", "boredom", "female", "a02", "b")),
        ("wav/09a04Ec.wav", ("09a04Ec", "09", "disgust", "female", "a04", "c")),
        ("wav/10a05Ad.wav", ("10a05Ad", "10", "fear", "male", "a05", "d")),
        ("wav/11a07Fe.wav", ("11a07Fe", "11", "happiness", "male", "a07", "e")),
        ("wav/12b01Tf.wav", ("12b01Tf", "12", "sadness", "male", "b01", "f")),
        ("wav/13b02Na.wav", ("13b02Na", "13", "neutral", "female", "b02", "a")),
        ("wav/14b03Wb.wav", ("14b03Wb", "14", "anger", "female", "b03", "b")),
        ("wav/15b09Wb.wav", ("15b09Wb", "15", "anger", "male", "b09", "b")),
        ("wav/16b10Tb.wav", ("16b10Tb", "16", "sadness", "female", "b10", "b")),
    ],
)
def test_a_name_is_read_field_by_field(path: str, expected: tuple[str, ...]) -> None:
    clip_id, speaker, label, gender, sentence, version = expected
    assert parse(path) == Clip(
        clip_id=clip_id,
        speaker=speaker,
        label=label,
        gender=gender,
        session=None,
        sentence=sentence,
        intensity=None,
        repetition=version,
    )


@pytest.mark.parametrize(
    "path",
    [
        "03a01Wa.wav",  # straight in the root
        "wav_corpus/03a01Wa.wav",  # a mirror
        "download/emodb/wav/03a01Wa.wav",
        "wav/03a01Wa.flac",
    ],
)
def test_mirrors_are_read_too(path: str) -> None:
    clip = parse(path)
    assert clip is not None
    assert clip.clip_id == "03a01Wa"


@pytest.mark.parametrize(
    "path",
    [
        "wav/04a01Wa.wav",  # there is no speaker 04
        "wav/17a01Wa.wav",
        "wav/03a03Wa.wav",  # nor a text a03
        "wav/03b04Wa.wav",
        "wav/03a01Xa.wav",  # nor such an emotion
        "wav/03a01wa.wav",
        "wav/03a01W.wav",  # no version
        "wav/03a01WA.wav",
        "wav/03a01Wa.wav.bak",
        "wav/x03a01Wa.wav",
        "silb/03a01Wa.wav",
        "not_wav/03a01Wa.wav",
        "wav/more/03a01Wa.wav",
        "wav/03a01Wa.silb",
        "",
    ],
)
def test_another_name_is_no_clip(path: str) -> None:
    assert parse(path) is None


def test_the_complete_corpus_is_that_of_table_1() -> None:
    clips = [parse(f"wav/{name}.wav") for name in EMODB.expected_ids()]
    assert all(clips)
    assert collections.Counter(clip.label for clip in clips if clip) == {
        "anger": 127,
        "happiness": 71,
        "sadness": 62,
        "fear": 69,
        "disgust": 46,
        "neutral": 79,
        "boredom": 81,
    }
    assert sum(EMODB.counts.values()) == len(clips) == 535
    # As in the documentation of the corpus, speaker by speaker.
    assert collections.Counter(clip.speaker for clip in clips if clip) == {
        "03": 49,
        "08": 58,
        "09": 43,
        "10": 38,
        "11": 55,
        "12": 35,
        "13": 61,
        "14": 69,
        "15": 56,
        "16": 71,
    }
    assert EMODB.missing_and_extra(clip for clip in clips if clip) == []


def test_the_synthetic_tree_reads_as_what_it_was_made_of() -> None:
    for made in emodb_clips():
        clip = parse(made.path)
        assert clip is not None
        assert (f"emodb-{clip.speaker}", clip.gender, f"emodb-{clip.sentence}", clip.label, clip.repetition) == (
            made.speaker,
            made.gender,
            made.sentence,
            made.emotion,
            "a",
        )
