import collections
import functools
import json
import pathlib
import re
import shutil
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
import safetensors.torch
import torch

from raysee import receipts, schema, storage
from raysee.config import RunConfig
from raysee.errors import ConfigurationError
from raysee.evaluation.metrics import Summary, summarise
from raysee.evaluation.protocols import PROTOCOLS
from raysee.features import FEATURES
from raysee.models import MODELS
from raysee.receipts import Receipt
from raysee.report import figures, first_layer, training
from raysee.report.figures import Picture
from raysee.report.page import write_report
from raysee.report.published import BADSHAH_LABELS
from raysee.training.card import Card, fingerprint_of, save

from .report_nights import a_night, write_night
from .report_runs import emodb, trained

Read = Callable[..., str]
Drawn = dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]]


@pytest.fixture
def read(tmp_path: pathlib.Path) -> Read:
    """Write the report of some places and give it as one line of HTML."""

    def report(*places: str) -> str:
        uri = write_report(places, str(tmp_path / "page.html"))
        return re.sub(r"\s+", " ", storage.read_bytes(uri).decode())

    return report


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Nothing is drawn, which is slow: what the pictures of a training would be made of, by the function's name."""
    calls: Drawn = collections.defaultdict(list)

    def picture(name: str, *args: Any, **options: Any) -> Picture:
        calls[name].append((args, options))
        return Picture("data:image/png;base64,", 1, 1)

    for name in ("by_speaker", "confusion_beside", "filters", "reliability"):
        monkeypatch.setattr(training, name, functools.partial(picture, name))
    for name in ("confusion", "learning_curves"):
        monkeypatch.setattr(figures, name, functools.partial(picture, name))
    return calls


def changed(place: str, **fields: Any) -> None:
    """Write other details, or another configuration, into the receipt of a training."""
    receipt = receipts.read(place)
    assert receipt is not None
    details = {name: value for name, value in fields.items() if name in receipt.details}
    config = {**receipt.config["config"], **{name: fields[name] for name in fields.keys() - details.keys()}}
    update = {"details": receipt.details | details, "config": receipt.config | {"config": config}}
    receipts.write(place, receipt.model_copy(update=update))


def a_card(summary: Summary) -> Card:
    """Of a debug-size network on EMO-DB with three labels."""
    front_end = FEATURES["logmel40"]
    return Card(
        labels=["anger", "neutral", "sadness"],
        shape=[40],
        config=RunConfig(corpora=("emodb",), features="logmel40", model="aldeneh", size="debug"),
        protocol=PROTOCOLS["strict"],
        chosen_epoch=1,
        front_end=front_end.model_dump(),
        front_end_fingerprint=front_end.fingerprint(),
        mean=[0.0] * 40,
        std=[1.0] * 40,
        corpora=[],
        synthetic=False,
        metrics=summary._asdict(),
        fingerprint="0" * 12,
        versions={},
        written_at="",
    )


def text_of(html: str) -> str:
    """What a reader sees; pictures and styles are gone."""
    without_style = re.sub(r"<style>.*?</style>", "", html)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without_style))


def a_lake(root: pathlib.Path) -> str:
    """A lake without a manifest, and so without sound to draw."""
    return storage.normalise(root / "lake")


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def test_the_numbers_of_a_training_are_those_of_its_receipt(tmp_path: pathlib.Path, read: Read, drawn: Drawn) -> None:
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
        precision = summary.precision_by_class[label]
        assert precision is not None
        assert f" {label} {percent(row[index] / sum(row))} {percent(precision)} " in text
    assert summary.uar_interval is not None
    low, high = map(percent, summary.uar_interval)
    assert f"UAR, pooled {percent(summary.uar_pooled)} % 95 % over speakers {low} to {high} %" in text
    assert summary.accuracy_interval is not None
    low, high = map(percent, summary.accuracy_interval)
    assert f"accuracy {percent(summary.accuracy)} %, {low} to {high} % over speakers" in text
    assert f"macro F1 {percent(summary.macro_f1)} % calibration error {percent(summary.ece)} %" in text
    assert "calibrated on" not in text, "the folds have no temperatures"
    assert "learning Adam at 0.0001, batches of 32" in text
    assert "By what was heard" not in text, "nobody was heard under this protocol"
    assert "float32, 4 epochs, 2 repeats" in text


def test_a_run_of_an_earlier_version_has_no_interval_of_its_accuracy(
    tmp_path: pathlib.Path, read: Read, drawn: Drawn
) -> None:
    place, summary = trained(a_lake(tmp_path))
    earlier = summary._asdict()
    del earlier["accuracy_interval"]
    changed(place, metrics=earlier)
    assert f"accuracy {percent(summary.accuracy)} % macro F1" in text_of(read(place))


def test_the_calibrated_error_stands_beside_the_other(tmp_path: pathlib.Path, read: Read, drawn: Drawn) -> None:
    place, summary = trained(a_lake(tmp_path))
    changed(place, metrics=summary._replace(ece_calibrated=0.0123)._asdict())
    expected = f"calibration error {percent(summary.ece)} %; calibrated on the validation part 1.2 %"
    assert expected in text_of(read(place))


def test_a_page_of_a_run_of_an_earlier_version(tmp_path: pathlib.Path, read: Read, drawn: Drawn) -> None:
    place, summary = trained(a_lake(tmp_path))
    figures = summary._asdict()
    del figures["ece_calibrated"]
    changed(place, metrics=figures)
    assert f"calibration error {percent(summary.ece)} %" in text_of(read(place))


def test_figures_by_what_was_heard_are_those_of_its_clips(tmp_path: pathlib.Path, read: Read, drawn: Drawn) -> None:
    place, _ = trained(a_lake(tmp_path))
    said = storage.read_table(f"{place}/predictions.parquet", schema.PREDICTIONS)
    heard = pa.array([speaker == "03" for speaker in said["speaker"].to_pylist()])
    said = said.set_column(said.column_names.index("speaker_heard"), "speaker_heard", heard)
    changed(place, metrics=summarise(said, ["anger", "neutral", "sadness"])._asdict())
    right = {True: 0, False: 0}
    for row in said.to_pylist():
        right[row["speaker_heard"]] += row["label"] == row["predicted"]
    text = text_of(read(place))
    # Each class has as many clips of each speaker: UAR and accuracy are the same.
    for condition, clips in (("heard", 24), ("unheard", 48)):
        share = percent(right[condition == "heard"] / clips)
        assert f" speaker {condition}, sentence heard {clips} {share} {share} " in text
    unheard = summarise(said, ["anger", "neutral", "sadness"]).uar_by_heard["speaker unheard, sentence heard"]
    low, high = percent(unheard["accuracy_low"]), percent(unheard["accuracy_high"])
    assert f"speaker unheard, sentence heard 48 {share} {share} {low} to {high} " in text, "of two speakers"


def test_speakers_and_answers_are_drawn_as_they_were_predicted(
    tmp_path: pathlib.Path, read: Read, drawn: Drawn
) -> None:
    place, summary = trained(a_lake(tmp_path), repeats=2)
    read(place)
    ((uar, gender, chance), _), ((confidence, right), _) = drawn["by_speaker"][0], drawn["reliability"][0]
    assert gender == {"03": "male", "08": "female", "09": "female"}
    assert chance == pytest.approx(1 / 3)
    folds = zip(*summary.uar_by_fold.values(), strict=True)  # a fold is a speaker
    assert uar == pytest.approx(dict(zip(["03", "08", "09"], (sum(fold) / 2 for fold in folds), strict=True)))
    assert confidence == pytest.approx([1 / 3] * 144)
    assert sum(right) == pytest.approx(summary.accuracy * 144)


def test_the_filters_are_those_of_the_delivered_network(tmp_path: pathlib.Path, read: Read, drawn: Drawn) -> None:
    place, summary = trained(a_lake(tmp_path), size="debug")
    assert "First layer" not in read(place), "no model lies there"
    network = MODELS["aldeneh"].sizes["debug"]((40,), 3)
    weights = safetensors.torch.save(network.state_dict())
    card = a_card(summary).model_copy(update={"fingerprint": fingerprint_of(weights)})
    save(place, network.state_dict(), card)
    assert "First layer" in read(place)
    ((weight,), options) = drawn["filters"][0]
    assert weight.tobytes() == next(iter(network.state_dict().values())).numpy().tobytes()
    assert options["lowest_first"]
    save(place, network.state_dict(), card.model_copy(update={"front_end_fingerprint": "other"}))
    assert "First layer" not in read(place)
    assert len(drawn["filters"]) == 1


def test_a_run_that_delivers_no_model_shows_the_first_layer_that_it_kept(
    tmp_path: pathlib.Path, read: Read, drawn: Drawn
) -> None:
    place, _ = trained(a_lake(tmp_path))
    changed(place, deliver=False)
    first_layer.keep(f"{place}/folds/repeat-0-fold-00", {"output.weight": torch.eye(3)})
    assert "Filters of the first layer of the first fold's network" in text_of(read(place))
    (((weight,), _),) = drawn["filters"]
    assert weight.tolist() == torch.eye(3).tolist()


def test_spectrograms_stand_beside_the_published_ones_in_the_order_of_the_labels(
    tmp_path: pathlib.Path, read: Read, drawn: Drawn
) -> None:
    labels = tuple(reversed(BADSHAH_LABELS))
    place, summary = trained(a_lake(tmp_path), protocol_name="badshah2017", classes=labels)
    changed(place, example_metrics=summary._asdict())
    page = read(place)
    assert "beside the published" not in page, "of another network"
    assert f"UAR {percent(summary.uar_pooled)} %, accuracy {percent(summary.accuracy)} %, 168 windows" in text_of(page)
    changed(place, model="badshah", training={"optimiser": "sgd", "learning_rate": 0.01})
    assert "learning SGD at 0.01" in text_of(read(place))
    drawn.clear()
    assert "beside the published" in read(place)
    (((counts, published, names, source), _),) = drawn["confusion_beside"]
    assert (counts, names, source) == (summary.confusion, list(labels), "Badshah et al. 2017, fresh")
    assert [published[0][0], published[0][6], published[6][0], published[5][1]] == [83.08, 0.0, 0.0, 14.78]
    changed(place, corpora=["savee"])
    assert "beside the published" not in read(place)


def test_a_classifier_has_no_curves_and_its_tuning_is_no_fold(tmp_path: pathlib.Path, read: Read, drawn: Drawn) -> None:
    place, _ = trained(a_lake(tmp_path), protocol_name="paper")
    storage.remove(f"{place}/folds/final")
    storage.write_bytes(f"{place}/folds/tuning.json", b'{"C": 1.0}')
    for fold in storage.names(f"{place}/folds") - {"tuning.json"}:
        uri = f"{place}/folds/{fold}/receipt.json"
        storage.write_bytes(uri, json.dumps(json.loads(storage.read_bytes(uri)) | {"curve": []}).encode())
    changed(place, model="svm", features="is09", deliver=False)
    text = text_of(read(place))
    assert "emodb: svm, is09" in text
    assert "Learning curves" not in text
    assert "epochs" not in text
    assert "learning Adam" not in text
    assert not drawn["learning_curves"]


@pytest.mark.parametrize(
    ("protocol_name", "sentence"),
    [
        ("strict", ""),
        ("paper", "Nothing is validated under this protocol: the last epoch is kept."),
        ("mlp-vs-cnn", "What is validated is the test part: the last epoch is kept."),
    ],
)
def test_the_curves_say_how_the_epoch_was_chosen(
    tmp_path: pathlib.Path, read: Read, drawn: Drawn, protocol_name: str, sentence: str
) -> None:
    place, _ = trained(a_lake(tmp_path), protocol_name=protocol_name)
    (caption,) = re.findall(r"<figcaption>Every fold.*?</figcaption>", read(place))
    assert sentence in caption
    assert ("last epoch is kept" in caption) == bool(sentence)


def test_a_published_figure_stands_only_beside_what_it_is_comparable_with(
    tmp_path: pathlib.Path, read: Read, drawn: Drawn
) -> None:
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
    tmp_path: pathlib.Path, read: Read, drawn: Drawn, synthetic: bool
) -> None:
    place, summary = trained(emodb(tmp_path, synthetic=synthetic), synthetic=synthetic)
    page = read(place)
    assert ("synthetic" in text_of(page).lower()) == synthetic
    figure = percent(summary.uar_mean_of_folds)
    assert (f'<strong>{figure}</strong> <span class="beside">synthetic' in page) == synthetic
    captions = re.findall(r"<figcaption>.*?</figcaption>", page)
    assert len(captions) == 7  # confusion, speakers, reliability, curves, three clips
    assert all(("synthetic" in caption.lower()) == synthetic for caption in captions)
    assert all(options["synthetic"] == synthetic for calls in drawn.values() for _, options in calls)
    assert len(drawn) == 4


def test_a_leak_is_shown_and_priced(tmp_path: pathlib.Path, read: Read, drawn: Drawn) -> None:
    root = a_lake(tmp_path)
    leaky, high = trained(root, protocol_name="badshah2017", right=0.9)
    debug, _ = trained(root, size="debug")
    page = read(leaky, debug)
    assert "badshah2017 - leaks speakers and sentences" in page
    assert "price of the leak" not in page, "another network is not comparable"
    clean, low = trained(root, right=0.3, protocol_name="badshah2017-speaker")
    other, _ = trained(root, right=0.3, protocol_name="badshah2017-speaker", epochs=2)
    strict, _ = trained(root, right=0.3)
    page = read(leaky, clean, other, strict)
    points = 100 * (high.uar_mean_of_folds - low.uar_mean_of_folds)
    sentences = re.findall(r'<p class="price">(.*?)</p>', page)
    assert len(sentences) == 3
    assert all(f"a difference of {points:+.1f} points" in sentence for sentence in sentences)
    assert "also differ" not in sentences[0]
    assert "The two also differ in epochs." in sentences[1]
    assert "also differ in what validates, class weights, the epoch that is kept." in sentences[2]


def test_audio_that_has_vanished_is_said_in_its_place(tmp_path: pathlib.Path, read: Read, drawn: Drawn) -> None:
    root = emodb(tmp_path)
    place, _ = trained(root)
    assert read(place).count("<img") == 7
    for path in (tmp_path / "emodb" / "wav").glob("*W?.wav"):
        path.unlink()
    page = read(place)
    assert page.count("<img") == 6
    assert re.search(r"no clip of this class can be read any more: file:\S+03a01Wa.wav does not exist", page)
    shutil.rmtree(tmp_path / "lake" / "utterances")
    page = read(place)
    assert page.count("<img") == 4
    assert page.count("utterances/emodb/clips has none") == 3


def test_one_bad_clip_does_not_cost_its_class(tmp_path: pathlib.Path, read: Read, drawn: Drawn) -> None:
    place, _ = trained(emodb(tmp_path))
    (tmp_path / "emodb" / "wav" / "03a01Wa.wav").write_bytes(b"no sound")
    assert "clip 08a01Wa" in read(place)


def test_the_page_loads_nothing(tmp_path: pathlib.Path, read: Read) -> None:
    place, summary = trained(emodb(tmp_path))
    scores = storage.normalise(tmp_path / "scores")
    write_night(scores, summary, a_night())
    page = read(place, scores)
    assert not re.search(r"<(script|link|iframe|object)|@import|url\(", page)
    assert set(re.findall(r'src="(.{14})', page)) == {"data:image/png"}
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)', page))
    assert len(page) < 3_000_000


def test_without_out_the_page_lies_below_the_first_run_file_or_object(place: str, drawn: Drawn) -> None:
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
