import collections
import dataclasses
import functools
import json
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest
import torch

from raysee import lake, receipts, schema, storage
from raysee.config import RunConfig, TrainingConfig
from raysee.errors import ConfigurationError
from raysee.experiments import EXPERIMENTS, Choice, Run
from raysee.experiments.readings import CONDITIONS, Value
from raysee.experiments.table import Line
from raysee.features import front_end
from raysee.models import MODELS
from raysee.receipts import Receipt
from raysee.report import experiment_runs, first_layer, training
from raysee.report.experiment import write_experiment
from raysee.report.experiment_runs import otherwise
from raysee.report.figures import Picture
from raysee.report.published import BADSHAH_LABELS

from .report_runs import trained

Read = Callable[..., str]
Drawn = dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]]


@pytest.fixture
def root(tmp_path: pathlib.Path) -> str:
    return storage.normalise(tmp_path / "lake")


@pytest.fixture
def read(tmp_path: pathlib.Path, root: str) -> Read:
    """Write the page of some lines and give it as one line of HTML."""

    def written(name: str, lines: Sequence[Line]) -> str:
        uri = write_experiment(root, name, lines, str(tmp_path / "page.html"))
        return re.sub(r"\s+", " ", storage.read_bytes(uri).decode())

    return written


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Nothing is drawn, which is slow: what the pictures would be made of, by the function's name."""
    calls: Drawn = collections.defaultdict(list)

    def picture(name: str, *args: Any, **options: Any) -> Picture:
        calls[name].append((args, options))
        return Picture("data:image/png;base64,", 1, 1)

    for module, name in (
        (experiment_runs, "learning_curves"),
        (experiment_runs, "by_speaker"),
        (training, "confusion_beside"),
        (training, "filters"),
    ):
        monkeypatch.setattr(module, name, functools.partial(picture, name))
    return calls


def text_of(html: str) -> str:
    """What a reader sees; pictures and styles are gone."""
    text = re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", html))
    return re.sub(r"\s+", " ", text.replace("&nbsp;", " "))


def planned(name: str, corpora: Sequence[str], *columns: str, **choice: Any) -> list[Run]:
    runs = EXPERIMENTS[name].plan(corpora, Choice(columns=columns, **choice))
    return [run for run in runs if isinstance(run, Run)]


def lines_of(run: Run, place: str, *values: Value | None) -> list[Line]:
    """The lines of a run whose claims have these values; None is owed."""
    return [
        Line(run.config, claim, None, 0, 0.0, "", "owed: not trained yet.")
        if value is None
        else Line(run.config, claim, value, 3, 12.0, place)
        for claim, value in zip(run.claims, values, strict=True)
    ]


def test_ours_stands_beside_the_published_figure_with_its_interval_in_text_and_drawn(
    root: str, read: Read, drawn: Drawn
) -> None:
    place, _ = trained(root)
    (run,) = planned("keesing2020", ["emodb"], "A1")
    html = read("keesing2020", lines_of(run, place, Value(0.7, 0.71, 0.65, 0.78)))
    assert "73.2 % 70.0 % -3.2 71.0 % 65.0 to 78.0" in text_of(html)
    assert "3 repeats 50 epochs 3 trainings 12 s" in text_of(html)
    interval = '<i style="margin-left: 65.0%; width: 13.0%"></i>'
    assert f'{interval}<u style="left: 71.0%"></u><b style="left: 73.2%"></b>' in html
    assert html.count('class="bar') == 1


def test_an_accuracy_has_its_interval_in_the_table_and_in_the_chart(root: str, read: Read, drawn: Drawn) -> None:
    place, _ = trained(root)
    run, _ = planned("mlp-vs-cnn", ["ravdess", "ravdess_song"], "MLP")
    html = read("mlp-vs-cnn", lines_of(run, place, None, Value(0.6, None, 0.55, 0.66), None, None))
    assert "63.0 % 60.0 % -3.0 55.0 to 66.0" in text_of(html)
    assert '<i style="margin-left: 55.0%; width: 11.0%"></i><u style="left: 60.0%"></u>' in html
    assert "random quarter 60.0 % 55.0 to 66.0 published 63.0 %" in text_of(html)


def test_a_time_is_in_seconds_and_not_drawn(root: str, read: Read, drawn: Drawn) -> None:
    place, _ = trained(root)
    run, _ = planned("mlp-vs-cnn", ["ravdess", "ravdess_song"], "MLP")
    last = lines_of(run, place, None, None, None, Value(10.0))[-1]
    html = read("mlp-vs-cnn", [last])
    assert "27.4 s 10.0 s -17.4 s" in text_of(html)
    assert 'class="bar' not in html


def test_what_is_owed_is_grey_and_says_why(root: str, read: Read) -> None:
    (run,) = planned("keesing2020", ["emodb"], "O")
    (line,) = lines_of(run, "", None)
    html = read("keesing2020", [dataclasses.replace(line, remark="owed: no <b>clips</b>.")])
    (row,) = re.findall(r'<tr class="owed">.*?</tr>', html)
    assert "53.7 % owed: no &lt;b&gt;clips&lt;/b&gt;." in text_of(row)
    assert "0 of 1; the others are owed" in html
    assert 'class="bar' not in html
    assert "Provenance" not in html


def test_every_footnote_is_referred_to_by_its_own_number(root: str, read: Read) -> None:
    runs = planned("keesing2020", ["emodb", "portuguese"])
    html = read("keesing2020", [line for run in runs for line in lines_of(run, "", None)])
    (notes,) = re.findall(r'<p class="notes">(.*?)</p>', html)
    texts = re.findall(r"<br>(\d+) ([\w-]+)", notes)
    assert [int(number) for number, _ in texts] == [1, 2, 3, 4, 5, 6, 7]
    number = {word: one for one, word in texts}
    human, tuned, standardised, corpus = (number[word] for word in ("How", "C", "Every", "The"))
    assert f"SVM<sup>{tuned}, {standardised}</sup>" in html
    assert f"Human<sup>{human}</sup>" in html
    assert f"portuguese<sup>{corpus}</sup>" in html
    assert all(f"{name}<sup>{number[name]}</sup>" in html for name in ("paper", "paper-nested"))
    referred = {one for marks in re.findall(r"<sup>(.*?)</sup>", html) for one in marks.split(", ")}
    assert referred == set(number.values())


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("synthetic", [True, False])
def test_a_made_voice_is_marked_before_and_after_its_run_is_finished(
    root: str, read: Read, drawn: Drawn, finished: bool, synthetic: bool
) -> None:
    place, _ = trained(root, synthetic=synthetic)
    (run,) = planned("keesing2020", ["emodb"], "A1")
    made = lake.features(root, "emodb", "logmel40", front_end("logmel40"))
    # What the features say would be wrong where the run itself has spoken.
    details = {"synthetic": synthetic != finished}
    fields: dict[str, Any] = {"fingerprint": "", "config": {}, "inputs": {}, "counts": {}, "rejects": {}}
    receipts.write(made, Receipt(stage="extract", details=details, wall_s=0.0, **fields))
    if not finished:
        storage.remove(f"{place}/{receipts.NAME}")
    html = read("keesing2020", lines_of(run, place, Value(0.7, 0.71, 0.65, 0.78)))
    text = text_of(html)
    assert ("synthetic" in text.lower()) == synthetic
    assert ("nobody spoke it" in text) == synthetic
    assert ("70.0 % synthetic" in text) == synthetic
    assert ("not comparable" in text) == synthetic, "no difference from a published figure"
    assert ('<b style="left: 73.2%">' in html) != synthetic, "nor its tick"
    assert all(options["synthetic"] == synthetic for _, options in drawn["learning_curves"])
    assert ("3 trainings so far" in text) != finished
    assert ("not finished" in text) != finished


def test_a_network_of_debug_size_is_marked(root: str, read: Read, drawn: Drawn) -> None:
    place, _ = trained(root, size="debug")
    (run,) = planned("keesing2020", ["emodb"], "A1", size="debug", epochs=2)
    text = text_of(read("keesing2020", lines_of(run, place, Value(0.7, 0.71, 0.65, 0.78))))
    assert "not the published one but a small one" in text
    assert "70.0 % debug size not comparable" in text
    assert "debug size 2 of 50 epochs" in text


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_planned_as_published_does_nothing_otherwise(name: str) -> None:
    runs = planned(name, EXPERIMENTS[name].corpora, initial="weights.safetensors")
    assert not [run for run in runs if otherwise(run.config)]


def test_what_a_run_does_otherwise_is_named() -> None:
    training = TrainingConfig(epochs=3, precision="bfloat16")
    config = RunConfig(
        corpora=("emodb",), features="logmel40", model="aldeneh", size="debug", hop_ms=50, training=training
    )
    assert otherwise(config) == ["debug size", "3 of 50 epochs", "bfloat16", "windows every 50 ms"]
    assert otherwise(config.model_copy(update={"model": "svm", "size": "published", "hop_ms": 10})) == ["bfloat16"]


def test_table_3_is_a_matrix_of_corpora_and_columns(root: str, read: Read, drawn: Drawn) -> None:
    place, _ = trained(root)
    runs = planned("keesing2020", ["emodb", "ravdess"], "A1", "O")
    values = [Value(0.701), None, None, Value(0.402)]
    lines = [line for run, value in zip(runs, values, strict=True) for line in lines_of(run, place, value)]
    text = text_of(read("keesing2020", lines))
    assert "Corpus Chance % A1 O Human" in text
    assert " emodb 14.3 70.1 73.2 owed 53.7 84.3 " in text
    assert " ravdess 12.5 owed 32.5 40.2 43.0 62.5 " in text
    assert "Human" not in text_of(read("badshah2017", []))


def test_accuracies_are_charted_by_split_and_leaks_are_red(root: str, read: Read, drawn: Drawn) -> None:
    place, _ = trained(root)
    both = ["ravdess", "ravdess_song"]
    leaky, clean = planned("mlp-vs-cnn", both, "MLP")
    later, _ = planned("mlp-vs-cnn", both, "CNN")
    lines = lines_of(leaky, place, Value(0.9), Value(0.81), Value(0.82), Value(3.0))
    lines += lines_of(clean, place, Value(0.7), Value(0.42), None, None) + lines_of(later, "", *[None] * 5)
    html = read("mlp-vs-cnn", lines)
    (chart,) = re.findall(r"In a chart</h2>(.*?)<h2", html)
    assert re.findall(r"<th [^>]*>(.*?)</th>", chart) == ["MLP"], "nothing is there of the CNN"
    assert text_of(chart).endswith(" MLP random quarter 81.0 % published 63.0 % by speaker 42.0 % ")
    bars = re.findall(r'class="(bar[^"]*)"><i style="width: (\S+)%">', chart)
    assert bars == [("bar leaky", "81.0"), ("bar", "42.0")]
    assert "mlp-vs-cnn - leaks speakers and sentences" in html


def test_a_figure_of_other_corpora_is_shown_and_not_held_against_ours(root: str, read: Read, drawn: Drawn) -> None:
    place, _ = trained(root)
    run, _ = planned("mlp-vs-cnn", ["ravdess"], "MLP")
    html = read("mlp-vs-cnn", lines_of(run, place, Value(0.9), Value(0.81), None, None))
    assert "63.0 % of ravdess, ravdess_song 81.0 % other corpora" in text_of(html)
    assert "81.0 % published 63.0 % of ravdess, ravdess_song" in text_of(html)
    assert '<b style="left' not in html, "no tick"


def test_corpora_that_are_left_out_are_named(root: str, tmp_path: pathlib.Path) -> None:
    (run,) = planned("keesing2020", ["emodb"], "A1")
    for sentence in ("", "Left out by --corpora: cafe."):
        uri = write_experiment(root, "keesing2020", lines_of(run, "", None), str(tmp_path / "page"), left_out=sentence)
        page = storage.read_bytes(uri).decode()
        assert (">corpora<" in page, sentence in page) == (bool(sentence), True)


def test_alexnet_is_charted_by_condition(root: str, read: Read, drawn: Drawn) -> None:
    place, _ = trained(root)
    runs = planned("alexnet-ravdess", ["ravdess"])
    lines = [line for run in runs for line in lines_of(run, place, *map(Value, (0.9, 0.5, 0.4, 0.3)))]
    (chart,) = re.findall(r"In a chart</h2>(.*?)<h2", read("alexnet-ravdess", lines))
    assert re.findall(r"<th [^>]*>(.*?)</th>", chart) == list(CONDITIONS)
    assert f"{CONDITIONS[0]} by windows 90.0 % published 99.6 % by repetitions 90.0 %" in text_of(chart)
    assert f"{CONDITIONS[3]} by windows 30.0 % by repetitions 30.0 %" in text_of(chart)


def test_curves_are_of_the_finished_folds(root: str, read: Read, drawn: Drawn) -> None:
    place, _ = trained(root, epochs=4)
    storage.remove(f"{place}/folds/repeat-0-fold-01/receipt.json")
    storage.write_bytes(f"{place}/folds/tuning.json", b"{}")
    (run,) = planned("keesing2020", ["emodb"], "A1")
    lines = lines_of(run, place, Value(0.7))
    assert "Learning curves of every fold" in read("keesing2020", lines)
    (((curves, final), _),) = drawn["learning_curves"]
    assert final is None
    told = [json.loads(storage.read_bytes(f"{place}/folds/repeat-0-fold-{fold:02d}/receipt.json")) for fold in (0, 2)]
    assert [curve.chosen_epoch for curve in curves] == [fold["chosen_epoch"] for fold in told]
    assert [curve.epochs[-1].train_loss for curve in curves] == [fold["curve"][-1]["train_loss"] for fold in told]


def test_a_run_is_drawn_once_however_many_figures_are_read_off_it(root: str, read: Read, drawn: Drawn) -> None:
    place, _ = trained(root)
    run, _ = planned("mlp-vs-cnn", ["ravdess"], "MLP")
    html = read("mlp-vs-cnn", lines_of(run, place, Value(0.9), Value(0.81), Value(0.82), Value(3.0)))
    assert len(drawn["learning_curves"]) == len(drawn["by_speaker"]) == 1
    assert html.count("<img") == 2
    assert "what is validated is the test part" in html
    assert 'rowspan="4"' in html
    assert set(re.findall(r'href="#(.*?)"', html)) == set(re.findall(r'id="(.*?)"', html)) == {"run-1"}


def test_spectrograms_of_an_unfinished_run_stand_beside_the_published_ones(root: str, read: Read, drawn: Drawn) -> None:
    place, _ = trained(root, protocol_name="badshah2017", classes=BADSHAH_LABELS)
    answers = [("fear", "anger", "test")] * 3 + [("fear", "fear", "test"), ("anger", "anger", "validation")]
    for fold in range(3):
        rows = [
            {
                "example": number,
                "part": part,
                "clip_id": "a",
                "speaker": f"{fold}",
                "repeat": 0,
                "fold": fold,
                "speaker_heard": True,
                "label": label,
                "predicted": predicted,
                "labels": list(BADSHAH_LABELS),
                "probabilities": [1 / 7] * 7,
            }
            for number, (label, predicted, part) in enumerate(answers)
        ]
        table = pa.Table.from_pylist(rows, schema=schema.EXAMPLES)
        storage.write_table(f"{place}/folds/repeat-0-fold-{fold:02d}/examples.parquet", table, schema.EXAMPLES)
    fresh, literal = (planned("badshah2017", ["emodb"], column)[1] for column in ("fresh", "literal"))
    values = Value(0.6), Value(0.7), Value(0.5)
    assert "beside the published" in read("badshah2017", lines_of(fresh, place, *values))
    (((counts, published, labels, source), _),) = drawn["confusion_beside"]
    fear = BADSHAH_LABELS.index("fear")
    assert (counts[fear][0], counts[fear][fear], sum(map(sum, counts))) == (9, 3, 12)
    assert (published[0][0], labels, source) == (84.21, list(BADSHAH_LABELS), "Badshah et al. 2017, fresh")
    assert "beside the published" not in read("badshah2017", lines_of(literal, place, *values))


@pytest.mark.parametrize("whole", [True, False])
def test_speakers_and_genders_are_those_of_the_finished_folds(root: str, read: Read, drawn: Drawn, whole: bool) -> None:
    place, summary = trained(root)
    if not whole:
        storage.remove(f"{place}/{receipts.NAME}")
        storage.remove(f"{place}/predictions.parquet")
        storage.remove(f"{place}/folds/repeat-0-fold-02/receipt.json")
    (run,) = planned("keesing2020", ["emodb"], "A1")
    text = text_of(read("keesing2020", lines_of(run, place, Value(0.7))))
    (((uar, gender, chance), options),) = drawn["by_speaker"]
    speakers = ["03", "08", "09"] if whole else ["03", "08"]
    assert uar == {name: summary.uar_by_speaker[name]["uar"] for name in speakers}
    assert (gender["03"], gender["08"], chance) == ("male", "female", summary.chance)
    assert options == {"synthetic": False}
    male = f"male {100 * summary.uar_by_group['gender']['male']:.1f} %"
    assert re.search(rf"UAR by file of each speaker; over all files female \d+\.\d %, {male} ", text)


def test_speakers_of_whom_nobody_says_the_gender_are_drawn_without(root: str, read: Read, drawn: Drawn) -> None:
    place, _ = trained(root)
    said = storage.read_table(f"{place}/predictions.parquet", schema.PREDICTIONS)
    nobody = said.set_column(2, schema.PREDICTIONS.field(2), pa.nulls(said.num_rows, pa.string()))
    storage.write_table(f"{place}/predictions.parquet", nobody, schema.PREDICTIONS)
    (run,) = planned("keesing2020", ["emodb"], "A1")
    text = text_of(read("keesing2020", lines_of(run, place, Value(0.7))))
    assert "UAR by file of each speaker Learning curves" in text
    (((_, gender, _), _),) = drawn["by_speaker"]
    assert set(gender.values()) == {None}


def test_the_first_layer_is_drawn_where_it_was_kept(root: str, read: Read, drawn: Drawn) -> None:
    place, _ = trained(root)
    run = planned("stanford2015", ["emodb"], "R1")[0]
    lines = lines_of(run, place, Value(0.4), Value(0.4))
    assert "first layer of the" not in read("stanford2015", lines), "by an earlier version"
    weight = torch.arange(2 * 2 * 3 * 5.0).reshape(2, 2, 3, 5)
    first_layer.keep(f"{place}/folds/repeat-0-fold-00", {"convolutions.0.weight": weight})
    assert "of the first fold's network" in read("stanford2015", lines)
    (((drawn_weight,), options),) = drawn["filters"]
    assert drawn_weight.tolist() == weight.tolist()
    assert options == {"lowest_first": True, "synthetic": False}
    drawn.clear()
    table_3 = lines_of(planned("keesing2020", ["emodb"], "A1")[0], place, Value(0.7))
    assert "first layer of the" not in read("keesing2020", table_3), "its page would be too heavy"
    assert not drawn["filters"]


@pytest.mark.parametrize(
    ("model", "shape", "expected"),
    [
        ("stanford-r1", (64, 64, 2), (16, 2, 64, 5)),
        ("aldeneh", (40,), (32, 40, 8)),
        ("alexnet", (256, 256, 3), (16, 3, 11, 11)),
        ("latif", (1,), (10, 1, 400)),
        ("mlp", (180,), (64, 180)),
        ("zhao", (40,), (6, 1, 8, 8)),  # beside a recurrent layer
        ("cnn-lstm", (64, 64, 2), (16, 2, 64, 5)),
        ("chunk-lstm", (64, 64, 2), None),  # what follows a recurrent layer is no first one
    ],
)
def test_the_first_layer_of_networks(model: str, shape: tuple[int, ...], expected: tuple[int, ...] | None) -> None:
    found = first_layer.first_layer(MODELS[model].sizes["debug"](shape, 7).state_dict())
    assert (None if found is None else found.shape) == expected


def test_where_the_figures_come_from(root: str, read: Read, drawn: Drawn) -> None:
    places = [trained(root, repeats=number)[0] for number in (1, 2)]
    runs = planned("keesing2020", ["emodb"], "A1", "A2", precision="bfloat16", seed=5)
    lines = [line for run, place in zip(runs, places, strict=True) for line in lines_of(run, place, Value(0.7))]
    text = text_of(read("keesing2020", lines))
    for place in places:
        receipt = receipts.read(place)
        assert receipt is not None
        assert f"{place} bfloat16 5 {receipt.fingerprint} {receipt.written_at}" in text
    versions = ", ".join(f"{name} {version}" for name, version in receipts.versions().items())
    assert text.count(versions) == text.count(receipts.machine()) == 1, "both were made by the same"


def test_the_page_loads_nothing(root: str, read: Read) -> None:
    place, _ = trained(root)
    (run,) = planned("keesing2020", ["emodb"], "A1")
    html = read("keesing2020", lines_of(run, place, Value(0.7, 0.71, 0.65, 0.78)))
    assert not re.search(r"<(script|link|iframe|object)|@import|url\(", html)
    assert set(re.findall(r'src="(.{14})', html)) == {"data:image/png"}


def test_the_page_lies_where_it_was_asked_for_file_or_object(place: str, drawn: Drawn) -> None:
    trained_at, _ = trained(place)
    (run,) = planned("keesing2020", ["emodb"], "A1")
    uri = f"{place}/experiments/keesing2020/report.html"
    assert write_experiment(place, "keesing2020", lines_of(run, trained_at, Value(0.7)), uri) == uri
    assert b"70.0&nbsp;%" in storage.read_bytes(uri)
    with pytest.raises(ConfigurationError, match="Unknown experiment"):
        write_experiment(place, "keesing", [], uri)
