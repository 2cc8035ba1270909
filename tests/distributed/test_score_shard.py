"""A shard of calls without a Ray around it."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import safetensors.torch

from raysee import storage
from raysee.config import ScoreConfig
from raysee.distributed import pool
from raysee.distributed import score as scoring
from raysee.distributed.shards import Shard, ShardResult
from raysee.errors import ConfigurationError
from raysee.models import MODELS
from raysee.training import card as cards

from ..scoring.test_score import planned, scorer, speech, wav


@pytest.fixture
def run(tmp_path: pathlib.Path) -> str:
    """A model that has learned nothing."""
    place = storage.normalise(tmp_path / "run")
    weights = MODELS["aldeneh"].sizes["debug"]((40,), 3).state_dict()
    fingerprint = cards.fingerprint_of(safetensors.torch.save(weights))
    cards.save(place, weights, scorer().card.model_copy(update={"fingerprint": fingerprint}))
    return place


def score_shard(place: pathlib.Path, run: str, fingerprint: str, actors: Sequence[Any] = ()) -> ShardResult:
    call = storage.normalise(place / "a.wav")
    storage.write_bytes(call, wav(speech(5)))
    (file,) = storage.list_files(call)
    rows = planned(call)
    for name, value in (("size_bytes", file.size_bytes), ("etag", file.etag)):
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, rows.schema.field(at), [[value]])
    shard = Shard(rows, "part-00000", [storage.normalise(place / "scores")])
    config = ScoreConfig(detector="energy-v1", channels=(("customer",),))
    (result,) = scoring._score_shard(shard, run, fingerprint, config, "work", "begun", "one", "", actors)
    return result


@pytest.mark.parametrize("actors", [(), ("an actor",)])
def test_a_model_that_was_replaced_in_mid_night_scores_nothing(
    actors: Sequence[Any], run: str, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(ConfigurationError, match="by now, and this start began with 0123456789ab: start again"):
        score_shard(tmp_path, run, "0123456789ab", actors)


def test_a_worker_whose_model_is_in_actors_does_not_load_it(
    run: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "load", None)
    monkeypatch.setattr(pool, "asking", lambda actors: lambda features: np.full((len(features), 3), 1 / 3))
    result = score_shard(tmp_path, run, cards.load_card(run).fingerprint, ("an actor",))
    assert result.tables["segments"][0].num_rows == 1
