"""What all trainings of a run share, and its folds."""

from typing import NamedTuple

from raysee.config import RunConfig
from raysee.errors import ConfigurationError
from raysee.evaluation.folds import Fold, make_folds
from raysee.evaluation.protocols import protocol
from raysee.models import MODELS
from raysee.training.clips import Clips, Examples, examples
from raysee.training.inputs import Inputs


class Work(NamedTuple):
    """What each training of a run is given besides its fold."""

    config: RunConfig
    clips: Clips
    seen: Examples
    altered: Clips | None
    initial: bytes | None
    labels: list[str]


def prepare(inputs: Inputs) -> tuple[Work, list[Fold]]:
    """Read the clips of a run and split them: its folds, and last the one of the model that is delivered.

    Raises ConfigurationError where one class has features, the protocol cannot split the clips, or an LSTM has nothing
    to aggregate.
    """
    config, clips = inputs.config, inputs.clips()
    labels = [label for label in inputs.labels if label in set(clips.labels)]
    if len(labels) < 2:
        raise ConfigurationError(f"Only clips of {labels[0]} have features: there is nothing to tell apart.")
    unit = MODELS[config.model].unit if config.model in MODELS else "row"
    seen = examples(clips.offsets, clips.shape, unit, config.hop_ms)
    if config.aggregation == "lstm" and len(seen.clip) == len(clips):
        raise ConfigurationError(
            f"{config.model} sees each clip as one example, and an LSTM over examples has nothing to aggregate: "
            "leave --aggregation out."
        )
    held = clips.held(seen.clip)
    folds = make_folds(protocol(config.protocol), held, seed=config.training.seed, tested=config.test)
    return Work(config, clips, seen, inputs.altered_clips(), inputs.initial, labels), folds
