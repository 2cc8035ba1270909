"""What the experiments plan, without training anything."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raysee import schema
from raysee.corpora import CORPORA
from raysee.errors import ConfigurationError
from raysee.evaluation.metrics import summarise
from raysee.evaluation.protocols import protocol
from raysee.experiments import EXPERIMENTS, Choice, Derived, Run, experiment
from raysee.experiments.readings import CONDITIONS, IN_SECONDS, READINGS, Outcome, Value
from raysee.experiments.stanford2015 import class_score_accuracy, together_accuracy
from raysee.experiments.table import Line, as_text, to_table
from raysee.models import published
from raysee.report.published import KEESING_2020
from raysee.training.finished import FoldReceipt
from raysee.training.loop import Epoch

ALL = Choice(initial="weights.safetensors")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_plan_can_be_run(name: str) -> None:
    wanted = EXPERIMENTS[name]
    runs = wanted.plan(wanted.corpora, ALL)
    assert runs
    for run in runs:
        claims = run.claims if isinstance(run, Run) else (run.claim,)
        for config in [run.config] if isinstance(run, Run) else run.of:
            assert config.features in published(config.model)[0]
            assert protocol(config.protocol)
            assert not config.deliver
            known = {label for corpus in config.corpora for label in CORPORA[corpus].labels}
            assert set(config.labels) <= known
        for claim in claims:
            assert claim.figure in READINGS
            assert set(claim.notes) <= set(wanted.notes)
            assert claim.published is None or claim.figure in IN_SECONDS or 0 < claim.published < 1
            assert set(claim.corpora) <= set(wanted.corpora)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_footnote_is_referred_to(name: str) -> None:
    wanted = EXPERIMENTS[name]
    runs = wanted.plan(wanted.corpora, ALL)
    claims = [claim for run in runs for claim in (run.claims if isinstance(run, Run) else (run.claim,))]
    claims += [one.claim for one in wanted.cited]
    assert {note for claim in claims for note in claim.notes} == set(wanted.notes)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_with_all_corpora_and_weights_nothing_is_lacking_and_everything_is_comparable(name: str) -> None:
    wanted = EXPERIMENTS[name]
    runs = [run for run in wanted.plan(wanted.corpora, ALL) if isinstance(run, Run)]
    assert not [run for run in runs if run.lacks]
    assert not [claim for run in runs for claim in run.claims if Line(run.config, claim, None, 0, 0, "").other_corpora]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_column_has_a_run_of_its_own(name: str) -> None:
    wanted = EXPERIMENTS[name]
    everything = wanted.plan(wanted.corpora, ALL)
    by_column = [wanted.plan(wanted.corpora, Choice(columns=(column,), initial="x")) for column in wanted.columns]
    assert all(by_column)
    assert sum(map(len, by_column)) == len(everything)
    with pytest.raises(ConfigurationError, match="Unknown column 'Z9'"):
        wanted.plan(wanted.corpora, Choice(columns=("Z9",)))


def test_an_unknown_experiment_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="Unknown experiment 'keesing'; choose one of: .*keesing2020"):
        experiment("keesing")


def test_table_3_whole_is_1344_trainings_of_networks() -> None:
    """84 folds, three repeats of five networks and one of Zhang's."""
    wanted = EXPERIMENTS["keesing2020"]
    runs = [run for run in wanted.plan(wanted.corpora, Choice()) if isinstance(run, Run)]
    folds = {
        name: min(corpus.num_groups, 6) if corpus.num_groups > 12 else corpus.num_groups
        for name, corpus in CORPORA.items()
    }
    networks = [run.config for run in runs if run.config.model != "svm"]
    assert len(networks) == 15 * 6
    assert sum(folds[config.corpus] * config.repeats for config in networks) == 1344
    assert all((config.training.epochs, config.training.learning_rate) == (50, 1e-4) for config in networks)
    assert {config.model: config.training.batch_size for config in networks} == {
        "aldeneh": 32,
        "aldeneh-fixed": 32,
        "latif": 32,
        "zhang": 16,
        "zhao": 64,
    }


def test_a_choice_changes_what_it_names_and_nothing_else() -> None:
    wanted = EXPERIMENTS["keesing2020"]
    (plain,) = wanted.plan(["emodb"], Choice(columns=("O",)))
    (quick,) = wanted.plan(["emodb"], Choice(columns=("O",), size="debug", epochs=2, repeats=1, protocol="strict"))
    assert isinstance(plain, Run)
    assert isinstance(quick, Run)
    assert (quick.config.size, quick.config.training.epochs, quick.config.repeats) == ("debug", 2, 1)
    assert quick.config.protocol == "strict"
    assert quick.config.training.batch_size == plain.config.training.batch_size == 64
    assert quick.claims == plain.claims


def lacking(name: str, corpora: Sequence[str], **choice: Any) -> dict[str, str]:
    """What is lacking, by what each run shows first."""
    runs = [run for run in EXPERIMENTS[name].plan(corpora, Choice(**choice)) if isinstance(run, Run)]
    return {run.claims[0].what: run.lacks for run in runs if run.lacks}


def test_fine_tuning_lacks_weights_until_they_are_given() -> None:
    found = lacking("badshah2017", ["emodb"])
    assert len(found) == 3
    assert all(what.startswith("fine-tuned, ") and "--initial" in lacks for what, lacks in found.items())
    assert not lacking("badshah2017", ["emodb"], initial="weights.safetensors")


def test_what_is_of_enterface_alone_lacks_it() -> None:
    assert lacking("stanford2015", ["emodb"]).keys() == {"R7"}
    assert "of enterface alone" in lacking("stanford2015", ["emodb"])["R7"]
    (run,) = EXPERIMENTS["stanford2015"].plan(["emodb", "enterface"], Choice(columns=("R7",)))
    assert isinstance(run, Run)
    assert (run.config.corpora, run.config.augmented, run.lacks) == (("enterface",), "chunks64-augmented", "")


def test_fully_connected_nets_are_run_on_both_inputs_that_the_report_may_mean() -> None:
    runs = EXPERIMENTS["stanford2015"].plan(["emodb"], Choice(columns=("FC2", "FC2-spectrogram", "SVM")))
    said = [(run.config.model, run.config.features, run.claims[0].published) for run in runs if isinstance(run, Run)]
    assert said == [("fc2", "chunk26", 0.273), ("fc2", "chunks64", 0.273), ("linear-svm", "chunk26", 0.237)]
    assert ["epochs" in run.claims[0].notes for run in runs if isinstance(run, Run)] == [True, True, False]


def lines_of(name: str, corpora: Sequence[str], column: str, **choice: Any) -> list[Line]:
    """The lines of a column of which everything is half right."""
    runs = EXPERIMENTS[name].plan(corpora, Choice(columns=(column,), **choice))
    return [
        Line(run.config, claim, Value(0.5), 1, 1.0, "file:///run")
        for run in runs
        if isinstance(run, Run)
        for claim in run.claims
    ]


@pytest.mark.parametrize(
    ("name", "corpora", "column", "compared"),
    [
        ("stanford2015", ["enterface", "emodb", "savee"], "R1", True),  # in whatever order
        ("stanford2015", ["emodb"], "R1", False),
        ("stanford2015", ["emodb", "savee"], "SVM", False),
        ("stanford2015", ["emodb", "enterface"], "LSTM", True),
        ("stanford2015", ["emodb", "savee"], "LSTM", False),
        ("mlp-vs-cnn", ["ravdess", "ravdess_song"], "MLP", True),
        ("mlp-vs-cnn", ["ravdess"], "CNN", False),
        ("badshah2017", ["emodb"], "fresh", True),
        ("keesing2020", ["tess"], "A1", True),
    ],
)
def test_published_figures_are_compared_with_those_of_the_same_corpora(
    name: str, corpora: list[str], column: str, compared: bool
) -> None:
    published = [line for line in lines_of(name, corpora, column) if line.claim.published is not None]
    assert published
    for line in published:
        assert (line.difference is not None) is compared
        assert line.incomparable == ("" if compared else "other corpora")


def test_why_a_figure_is_not_compared_is_said_in_the_table() -> None:
    (line,) = lines_of("stanford2015", ["emodb"], "S1")
    told = EXPERIMENTS["stanford2015"]
    assert "35.1 %     50.0 %  other corpora" in as_text(told, [line])
    assert to_table("stanford2015", told, [line])["incomparable"].to_pylist() == ["other corpora"]
    assert to_table("stanford2015", told, [line])["published"].to_pylist() == [0.351]
    owed = dataclasses.replace(line, value=None)
    assert (owed.difference, owed.incomparable) == (None, "")
    (small,) = lines_of("keesing2020", ["emodb"], "A1", size="debug")
    assert (small.difference, small.incomparable) == (None, "debug size")
    assert dataclasses.replace(small, synthetic=True).incomparable == "synthetic, debug size"
    (same,) = lines_of("keesing2020", ["emodb"], "A1")
    assert to_table("keesing2020", EXPERIMENTS["keesing2020"], [same])["incomparable"].to_pylist()[0] == ""


def test_human_raters_stand_behind_the_lines_of_each_corpus() -> None:
    told = EXPERIMENTS["keesing2020"]
    lines = [
        line
        for corpus in ("emodb", "cafe", "ravdess")
        for column in ("A1", "O")
        for line in lines_of("keesing2020", [corpus], column)
    ]
    table = to_table("keesing2020", told, lines)
    whats = list(zip(table["corpus"].to_pylist(), table["what"].to_pylist(), strict=True))
    assert whats == [
        *[("emodb", what) for what in ("A1", "O", "Human")],
        *[("cafe", what) for what in ("A1", "O")],  # of which there is no figure
        *[("ravdess", what) for what in ("A1", "O", "Human")],
    ]
    human = table.to_pylist()[2]
    assert (human["published"], human["ours"], human["figure"], human["run"]) == (0.843, None, "accuracy", "")
    assert (human["num_trainings"], human["remark"], human["notes"]) == (0, "cited: nothing is trained", ["human"])
    text = as_text(told, lines)
    assert re.search(r"^emodb +Human\[1\] +accuracy +84\.3 %$", text, re.MULTILINE)
    assert f"[1] {told.notes['human']}" in text


def test_every_figure_for_people_is_cited_and_none_else() -> None:
    cited = {one.corpus: one.claim.published for one in EXPERIMENTS["keesing2020"].cited}
    assert cited == {corpus: row["Human"] for corpus, row in KEESING_2020.items() if "Human" in row}
    assert not [name for name, one in EXPERIMENTS.items() if one.cited and name != "keesing2020"]


def test_the_split_of_chunks_is_explained_where_chunks_are_split() -> None:
    averaged, whole = (
        lines_of("stanford2015", ["emodb"], "R1", protocol=protocol)[1] for protocol in ("stanford2015", "strict")
    )
    assert averaged.claim.what.startswith("ER1")
    assert "ER1" in averaged.claim.notes
    assert "ER1" not in whole.claim.notes


def test_the_time_of_an_epoch_stands_beside_the_published_one() -> None:
    columns = {
        line.claim.what: line.claim.published
        for column in ("MLP", "CNN")
        for line in lines_of("mlp-vs-cnn", ["ravdess"], column)
        if line.claim.figure == "seconds an epoch"
    }
    assert columns == {"CNN, random quarter: seconds an epoch": 10.54}
    epochs = [Epoch(number, 1.0, 0.5, None, None) for number in (1, 2, 3, 4)]
    folds = [fold(curve=epochs[:length], wall_s=12.0) for length in (4, 2)]
    outcome = answered(("x", True, "anger", "anger"))._replace(folds=folds)
    assert READINGS["seconds an epoch"](outcome) == Value((12 / 4 + 12 / 2) / 2)


def fold(**fields: Any) -> FoldReceipt:
    return FoldReceipt(
        fold=0,
        repeat=0,
        seed=0,
        chosen_epoch=1,
        parameters={},
        uar=0.5,
        examples={},
        test_speakers=[],
        mean=None,
        std=None,
        **fields,
    )


def examples(
    probabilities: list[list[float]],
    labels: list[str],
    part: str = "test",
    first: int = 0,
    speakers: Sequence[str] = ("s",),
) -> pa.Table:
    """Examples of these speakers in turn."""
    rows = [
        {
            "example": first + number,
            "part": part,
            "clip_id": "a",
            "speaker": speakers[number % len(speakers)],
            "repeat": 0,
            "fold": 0,
            "speaker_heard": True,
            "label": label,
            "predicted": "x",
            "labels": ["anger", "fear"],
            "probabilities": row,
        }
        for number, (row, label) in enumerate(zip(probabilities, labels, strict=True))
    ]
    return pa.Table.from_pylist(rows, schema=schema.EXAMPLES)


def test_an_ensemble_is_the_mean_whatever_the_order_of_the_rows() -> None:
    one = examples([[0.9, 0.1], [0.4, 0.6], [0.45, 0.55]], ["anger", "anger", "fear"])
    other = examples([[0.2, 0.8], [0.7, 0.3], [0.4, 0.6]], ["anger", "anger", "fear"])
    assert together_accuracy([one, other.take([2, 0, 1])]).value == 1.0
    assert together_accuracy([one, one]).value == pytest.approx(2 / 3)


def test_derived_accuracies_have_an_interval_over_speakers() -> None:
    """One is right and one is wrong: of four draws of two, one is the former twice and one the latter."""
    run = examples([[0.9, 0.1], [0.9, 0.1]] * 20, ["anger", "fear"] * 20, speakers="xy")
    assert together_accuracy([run]) == Value(1 / 2, None, 0, 1)
    assert together_accuracy([examples([[0.9, 0.1]], ["anger"])]) == Value(1), "of one speaker there is none"
    fitted = examples([[0.9, 0.1], [0.1, 0.9]] * 20, ["anger", "fear"] * 20, "validation", first=100)
    assert class_score_accuracy("softmax", [pa.concat_tables([run, fitted])]) == Value(1 / 2, None, 0, 1)


def answered(*rows: tuple[str, bool | None, str, str]) -> Outcome:
    """What a run says whose clips have this speaker, this sentence heard, and these labels, true and predicted."""
    table = pa.Table.from_pylist(
        [
            {
                "clip_id": f"{number}",
                "speaker": speaker,
                "repeat": 0,
                "fold": 0,
                "speaker_heard": True,
                "sentence_heard": heard,
                "label": label,
                "predicted": predicted,
                "labels": ["anger", "fear"],
                "probabilities": [0.5, 0.5],
            }
            for number, (speaker, heard, label, predicted) in enumerate(rows)
        ],
        schema=schema.PREDICTIONS,
    )
    return Outcome(summarise(table, ["anger", "fear"]), None, [])


def test_accuracies_are_read_with_their_interval() -> None:
    """x has everything right and y nothing; of an unheard sentence there is x alone."""
    outcome = answered(("x", True, "anger", "anger"), ("y", True, "anger", "fear"), ("x", False, "fear", "fear"))
    assert READINGS["accuracy"](outcome) == Value(pytest.approx(2 / 3), None, 0, 1)
    assert READINGS["example accuracy"](outcome) == READINGS["accuracy"](outcome), "a clip is an example"
    heard, unheard, *_ = CONDITIONS
    assert READINGS[f"accuracy, {heard}"](outcome) == Value(1 / 2, None, 0, 1)
    assert READINGS[f"example accuracy, {unheard}"](outcome) == Value(1)
    assert READINGS["UAR"](outcome).low == 0


@pytest.mark.parametrize("classifier", ["naive-bayes", "softmax", "lda", "qda", "gmm"])
def test_a_classifier_on_class_scores_sees_validation_examples_only(classifier: str) -> None:
    """Class scores that are the wrong way round: only who fits on them knows."""
    rng = np.random.default_rng(0)
    labels = ["anger", "fear"] * 40
    swapped = [
        [p, 1 - p] if label == "fear" else [1 - p, p]
        for label, p in zip(labels, rng.uniform(0.7, 0.95, 80), strict=True)
    ]
    run = pa.concat_tables(
        [examples(swapped, labels, "validation", first=100), examples(swapped[:20], labels[:20], "test")]
    )
    assert class_score_accuracy(classifier, [run]).value > 0.9
    assert together_accuracy([run]).value == 0.0


def test_the_table_as_text_and_as_rows() -> None:
    told = EXPERIMENTS["mlp-vs-cnn"]
    runs = told.plan(told.corpora, Choice(columns=("MLP",)))
    (run, _) = runs
    assert isinstance(run, Run)
    values = [Value(0.7), Value(0.5, None, 0.45, 0.55), Value(0.4, 0.41, 0.3, 0.5), Value(10.0)]
    lines = [
        Line(run.config, claim, value, 1, 12.0, "file:///run") for claim, value in zip(run.claims, values, strict=True)
    ]
    lines.append(Line(run.config, run.claims[1], None, 0, 0.0, "", "owed: no clips"))
    text = as_text(told, lines)
    assert "63.0 %" in text
    assert "50.0 %" in text
    assert "-13.0       (45.0 to 55.0)" in text
    assert "41.0 % (30.0 to 50.0)" in text
    assert "27.4 s" in text
    assert "owed: no clips" in text
    assert text.splitlines()[-5].startswith("[1] ")
    rows = to_table("mlp-vs-cnn", told, lines)
    assert rows["ours"].to_pylist() == [0.7, 0.5, 0.4, 10.0, None]
    assert rows["pooled"].to_pylist() == [None, None, 0.41, None, None]
    assert list(zip(rows["low"].to_pylist(), rows["high"].to_pylist(), strict=True)) == [
        (None, None),
        (0.45, 0.55),
        (0.3, 0.5),
        (None, None),
        (None, None),
    ]


def test_derived_figures_train_nothing_of_their_own() -> None:
    wanted = EXPERIMENTS["stanford2015"]
    runs = wanted.plan(["emodb"], Choice())
    trained = {run.config.fingerprint() for run in runs if isinstance(run, Run)}
    assert all(config.fingerprint() in trained for run in runs if isinstance(run, Derived) for config in run.of)
