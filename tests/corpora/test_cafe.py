import collections
import unicodedata

import pytest

from raysee.corpora.cafe import CAFE, parse
from raysee.corpora.corpus import Clip

ANGER, DISGUST = "Col\u00e8re", "D\u00e9go\u00fbt"
FOLDERS = {"C": ANGER, "D": DISGUST, "J": "Joie", "N": "Neutre", "P": "Peur", "S": "Surprise", "T": "Tristesse"}


def path_of(name: str) -> str:
    _, emotion, intensity, _ = name.split("-")
    level = "" if emotion == "N" else {"1": "Faible/", "2": "Fort/"}[intensity]
    return f"{FOLDERS[emotion]}/{level}{name}.wav"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{ANGER}/Faible/01-C-1-1.wav", ("01-C-1-1", "01", "anger", "male", "1", "weak")),
        (f"{DISGUST}/Fort/02-D-2-2.wav", ("02-D-2-2", "02", "disgust", "female", "2", "strong")),
        ("Joie/Faible/07-J-1-3.wav", ("07-J-1-3", "07", "happiness", "male", "3", "weak")),
        ("Neutre/08-N-1-4.wav", ("08-N-1-4", "08", "neutral", "female", "4", None)),
        ("Peur/Fort/12-P-2-5.wav", ("12-P-2-5", "12", "fear", "female", "5", "strong")),
        ("Surprise/Faible/11-S-1-6.wav", ("11-S-1-6", "11", "surprise", "male", "6", "weak")),
        ("Tristesse/Fort/10-T-2-1.wav", ("10-T-2-1", "10", "sadness", "female", "1", "strong")),
    ],
)
def test_a_name_is_read_field_by_field(path: str, expected: tuple[str, ...]) -> None:
    clip_id, speaker, label, gender, sentence, intensity = expected
    assert parse(path) == Clip(
        clip_id=clip_id, speaker=speaker, label=label, gender=gender, sentence=sentence, intensity=intensity
    )


@pytest.mark.parametrize(
    "folder",
    [
        unicodedata.normalize("NFC", DISGUST),
        unicodedata.normalize("NFD", DISGUST),
        "Degout",
        "D\u201ago\u2013t",  # code page 437, read as Windows' 1252
        "D\u201aA\u0303\u00a9go\u2013t",
        "D\udc82go\udc96t",  # bytes that are no UTF-8, as Python has them in names
    ],
)
def test_the_accents_of_the_folders_do_not_matter(folder: str) -> None:
    clip = parse(f"CaFE_48k/{folder}/Fort/08-D-2-5.wav")
    assert clip is not None
    assert (clip.clip_id, clip.label) == ("08-D-2-5", "disgust")


@pytest.mark.parametrize("folder", [unicodedata.normalize("NFD", ANGER), "Colere", "Col\u0160re", "Col\u00c3\u00a8re"])
def test_nor_do_those_of_anger(folder: str) -> None:
    clip = parse(f"{folder}/Faible/01-C-1-1.wav")
    assert clip is not None
    assert clip.label == "anger"


@pytest.mark.parametrize("path", ["CaFE_192k_1/Peur/Fort/12-P-2-5.aiff", "a/b/Peur/Fort/12-P-2-5.AIF"])
def test_the_tree_of_192_khz_is_read_too(path: str) -> None:
    assert parse(path) == parse("Peur/Fort/12-P-2-5.wav")


@pytest.mark.parametrize(
    "path",
    [
        "12-P-2-5.wav",  # no folder
        "Joie/Fort/12-P-2-5.wav",  # the folder says another emotion
        "Peur/Faible/12-P-2-5.wav",  # or another intensity
        "Peur/12-P-2-5.wav",
        "Neutre/12-N-2-5.wav",  # neutral has one intensity
        "Neutre/Faible/12-N-1-5.wav",
        "Peur/Fort/00-P-2-5.wav",
        "Peur/Fort/13-P-2-5.wav",
        "Peur/Fort/12-X-2-5.wav",
        "Peur/Fort/12-P-3-5.wav",
        "Peur/Fort/12-P-2-7.wav",
        "Peur/Fort/12-P-2-05.wav",
        "Peur/Fort/12-P-2-5.txt",
        "Peur/Fort/12-P-2-5.wav.bak",
        "Peur/Fort/x12-P-2-5.wav",
        "Vapeur/Fort/12-P-2-5.wav",
        "",
    ],
)
def test_another_name_is_no_clip(path: str) -> None:
    assert parse(path) is None


def test_the_complete_corpus_is_that_of_table_1() -> None:
    clips = [clip for name in CAFE.expected_ids() if (clip := parse(path_of(name)))]
    assert len(clips) == sum(CAFE.counts.values()) == 936
    assert CAFE.missing_and_extra(clips) == []
    assert collections.Counter(clip.speaker for clip in clips) == {f"{n:02}": 78 for n in range(1, 13)}
    assert collections.Counter(clip.gender for clip in clips) == {"male": 468, "female": 468}
    assert {clip.label for clip in clips} == set(CAFE.labels)
