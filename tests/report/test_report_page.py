import pathlib
import re
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from raysee import receipts, storage
from raysee.errors import ConfigurationError
from raysee.evaluation.metrics import Summary
from raysee.receipts import Receipt
from raysee.report.page import write_report

from .report_runs import call, emodb, scored, trained, windows_of

Read = Callable[..., str]


@pytest.fixture
def read(tmp_path: pathlib.Path) -> Read:
    """Write the report of some places and give it as one line of HTML."""

    def report(*places: str) -> str:
        uri = write_report(places, str(tmp_path / "page.html"))
        return re.sub(r"\s+", " ", storage.read_bytes(uri).decode())

    return report


def text_of(html: str) -> str:
    """What a reader sees; pictures and styles are gone."""
    without_style = re.sub(r"<style>.*?</style>", "", html)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without_style))


def a_lake(root: pathlib.Path) -> str:
    """A lake without a manifest, and so without sound to draw."""
    return storage.normalise(root / "lake")


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def a_scoring_run(root: pathlib.Path, summary: Summary, **more: Any) -> str:
    calls = [
        call("first.wav", probabilities=[0.2, 0.7, 0.1]),
        call("first.wav", channel=1, probabilities=[0.6, 0.3, 0.1]),
        call("silent.wav", probabilities=None),
    ]
    segments = [segment for one in calls for segment in windows_of(one)]
    return scored(root, summary, calls=calls, segments=segments, **more)


def test_the_numbers_of_a_training_are_those_of_its_receipt(tmp_path: pathlib.Path, read: Read) -> None:
    place, summary = trained(a_lake(tmp_path), repeats=2)
    page = read(place)
    assert summary.uar_std_of_repeats is not None
    assert (
        f"<strong>{percent(summary.uar_mean_of_folds)}</strong> &plusmn;&nbsp;{percent(summary.uar_std_of_repeats)}"
        in page
    )
    text = text_of(page)
    for figure in (summary.uar_pooled, summary.accuracy, summary.chance):
        assert f" {percent(figure)} " in text
    for fold, speaker in enumerate(["03", "08", "09"]):
        repeats = [folds[fold] for folds in summary.uar_by_fold.values()]
        low, high = percent(min(repeats)), percent(max(repeats))
        assert re.search(rf" {fold} {speaker} [\d, ]+ {percent(sum(repeats) / 2)} {low} to {high} ", text)
    for index, (label, row) in enumerate(zip(["anger", "neutral", "sadness"], summary.confusion, strict=True)):
        assert f" {label} {percent(row[index] / sum(row))} " in text
    assert "float32, 4 epochs, 2 repeats" in text


def test_a_published_figure_stands_only_beside_what_it_is_comparable_with(tmp_path: pathlib.Path, read: Read) -> None:
    root = a_lake(tmp_path)
    full, _ = trained(root, epochs=50)
    assert re.search(r" 73\.2 .* published: Keesing et al\. 2020", text_of(read(full)))
    others = [
        trained(root, epochs=49),
        trained(root, epochs=50, size="debug"),
        trained(root, epochs=50, synthetic=True),
        trained(root, epochs=50, classes=("anger", "sadness")),
        trained(root, epochs=50, protocol_name="badshah2017"),
    ]
    assert "73.2" not in text_of(read(*(place for place, _ in others)))


@pytest.mark.parametrize("synthetic", [False, True])
def test_a_training_is_marked_where_and_only_where_its_receipt_says_so(
    tmp_path: pathlib.Path, read: Read, synthetic: bool
) -> None:
    place, summary = trained(emodb(tmp_path, synthetic=synthetic), synthetic=synthetic)
    page = read(place)
    assert ("synthetic" in text_of(page).lower()) == synthetic
    figure = percent(summary.uar_mean_of_folds)
    assert (f'<strong>{figure}</strong> <span class="beside">synthetic' in page) == synthetic
    captions = re.findall(r"<figcaption>.*?</figcaption>", page)
    assert len(captions) == 7  # confusion, curves, three clips
    assert all(("synthetic" in caption.lower()) == synthetic for caption in captions)


@pytest.mark.parametrize(("calls", "model"), [(False, False), (True, False), (False, True)])
def test_made_calls_and_models_are_both_marked(tmp_path: pathlib.Path, read: Read, calls: bool, model: bool) -> None:
    _, summary = trained(a_lake(tmp_path))
    page = read(a_scoring_run(tmp_path, summary, synthetic=calls, synthetic_model=model))
    assert ("synthetic" in text_of(page).lower()) == (calls or model)
    assert ("trained on a synthetic voice" in page) == model
    expected = rf"<strong>{percent(summary.uar_mean_of_folds)} %</strong> ?<span class=\"beside\">synthetic"
    assert bool(re.search(expected, page)) == model, "the model's own figure is synthetic where the model is"


def test_a_leak_is_shown_and_priced(tmp_path: pathlib.Path, read: Read) -> None:
    root = a_lake(tmp_path)
    leaky, high = trained(root, protocol_name="badshah2017", right=0.9)
    debug, _ = trained(root, size="debug")
    page = read(leaky, debug)
    assert "badshah2017 - leaks speakers and sentences" in page
    assert "price of the leak" not in page, "another network is not comparable"
    clean, low = trained(root, right=0.3)
    other, _ = trained(root, right=0.3, epochs=2)
    page = read(leaky, clean, other)
    points = 100 * (high.uar_mean_of_folds - low.uar_mean_of_folds)
    sentences = re.findall(r'<p class="price">(.*?)</p>', page)
    assert len(sentences) == 2
    assert all(f"a difference of {points:+.1f} points" in sentence for sentence in sentences)
    assert "also differ" not in sentences[0]
    assert "The two also differ in epochs." in sentences[1]


def test_the_numbers_of_a_scoring_are_those_of_its_tables(tmp_path: pathlib.Path, read: Read) -> None:
    _, summary = trained(a_lake(tmp_path))
    text = text_of(read(a_scoring_run(tmp_path, summary)))
    assert "recordings 2; passed over: 3 .txt" in text
    assert "audio 2.00 h speed 600 times real time" in text
    assert "EMO-DB, 535 clips, 10 speakers; licence: free for research" in text
    assert f"UAR is {percent(summary.uar_mean_of_folds)} % where chance is {percent(summary.chance)} %" in text
    assert "first.wav 0 (left) 1:01 0:40 3 neutral 70.0" in text
    assert "first.wav 1 (right) 1:01 0:40 3 anger 60.0" in text
    assert "anger 0 0.0 3 100.0 neutral 3 100.0 0 0.0" in text
    assert "None: every recording was scored." in text


def test_a_call_without_speech_is_a_row_and_no_picture(tmp_path: pathlib.Path, read: Read) -> None:
    _, summary = trained(a_lake(tmp_path))
    page = read(a_scoring_run(tmp_path, summary))
    assert "silent.wav 0 (left) 1:01 0:00 0 no speech" in text_of(page)
    assert page.count("<img") == 1
    nobody = scored(tmp_path / "other", summary, calls=[call("silent.wav", probabilities=None)], segments=[])
    assert "No speech was found in any recording." in read(nobody)


def test_names_of_files_are_escaped(tmp_path: pathlib.Path, read: Read) -> None:
    _, summary = trained(a_lake(tmp_path))
    name = "<script>alert(1)<.wav"
    rows = [call(name, probabilities=[0.2, 0.7, 0.1])]
    reject = {"id": "x", "uri": rows[0]["uri"], "stage": "score", "error": "NotAudio", "message": "<b>no</b>"}
    page = read(scored(tmp_path, summary, calls=rows, segments=windows_of(rows[0]), rejects=[reject]))
    assert "<script" not in page
    assert "<b>no" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;.wav") == 3  # its picture, its row, its reject
    assert "1 NotAudio" in page


def test_long_tables_end_with_how_much_more_there_is(tmp_path: pathlib.Path, read: Read) -> None:
    _, summary = trained(a_lake(tmp_path))
    rows = [call(f"{number}.wav", num_segments=1, probabilities=[0.2, 0.7, 0.1]) for number in range(203)]
    segments = [segment for row in rows for segment in windows_of(row)]
    rejects = [
        {"id": str(number), "uri": "s3://a/b.wav", "stage": "score", "error": "NotAudio", "message": "no"}
        for number in range(201)
    ]
    page = read(scored(tmp_path, summary, calls=rows, segments=segments, rejects=rejects))
    assert "And 3 more rows in" in page
    assert "And 1 more in" in page
    assert "199.wav" in page
    assert "200.wav" not in page
    assert page.count("<img") == 6


def test_audio_that_has_vanished_is_said_in_its_place(tmp_path: pathlib.Path, read: Read) -> None:
    root = emodb(tmp_path)
    place, _ = trained(root)
    assert read(place).count("<img") == 7
    for path in (tmp_path / "emodb" / "wav").glob("*W?.wav"):
        path.unlink()
    page = read(place)
    assert page.count("<img") == 4
    assert re.search(r"no clip of this class can be read any more: file:\S+03a01Wa.wav does not exist", page)
    shutil.rmtree(tmp_path / "lake" / "utterances")
    page = read(place)
    assert page.count("<img") == 2
    assert page.count("utterances/emodb/clips has none") == 3


def test_one_bad_clip_does_not_cost_its_class(tmp_path: pathlib.Path, read: Read) -> None:
    place, _ = trained(emodb(tmp_path))
    (tmp_path / "emodb" / "wav" / "03a01Wa.wav").write_bytes(b"no sound")
    assert "clip 08a01Wa" in read(place)


def test_the_page_loads_nothing(tmp_path: pathlib.Path, read: Read) -> None:
    place, summary = trained(emodb(tmp_path))
    page = read(place, a_scoring_run(tmp_path, summary))
    assert not re.search(r"<(script|link|iframe|object)|@import|url\(", page)
    assert set(re.findall(r'src="(.{14})', page)) == {"data:image/png"}
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)', page))
    assert len(page) < 3_000_000


def test_without_out_the_page_lies_below_the_first_run_file_or_object(place: str) -> None:
    run, summary = trained(place)
    assert write_report([run]) == f"{run}/report.html"
    assert percent(summary.uar_pooled) in storage.read_bytes(f"{run}/report.html").decode()


def test_what_is_no_finished_run_is_one_sentence(tmp_path: pathlib.Path) -> None:
    root = emodb(tmp_path)
    with pytest.raises(ConfigurationError, match="at least one"):
        write_report([])
    with pytest.raises(ConfigurationError, match="no finished run"):
        write_report([str(tmp_path / "nowhere")])
    place, _ = trained(root)
    storage.remove(f"{place}/receipt.json")
    with pytest.raises(ConfigurationError, match="no finished run"):
        write_report([place])
    with pytest.raises(ConfigurationError, match="written by `raysee manifest`"):
        write_report([f"{root}/utterances/emodb"])
    old = Receipt(stage="train", fingerprint="", config={}, inputs={}, counts={}, rejects={}, details={}, wall_s=0.0)
    receipts.write(place, old)
    with pytest.raises(ConfigurationError, match="another version of raysee"):
        write_report([place])
