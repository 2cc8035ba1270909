import os
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from raysee.config import Config, RunConfig, ScoreConfig, TrainingConfig, fingerprint

RUN = {"corpora": ("emodb",), "features": "logmel40", "model": "aldeneh"}


def test_defaults_are_those_of_the_paper() -> None:
    training = TrainingConfig()
    assert (training.epochs, training.batch_size, training.learning_rate, training.adam_eps) == (50, 32, 1e-4, 1e-7)
    assert RunConfig(**RUN).protocol == "strict"


def test_a_configuration_cannot_change() -> None:
    config = RunConfig(**RUN)
    with pytest.raises(ValidationError):
        config.model = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (RunConfig, {**RUN, "modle": "aldeneh"}),  # a misspelt field must not be ignored
        (RunConfig, {"corpora": ("emodb",)}),
        (RunConfig, {**RUN, "size": "huge"}),
        (RunConfig, {**RUN, "repeats": 0}),
        (RunConfig, {**RUN, "channel": "telegraph"}),
        (TrainingConfig, {"epochs": 0}),
        (TrainingConfig, {"batch_size": 0}),
        (TrainingConfig, {"learning_rate": 0}),
        (TrainingConfig, {"precision": "float16"}),
        (ScoreConfig, {"max_s": 0}),
        (ScoreConfig, {"pause_s": -1}),
        (ScoreConfig, {"min_speech": 1.01}),
        (ScoreConfig, {"batch_size": 0}),
    ],
)
def test_what_cannot_be_is_refused(kind: type[Config], fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        kind(**fields)


@pytest.mark.parametrize(
    "change",
    [
        {"corpora": ("ravdess",)},
        {"features": "logmel240"},
        {"model": "other"},
        {"size": "debug"},
        {"protocol": "paper"},
        {"labels": ("anger", "neutral")},
        {"repeats": 3},
        {"channel": "telephone"},
        {"training": {"epochs": 49}},
        {"training": {"batch_size": 31}},
        {"training": {"learning_rate": 1.0001e-4}},
        {"training": {"adam_eps": 1e-8}},
        {"training": {"seed": 1}},
        {"training": {"precision": "bfloat16"}},
    ],
)
def test_any_field_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert RunConfig(**{**RUN, **change}).fingerprint() != RunConfig(**RUN).fingerprint()


def test_runs_that_are_older_than_telephones_keep_their_fingerprints() -> None:
    assert "channel" not in RunConfig(**RUN).model_dump()
    behind = RunConfig(**RUN, channel="telephone")
    assert RunConfig.model_validate_json(behind.model_dump_json()) == behind
    assert (RunConfig(**RUN).heard, behind.heard) == ("logmel40", "logmel40-telephone")


def test_the_order_of_the_labels_counts() -> None:
    one, other = (RunConfig(**RUN, labels=labels) for labels in (("anger", "fear"), ("fear", "anger")))
    assert one.fingerprint() != other.fingerprint()


def test_a_fingerprint_knows_values_not_spelling() -> None:
    assert fingerprint({"a": 1, "b": [1.5, None]}) == fingerprint({"b": [1.5, None], "a": 1})
    assert fingerprint(["ab", "c"]) != fingerprint(["a", "bc"])
    assert ScoreConfig(max_s=4).fingerprint() == ScoreConfig(max_s=4.0).fingerprint()
    with pytest.raises(ValueError, match="JSON"):
        fingerprint(float("nan"))


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    code = "from raysee.config import *; print(RunConfig(corpora=('emodb',), features='logmel40', model='aldeneh')"
    found = {
        subprocess.run(
            [sys.executable, "-c", f"{code}.fingerprint())"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {RunConfig(**RUN).fingerprint()}
    assert len(found.pop()) == 12
