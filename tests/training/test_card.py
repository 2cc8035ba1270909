import dataclasses
import hashlib
import json
import pathlib
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from raysee import storage
from raysee.config import RunConfig
from raysee.errors import ConfigurationError, StorageError
from raysee.evaluation.protocols import PROTOCOLS
from raysee.features import FEATURES
from raysee.models import MODELS
from raysee.training.card import Card, CardCorpus, load, load_card, save

LABELS = ["anger", "neutral", "sadness"]


def weights(num_labels: int = 3, num_columns: int = 40) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    state: dict[str, torch.Tensor] = MODELS["aldeneh"].sizes["debug"]((num_columns,), num_labels).state_dict()
    return state


def fingerprint(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def card(**changes: Any) -> Card:
    front_end = FEATURES["logmel40"]
    fields: dict[str, Any] = {
        "labels": LABELS,
        "shape": [40],
        "config": RunConfig(corpora=("emodb",), features="logmel40", model="aldeneh", size="debug"),
        "protocol": PROTOCOLS["strict"],
        "chosen_epoch": 7,
        "front_end": front_end.model_dump(),
        "front_end_fingerprint": front_end.fingerprint(),
        "mean": [number / 7 for number in range(40)],
        "std": [1 + number / 3 for number in range(40)],
        "corpora": [
            CardCorpus(
                name="emodb",
                title="EMO-DB",
                licence="free",
                source="http://emodb.bilderbar.info",
                num_clips=535,
                num_speakers=10,
                fingerprint="abc",
            )
        ],
        "synthetic": True,
        "metrics": {"uar_mean_of_folds": 0.6, "uar_std_of_repeats": None},
        "fingerprint": fingerprint(safetensors.torch.save(weights())),
        "temperature": 1.7,
        "calibrated": True,
        "reference": {"duration_s": [1, 2], "probability:anger": [3, 4]},
        "versions": {"raysee": "0.1.0"},
        "written_at": "2026-11-21T00:00:00+00:00",
    }
    return Card(**{**fields, **changes})


@pytest.fixture
def run(tmp_path: pathlib.Path) -> str:
    place = storage.normalise(tmp_path / "a run")
    save(place, weights(), card())
    return place


def test_a_card_of_an_earlier_version_is_not_calibrated_and_has_no_reference(run: str) -> None:
    uri = storage.join(run, "model.json")
    fields = json.loads(storage.read_bytes(uri))
    for name in ("temperature", "calibrated", "reference"):
        del fields[name]
    storage.write_bytes(uri, json.dumps(fields).encode())
    loaded = load_card(run)
    assert (loaded.temperature, loaded.calibrated, loaded.reference) == (1.0, False, {})


def rewrite(run: str, **changes: Any) -> None:
    """The card with some fields changed, as somebody might edit it."""
    uri = storage.join(run, "model.json")
    storage.write_bytes(uri, json.dumps({**json.loads(storage.read_bytes(uri)), **changes}).encode())


@pytest.mark.parametrize("changes", [{}, {"mean": None, "std": None, "protocol": PROTOCOLS["paper"]}])
def test_what_is_saved_is_loaded(run: str, changes: dict[str, Any]) -> None:
    save(run, weights(), card(**changes))
    model, loaded, front_end = load(run)
    assert loaded == load_card(run) == card(**changes)
    assert front_end == FEATURES["logmel40"]
    assert not model.training
    found = model.state_dict()
    assert found.keys() == weights().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in weights().items())


def test_statistics_are_those_of_training_to_the_bit() -> None:
    statistics = Card.model_validate_json(card().model_dump_json()).statistics
    assert statistics is not None
    assert np.array_equal(statistics.mean, np.arange(40) / 7)
    assert np.array_equal(statistics.std, 1 + np.arange(40) / 3)
    assert card(mean=None, std=None, protocol=PROTOCOLS["paper"]).statistics is None


def test_the_card_is_written_last(tmp_path: pathlib.Path) -> None:
    """Where there is a card there are weights: a card that cannot be written leaves none."""
    (tmp_path / "model.json").mkdir()
    with pytest.raises(StorageError):
        save(storage.normalise(tmp_path), weights(), card())
    assert (tmp_path / "model.safetensors").exists()


def test_features_that_are_made_otherwise_today_are_refused(run: str) -> None:
    rewrite(run, front_end_fingerprint="000000000000")
    with pytest.raises(ConfigurationError, match=r"logmel40 000000000000, .* makes ff299f2f5080: .*0\.1\.0"):
        load(run)


def test_a_network_that_learns_otherwise_today_is_refused(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights may still fit: a layer without any is new."""
    monkeypatch.setitem(MODELS, "aldeneh", dataclasses.replace(MODELS["aldeneh"], version=2))
    with pytest.raises(ConfigurationError, match=r"version 1 of aldeneh, .* has version 2: .*0\.1\.0"):
        load(run)
    rewrite(run, network_version=2)
    load(run)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": None},
        {"shape": ["many"]},
        {"mean": [0.0, "x"]},
        {"config": {"corpora": ["emodb"]}},
        {"config": {**card().config.model_dump(), "size": "huge"}},
        {"protocol": {"name": "strict"}},
        {"temperature": 0.0},
        {"temperature": "warm"},
        {"reference": {"duration_s": [0.5]}},
    ],
)
def test_a_card_with_broken_fields_is_refused(run: str, changes: dict[str, Any]) -> None:
    rewrite(run, **changes)
    with pytest.raises(ConfigurationError, match=r"model\.json is not a model card"):
        load(run)


@pytest.mark.parametrize(
    ("field", "name", "known"),
    [("model", "transformer", "aldeneh"), ("features", "mfccs", "logmel240, logmel40")],
)
def test_names_that_this_version_does_not_know_are_told(run: str, field: str, name: str, known: str) -> None:
    rewrite(run, config={**card().config.model_dump(), field: name})
    with pytest.raises(ConfigurationError, match=f"'{name}'.*{known}"):
        load(run)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"{}"])
def test_what_is_no_card_is_refused(run: str, data: bytes) -> None:
    storage.write_bytes(storage.join(run, "model.json"), data)
    with pytest.raises(ConfigurationError, match=r"model\.json is not a model card .*train the model again"):
        load(run)


def cut(state: dict[str, torch.Tensor]) -> bytes:
    return safetensors.torch.save(state)[:-1]


def without_bias(state: dict[str, torch.Tensor]) -> bytes:
    return safetensors.torch.save({name: tensor for name, tensor in state.items() if name != "output.bias"})


def with_more(state: dict[str, torch.Tensor]) -> bytes:
    return safetensors.torch.save({**state, "more": torch.zeros(1)})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no weights at all, but a text",
        cut(weights()),
        without_bias(weights()),
        with_more(weights()),
        safetensors.torch.save(weights(num_labels=4)),
        safetensors.torch.save(weights(num_columns=41)),
    ],
    ids=["empty", "text", "cut", "lacks a bias", "holds more", "another label", "another band"],
)
def test_weights_that_do_not_fit_are_refused(run: str, data: bytes) -> None:
    storage.write_bytes(storage.join(run, "model.safetensors"), data)
    with pytest.raises(ConfigurationError, match=r"model\.safetensors does not fit its card: its fingerprint is"):
        load(run)
    rewrite(run, fingerprint=fingerprint(data))
    with pytest.raises(ConfigurationError, match=r"model\.safetensors does not fit its card: (?!its fingerprint)"):
        load(run)


def test_weights_of_another_training_are_not_taken_for_those_of_the_card(run: str) -> None:
    """As a kill between the two leaves them where a model is trained again."""
    other = {name: tensor + 1 for name, tensor in weights().items()}
    storage.write_bytes(storage.join(run, "model.safetensors"), safetensors.torch.save(other))
    with pytest.raises(ConfigurationError, match=r"the card has .* wait for that; else train the model again"):
        load(run)


def test_another_model_than_the_one_that_is_wanted_is_refused(run: str) -> None:
    load(run, card().fingerprint)
    with pytest.raises(ConfigurationError, match=rf"holds the model {card().fingerprint} by now, .* began with 0123"):
        load(run, "0123456789ab")


@pytest.mark.parametrize("changes", [{"mean": [0.0] * 39}, {"std": [1.0] * 41}, {"std": None}])
def test_statistics_that_do_not_fit_are_refused(run: str, changes: dict[str, Any]) -> None:
    rewrite(run, **changes)
    with pytest.raises(ConfigurationError):
        load(run)


def test_a_place_without_a_model_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(StorageError, match=r"model\.json does not exist"):
        load(storage.normalise(tmp_path))
