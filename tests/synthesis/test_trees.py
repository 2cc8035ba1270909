import collections
import dataclasses
import pathlib
import re

import numpy as np
import pytest
import soundfile

from raysee.errors import ConfigurationError
from raysee.synthesis import trees
from raysee.synthesis.layouts.layout import Layout
from raysee.synthesis.marker import MARKER

RAVDESS_PATH = re.compile(
    r"Audio_Speech_Actors_01-24/Actor_(?P<folder>\d\d)/"
    r"03-01-(?P<emotion>0[1-8])-(?P<intensity>0[12])-(?P<statement>0[12])-(?P<repetition>0[12])-(?P<actor>\d\d)\.wav"
)
EMODB_PATH = re.compile(
    r"wav/(?P<speaker>03|08|09|1[0-6])(?P<text>a0[12457]|b0[1239]|b10)(?P<emotion>[WLEAFTN])(?P<version>[a-z])\.wav"
)


def below(root: pathlib.Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_the_whole_of_ravdess_has_its_official_names_and_counts() -> None:
    clips = list(trees.ravdess_clips())
    matches = [RAVDESS_PATH.fullmatch(clip.path) for clip in clips]
    assert all(matches)
    assert len({clip.path for clip in clips}) == 1440
    found = [match.groupdict() for match in matches if match]
    assert all(names["folder"] == names["actor"] for names in found)
    assert collections.Counter(names["actor"] for names in found) == {f"{n:02}": 60 for n in range(1, 25)}
    assert collections.Counter(names["emotion"] for names in found) == {
        "01": 96,
        **{f"{n:02}": 192 for n in range(2, 9)},
    }
    assert not any(names["emotion"] == "01" and names["intensity"] == "02" for names in found)


def test_what_is_spoken_in_ravdess_is_what_its_name_says() -> None:
    by_name = {pathlib.PurePath(clip.path).stem: clip for clip in trees.ravdess_clips()}
    angry = by_name["03-01-05-02-01-02-12"]
    assert (angry.emotion, angry.gender, angry.take) == ("anger", "female", 2)
    assert angry.intensity > 1
    calm = by_name["03-01-02-01-02-01-23"]
    assert (calm.emotion, calm.gender, calm.intensity) == ("calm", "male", 1.0)
    assert calm.sentence != angry.sentence
    assert len({clip.speaker for clip in by_name.values()}) == 24


def test_the_whole_of_emodb_has_its_official_names() -> None:
    clips = list(trees.emodb_clips())
    matches = [EMODB_PATH.fullmatch(clip.path) for clip in clips]
    assert all(matches)
    assert len({clip.path for clip in clips}) == 700
    assert len({match["text"] for match in matches if match}) == 10
    assert {
        match["speaker"] for match, clip in zip(matches, clips, strict=True) if match and clip.gender == "male"
    } == {
        "03",
        "10",
        "11",
        "12",
        "15",
    }
    letters = {(match["emotion"], clip.emotion) for match, clip in zip(matches, clips, strict=True) if match}
    assert letters == {
        ("W", "anger"),
        ("L", "boredom"),
        ("E", "disgust"),
        ("A", "fear"),
        ("F", "happiness"),
        ("T", "sadness"),
        ("N", "neutral"),
    }


def test_written_files_are_the_listed_ones_in_the_right_format(tmp_path: pathlib.Path) -> None:
    assert trees.write_ravdess(tmp_path / "r", actors=1, repetitions=1) == 30
    assert below(tmp_path / "r") == sorted(
        [*(clip.path for clip in trees.ravdess_clips(1, 1)), f"Audio_Speech_Actors_01-24/Actor_01/{MARKER}"]
    )
    assert trees.TREES["emodb"](tmp_path / "e", 1) == 70
    assert below(tmp_path / "e") == sorted([*(clip.path for clip in trees.emodb_clips(1)), f"wav/{MARKER}"])
    for path in tmp_path.rglob("*.wav"):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert 0.9 < info.duration < 3.5


def test_the_seed_decides_every_byte(tmp_path: pathlib.Path) -> None:
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        trees.write_ravdess(tmp_path / name, actors=1, repetitions=1, seed=seed)
    for path in [name for name in below(tmp_path / "one") if MARKER not in name]:
        data = (tmp_path / "one" / path).read_bytes()
        assert data == (tmp_path / "again" / path).read_bytes()
        assert data != (tmp_path / "other" / path).read_bytes()


def test_an_actor_is_the_same_in_a_smaller_tree(tmp_path: pathlib.Path) -> None:
    trees.write_ravdess(tmp_path / "one", actors=1, repetitions=1)
    trees.write_ravdess(tmp_path / "two", actors=2, repetitions=1)
    path = below(tmp_path / "one")[0]
    one, two = (soundfile.read(tmp_path / name / path)[0] for name in ("one", "two"))
    assert np.array_equal(one, two)


@pytest.mark.parametrize(("actors", "repetitions"), [(0, 2), (25, 2), (24, 3)])
def test_more_than_there_is_cannot_be_had(tmp_path: pathlib.Path, actors: int, repetitions: int) -> None:
    with pytest.raises(ConfigurationError, match="There can be 1 to"):
        trees.write_ravdess(tmp_path, actors=actors, repetitions=repetitions)
    with pytest.raises(ConfigurationError, match="1 to 10 speakers, not 11"):
        trees.write_emodb(tmp_path, speakers=11)
    assert below(tmp_path) == []


def few(name: str) -> Layout:
    """A layout of one speaker, four of its recordings, and every other file."""
    layout = trees.LAYOUTS[name](1)
    kept = list(dict.fromkeys(clip.path for clip in layout.clips))[:: max(1, len(layout.clips) // 4)]
    return dataclasses.replace(layout, clips=tuple(clip for clip in layout.clips if clip.path in kept))


@pytest.mark.parametrize("name", trees.LAYOUTS)
def test_every_corpus_is_spoken_marked_and_annotated(tmp_path: pathlib.Path, name: str) -> None:
    layout = few(name)
    recordings = {clip.path for clip in layout.clips}
    assert trees.write_layout(tmp_path, layout) == len(recordings)
    marks = {f"{pathlib.PurePosixPath(path).parent / MARKER}" for path in recordings}
    assert set(below(tmp_path)) == recordings | set(layout.files) | marks
    assert all((tmp_path / path).read_bytes() == data for path, data in layout.files.items())
    for path in recordings:
        data = (tmp_path / path).read_bytes()
        if path.endswith(".avi"):
            samples = np.frombuffer(data[data.index(b"movi") :], "<i2", count=len(data) // 4) / 32768
        else:
            samples, rate = soundfile.read(tmp_path / path)
            assert rate == 16_000
        assert 0.01 < np.abs(samples).max() <= 1.0
        assert np.std(samples) > 0.001


def test_turns_of_a_session_lie_where_its_layout_says(tmp_path: pathlib.Path) -> None:
    layout = few("smartkom")
    trees.write_layout(tmp_path, layout)
    for path in {clip.path for clip in layout.clips}:
        samples, _ = soundfile.read(tmp_path / path)
        spans = [clip.span for clip in layout.clips if clip.path == path]
        silent = np.ones(len(samples), bool)
        for start, end in [span for span in spans if span]:
            assert np.abs(samples[start:end]).max() > 0.01
            silent[start:end] = False
        assert silent.sum() >= len(spans) * 8000
        assert not samples[silent].any()


def test_a_tree_is_written_with_so_many_speakers(tmp_path: pathlib.Path) -> None:
    assert trees.TREES["ravdess_song"](tmp_path / "one", 1, seed=3) == 44
    assert len(list((tmp_path / "one").rglob("*.wav"))) == 44
    with pytest.raises(ConfigurationError, match="1 to 4 speakers, not 5"):
        trees.TREES["savee"](tmp_path / "five", 5)
    assert not (tmp_path / "five").exists()
