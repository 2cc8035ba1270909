"""A model that answers for segments of speech."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from raysee.config import ScoreConfig
from raysee.evaluation import standardise
from raysee.features import FrontEnd
from raysee.models import network
from raysee.training.card import Card
from raysee.training.clips import Array
from raysee.training.predict import predict_clips


@dataclass(frozen=True)
class Scorer:
    """A model in evaluation mode with all that its card says of how to feed it."""

    model: nn.Module
    card: Card
    front_end: FrontEnd
    config: ScoreConfig

    @property
    def by_speaker(self) -> bool:
        """Whether features are standardised by all that a speaker says, and so at the end of a call."""
        return network(self.card.config.model).standardise and self.card.statistics is None

    def probabilities(self, features: Sequence[Array]) -> Array:
        """Class probabilities (num_segments, num_labels) of the features of segments, each (num_rows, *shape).

        Where the model was trained on features standardised by speaker, these segments are that speaker.
        """
        config = self.card.config
        spec = network(config.model)
        if spec.standardise:
            statistics = self.card.statistics or standardise.fit(features)
            features = [statistics.apply(one) for one in features]
        return predict_clips(
            self.model,
            spec,
            features,
            batch_size=self.config.batch_size,
            hop_ms=config.hop_ms,
            aggregation=config.aggregation,
        )
