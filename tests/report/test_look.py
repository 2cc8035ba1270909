import pathlib
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from matplotlib.figure import Figure

from raysee import lake, schema, storage
from raysee.audio.measure import Measures
from raysee.corpora.manifest import manifest
from raysee.errors import ConfigurationError
from raysee.report.look import CLIPPING_RUN, MOST_ROWS, Heard, duplicates, look, power_db, spread
from raysee.synthesis.marker import mark

SPEAKERS = ("03", "08", "09")
EMOTIONS = {"W": "anger", "N": "neutral", "T": "sadness"}
RATE_HZ = 16_000
PNG = "iVBORw0KGgo"  # a file's first bytes, in base64


def sound(seconds: float, dbfs: float = -20.0, seed: int = 0) -> Any:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))
    return 10 ** (dbfs / 20) * noise / np.sqrt(np.mean(noise**2))


def write(folder: pathlib.Path, name: str, samples: Any) -> pathlib.Path:
    path = folder / "wav" / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE_HZ)
    return path


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture takes most of a second to draw, and these tests read the text, but for those that ask for it."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(Figure, "savefig", lambda figure, buffer, **options: buffer.write(b"drawn"))


@pytest.fixture
def drawn() -> None:
    """Asked for by the tests of pictures."""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Nine clips under EMO-DB's names: anger of 0.5 s at -15 dBFS, neutral of 1 s and -20, sadness of 2 s and -30."""
    root = tmp_path / "emodb"
    for speaker in SPEAKERS:
        for letter, seconds, dbfs in [("W", 0.5, -15.0), ("N", 1.0, -20.0), ("T", 2.0, -30.0)]:
            write(root, f"{speaker}a01{letter}a", sound(seconds, dbfs, seed=int(speaker)))
    return root


def page_of(folder: pathlib.Path, **more: Any) -> str:
    """Make the manifest of a folder and look at it: the page as one line of HTML."""
    root = str(folder.parent / "lake")
    manifest(root, "emodb", str(folder), allow_count_mismatch=True, overwrite=True)
    return flat(look(root, "emodb", **more))


def flat(uri: str) -> str:
    return re.sub(r"\s+", " ", storage.read_bytes(uri).decode())


def text_of(html: str) -> str:
    """What a reader sees; pictures and styles are gone."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", html)))


def section(page: str, heading: str) -> str:
    """The text below a heading of the second level, up to the next one."""
    return text_of(re.split(r"<h2>", page.split(f"<h2>{heading}", 1)[1])[0])


def test_clips_are_counted_by_emotion_speaker_and_gender(folder: pathlib.Path) -> None:
    (folder / "wav" / "09a01Ta.wav").unlink()
    page = page_of(folder)
    text = text_of(page)
    assert "clips 8; the whole corpus has 535" in text
    assert "speakers 3 (2 female, 1 male)" in text
    assert "16,000 Hz channels 1 language de" in text
    emotions = section(page, "Clips by emotion")
    assert "female male Speakers" in emotions
    assert "anger anger 3 37.5 2 1 3 0:02" in emotions
    assert "sadness sadness 2 25.0 1 1 2 0:04" in emotions
    speakers = section(page, "Clips by speaker")
    assert "Speaker Gender anger neutral sadness All" in speakers
    assert "03 male 1 1 1 3 08 female 1 1 1 3 09 female 1 1 0 2" in speakers


def test_the_label_is_shown_with_the_emotion_that_it_maps_to(folder: pathlib.Path) -> None:
    write(folder, "03a02La", sound(1.0, seed=99))
    assert "boredom other 1 10.0" in section(page_of(folder), "Clips by emotion")


def test_durations_levels_and_silence_are_those_of_the_sound(folder: pathlib.Path) -> None:
    write(folder, "10a01Ta", np.concatenate([np.zeros(RATE_HZ), sound(2.0, -30, seed=5), np.zeros(RATE_HZ // 2)]))
    write(folder, "11a01Ta", np.concatenate([np.zeros(RATE_HZ), sound(2.0, -30, seed=6), np.zeros(RATE_HZ // 2)]))
    page = page_of(folder)
    durations = section(page, "Durations")
    assert "anger 0.50 0.50 0.50 0.50 0.50" in durations
    assert "sadness 2.00 2.00 2.00 3.50 3.50" in durations
    levels = section(page, "Levels")
    assert "anger -15.0 -15.0 -15.0 -15.0 -15.0" in levels
    assert "sadness -32.4 -32.4 -30.0 -30.0 -30.0" in levels
    assert "sadness 0.0 0.00 0.00" in section(page, "Silence")
    for name in ("03a01Ta", "08a01Ta"):
        (folder / "wav" / f"{name}.wav").unlink()
    assert "sadness 42.9 1.00 0.50" in section(page_of(folder), "Silence")


def test_a_clip_that_was_scaled_to_its_peak_is_told_from_a_clipped_one(folder: pathlib.Path) -> None:
    once, clipped = sound(1.0, -30, seed=7), sound(1.0, -30, seed=8)
    once[50] = 1.0
    clipped[100 : 100 + CLIPPING_RUN] = 1.0
    write(folder, "10a01Na", once)
    write(folder, "11a01Na", clipped)
    found = section(page_of(folder), "Clipping")
    assert "2 of 11 clips reach full scale (32767 / 32768) in at least one sample, 1 in 3 or more in a row" in found
    assert re.search(r"11a01Na neutral 11 -\d+\.\d 1\.000 0\.019 3", found)
    assert "10a01Na" not in found


def test_the_same_bytes_under_two_names_are_listed_with_what_differs(folder: pathlib.Path) -> None:
    wav = folder / "wav"
    (wav / "08a02Na.wav").write_bytes((wav / "03a01Wa.wav").read_bytes())
    (wav / "09a01Tb.wav").write_bytes((wav / "09a01Ta.wav").read_bytes())
    found = section(page_of(folder), "Duplicates")
    assert "files: 2." in found
    assert "03a01Wa (speaker 03, anger), 08a02Na (speaker 08, neutral) label, speaker, sentence" in found
    assert "09a01Ta (speaker 09, sadness), 09a01Tb (speaker 09, sadness) repetition" in found


def test_parts_of_one_file_are_no_duplicates() -> None:
    def heard(clip_id: str, sha256: str, start_s: float | None) -> Heard:
        row = dict.fromkeys(schema.UTTERANCES.names) | {"clip_id": clip_id, "start_s": start_s}
        return Heard(row, Measures(1.0, 16_000, 1, -20.0, 0.5, 0.0, 0, 0.0, 0.0, 0.0, sha256))

    parts = [heard("a", "1", 0.0), heard("b", "1", 1.0), heard("c", "2", 1.0), heard("d", "1", 1.0)]
    (found,) = duplicates(parts)
    assert [row["clip_id"] for row in found.clips] == ["b", "d"]


def test_clips_are_cut_from_their_file(folder: pathlib.Path) -> None:
    root = storage.normalise(folder.parent / "lake")
    manifest(root, "emodb", str(folder), allow_count_mismatch=True)
    clips = storage.join(lake.utterances(root, "emodb"), "clips", "part-00000.parquet")
    long = write(folder, "long", np.concatenate([sound(1.0, -10, seed=1), sound(3.0, -30, seed=2)]))
    row = {**storage.read_table(clips, schema.UTTERANCES).to_pylist()[0], "uri": long.as_uri()}
    rows = [
        {**row, "clip_id": "long_1", "label": "anger", "start_s": None, "end_s": 1.0},
        {**row, "clip_id": "long_2", "label": "neutral", "start_s": 1.0, "end_s": None},
        {**row, "clip_id": "long_3", "label": "neutral", "start_s": 3.0, "end_s": 4.5},
    ]
    storage.write_table(clips, pa.Table.from_pylist(rows, schema=schema.UTTERANCES), schema.UTTERANCES)
    page = flat(look(root, "emodb"))
    assert "anger -10.0 -10.0 -10.0" in section(page, "Levels")
    assert "neutral -30.0 -30.0 -30.0" in section(page, "Levels")
    assert "neutral 3.00 3.00 3.00" in section(page, "Durations")
    assert "1 AudioError Clip Error Message long_3 AudioError the clip is samples 48000 to 72000" in text_of(page)
    assert "None: no two clips" in section(page, "Duplicates")
    assert "clip long_2, speaker 03, 3.0 s" in text_of(page)


def test_what_cannot_be_read_and_what_the_manifest_rejects_are_listed_by_reason(folder: pathlib.Path) -> None:
    wav = folder / "wav"
    (wav / "<b>.wav").write_bytes(b"RIFF")
    (wav / "03a05Na.wav").write_bytes(b"")
    (wav / "03a04Na.wav").write_bytes(b"no sound")
    root = str(folder.parent / "lake")
    manifest(root, "emodb", str(folder), allow_count_mismatch=True)
    (wav / "03a01Ta.wav").unlink()
    page = flat(look(root, "emodb"))
    unread = section(page, "Clips that cannot be read")
    assert "1 MissingError" in unread
    assert "1 NotAudio" in unread
    assert "03a04Na NotAudio" in unread
    rejects = section(page, "Rejects of the manifest")
    assert "1 UnknownName" in rejects
    assert "1 EmptyFile" in rejects
    assert "&lt;b&gt;.wav" in rejects
    assert "<b>" not in page
    assert "clip 08a01Ta" in page, "another clip stands for the class"


def test_a_corpus_of_which_nothing_can_be_read_has_a_page(folder: pathlib.Path) -> None:
    root = str(folder.parent / "lake")
    manifest(root, "emodb", str(folder), allow_count_mismatch=True)
    for path in (folder / "wav").iterdir():
        path.write_bytes(b"no sound")
    page = flat(look(root, "emodb"))
    assert "9 NotAudio" in page
    assert page.count("<img") == 0
    assert page.count("No picture: none of 0.1 s or more can be read") == 3
    assert "anger no clip can be read" in section(page, "Durations")


def test_examples_are_of_one_speaker_and_sentence_where_there_is_one(folder: pathlib.Path) -> None:
    (folder / "wav" / "03a01Ta.wav").unlink()
    write(folder, "08a02Na", sound(1.0, seed=3))
    write(folder, "03a02La", sound(1.0, seed=4))
    captions = re.findall(r"clip (\w+), speaker (\d\d), ([\d.]+) s", text_of(page_of(folder)))
    assert captions == [
        ("08a01Wa", "08", "0.5"),
        ("03a02La", "03", "1.0"),
        ("08a01Na", "08", "1.0"),
        ("08a01Ta", "08", "2.0"),
    ]


@pytest.mark.parametrize("synthetic", [False, True])
def test_the_page_is_marked_where_and_only_where_the_manifest_says_so(folder: pathlib.Path, synthetic: bool) -> None:
    if synthetic:
        mark(folder)
    page = page_of(folder)
    assert ("synthetic" in text_of(page).lower()) == synthetic
    captions = re.findall(r"<(?:fig)?caption>.*?</(?:fig)?caption>", page)
    assert len(captions) == 3 + 3 + 3  # histograms, tables of quartiles, examples
    assert all(("synthetic" in caption) == synthetic for caption in captions)
    assert page.count("<img") == 6
    assert all(("synthetic" in alt) == synthetic for alt in re.findall(r'alt="([^"]*)"', page))


@pytest.mark.usefixtures("drawn")
def test_the_page_loads_nothing(folder: pathlib.Path) -> None:
    page = page_of(folder)
    assert not re.search(r"<(script|link|iframe|object)|@import|url\(", page)
    assert set(re.findall(r'src="data:image/png;base64,(.{11})', page)) == {PNG}
    assert "href" not in page


def test_long_lists_end_with_how_much_more_there_is(folder: pathlib.Path) -> None:
    for number in range(MOST_ROWS + 2):
        (folder / "wav" / f"other{number:03}.wav").write_bytes(b"RIFF")
    rejects = section(page_of(folder), "Rejects of the manifest")
    assert f"{MOST_ROWS + 2} UnknownName" in rejects
    assert f"other{MOST_ROWS - 1:03}.wav" in rejects
    assert f"other{MOST_ROWS:03}.wav" not in rejects
    assert "And 2 more." in rejects


def test_the_page_lies_beside_the_manifest_or_where_it_is_wanted(folder: pathlib.Path, place: str) -> None:
    manifest(place, "emodb", str(folder), allow_count_mismatch=True)
    assert look(place, "emodb") == f"{place}/utterances/emodb/look.html"
    assert "A look at EMO-DB" in flat(f"{place}/utterances/emodb/look.html")
    out = folder.parent / "a look.html"
    assert look(place, "emodb", str(out)) == out.as_uri()
    assert "A look at EMO-DB" in out.read_text()


def test_progress_counts_every_clip_to_the_end(folder: pathlib.Path) -> None:
    said: list[tuple[int, int]] = []
    page_of(folder, on_progress=lambda done, total, remark: said.append((done, total)))
    assert said == [(done, 9) for done in range(1, 10)]


def test_without_a_manifest_or_a_known_corpus_there_is_one_sentence(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigurationError, match="no manifest of emodb: run `raysee manifest emodb"):
        look(str(tmp_path), "emodb")
    with pytest.raises(ConfigurationError, match="choose one of"):
        look(str(tmp_path), "emobd")
    assert not list(tmp_path.iterdir())


def test_a_spread_is_of_quartiles() -> None:
    assert spread([4.0, 0.0, 1.0, 3.0, 2.0]) == (0.0, 1.0, 2.0, 3.0, 4.0)
    assert spread(iter([])) is None


@pytest.mark.parametrize("hz", [500, 1_000, 4_000])
def test_a_tone_is_the_loudest_bin_of_every_frame(hz: int) -> None:
    spectrum = power_db(np.sin(2 * np.pi * hz * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32))
    assert spectrum.shape == (98, 513)
    assert set(spectrum.argmax(axis=1)) == {hz * 512 // 8_000}
    quieter = power_db(0.01 * np.sin(2 * np.pi * hz * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32))
    assert spectrum.max() - quieter.max() == pytest.approx(40, abs=0.01)
