"""An experiment of the literature: what its runs need is extracted, they are trained, and stand in one table."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raysee import lake, receipts, schema, storage
from raysee.config import RunConfig
from raysee.corpora.manifest import about
from raysee.distributed.extract import extract
from raysee.distributed.train import fit_first_folds, place_of, read_fold, together, train
from raysee.errors import ConfigurationError, RayseeError, StorageError
from raysee.evaluation.metrics import summarise
from raysee.evaluation.protocols import protocol
from raysee.experiments import Choice, Derived, Experiment, Run, experiment
from raysee.experiments.readings import READINGS, Outcome
from raysee.experiments.table import Line, to_table
from raysee.progress import OnProgress, quiet
from raysee.storage import join
from raysee.training.inputs import Inputs, find


def reproduce(
    root: str,
    name: str,
    choice: Choice,
    *,
    corpora: Sequence[str] = (),
    train_missing: bool = True,
    first_folds: int | None = None,
    gpus: float = 0,
    on_progress: OnProgress = quiet,
) -> list[Line]:
    """Run the experiment `name` on the corpora of the lake `root`, or on those of `corpora`, and return its lines.

    Folds that have a receipt are not trained again; without `train_missing` none is, and with `first_folds`
    only so many of each cross-validation: the table shows what there is, and of how many trainings.
    The table is written below the lake each time that a run is finished, so that it is there whatever breaks.
    A run that cannot be made (features that need an extra, too few speakers, a loss that explodes) is a line that says
    why, and the next one follows.
    Raises ConfigurationError where no corpus of the experiment is there, or nothing is left to run of the choice;
    StorageError where the lake does not answer.
    """
    root = storage.normalise(root)
    wanted = experiment(name)
    if choice.protocol:
        protocol(choice.protocol)  # which names the known ones
    runs = wanted.plan(present(root, wanted, corpora), choice)
    if not runs:
        raise ConfigurationError(
            f"Nothing of {name} can be run with these corpora, --columns, --protocol and --initial: leave some out."
        )
    place = place_of_table(root, name)
    fit: Callable[..., Any] | None = None
    if train_missing:
        fit = functools.partial(fit_first_folds, number=first_folds) if first_folds else train
        fit = functools.partial(fit, gpus=gpus)
    lines: list[Line] = []
    for number, run in enumerate(runs):
        lines += _lines(root, run, fit, _within(on_progress, number, len(runs)))
        if train_missing:
            storage.write_table(join(place, "table.parquet"), to_table(name, lines), schema.REPRODUCTIONS)
    return lines


def place_of_table(root: str, name: str) -> str:
    """Where an experiment's table lies."""
    return join(storage.normalise(root), "experiments", name)


def present(root: str, wanted: Experiment, asked: Sequence[str]) -> list[str]:
    """The experiment's corpora that have a manifest in the lake, or those that were asked for.

    Raises ConfigurationError for a corpus that the experiment is not about, or where none is there.
    """
    if strangers := sorted(set(asked) - set(wanted.corpora)):
        raise ConfigurationError(f"The experiment is about {', '.join(wanted.corpora)}, not {', '.join(strangers)}.")
    there = [
        corpus
        for corpus in wanted.corpora
        if corpus in asked or (not asked and receipts.read(lake.utterances(root, corpus)) is not None)
    ]
    if not there:
        raise ConfigurationError(
            f"{root} has none of the experiment's corpora ({', '.join(wanted.corpora)}): "
            "list one with `raysee manifest` first."
        )
    for corpus in there:
        about(root, corpus)
    return there


def _within(on_progress: OnProgress, number: int, total: int) -> OnProgress:
    return lambda done, trainings, remark: on_progress(done, trainings, f"run {number + 1} of {total} {remark}")


def _lines(root: str, run: Run | Derived, fit: Callable[..., Any] | None, on_progress: OnProgress) -> list[Line]:
    claims = run.claims if isinstance(run, Run) else (run.claim,)
    configs = (run.config,) if isinstance(run, Run) else run.of
    try:
        if fit is not None:
            for config in configs:
                _extract_missing(root, config)
                fit(root, config, on_progress=on_progress)
        found = [find(root, config) for config in configs]
        if isinstance(run, Derived):
            value = run.compute(_examples_of_same(found))
            return [Line(found[0].config, run.claim, value, 0, 0.0, place_of(found[0]), _outcome(found[0])[1])]
        outcome, remark = _outcome(found[0])
        seconds = sum(fold["wall_s"] for fold in outcome.folds)
        return [
            Line(
                config=found[0].config,
                claim=claim,
                value=READINGS[claim.figure](outcome),
                num_trainings=len(outcome.folds),
                seconds=seconds,
                place=place_of(found[0]),
                remark=remark,
            )
            for claim in claims
        ]
    except StorageError:
        raise  # what has been trained cannot be seen, and no other run will do better
    except RayseeError as error:
        return [Line(configs[0], claim, None, 0, 0.0, "", f"owed: {error}") for claim in claims]


def _extract_missing(root: str, config: RunConfig) -> None:
    """Nothing happens where the features of this manifest are there."""
    for features in filter(None, (config.features, config.augmented)):
        for corpus in config.corpora:
            extract(root, corpus, [features])


def _outcome(inputs: Inputs) -> tuple[Outcome, str]:
    """What the run has, and a remark where it is not finished. ConfigurationError where nothing is trained yet."""
    place = place_of(inputs)
    folds = _finished_folds(place)
    said = together(folds, "predictions.parquet", schema.PREDICTIONS)
    labels = said["labels"][0].as_py()
    examples = None
    if _has_examples(folds):
        pieces = _examples(inputs)
        examples = summarise(pieces.filter(pc.equal(pieces["part"], "test")), labels)
    remark = "" if receipts.read(place) else f"({len(folds)} trainings so far)"
    return Outcome(summarise(said, labels), examples, [read_fold(fold) for fold in folds]), remark


def _examples_of_same(runs: Sequence[Inputs]) -> list[pa.Table]:
    """The examples of runs; ConfigurationError where another fold is finished in one than in another."""
    folds = [_finished_folds(place_of(run)) for run in runs]
    if len({tuple(map(storage.basename, its)) for its in folds}) > 1:
        raise ConfigurationError("the runs that it is made of have not finished the same trainings yet.")
    if not all(map(_has_examples, folds)):
        raise ConfigurationError("it is made of what is said of a clip's chunks, and no clip has more than one.")
    return [_examples(run) for run in runs]


def _examples(inputs: Inputs) -> pa.Table:
    return together(_finished_folds(place_of(inputs)), "examples.parquet", schema.EXAMPLES)


def _has_examples(folds: Sequence[str]) -> bool:
    return "examples.parquet" in storage.names(folds[0])


def _finished_folds(place: str) -> list[str]:
    folder = join(place, "folds")
    folds = [join(folder, name) for name in sorted(storage.names(folder)) if name.startswith("repeat-")]
    done = [fold for fold in folds if receipts.NAME in storage.names(fold)]
    if not done:
        raise ConfigurationError("not trained yet.")
    return done
