import pytest

from raysee.corpora.corpus import Clip
from raysee.corpora.manifest import build
from raysee.corpora.tess import TESS, parse
from raysee.emotions import canonical
from raysee.storage import FileInfo


def unread(uri: str) -> bytes:
    raise AssertionError(f"{uri} was read: names say everything here")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("OAF_back_angry.wav", ("OAF_back_angry", "OAF", "anger", "back")),
        ("OAF_disgust/OAF_bar_disgust.wav", ("OAF_bar_disgust", "OAF", "disgust", "bar")),
        ("OAF_Fear/OAF_food_fear.wav", ("OAF_food_fear", "OAF", "fear", "food")),
        ("YAF_happy/YAF_youth_happy.wav", ("YAF_youth_happy", "YAF", "happiness", "youth")),
        ("x/y/YAF_neutral/YAF_dog_neutral.wav", ("YAF_dog_neutral", "YAF", "neutral", "dog")),
        ("YAF_pleasant_surprised/YAF_chain_ps.wav", ("YAF_chain_ps", "YAF", "surprise", "chain")),
        ("YAF_sad/YAF_sad_sad.wav", ("YAF_sad_sad", "YAF", "sadness", "sad")),
        ("OAF_neutral/OA_bite_neutral.wav", ("OAF_bite_neutral", "OAF", "neutral", "bite")),  # misnamed in a mirror
    ],
)
def test_a_name_is_read_field_by_field(path: str, expected: tuple[str, ...]) -> None:
    clip_id, speaker, label, word = expected
    assert parse(path) == Clip(clip_id=clip_id, speaker=speaker, label=label, gender="female", sentence=word)


@pytest.mark.parametrize(
    "path",
    [
        "OAF_back_calm.wav",
        "OAF_back_pleasant.wav",
        "OAF_back_.wav",
        "OAF_angry.wav",
        "OAF__angry.wav",
        "OAF_back_door_angry.wav",
        "YA_back_angry.wav",
        "MAF_back_angry.wav",
        "XOAF_back_angry.wav",
        "OAF_back_angry.wav.txt",
        "OAF_back_angry_2.wav",
        "",
    ],
)
def test_another_name_is_no_clip(path: str) -> None:
    assert parse(path) is None


def test_the_folder_within_the_folder_holds_duplicates() -> None:
    paths = [
        "TESS/TESS/OAF_neutral/OAF_bite_neutral.wav",
        "TESS/TESS/OAF_neutral/OAF_back_neutral.wav",
        "TESS/OAF_neutral/OA_bite_neutral.wav",
        "TESS/OAF_neutral/OAF_back_neutral.wav",
    ]
    files = [FileInfo(f"/data/{path}", 900, "") for path in paths]
    utterances, rejects = build(TESS, "/data", files, unread, allow_count_mismatch=True)
    assert utterances["clip_id"].to_pylist() == ["OAF_back_neutral", "OAF_bite_neutral"]
    assert rejects["error"].to_pylist() == ["DuplicateClip", "DuplicateClip"]


def test_the_counts_are_those_of_table_1() -> None:
    assert sum(TESS.counts.values()) == 2 * 200 * 7
    assert {canonical(label) for label in TESS.labels} == set(TESS.counts)
