"""A model that answers for segments of speech."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from raysee.config import ScoreConfig
from raysee.evaluation import calibration, standardise
from raysee.evaluation.calibration import Floats
from raysee.features import FrontEnd
from raysee.models import network
from raysee.training.card import Card
from raysee.training.clips import Array
from raysee.training.predict import predict_clips

#: Calibrated class probabilities (num_segments, num_labels) of standardised features, each (num_rows, *shape).
Predict = Callable[[Sequence[Array]], Floats]


class Scorer(NamedTuple):
    """All that is needed to score: the model, here or in another process, and what its card says of how to feed it."""

    predict: Predict
    card: Card
    front_end: FrontEnd
    config: ScoreConfig

    @property
    def by_speaker(self) -> bool:
        """Whether features are standardised by all that a speaker says, and so at the end of a call."""
        return network(self.card.config.model).standardise and self.card.statistics is None

    def standardised(self, features: Sequence[Array]) -> list[Array]:
        """Features of segments, each (num_rows, *shape), as the model wants them.

        Where it was trained on features standardised by speaker, these segments are that speaker.
        """
        if not network(self.card.config.model).standardise:
            return list(features)
        statistics = self.card.statistics or standardise.fit(features)
        return [statistics.apply(one) for one in features]


def predictor(model: nn.Module, card: Card, how: ScoreConfig, device: str = "cpu") -> Predict:
    """A model in evaluation mode, on `device`, as what answers in this process."""

    def predict(features: Sequence[Array]) -> Floats:
        config = card.config
        with torch.autocast(device, torch.bfloat16, enabled=how.precision == "bfloat16"):
            probabilities = predict_clips(
                model,
                network(config.model),
                features,
                batch_size=how.batch_size,
                hop_ms=config.hop_ms,
                aggregation=config.aggregation,
                device=device,
            )
        return calibration.apply(probabilities, card.temperature)

    return predict
