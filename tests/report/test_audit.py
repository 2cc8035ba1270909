import pathlib
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from raysee import schema, storage
from raysee.errors import ConfigurationError
from raysee.report.audit_page import Price, Split, write_audit
from raysee.report.look import MOST_ROWS

LABELS = ["anger", "neutral", "sadness"]


def utterances(num_speakers: int = 4, *, sentences: bool = True, sessions: bool = False) -> pa.Table:
    """A clip of each label from each speaker: 01anger, 01neutral, ..., two speakers a session, a sentence a label."""
    return pa.Table.from_pylist(
        [
            {
                "clip_id": f"{speaker:02}{label}",
                "corpus": "tiny",
                "uri": f"file:///{speaker:02}{label}.wav",
                "start_s": None,
                "end_s": None,
                "size_bytes": 1,
                "etag": "",
                "speaker": f"{speaker:02}",
                "gender": None,
                "session": f"s{(speaker + 1) // 2}" if sessions else None,
                "group": f"{speaker:02}",
                "sentence": f"about {label}" if sentences else None,
                "intensity": None,
                "repetition": None,
                "language": "en",
                "label": label,
                "emotion": label,
            }
            for speaker in range(1, num_speakers + 1)
            for label in LABELS
        ],
        schema=schema.UTTERANCES,
    )


def syllables(seed: int) -> npt.NDArray[np.float32]:
    """A log-mel spectrogram of 1.5 s: smooth random colours, as loud as they are different."""
    rough = np.random.default_rng(seed).standard_normal((158, 40))
    smooth = sum(rough[lag : lag + 150] for lag in range(8))
    return (0.7 * smooth - 5).astype(np.float32)


def features(clip_ids: list[str], **arrays: npt.NDArray[np.float32]) -> pa.Table:
    """Different sounds, but those of `arrays`; equal arrays have equal bytes."""
    made = [arrays.get(f"clip{clip_id}", syllables(number)) for number, clip_id in enumerate(clip_ids)]
    return pa.Table.from_pylist(
        [
            {
                "clip_id": clip_id,
                "content_sha256": f"{hash(array.tobytes())}",
                "duration_s": 1.5,
                "sample_rate_hz": 16_000,
                "shape": list(array.shape),
                "values": array.ravel().tolist(),
            }
            for clip_id, array in zip(clip_ids, made, strict=True)
        ],
        schema=schema.FEATURES,
    )


def by_speaker(table: pa.Table) -> Split:
    clips = list(zip(table["clip_id"].to_pylist(), table["speaker"].to_pylist(), strict=True))
    speakers = sorted({speaker for _, speaker in clips})
    return Split(
        "strict",
        "",
        [[clip for clip, speaker in clips if speaker != held] for held in speakers],
        [[clip for clip, speaker in clips if speaker == held] for held in speakers],
    )


def page_of(folder: pathlib.Path, table: pa.Table, *more: Any, **others: Any) -> str:
    """The page as one line of HTML."""
    uri = (folder / "audit.html").as_uri()
    assert write_audit(uri, "a <tiny> corpus", table, *(more or (None, [])), **others) == uri
    return re.sub(r"\s+", " ", storage.read_bytes(uri).decode())


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", html)))


def section(page: str, heading: str) -> str:
    """The text below a heading of the second level, up to the next one."""
    return text_of(re.split(r"<h2>", page.split(f"<h2>{heading}", 1)[1])[0])


def test_a_corpus_is_told_in_numbers(tmp_path: pathlib.Path) -> None:
    page = page_of(tmp_path, utterances(sessions=True))
    text = text_of(page)
    assert "An audit of a &lt;tiny&gt; corpus" in text
    assert "clips 12, in 12 files speakers 4 sessions 2 sentences 3" in text
    held = section(page, "Who and what could be held out")
    assert "Speakers 4 3 3 3 1 1 1 0 Sessions 2 6 6 6 2 2 2 0 Sentences 3 4 4 4 4 4 4 0" in held
    assert "sessions not named sentences not named" in text_of(page_of(tmp_path, utterances(sentences=False)))


def test_the_split_table_tells_which_split_leaks_what(tmp_path: pathlib.Path) -> None:
    table = utterances(sessions=True)
    clips = table["clip_id"].to_pylist()
    by_file = Split("by-file", "speakers and sentences", [clips[1::2], clips[::2]], [clips[::2], clips[1::2]])
    windows = Split("windows", "everything", [clips * 3], [[*clips[:5], *clips[:5]]])
    nowhere = Split("two corpora", "", [], [])
    why = Split("conditions", "not possible: no sentences", [], [])
    half = Split("half", "", [clips[:3]], [clips[3:]])
    page = page_of(tmp_path, table, None, [by_speaker(table), by_file, windows, nowhere, why, half])
    found = section(page, "What each split shares")
    assert "Split Folds Test clips Clips Speakers Sessions Sentences strict" in found
    # Of each speaker's session the other speaker is heard.
    assert "strict 4 12 0 0 12 100.0 %; 1 12 100.0 %; 3 by-file" in found
    assert "by-file leaks speakers and sentences 2 12 0 12 100.0 %; 4 12 100.0 %; 2 12 100.0 %; 3 windows" in found
    # Five clips, however many windows they have, of two speakers in one session.
    assert "windows leaks everything 1 5 5 100.0 %; 5 5 100.0 %; 2 5 100.0 %; 1 5 100.0 %; 3 two corpora" in found
    assert "two corpora does not fit this corpus conditions not possible: no sentences half" in found
    assert "half 1 9 0 0 3 33.3 %; 1 9 100.0 %; 3 Clips:" in found


def test_files_are_told_where_they_hold_several_clips(tmp_path: pathlib.Path) -> None:
    table = utterances(2)
    uris = pa.array([f"file:///{speaker}.wav" for speaker in table["speaker"].to_pylist()])
    table = table.set_column(table.schema.get_field_index("uri"), table.schema.field("uri"), uris)
    clips = table["clip_id"].to_pylist()
    page = page_of(tmp_path, table, None, [Split("by-file", "speakers", [clips[:4]], [clips[4:]])])
    assert "clips 6, in 2 files" in text_of(page)
    found = section(page, "What each split shares")
    assert (
        "Clips Files Speakers Sentences by-file leaks speakers 1 2 0 2 100.0 %; 1 2 100.0 %; 1 2 100.0 %; 2 Clips:"
        in found
    )


def test_recordings_under_two_names_are_listed_and_followed_through_the_splits(tmp_path: pathlib.Path) -> None:
    table = utterances()
    clips = table["clip_id"].to_pylist()
    same, other = syllables(100), syllables(200)
    louder = np.concatenate([np.full((12, 40), other.min()), other]).astype(np.float32) + 3
    made = features(clips, clip01anger=same, clip02neutral=same, clip03sadness=other, clip03anger=louder)
    page = page_of(tmp_path, table, made, [by_speaker(table)])
    assert "groups of the same bytes 1 near-identical pairs 1" in text_of(page)
    assert "01anger ( anger, speaker 01); 02neutral ( neutral, speaker 02) label, speaker, sentence" in section(
        page, "The same bytes"
    )
    near = section(page, "The same recording in other bytes")
    assert re.search(
        r"03anger anger, speaker 03 03sadness sadness, speaker 03 (0\.99\d|1\.000) -120 label, sentence", near
    )
    shares = section(page, "What each split shares")
    assert "Sentences Identical clips Near-identical clips strict" in shares
    assert "12 100.0 %; 3 2 16.7 %; 1 0 Clips:" in shares


def test_without_log_mels_the_page_says_that_nobody_listened(tmp_path: pathlib.Path) -> None:
    page = page_of(tmp_path, utterances())
    assert "the same recording twice not searched" in text_of(page)
    assert "Not searched" in section(page, "The same bytes")
    assert "Not searched" in section(page, "The same recording in other bytes")
    listened = page_of(tmp_path, utterances(), features(utterances()["clip_id"].to_pylist()), [])
    assert "None: no two of 12 clips have the same bytes" in section(listened, "The same bytes")
    assert "None among 12 clips" in section(listened, "The same recording in other bytes")
    assert "Not searched" not in listened


def test_clips_that_were_not_asked_for_are_left_out(tmp_path: pathlib.Path) -> None:
    array = syllables(100)
    made = features([*utterances()["clip_id"].to_pylist(), "99anger"], clip01anger=array, clip99anger=array)
    assert "None: no two of 12 clips" in section(page_of(tmp_path, utterances(), made, []), "The same bytes")


def test_the_price_is_told_by_what_was_heard(tmp_path: pathlib.Path) -> None:
    price = [Price("speaker heard, sentence unheard", 0.613, 1_216), Price("speaker unheard", 0.25, 80)]
    page = page_of(tmp_path, utterances(), None, [], price=price)
    assert "speaker heard, sentence unheard 1,216 61.3 speaker unheard 80 25.0" in section(
        page, "The price of the leak"
    )
    assert "The price" not in page_of(tmp_path, utterances())


def test_a_long_list_ends_with_how_much_more_there_is(tmp_path: pathlib.Path) -> None:
    table = utterances(2 * (MOST_ROWS + 2) // 3 + 2)
    clips = table["clip_id"].to_pylist()[: 2 * (MOST_ROWS + 2)]
    doubled = {f"clip{clip_id}": syllables(1_000 + number // 2) for number, clip_id in enumerate(clips)}
    found = section(page_of(tmp_path, table, features(clips, **doubled), []), "The same bytes")
    assert f"same SHA-256: {MOST_ROWS + 2}." in found
    assert "And 2 more." in found
    assert clips[2 * MOST_ROWS - 1] in found
    assert clips[2 * MOST_ROWS] not in found


@pytest.mark.parametrize("synthetic", [False, True])
def test_the_page_is_marked_where_and_only_where_the_sound_is_synthetic(
    tmp_path: pathlib.Path, synthetic: bool
) -> None:
    table = utterances()
    page = page_of(
        tmp_path, table, None, [by_speaker(table)], price=[Price("speaker heard", 0.5, 12)], synthetic=synthetic
    )
    assert ("synthetic" in text_of(page).lower()) == synthetic
    marked = re.findall(r"<caption>.*?</caption>|<h[12]>.*?</h[12]>", page)
    assert len(marked) == 3 + 1 + 5
    assert all(("synthetic" in one) == synthetic for one in marked)


def test_the_page_loads_nothing_and_says_where_it_comes_from(tmp_path: pathlib.Path) -> None:
    page = page_of(tmp_path, utterances(), None, [], provenance=[("fingerprint", "0123abcd")])
    assert not re.search(r"<(script|link|iframe|object|img)|@import|url\(|href", page)
    assert "Provenance fingerprint 0123abcd" in text_of(page)


def test_no_clips_and_other_features_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigurationError, match="tiny has no clips"):
        write_audit((tmp_path / "a.html").as_uri(), "tiny", schema.empty(schema.UTTERANCES), None, [])
    with pytest.raises(ConfigurationError, match="take the features logmel40"):
        page_of(tmp_path, utterances(), features(["01anger"], clip01anger=np.zeros((100, 26), np.float32)), [])
    assert not list(tmp_path.iterdir())
