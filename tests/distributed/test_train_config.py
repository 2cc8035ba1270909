"""`raysee train --config`: the whole configuration of a run from a file."""

import json
import pathlib
import sys
from typing import Any

import pytest

from raysee import receipts, storage
from raysee.cli import main
from raysee.config import RunConfig, TrainingConfig

CONFIG = RunConfig(
    corpora=("emodb",),
    features="logmel40",
    model="aldeneh",
    size="debug",
    options={"dropout": 0.25},
    labels=("anger", "neutral"),
    deliver=False,
    training=TrainingConfig(epochs=1, learning_rate=3e-3, batch_size=16, seed=5),
)


def written(folder: pathlib.Path, **changes: Any) -> pathlib.Path:
    """A configuration as a file, with other values or fields."""
    path = folder / "config.json"
    path.write_text(json.dumps({**CONFIG.model_dump(mode="json"), **changes}))
    return path


def call(words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What `raysee` prints, and what it says on the error stream."""
    monkeypatch.setattr(sys, "argv", ["raysee", *words.split()])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr()
    return said.out, " ".join(said.err.split())


def test_a_file_is_trained_as_it_says_wherever_it_lies(
    lake: str, bucket: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path)
    storage.write_bytes(storage.join(bucket, "config.json"), path.read_bytes())
    runs = set()
    for place in (storage.join(bucket, "config.json"), path.as_uri(), str(path)):
        out, err = call(f"train --config {place} --to {lake} --gpus 0", monkeypatch, capsys)
        assert err == ""
        runs.add(out.splitlines()[-1].strip())
    (run,) = runs
    receipt = receipts.read(run)
    assert receipt is not None
    assert RunConfig.model_validate(receipt.config["config"]) == CONFIG


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--config {file} --epochs 3", "error: --epochs was given, and {file} says it already: change it there"),
        ("--config {file} --set patience=2", "error: --set was given"),
        ("--config {file} --model aldeneh", "error: --model was given"),  # its default, and said nevertheless
        ("--config {file} --corpus emodb", "error: --corpus was given"),
        ("", "error: Nothing says what to train on: give --corpus, or --config"),
        ("--config {file}x", "error: file://{file}x does not exist"),
    ],
)
def test_what_contradicts_a_file_or_is_none_is_a_sentence(
    words: str,
    message: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = written(tmp_path)
    out, err = call(f"train {words.format(file=path)} --to {tmp_path}/lake", monkeypatch, capsys)
    assert out == ""
    assert err.startswith(message.format(file=path)), err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not the configuration of a run (Invalid JSON: "),
        ("\xff", "not the configuration of a run (Invalid JSON: "),
        ("[]", "not the configuration of a run (Input should be an object"),
        ('{"corpora": ["emodb"], "features": "logmel40"}', "not the configuration of a run (model: Field required)"),
        (json.dumps({**CONFIG.model_dump(mode="json"), "lr": 1}), "of a run (lr: Extra inputs are not permitted)"),
        (
            json.dumps({**CONFIG.model_dump(mode="json"), "training": {"epochs": 0}}),
            "of a run (training.epochs: Input should be greater than or equal to 1)",
        ),
    ],
)
def test_another_file_is_a_sentence(
    text: str,
    message: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    _, err = call(f"train --config {tmp_path}/config.json --to {tmp_path}/lake", monkeypatch, capsys)
    assert err.startswith("error: ")
    assert message in err
    assert err.endswith("give config.json of `raysee tune`.")
