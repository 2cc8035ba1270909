"""Models in actors of their own, on GPUs or on CPUs, which all workers of a night ask."""

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import ray
import torch

from raysee.config import ScoreConfig
from raysee.distributed.cluster import check_gpus
from raysee.evaluation.calibration import Floats
from raysee.scoring.scorer import Predict, predictor
from raysee.training.card import load
from raysee.training.clips import Array

_GPU_BATCH = 512  # segments; on a CPU a batch that outgrows the caches is slower


class PoolConfig(NamedTuple):
    """How many model actors there are, each with so much of a GPU; 0: every worker has a model of its own."""

    actors: int = 0
    gpus: float = 0.0


def start(model: str, config: PoolConfig, how: ScoreConfig) -> list[Any]:
    """Start the actors with the model of the run `model`; they go when nobody holds them any more.

    An actor that is lost, with its machine or without, is started again, and what it was asked is asked again.
    Raises ConfigurationError where a GPU is asked for and there is none.
    """
    check_gpus(config.gpus)
    # No CPU, because who asks waits for the answer; and models that took all cores would leave none for who asks.
    actor = ray.remote(_Model).options(num_cpus=0, num_gpus=config.gpus, max_restarts=-1, max_task_retries=-1)
    if config.gpus:
        how = how.model_copy(update={"batch_size": _GPU_BATCH})
    return [actor.remote(model, how) for _ in range(config.actors)]


def asking(actors: Sequence[Any]) -> Predict:
    """What answers through any of the actors."""

    def predict(features: Sequence[Array]) -> Floats:
        answer: Floats = ray.get(random.choice(actors).predict.remote(list(features)))
        return answer

    return predict


class _Model:
    def __init__(self, model: str, how: ScoreConfig) -> None:
        torch.set_num_threads(1)
        network, card, _ = load(model)
        device = "cuda" if ray.get_gpu_ids() else "cpu"
        self._predict = predictor(network.to(device), card, how, device)

    def predict(self, features: list[Array]) -> Floats:
        return self._predict(features)
