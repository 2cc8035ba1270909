"""The training runs behind the figures of an experiment, as its page shows them, finished or not."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from raysee import lake, receipts, schema, storage
from raysee.config import RunConfig
from raysee.evaluation.metrics import summarise
from raysee.evaluation.protocols import Protocol, protocol
from raysee.experiments.table import Line
from raysee.features import front_end
from raysee.models import CLASSIFIERS
from raysee.models import published as published_training
from raysee.receipts import Receipt
from raysee.report.figures import Curve, Picture, learning_curves
from raysee.report.network_figures import by_speaker
from raysee.report.training import kept_filters, spectrograms_beside
from raysee.storage import join
from raysee.training import finished
from raysee.training.finished import FoldReceipt


@dataclass(frozen=True)
class ShownRun:
    """A training run behind some of the figures, as far as it has got."""

    anchor: str
    config: RunConfig
    place: str
    protocol: Protocol
    synthetic: bool
    receipt: Receipt | None  # None while it is not finished
    speakers: Picture
    uar_by_gender: dict[str, float]  # over all their clips; empty where nobody says
    curves: Picture | None  # of networks
    beside: Picture | None  # the confusion of spectrograms beside a published one
    filters: Picture | None  # of the first training

    @property
    def debug(self) -> bool:
        """Whether the network is not the published one."""
        return self.config.size == "debug"

    @property
    def title(self) -> str:
        return f"{self.config.corpus}: {', '.join([self.config.model, self.config.features, *otherwise(self.config)])}"


def otherwise(config: RunConfig) -> list[str]:
    """In words what a run does otherwise than its network's document, as far as it can be told from `config`."""
    published = published_training(config.model)[1]
    epochs = published.epochs if config.model not in CLASSIFIERS else config.training.epochs
    told = {
        "debug size": config.size == "debug",
        f"{config.training.epochs} of {epochs} epochs": config.training.epochs != epochs,
        config.training.precision: config.training.precision != published.precision,
        f"windows every {config.hop_ms} ms": config.hop_ms != RunConfig.model_fields["hop_ms"].default,
    }
    return [words for words, differs in told.items() if differs]


def shown_runs(root: str, lines: Sequence[Line], *, with_filters: bool) -> dict[str, ShownRun]:
    """The runs behind the figures by their places, in the order of the table."""
    configs = {line.place: line.config for line in lines if line.value is not None}
    return {
        place: _run(root, place, config, f"run-{number}", with_filters)
        for number, (place, config) in enumerate(configs.items(), 1)
    }


def _run(root: str, place: str, config: RunConfig, anchor: str, with_filters: bool) -> ShownRun:
    receipt = receipts.read(place)
    synthetic = _features_are_synthetic(root, config) if receipt is None else bool(receipt.details["synthetic"])
    tested = {fold: finished.read(fold) for fold in finished.finished(place)}
    if receipt is None:
        said = finished.answers(list(tested), config)
    else:
        said = storage.read_table(join(place, "predictions.parquet"), schema.PREDICTIONS)
    speakers, uar_by_gender = _speakers(said, synthetic)
    return ShownRun(
        anchor=anchor,
        config=config,
        place=place,
        protocol=protocol(config.protocol),
        synthetic=synthetic,
        receipt=receipt,
        speakers=speakers,
        uar_by_gender=uar_by_gender,
        curves=_curves(list(tested.values()), synthetic),
        beside=_beside(config, list(tested), synthetic),
        filters=kept_filters(place, config, synthetic=synthetic) if with_filters else None,
    )


def _features_are_synthetic(root: str, config: RunConfig) -> bool:
    places = [lake.features(root, corpus, config.features, front_end(config.features)) for corpus in config.corpora]
    return any(made.details["synthetic"] for made in map(receipts.read, places) if made is not None)


def _speakers(said: pa.Table, synthetic: bool) -> tuple[Picture, dict[str, float]]:
    """The UAR of each speaker in a picture, and that of each gender."""
    summary = summarise(said, said["labels"][0].as_py())
    gender = dict(zip(said["speaker"].to_pylist(), said["gender"].to_pylist(), strict=True))
    uar = {speaker: figures["uar"] for speaker, figures in summary.uar_by_speaker.items()}
    return by_speaker(uar, gender, summary.chance, synthetic=synthetic), summary.uar_by_group.get("gender", {})


def _curves(tested: Sequence[FoldReceipt], synthetic: bool) -> Picture | None:
    if not tested or not tested[0].curve:
        return None
    return learning_curves([Curve(fold.curve, fold.chosen_epoch) for fold in tested], None, synthetic=synthetic)


def _beside(config: RunConfig, folds: Sequence[str], synthetic: bool) -> Picture | None:
    """From what the folds say of their examples, which is there before the run's own receipt is."""
    tables = [join(fold, "examples.parquet") for fold in folds]
    if config.model not in ("badshah", "alexnet-fine-tuned") or not all(map(storage.exists, tables)):
        return None
    said = pa.concat_tables(storage.read_table(table, schema.EXAMPLES) for table in tables)
    labels = said["labels"][0].as_py()
    tested = said.filter(pc.equal(said["part"], "test"))
    return spectrograms_beside(config, summarise(tested, labels).confusion, labels, synthetic=synthetic)
