"""What an experiment is: trainings, and the published figures that stand beside theirs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raysee.config import Precision, RunConfig, Size
from raysee.errors import unknown
from raysee.experiments.readings import Value
from raysee.models import published as published_training


@dataclass(frozen=True)
class Claim:
    """A figure of ours by its name in experiments.readings.READINGS, and the published one where there is one."""

    what: str  # as the document names it
    figure: str
    published: float | None = None
    notes: tuple[str, ...] = ()  # keys of the experiment's footnotes
    corpora: tuple[str, ...] = ()  # that the published figure is of, where ours may be of others; empty: the run's


@dataclass(frozen=True)
class Run:
    """A training and what is read off it."""

    config: RunConfig
    claims: tuple[Claim, ...]
    lacks: str = ""  # what it cannot be made without, in words: then its figures are owed


@dataclass(frozen=True)
class Derived:
    """A figure that is made of what several runs say of their examples, one schema.EXAMPLES each, without training."""

    of: tuple[RunConfig, ...]
    compute: Callable[[Sequence[pa.Table]], Value]
    claim: Claim


@dataclass(frozen=True)
class Cited:
    """A figure of the document that no training stands beside, such as that of human raters."""

    corpus: str
    claim: Claim


@dataclass(frozen=True)
class Choice:
    """What the user wants otherwise than the document: what is empty or 0 stays as published."""

    columns: tuple[str, ...] = ()
    protocol: str = ""
    size: Size = "published"
    epochs: int = 0
    repeats: int = 0
    precision: Precision = "float32"
    hop_ms: int = 0
    initial: str = ""  # a safetensors file of ImageNet weights
    seed: int = 0

    def configure(self, *, model: str, protocol: str, repeats: int = 1, **fields: Any) -> RunConfig:
        """A run of `model` as published but for the choice. The model that would be delivered is not fitted."""
        takes, training = published_training(model)
        changed = {"seed": self.seed, "precision": self.precision, **({"epochs": self.epochs} if self.epochs else {})}
        return RunConfig(
            model=model,
            protocol=protocol,
            size=self.size,
            repeats=self.repeats or repeats,
            deliver=False,
            training=training.model_copy(update=changed),
            **{"features": takes[0], **({"hop_ms": self.hop_ms} if self.hop_ms else {}), **fields},
        )


@dataclass(frozen=True)
class Experiment:
    """A document's experiment. `plan` gives what is to be run on the corpora that are there."""

    title: str
    source: str
    corpora: tuple[str, ...]  # in any number; what needs one that is not there lacks it
    columns: tuple[str, ...]  # what can be chosen among
    plan: Callable[[Sequence[str], Choice], list[Run | Derived]]
    notes: dict[str, str]
    cited: tuple[Cited, ...] = ()

    def wanted(self, choice: Choice) -> tuple[str, ...]:
        """The columns that are to be run. ConfigurationError for one that the experiment does not have."""
        for column in choice.columns:
            if column not in self.columns:
                raise unknown("column", column, self.columns)
        return choice.columns or self.columns
