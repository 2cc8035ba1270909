"""Every corpus's parser against its synthetic tree, whose generator knows nothing of it."""

import collections

import pytest

from raysee.corpora import CORPORA
from raysee.corpora.manifest import build
from raysee.storage import FileInfo
from raysee.synthesis.layouts import LAYOUTS

ROOT = "s3://bucket/corpus"

#: Keesing et al. 2020, Table 1: anger, happiness, sadness, fear, surprise, disgust, neutral, other, unknown.
TABLE_1 = {
    "cafe": (144, 144, 144, 144, 144, 144, 72, 0, 0),
    "cremad": (1271, 1271, 1270, 1271, 0, 1271, 1087, 0, 0),
    "demos": (246, 167, 422, 177, 203, 140, 0, 209, 0),
    "emodb": (127, 71, 62, 69, 0, 46, 79, 81, 0),
    "emofilm": (232, 240, 254, 221, 0, 168, 0, 0, 0),
    "enterface": (215, 212, 215, 215, 215, 215, 0, 0, 0),
    "iemocap": (1103, 1636, 1084, 0, 0, 0, 1708, 0, 0),
    "jl": (240, 240, 240, 0, 0, 0, 240, 240, 0),
    "msp_improv": (792, 2644, 885, 0, 0, 0, 3477, 0, 0),
    "portuguese": (63, 46, 59, 41, 64, 35, 60, 0, 0),
    "ravdess": (192, 192, 192, 192, 192, 192, 96, 192, 0),
    "savee": (60, 60, 60, 60, 60, 60, 120, 0, 0),
    "shemo": (1059, 201, 449, 0, 225, 0, 1028, 0, 0),
    "smartkom": (99, 118, 54, 0, 9, 0, 1786, 183, 46),
    "tess": (400, 400, 400, 400, 400, 400, 400, 0, 0),
}
EMOTIONS = ("anger", "happiness", "sadness", "fear", "surprise", "disgust", "neutral", "other", "unknown")


@pytest.mark.parametrize("name", TABLE_1)
def test_the_counts_that_are_checked_are_those_of_table_1(name: str) -> None:
    assert tuple(CORPORA[name].counts.get(emotion, 0) for emotion in EMOTIONS) == TABLE_1[name]  # type: ignore[call-overload]


def test_every_corpus_has_a_tree() -> None:
    assert set(LAYOUTS) == set(CORPORA) == {*TABLE_1, "ravdess_song"}


@pytest.mark.parametrize("name", sorted(set(CORPORA) - {"emodb"}))
def test_a_whole_tree_is_read_as_it_was_meant(name: str) -> None:
    corpus, layout = CORPORA[name], LAYOUTS[name]()
    files = {f"{ROOT}/{path}": layout.files.get(path) for path in layout.paths}
    listing = sorted(FileInfo(uri, 1000 if data is None else len(data), "tag") for uri, data in files.items())

    def read(uri: str) -> bytes:
        data = files[uri]
        assert data is not None, f"{uri} is sound: a manifest does not read it"
        return data

    utterances, rejects = build(corpus, ROOT, listing, read)  # it raises where a count differs
    rows = utterances.to_pylist()
    meant = collections.Counter(clip.label for clip in layout.clips if not clip.left_out)
    assert collections.Counter(row["label"] for row in rows) == meant
    if name in TABLE_1:
        counted = collections.Counter(row["emotion"] for row in rows)
        assert tuple(counted[emotion] for emotion in EMOTIONS) == TABLE_1[name]
    assert len({row["speaker"] for row in rows}) == corpus.num_speakers
    assert {row["label"] for row in rows} == set(corpus.labels)
    left_out = len({clip.path for clip in layout.clips if clip.left_out})
    assert collections.Counter(rejects["error"].to_pylist()) == ({"LeftOut": left_out} if left_out else {})


def test_each_speaker_is_in_one_group() -> None:
    layout = LAYOUTS["iemocap"]()
    for rule, num_speakers in (("real", 10), ("paper", 10)):
        listing = sorted(FileInfo(f"{ROOT}/{path}", 1000, "tag") for path in layout.paths)
        utterances, _ = build(
            CORPORA["iemocap"],
            ROOT,
            listing,
            lambda uri: layout.files[uri.removeprefix(f"{ROOT}/")],
            options={"speaker_rule": rule},
        )
        pairs = set(zip(utterances["speaker"].to_pylist(), utterances["group"].to_pylist(), strict=True))
        assert len(pairs) == num_speakers
        assert len({group for _, group in pairs}) == 5
