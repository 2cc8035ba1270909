"""A training run as the page shows it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from raysee import schema, storage
from raysee.config import RunConfig, TrainingConfig
from raysee.errors import ConfigurationError
from raysee.evaluation.folds import FINAL
from raysee.evaluation.metrics import Summary
from raysee.evaluation.protocols import Protocol
from raysee.receipts import Receipt
from raysee.report import figures, first_layer, published
from raysee.report.examples import Example, examples
from raysee.report.figures import Curve, Picture
from raysee.report.network_figures import by_speaker, confusion_beside, filters, reliability
from raysee.report.provenance import provenance
from raysee.training import card, finished
from raysee.training.finished import FoldReceipt


class _Identity(BaseModel):
    """What the page needs of a training receipt's `config`."""

    config: RunConfig
    protocol: Protocol


class _Details(BaseModel):
    """A training receipt's `details`."""

    lake: str
    labels: list[str]
    metrics: Summary
    example_metrics: Summary | None = None
    synthetic: bool
    work_s: float


@dataclass(frozen=True)
class FoldRow:
    """One fold over all repeats. `chosen_epochs` has one entry a repeat, and so has `uars`."""

    number: int
    test_speakers: list[str]
    chosen_epochs: list[int]
    uars: list[float]

    @property
    def uar(self) -> float:
        return float(np.mean(self.uars))


@dataclass(frozen=True)
class TrainingRun:
    """A cross-validation and its delivered model; or such a model alone, without `folds`."""

    anchor: str
    place: str
    config: RunConfig
    protocol: Protocol
    labels: list[str]
    summary: Summary
    examples_summary: Summary | None  # by window, chunk or spectrogram, where the network sees these
    published: float | None  # UAR
    synthetic: bool
    folds: list[FoldRow]
    confusion: Picture
    beside: Picture | None  # the confusion of examples beside a published one
    curves: Picture | None  # of networks
    filters: Picture | None  # of the delivered network, or of the first training
    speakers: Picture
    reliability: Picture
    examples: list[Example]
    provenance: list[tuple[str, str]]

    @property
    def model(self) -> str:
        """The network, with its size where that is not the published one."""
        return self.config.model if self.config.size == "published" else f"{self.config.model} ({self.config.size})"

    @property
    def title(self) -> str:
        return f"{self.config.corpus}: {self.model}, {self.config.heard}"


def gather(place: str, receipt: Receipt, anchor: str) -> TrainingRun:
    """Read what a training has left below `place` and draw its pictures."""
    identity = _Identity.model_validate(receipt.config)
    details = _Details.model_validate(receipt.details)
    tested = [finished.read(fold) for fold in finished.finished(place)]
    delivered = finished.folder(place, FINAL, 0)
    final = _curve(finished.read(delivered)) if finished.is_finished(delivered) else None
    learned = bool(tested[0].curve if tested else final)
    config, synthetic = identity.config, details.synthetic
    said = storage.read_table(storage.join(place, "predictions.parquet"), schema.PREDICTIONS)
    return TrainingRun(
        anchor=anchor,
        place=place,
        config=config,
        protocol=identity.protocol,
        labels=details.labels,
        summary=details.metrics,
        examples_summary=details.example_metrics,
        published=published.published_uar(config, synthetic=synthetic),
        synthetic=synthetic,
        folds=_rows(tested),
        confusion=figures.confusion(details.metrics.confusion, details.labels, synthetic=synthetic),
        beside=_beside(config, details),
        curves=(
            figures.learning_curves([_curve(one) for one in tested], final, synthetic=synthetic) if learned else None
        ),
        filters=_filters(place, config, synthetic),
        speakers=_speakers(said, details),
        reliability=_reliability(said, synthetic),
        examples=examples(details.lake, config.corpus, details.labels, synthetic=synthetic),
        provenance=[
            *provenance(place, receipt),
            ("seed", str(config.training.seed)),
            *(_learning(config.training) if learned else []),
            ("all trainings together", f"{details.work_s:,.0f} s on their workers"),
        ],
    )


def spectrograms_beside(
    config: RunConfig, counts: Sequence[Sequence[int]], labels: Sequence[str], *, synthetic: bool
) -> Picture | None:
    """The confusion of a run's spectrograms beside that of Badshah et al. 2017, Table 1 or 2; None for other runs.

    `counts` are in the order of `labels`; rows are true.
    """
    network = {"badshah": "fresh", "alexnet-fine-tuned": "fine-tuned"}.get(config.model)
    if network is None or config.corpus != "emodb" or sorted(labels) != sorted(published.BADSHAH_LABELS):
        return None
    order = [published.BADSHAH_LABELS.index(label) for label in labels]
    matrix = np.array(published.BADSHAH_CONFUSION[network])[np.ix_(order, order)]
    return confusion_beside(counts, matrix.tolist(), labels, f"Badshah et al. 2017, {network}", synthetic=synthetic)


def _learning(training: TrainingConfig) -> list[tuple[str, str]]:
    optimiser = {"adam": "Adam", "sgd": "SGD"}[training.optimiser]
    return [("learning", f"{optimiser} at {training.learning_rate:g}, batches of {training.batch_size}")]


def _beside(config: RunConfig, details: _Details) -> Picture | None:
    if details.example_metrics is None:
        return None
    counts = details.example_metrics.confusion
    return spectrograms_beside(config, counts, details.labels, synthetic=details.synthetic)


def _filters(place: str, config: RunConfig, synthetic: bool) -> Picture | None:
    """Those of the delivered model where it still lies there; where none is delivered, of the first training."""
    if not storage.exists(storage.join(place, "model.json")):
        return kept_filters(place, config, synthetic=synthetic)
    try:
        model, _, _ = card.load(place)
    except ConfigurationError:  # what a run reached can be read long after its front-end has moved on
        return None
    return _drawn(first_layer.first_layer(model.state_dict()), config, synthetic)


def kept_filters(place: str, config: RunConfig, *, synthetic: bool) -> Picture | None:
    """The first layer of the first training of a run that delivers no model; None where none was kept."""
    return _drawn(first_layer.kept(place), config, synthetic)


def _drawn(weight: npt.NDArray[np.floating] | None, config: RunConfig, synthetic: bool) -> Picture | None:
    if weight is None:
        return None
    picture = config.features.startswith(("image", "sliding"))  # their first row is the highest frequency
    return filters(weight, lowest_first=not picture, synthetic=synthetic)


def _speakers(said: pa.Table, details: _Details) -> Picture:
    gender = dict(zip(said["speaker"].to_pylist(), said["gender"].to_pylist(), strict=True))
    uar = {speaker: figure["uar"] for speaker, figure in details.metrics.uar_by_speaker.items()}
    return by_speaker(uar, gender, details.metrics.chance, synthetic=details.synthetic)


def _reliability(said: pa.Table, synthetic: bool) -> Picture:
    confidence = [max(row) for row in said["probabilities"].to_pylist()]
    return reliability(confidence, pc.equal(said["label"], said["predicted"]).to_pylist(), synthetic=synthetic)


def leaks(runs: Sequence[TrainingRun]) -> list[str]:
    """For each two runs that differ in whether their protocol leaks: a sentence that says what the leak is worth."""
    return [
        _price(leaky, clean)
        for leaky, clean in itertools.product(runs, runs)
        if leaky.protocol.leaks and not clean.protocol.leaks and _comparable(leaky) == _comparable(clean)
    ]


#: In what else than who is tested protocols may differ.
_BESIDE_THE_SPLIT = {
    "validation": "what validates",
    "standardise": "standardisation",
    "class_weights": "class weights",
    "select": "the epoch that is kept",
}


def _comparable(run: TrainingRun) -> tuple[object, ...]:
    config = run.config
    return config.corpus, config.model, config.heard, config.size, config.labels, run.synthetic


def _price(leaky: TrainingRun, clean: TrainingRun) -> str:
    high, low = leaky.summary.uar_mean_of_folds, clean.summary.uar_mean_of_folds
    theirs, ours = (
        run.config.training.model_dump()
        | {"repeats": run.config.repeats}
        | {said: getattr(run.protocol, field) for field, said in _BESIDE_THE_SPLIT.items()}
        for run in (leaky, clean)
    )
    others = [name.replace("_", " ") for name in theirs if theirs[name] != ours[name]]
    caveat = f" The two also differ in {', '.join(others)}." if others else ""
    voice = ", synthetic voice" if leaky.synthetic else ""
    return (
        f"The price of the leak ({leaky.title}{voice}): UAR is {100 * high:.1f} % under {leaky.protocol.name}, "
        f"which leaks {leaky.protocol.leaks}, and {100 * low:.1f} % under {clean.protocol.name}, a difference of "
        f"{100 * (high - low):+.1f} points.{caveat}"
    )


def _rows(tested: Sequence[FoldReceipt]) -> list[FoldRow]:
    rows = []
    for number in sorted({one.fold for one in tested}):
        repeats = sorted((one for one in tested if one.fold == number), key=lambda one: one.repeat)
        rows.append(
            FoldRow(
                number=number,
                test_speakers=repeats[0].test_speakers,
                chosen_epochs=[one.chosen_epoch for one in repeats],
                uars=[one.uar for one in repeats if one.uar is not None],
            )
        )
    return rows


def _curve(fitted: FoldReceipt) -> Curve:
    return Curve(fitted.curve, fitted.chosen_epoch)
