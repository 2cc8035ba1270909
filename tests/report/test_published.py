import itertools
from typing import Any

import numpy as np
import pytest

from raysee.config import RunConfig, TrainingConfig
from raysee.corpora import CORPORA
from raysee.evaluation.folds import num_folds
from raysee.features import FEATURES
from raysee.models import published
from raysee.report.published import (
    ALEXNET_NOTES,
    ALEXNET_RAVDESS,
    BADSHAH_2017,
    BADSHAH_CONFUSION,
    BADSHAH_LABELS,
    BADSHAH_NOTES,
    BADSHAH_TOTALS,
    COLUMNS,
    KEESING_2020,
    KEESING_CLASSES_AND_FOLDS,
    KEESING_NOTES,
    MLP_VS_CNN,
    MLP_VS_CNN_NOTES,
    STANFORD_2015,
    STANFORD_NOTES,
    published_uar,
)

NETWORKS = ("A1", "A2", "A3", "L", "N", "O")


def config(**fields: Any) -> RunConfig:
    return RunConfig(
        **{"corpora": ("emodb",), "features": "logmel40", "model": "aldeneh", "protocol": "paper", **fields}
    )


def column(name: str) -> dict[str, float]:
    return {corpus: row[name] for corpus, row in KEESING_2020.items() if name in row}


def better(one: str, other: str) -> set[str]:
    """The corpora on which a column of Table 3 is above another."""
    return {corpus for corpus, row in KEESING_2020.items() if row[one] > row[other]}


def test_table_3_has_every_corpus_but_the_songs_and_every_column() -> None:
    assert KEESING_2020.keys() == KEESING_CLASSES_AND_FOLDS.keys() == CORPORA.keys() - {"ravdess_song"}
    assert all(list(row)[:7] == list(COLUMNS) for row in KEESING_2020.values())
    assert {features for _, features in COLUMNS.values()} <= FEATURES.keys()
    without = {"cafe", "enterface", "shemo", "smartkom"}
    assert {corpus for corpus, row in KEESING_2020.items() if "Human" not in row} == without


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("A1", 804.9),
        ("A2", 822.5),
        ("A3", 802.1),
        ("L", 549.5),
        ("N", 601.2),
        ("O", 705.7),
        ("SVM", 856.7),
        ("Human", 763.3),
    ],
)
def test_the_sums_of_the_columns_of_table_3(name: str, total: float) -> None:
    assert 100 * sum(column(name).values()) == pytest.approx(total)


@pytest.mark.parametrize(
    ("corpus", "total"),
    [
        ("cafe", 319.7),
        ("cremad", 410.7),
        ("demos", 334.1),
        ("emodb", 451.2),
        ("emofilm", 332.4),
        ("enterface", 461.0),
        ("iemocap", 393.3),
        ("jl", 409.5),
        ("msp_improv", 315.1),
        ("portuguese", 289.4),
        ("ravdess", 298.1),
        ("savee", 321.4),
        ("shemo", 356.1),
        ("smartkom", 133.9),
        ("tess", 316.7),
    ],
)
def test_the_sums_of_the_rows_of_table_3(corpus: str, total: float) -> None:
    assert 100 * sum(KEESING_2020[corpus][name] for name in COLUMNS) == pytest.approx(total)


def test_table_3_says_what_the_paper_says_of_it() -> None:
    """Section 6, and what meets the eye."""
    networks = {corpus: {name: row[name] for name in NETWORKS} for corpus, row in KEESING_2020.items()}
    best = {corpus: max(row, key=row.__getitem__) for corpus, row in networks.items()}
    assert best["portuguese"] == "N"
    assert best["smartkom"] == "O"
    jl = KEESING_2020["jl"]
    assert max(jl["A3"], jl["O"]) < min(jl["L"], jl["N"]) < max(jl["L"], jl["N"]) < min(jl["A1"], jl["A2"])
    assert KEESING_2020["smartkom"]["SVM"] > KEESING_2020["smartkom"]["O"] > 1 / 7
    assert better("A1", "A2") == {"iemocap"}
    assert KEESING_2020["ravdess"]["A3"] - KEESING_2020["ravdess"]["A1"] == pytest.approx(0.275)
    svm_best = {corpus for corpus, row in networks.items() if KEESING_2020[corpus]["SVM"] > max(row.values())}
    assert svm_best == {"cafe", "emodb", "emofilm", "msp_improv", "portuguese", "ravdess", "smartkom"}


def test_classes_and_folds_are_those_of_the_corpora() -> None:
    for name, expected in KEESING_CLASSES_AND_FOLDS.items():
        assert (len(CORPORA[name].labels), num_folds(CORPORA[name].num_groups)) == expected, name
    assert sum(folds for _, folds in KEESING_CLASSES_AND_FOLDS.values()) == 84


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"protocol": "strict"},
        {"protocol": "code"},
        {"repeats": 3},
        {"training": TrainingConfig(seed=1, precision="bfloat16", compile="default")},
    ],
)
def test_the_published_uar_stands_beside_a_run_that_is_comparable(fields: dict[str, Any]) -> None:
    assert published_uar(config(**fields), synthetic=False) == 0.732


@pytest.mark.parametrize(
    ("name", "uar"), list(zip(COLUMNS, (0.325, 0.395, 0.6, 0.296, 0.329, 0.43, 0.606), strict=True))
)
def test_every_column_is_found_by_its_model_and_features(name: str, uar: float) -> None:
    model, features = COLUMNS[name]
    as_published = config(corpora=("ravdess",), model=model, features=features, training=published(model)[1])
    assert published_uar(as_published, synthetic=False) == uar


@pytest.mark.parametrize(
    "fields",
    [
        {"size": "debug"},
        {"options": {"filters": 32}},
        {"training": TrainingConfig(epochs=49)},
        {"training": TrainingConfig(learning_rate=1e-3)},
        {"training": TrainingConfig(batch_size=64)},
        {"training": TrainingConfig(optimiser="sgd")},
        {"training": TrainingConfig(balance=0)},
        {"training": TrainingConfig(patience=5)},
        {"protocol": "badshah2017"},
        {"labels": ("anger", "sadness")},
        {"scheme": "big6"},
        {"augmented": "logmel40-augmented"},
        {"initial": "weights.safetensors"},
        {"channel": "telephone"},
        {"corpora": ("emodb", "ravdess")},
        {"corpora": ("ravdess_song",)},
        {"features": "spectrogram40"},
        {"model": "zhao"},
    ],
)
def test_no_published_uar_stands_beside_another_run(fields: dict[str, Any]) -> None:
    assert published_uar(config(**fields), synthetic=False) is None
    assert published_uar(config(), synthetic=True) is None


def badshah_counts(network: str) -> list[list[int]]:
    """Spectrograms behind a matrix: its shares of the totals."""
    rows = zip(BADSHAH_CONFUSION[network], BADSHAH_TOTALS, strict=True)
    return [[round(share * total / 100) for share in row] for row, total in rows]


@pytest.mark.parametrize("network", BADSHAH_CONFUSION)
def test_badshahs_shares_are_fractions_of_the_totals(network: str) -> None:
    assert CORPORA["emodb"].labels == BADSHAH_LABELS
    shares, counts = np.array(BADSHAH_CONFUSION[network]), np.array(badshah_counts(network))
    np.testing.assert_allclose(shares.sum(axis=1), 100, atol=0.03)
    assert tuple(counts.sum(axis=1)) == BADSHAH_TOTALS
    np.testing.assert_allclose(100 * counts / counts.sum(axis=1, keepdims=True), shares, atol=0.005 + 1e-9)


def test_no_smaller_totals_give_both_matrices() -> None:
    for row, total in enumerate(BADSHAH_TOTALS):
        printed = np.array([BADSHAH_CONFUSION[network][row] for network in ("fresh", "fine-tuned")])

        def fits(candidate: int, printed: Any = printed) -> bool:
            counts = np.round(printed * candidate / 100)
            close = np.abs(100 * counts / candidate - printed).max() <= 0.005 + 1e-9
            return bool(close and (counts.sum(axis=1) == candidate).all())

        assert next(filter(fits, itertools.count(1))) == total, BADSHAH_LABELS[row]


@pytest.mark.parametrize(
    ("network", "right", "accuracy", "uar"), [("fresh", 363, "56.8", "56.2"), ("fine-tuned", 355, "55.6", "56.4")]
)
def test_badshahs_notes_have_the_figures_of_the_matrices(network: str, right: int, accuracy: str, uar: str) -> None:
    counts = np.array(badshah_counts(network))
    recalls = np.diag(counts) / counts.sum(axis=1)
    assert (int(np.trace(counts)), int(counts.sum())) == (right, 639)
    assert f"{100 * right / 639:.1f}" == accuracy
    assert f"{100 * recalls.mean():.1f}" == uar
    note = BADSHAH_NOTES["fine-tuned"]
    assert accuracy in note
    assert uar in note
    for emotion in ("sadness", "fear"):
        assert f"{100 * recalls[BADSHAH_LABELS.index(emotion)]:.1f}" in note


def test_badshahs_other_notes() -> None:
    assert BADSHAH_2017 == {"spectrograms": 0.6175, "files": 0.843}
    assert "363 of 639, 56.8 %" in BADSHAH_NOTES["accuracy"]
    assert (5 * sum(BADSHAH_TOTALS), 5 * min(BADSHAH_TOTALS), 5 * max(BADSHAH_TOTALS)) == (3195, 285, 650)
    emodb = CORPORA["emodb"]
    assert max(emodb.counts, key=emodb.counts.__getitem__) == "anger" == BADSHAH_LABELS[int(np.argmin(BADSHAH_TOTALS))]
    assert emodb.num_speakers == 10


def test_the_report_of_2015_says_what_its_text_says() -> None:
    by_chunk = {name: value for name, value in STANFORD_2015.items() if name not in ("LSTM", "R7")}
    assert max(by_chunk, key=by_chunk.__getitem__) == "ER2"
    single = {name: value for name, value in by_chunk.items() if not name.startswith("ER")}
    assert max(single, key=single.__getitem__) == "R1"
    assert STANFORD_2015["FC2"] > STANFORD_2015["FC3"] > STANFORD_2015["SVM"] > STANFORD_2015["softmax"] > 1 / 7
    assert all(
        STANFORD_2015[f"R1+{name}"] < STANFORD_2015["R1"] for name in ("naive-bayes", "softmax", "lda", "qda", "gmm")
    )
    assert all(STANFORD_2015[name] < STANFORD_2015["R1"] for name in ("R2", "R5", "R6")), "section 3.1"
    square = {name: STANFORD_2015[name] for name in ("S1", "S2", "S3", "S4")}
    assert max(square, key=square.__getitem__) == "S4", "the note on S2"
    assert len(STANFORD_2015) == 4 + 5 + 13 + 1  # Tables 2, without what is in 4 again, 3 and 4, and the LSTM


def test_the_study_of_ravdess_in_figures() -> None:
    mlp, cnn = MLP_VS_CNN["MLP"], MLP_VS_CNN["CNN"]
    assert round(cnn["seconds"] / cnn["seconds an epoch"]) == 51
    assert f"{cnn['seconds'] / mlp['seconds']:.1f}" == "19.6"
    assert mlp["test"] - cnn["test"] == pytest.approx(0.06)
    speech, song = CORPORA["ravdess"].counts, CORPORA["ravdess_song"].counts
    both = [number + song.get(emotion, 0) for emotion, number in speech.items() if emotion != "neutral"]
    assert (max(both), sum(both)) == (376, 2264)
    assert "376 of 2,264 clips, 16.6 %" in MLP_VS_CNN_NOTES["baseline"]
    assert f"{100 * 376 / 2264:.1f}" == "16.6"
    assert sorted(speech.values()) == [96, *7 * [192]]


def test_alexnets_one_figure() -> None:
    assert list(ALEXNET_RAVDESS.values()) == [0.996]


def test_notes_are_sentences_in_plain_ascii() -> None:
    for notes in (KEESING_NOTES, BADSHAH_NOTES, STANFORD_NOTES, ALEXNET_NOTES, MLP_VS_CNN_NOTES):
        for key, note in notes.items():
            assert note.isascii(), key
            assert note.endswith("."), key
            assert "  " not in note, key
