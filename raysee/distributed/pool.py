"""Models in actors of their own, on GPUs or on CPUs, which all workers of a night ask."""

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import ray
import torch

from raysee.config import ScoreConfig
from raysee.distributed.cluster import check_gpus, explained
from raysee.errors import RayseeError
from raysee.evaluation.calibration import Floats
from raysee.scoring.scorer import Predict, predictor
from raysee.training.card import load
from raysee.training.clips import Array

_GPU_BATCH = 512  # segments; on a CPU a batch that outgrows the caches is slower

# How often a batch is asked for again whose actor died. What kills one actor after another is the batch itself.
_RETRIES = 4
_START_S = 600.0  # until all actors have their model: the first of a machine waits for its packages and its driver
_ANSWER_S = 1800.0  # until a batch is answered, those before it and a new machine for a lost actor included


class PoolConfig(NamedTuple):
    """How many model actors there are, each with so much of a GPU; 0: every worker has a model of its own."""

    actors: int = 0
    gpus: float = 0.0


def start(model: str, fingerprint: str, config: PoolConfig, how: ScoreConfig) -> tuple[Any, ...]:
    """Start the actors with the model of the run `model`, and wait for them; they go when nobody holds them any more.

    An actor that is lost, with its machine or without, is started again, and what it was asked is asked again.
    Raises ConfigurationError where there are not the GPUs for them, or another model than that of `fingerprint`;
    RayseeError where there is no room for them.
    """
    check_gpus(config.gpus, config.actors)
    # No CPU, because who asks waits for the answer; and models that took all cores would leave none for who asks.
    actor = ray.remote(_Model).options(num_cpus=0, num_gpus=config.gpus, max_restarts=-1, max_task_retries=_RETRIES)
    if config.gpus:
        how = how.model_copy(update={"batch_size": _GPU_BATCH})
    actors = tuple(actor.remote(model, fingerprint, how) for _ in range(config.actors))
    with explained():
        ready, waiting = ray.wait(
            [one.check.remote() for one in actors], num_returns=len(actors), timeout=_START_S, fetch_local=False
        )
        ray.get(ready)
    if waiting:
        raise RayseeError(
            f"{len(waiting)} of {len(actors)} models have not started after {_START_S / 60:.0f} minutes: see that no "
            "other job holds the GPUs or the memory, or ask for fewer --model-actors; then start again."
        )
    return actors


def asking(actors: Sequence[Any]) -> Predict:
    """What answers through any of the actors. Raises RayseeError where none comes, however often Ray has tried."""

    def predict(features: Sequence[Array]) -> Floats:
        with explained():
            try:
                answer: Floats = ray.get(random.choice(actors).predict.remote(list(features)), timeout=_ANSWER_S)
            except ray.exceptions.GetTimeoutError:
                raise RayseeError(
                    f"A model actor has not answered for {_ANSWER_S / 60:.0f} minutes: see that its machine is there, "
                    "then start the same command again; what is finished is kept."
                ) from None
        return answer

    return predict


class _Model:
    def __init__(self, model: str, fingerprint: str, how: ScoreConfig) -> None:
        torch.set_num_threads(1)
        self._refusal: RayseeError | None = None
        try:
            network, card, _ = load(model, fingerprint)
        except RayseeError as error:  # of an actor that cannot be made Ray tells only that it died
            self._refusal = error
            return
        device = "cuda" if ray.get_gpu_ids() else "cpu"
        self._predict = predictor(network.to(device), card, how, device)

    def check(self) -> None:
        if self._refusal is not None:
            raise self._refusal

    def predict(self, features: list[Array]) -> Floats:
        self.check()
        return self._predict(features)
