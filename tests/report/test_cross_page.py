import html
import pathlib
import re
from typing import Any

import pyarrow as pa
import pytest

from raysee import schema, storage
from raysee.config import RunConfig, TrainingConfig
from raysee.receipts import Receipt
from raysee.report.cross import Asked, Counted, as_text, mean_gaps, write_cross
from raysee.training import finished

from .report_runs import emodb, trained

CONFIG = RunConfig(
    corpora=("emodb", "ravdess"),
    features="logmel40",
    model="aldeneh",
    protocol="cross-corpus",
    scheme="iemocap4",
    training=TrainingConfig(epochs=4),
)
COUNTED = {
    "emodb": Counted({"anger": 127, "neutral": 79}, {"boredom": 81}),
    "ravdess": Counted({"anger": 192, "happiness": 192}, {"calm": 192, "fear": 193}),
}
RECEIPT = Receipt(
    stage="cross",
    fingerprint="f" * 12,
    config={},
    inputs={"emodb logmel40": "e" * 12},
    counts={"in": 2, "out": 1, "rejected": 1},
    rejects={"ConfigurationError": 1},
    wall_s=1.0,
)


def row(trained_on: list[str], tested: str, **told: Any) -> dict[str, Any]:
    told = {"heard": ["anger", "neutral"], "classes": ["anger", "neutral"], "unheard": [], "num_unheard": 0} | told
    common = {"scheme": "iemocap4", "model": "aldeneh", "features": "logmel40", "protocol": "cross-corpus"}
    rest = {"repeats": 1, "epochs": 4, "training_s": 2.0, "remark": "", "run": "", "within_run": ""}
    return common | rest | {"trained_on": trained_on, "tested": tested} | told


def figures(uar: float, within: float) -> dict[str, Any]:
    return {
        **{"num_clips": 72, "num_speakers": 3, "chance": 1 / 2, "uar": uar, "low": uar - 0.1, "high": uar + 0.1},
        **{"within": within, "within_low": within - 0.05, "within_high": within + 0.05, "p_value": 0.25},
        **{"gap": within - uar, "gap_low": within - uar - 0.02, "gap_high": within - uar + 0.02},
    }


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=schema.CROSSINGS)


def text_of(uri: str) -> str:
    text = html.unescape(re.sub(r"<[^>]+>", " ", storage.read_bytes(uri).decode().partition("<body>")[2]))
    return " ".join(text.split())


@pytest.fixture
def cells(tmp_path: pathlib.Path) -> pa.Table:
    root = emodb(tmp_path)
    across, _ = trained(root, protocol_name="cross-corpus")
    within, _ = trained(root)
    return table(
        row(
            ["ravdess"],
            "emodb",
            **figures(0.413, 0.757),
            **{"run": across, "within_run": within, "unheard": ["sadness"], "num_unheard": 62},
        ),
        row(["emodb"], "ravdess", remark="besides ravdess there are <2> speakers"),
    )


def draw(cells: pa.Table, place: pathlib.Path, kind: str = "matrix") -> str:
    return write_cross(storage.normalise(place / "cross.html"), Asked(kind, CONFIG, COUNTED), cells, "there", RECEIPT)


def test_the_page_has_the_gap_every_cell_and_why_one_failed(cells: pa.Table, tmp_path: pathlib.Path) -> None:
    page = text_of(draw(cells, tmp_path))
    assert "Out-of-corpus gap: +34.4 points of UAR What" in page
    assert "gap by tested corpus emodb +34.4 cells" in page
    curves = [finished.read(fold) for fold in finished.finished(cells["run"][0].as_py())]
    tested = [(fold.curve[fold.chosen_epoch - 1].validation_uar or 0.0) for fold in curves if fold.fold >= 0]
    chosen = f"{100 * sum(tested) / 3:.1f}"
    assert (
        f"ravdess emodb 2 72 3 speakers 50.0 {chosen} 41.3 31.3 to 51.3 75.7 70.7 to 80.7 +34.4 +32.4 to +36.4 0.250"
        in page
    )
    assert "emodb ravdess 2 failed: besides ravdess there are <2> speakers" in page
    assert "1 of 2; the others failed" in page
    assert "nothing of the tested corpus is seen" in page
    assert "4 of 50 epochs" in page


@pytest.mark.parametrize(
    ("changed", "said", "unsaid"),
    [
        ({}, "every class of every corpus has the same weight", "look smaller"),
        ({"protocol": "cross-corpus-by-speaker"}, "own statistics are worth makes the gap look smaller", "power of"),
        ({"training": TrainingConfig(balance=0.5)}, "class weights to the power of 0.5", "the same weight"),
        ({"model": "svm"}, "Classes weigh as the classifier has it", "chooses the epoch"),
    ],
)
def test_the_page_says_what_the_gap_is_measured_by(
    changed: dict[str, Any], said: str, unsaid: str, tmp_path: pathlib.Path
) -> None:
    asked = Asked("matrix", CONFIG.model_copy(update=changed), COUNTED)
    uri = storage.normalise(tmp_path / "cross.html")
    page = text_of(write_cross(uri, asked, table(row(["ravdess"], "emodb", remark="no")), "there", RECEIPT))
    assert said in page
    assert unsaid not in page


def test_the_page_says_what_is_dropped(cells: pa.Table, tmp_path: pathlib.Path) -> None:
    page = text_of(draw(cells, tmp_path))
    assert "emodb 127 0 79 81 boredom 81" in page
    assert "ravdess 192 192 0 385 calm 192, fear 193" in page
    assert "ravdess emodb 62 sadness" in page


def test_the_page_shows_curves_and_provenance_of_each_run(cells: pa.Table, tmp_path: pathlib.Path) -> None:
    uri = draw(cells, tmp_path)
    raw, page = storage.read_bytes(uri).decode(), text_of(uri)
    assert raw.count("data:image/png") == 3, "the matrix, and the curves of two runs"
    for place in (cells["run"][0].as_py(), cells["within_run"][0].as_py()):
        assert place in page
    assert "f" * 12 in page
    assert "e" * 12 in page
    assert re.search(r"torch \d", page)
    assert "<script" not in raw
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", raw), "no other file"
    assert set(re.findall(r'href="#([^"]+)"', raw)) <= set(re.findall(r'id="([^"]+)"', raw))


def test_synthetic_numbers_say_so(tmp_path: pathlib.Path) -> None:
    root = emodb(tmp_path, synthetic=True)
    place, _ = trained(root, protocol_name="cross-corpus", synthetic=True)
    told = table(row(["ravdess"], "emodb", **figures(0.4, 0.7), run=place, within_run=""))
    page = text_of(draw(told, tmp_path))
    assert "aldeneh, iemocap4 synthetic" in page
    assert "+30.0 points of UAR, synthetic" in page
    assert "40.0 synthetic" in page


@pytest.mark.parametrize("kind", ["matrix", "leave-one-corpus-out", "train-test"])
def test_nothing_but_failures_is_a_page_too(kind: str, tmp_path: pathlib.Path) -> None:
    rows = [row(["ravdess"], "emodb", remark="no"), row(["emodb"], "ravdess", remark="no")]
    page = text_of(draw(table(*rows), tmp_path, kind))
    assert "Out-of-corpus gap: not known" in page
    assert page.count("failed: no") == 2


def test_each_tested_corpus_counts_once_in_the_gap() -> None:
    told = table(
        row(["a"], "c", **figures(0.5, 0.7)),
        row(["b"], "c", **figures(0.3, 0.7)),
        row(["c"], "b", **figures(0.5, 0.5)),
        row(["b"], "a", remark="failed"),
    )
    assert mean_gaps(told) == pytest.approx({"b": 0.0, "c": 0.3})


def test_a_line_for_the_terminal() -> None:
    told = table(
        row(["a", "b"], "c", **figures(0.5, 0.7), unheard=["fear"], num_unheard=3), row(["c"], "a", remark="too few")
    )
    assert as_text(told) == [
        "a+b -> c: UAR 50.0% (40.0 to 60.0), chance 50.0%; within c 70.0% (65.0 to 75.0); "
        "gap +20.0 points (18.0 to 22.0); dropped, because nobody was trained on it: fear",
        "c -> a: failed: too few",
    ]
