"""What the finished trainings of a run have left below it: a folder each, whose receipt is written last."""

import json
from collections.abc import Sequence

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from raysee import receipts, schema, storage
from raysee.config import RunConfig
from raysee.evaluation.folds import FINAL
from raysee.evaluation.protocols import protocol
from raysee.storage import join
from raysee.training.loop import Epoch
from raysee.training.predictions import whole_clips


class FoldReceipt(BaseModel):
    """How one training went. `curve` is empty for classifiers, `uar` None for the model that is delivered."""

    model_config = ConfigDict(frozen=True)

    fold: int
    repeat: int
    seed: int
    chosen_epoch: int
    parameters: dict[str, float]  # of a classifier, those that were chosen
    uar: float | None  # of the clips that were tested
    examples: dict[str, int]  # part -> number
    test_speakers: list[str]
    mean: list[float] | None  # of the training part; None: each speaker's own, or no standardisation
    std: list[float] | None
    #: Fitted on the validation part; None: there is none, it is the test part, or an earlier version wrote this.
    temperature: float | None = None
    curve: list[Epoch]
    wall_s: float


def folder(run: str, fold: int, repeat: int) -> str:
    """Where a training of a run lies."""
    return join(run, "folds", "final" if fold == FINAL else f"repeat-{repeat}-fold-{fold:02d}")


def finished(run: str) -> list[str]:
    """Where the finished trainings of the cross-validation of a run lie."""
    folds = join(run, "folds")
    places = [join(folds, name) for name in sorted(storage.names(folds)) if name.startswith("repeat-")]
    return [place for place in places if is_finished(place)]


def is_finished(place: str) -> bool:
    """Whether the training there has its receipt."""
    return storage.exists(join(place, receipts.NAME))


def read(place: str) -> FoldReceipt:
    """The receipt of a finished training; ValidationError for one of another version of raysee."""
    return FoldReceipt.model_validate(json.loads(storage.read_bytes(join(place, receipts.NAME))))


def write(place: str, receipt: FoldReceipt) -> None:
    """Say that everything else of a training is there."""
    storage.write_bytes(join(place, receipts.NAME), (receipt.model_dump_json(indent=2) + "\n").encode())


def together(places: Sequence[str], name: str, kind: pa.Schema) -> pa.Table:
    """A table of all these trainings."""
    return pa.concat_tables(storage.read_table(join(place, name), kind) for place in places)


def has_examples(places: Sequence[str]) -> bool:
    """Whether clips have several examples, so that these trainings have said what they say of each."""
    return "examples.parquet" in storage.names(places[0])


def answers(places: Sequence[str], config: RunConfig) -> pa.Table:
    """What these trainings of a run say of the clips that they have tested, schema.PREDICTIONS."""
    if protocol(config.protocol).split == "example" and has_examples(places):
        assert config.aggregation != "lstm", "an LSTM of a fold does not answer for what other folds say"
        return whole_clips(together(places, "examples.parquet", schema.EXAMPLES), config.aggregation)
    return together(places, "predictions.parquet", schema.PREDICTIONS)
