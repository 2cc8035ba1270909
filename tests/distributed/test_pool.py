import os
from typing import Any

import numpy as np
import pytest
import ray

from raysee.config import ScoreConfig
from raysee.distributed import cluster, pool
from raysee.distributed.pool import PoolConfig
from raysee.errors import ConfigurationError, RayseeError
from raysee.training.card import load_card


@pytest.mark.parametrize(
    ("gpus", "room"),
    [(1.0, 2), (0.5, 4), (0.6, 2), (0.1, 20), (0.3, 6)],
)
def test_more_models_than_there_are_gpus_for_do_not_wait_for_ever(
    gpus: float, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "connect", lambda: None)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": 2.0})
    cluster.check_gpus(gpus, room)
    with pytest.raises(ConfigurationError, match=rf"the cluster has 2: ask for {room} at most"):
        pool.start("file:///nowhere", "", PoolConfig(room + 1, gpus), ScoreConfig())


class Deadly:
    """What ends the process that unpacks it."""

    def __reduce__(self) -> Any:
        return os._exit, (1,)


def test_a_batch_that_kills_its_actors_is_not_asked_for_for_ever(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_RETRIES", 1)
    actors = pool.start(model, load_card(model).fingerprint, PoolConfig(1), ScoreConfig())
    ask = pool.asking(actors)
    features = [np.zeros((100, 40), np.float32)]
    with pytest.raises(RayseeError, match="Ray gave up .Actor"):
        ask([Deadly()])  # type: ignore[list-item]
    assert ask(features).shape == (1, 2), "the next batch is answered"


def test_an_answer_that_never_comes_is_said(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    actors = pool.start(model, load_card(model).fingerprint, PoolConfig(1), ScoreConfig())
    monkeypatch.setattr(pool, "_ANSWER_S", 0.0)
    with pytest.raises(RayseeError, match="has not answered for 0 minutes"):
        pool.asking(actors)([np.zeros((100, 40), np.float32)])


def test_models_that_find_no_room_are_said(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_START_S", 0.0)
    with pytest.raises(RayseeError, match="1 of 1 models have not started"):
        pool.start(model, load_card(model).fingerprint, PoolConfig(1), ScoreConfig())


def test_an_actor_refuses_another_model_than_that_of_the_night(model: str) -> None:
    with pytest.raises(ConfigurationError, match="holds the model .* by now, and this start began with 0123"):
        pool.start(model, "0123456789ab", PoolConfig(1), ScoreConfig())
