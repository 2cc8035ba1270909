"""An experiment of the literature: what its runs need is extracted, they are trained, and stand in one table."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from raysee import lake, receipts, schema, storage
from raysee.config import RunConfig
from raysee.corpora.manifest import about
from raysee.distributed.extract import extract
from raysee.distributed.plan import Planned, plan
from raysee.distributed.run import place_of
from raysee.distributed.train import Found, train_all
from raysee.errors import ConfigurationError, RayseeError, StorageError
from raysee.evaluation.metrics import summarise
from raysee.evaluation.protocols import protocol
from raysee.experiments import Choice, Derived, Experiment, Run, experiment
from raysee.experiments.readings import READINGS, Outcome
from raysee.experiments.table import Line, to_table
from raysee.progress import OnProgress, quiet
from raysee.storage import join
from raysee.training import finished
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
    on_planned: Callable[[Sequence[Planned]], None] = lambda planned: None,
) -> list[Line]:
    """Run the experiment `name` on the corpora of the lake `root`, or on those of `corpora`, and return its lines.

    What lacks something that was not given, such as weights, is owed. Folds that have a receipt are not trained
    again; without `train_missing` none is, and with `first_folds` only so many of each cross-validation: the table
    shows what there is, and of how many trainings.
    The longest trainings come first; `on_planned` is told how long they will take before they start. The table is
    written below the lake each time that a run is finished, so that it is there whatever breaks.
    A run that cannot be made (features that need an extra, too few speakers, a loss that explodes) is a line that says
    why, and the next one follows.
    Raises ConfigurationError where no corpus of the experiment is there, or nothing is left to run of the choice;
    StorageError where the lake does not answer.
    """
    root = storage.normalise(root)
    runs = _runs(root, name, choice, corpora)
    if not train_missing:
        return [line for run in runs for line in _lines(root, run, {})]
    return _train(root, name, runs, first_folds, gpus, on_progress, on_planned)


def plan_experiment(
    root: str,
    name: str,
    choice: Choice,
    *,
    corpora: Sequence[str] = (),
    first_folds: int | None = None,
    gpus: float = 0,
) -> list[Planned]:
    """How long the trainings of `reproduce` will take, and what it will owe; it starts none, and extracts nothing."""
    root = storage.normalise(root)
    runs = _runs(root, name, choice, corpora)
    planned = plan(root, list(_configs(runs).values()), first_folds=first_folds, gpus=gpus)
    lacking = [run for run in runs if isinstance(run, Run) and run.lacks]
    return [*planned, *(Planned(run.config, remark=run.lacks, unknown=True) for run in lacking)]


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


def left_out(root: str, name: str, asked: Sequence[str]) -> str:
    """In a sentence which corpora of the experiment `name` are not taken, and why; empty where all of them are."""
    wanted = experiment(name)
    there = present(storage.normalise(root), wanted, asked)
    if not (others := ", ".join(corpus for corpus in wanted.corpora if corpus not in there)):
        return ""
    if asked:
        return f"Left out by --corpora: {others}."
    return f"Left out, because {root} does not have them: {others}. `raysee manifest` lists a corpus."


def _missing_features(root: str, configs: Sequence[RunConfig]) -> dict[str, RayseeError]:
    """Extract what runs need; why not where it cannot be had, by the fingerprint of each run that needs it.

    Nothing happens where the features of this manifest are there. StorageError where the lake does not answer.
    """
    needs: dict[tuple[str, str], list[str]] = {}
    for config in configs:
        for corpus, features in itertools.product(config.corpora, filter(None, (config.features, config.augmented))):
            needs.setdefault((corpus, features), []).append(config.fingerprint())
    errors: dict[str, RayseeError] = {}
    for (corpus, features), runs in needs.items():
        try:
            extract(root, corpus, [features])
        except StorageError:
            raise
        except RayseeError as error:
            errors |= dict.fromkeys(runs, error)
    return errors


def _runs(root: str, name: str, choice: Choice, corpora: Sequence[str]) -> list[Run | Derived]:
    wanted = experiment(name)
    if choice.protocol:
        protocol(choice.protocol)  # which names the known ones
    runs = wanted.plan(present(root, wanted, corpora), choice)
    if not _configs(runs):
        lacks = " ".join(dict.fromkeys(run.lacks for run in runs if isinstance(run, Run)))
        raise ConfigurationError(
            f"Nothing of {name} can be run with these corpora, --columns, --protocol and --initial: "
            f"{lacks or 'leave some out.'}"
        )
    return runs


def _configs(runs: Sequence[Run | Derived]) -> dict[str, RunConfig]:
    """What these runs are made of, by fingerprint; nothing of those that lack something."""
    of = [config for run in runs for config in _made_of(run)]
    return {config.fingerprint(): config for config in of}


def _made_of(run: Run | Derived) -> tuple[RunConfig, ...]:
    if isinstance(run, Derived):
        return run.of
    return () if run.lacks else (run.config,)


def _train(
    root: str,
    name: str,
    runs: Sequence[Run | Derived],
    first_folds: int | None,
    gpus: float,
    on_progress: OnProgress,
    on_planned: Callable[[Sequence[Planned]], None],
) -> list[Line]:
    """The lines of runs, in whatever order they end; the table has those that have ended so far."""
    uri = join(place_of_table(root, name), "table.parquet")
    configs = _configs(runs)
    errors = _missing_features(root, list(configs.values()))
    ended, lines = set(errors), dict[int, list[Line]]()

    def write() -> None:
        for number, run in enumerate(runs):
            if number not in lines and ended.issuperset(_configs([run])):
                lines[number] = _lines(root, run, errors)
        table = to_table(name, experiment(name), [line for number in sorted(lines) for line in lines[number]])
        storage.write_table(uri, table, schema.REPRODUCTIONS)

    possible = [config for key, config in configs.items() if key not in errors]
    planned = plan(root, possible, first_folds=first_folds, gpus=gpus)
    if any(one.seconds for one in planned):
        on_planned(planned)
    planned.sort(key=lambda one: -max(one.seconds, default=0.0))
    possible = [one.config for one in planned]

    def on_found(number: int, found: Found) -> None:
        key = possible[number].fingerprint()
        if isinstance(found, RayseeError):
            errors[key] = found
        ended.add(key)
        write()

    train_all(
        root,
        possible,
        seconds_a_row=[one.seconds_a_row for one in planned],
        first_folds=first_folds,
        gpus=gpus,
        on_progress=on_progress,
        on_found=on_found,
    )
    write()
    return [line for number in range(len(runs)) for line in lines[number]]


def _lines(root: str, run: Run | Derived, errors: Mapping[str, RayseeError]) -> list[Line]:
    """What a run says; that it is owed, and why, where it is one of `errors` or not trained yet."""
    claims = run.claims if isinstance(run, Run) else (run.claim,)
    if isinstance(run, Run) and run.lacks:
        return [Line(run.config, claim, None, 0, 0.0, "", f"owed: {run.lacks}") for claim in claims]
    configs = list(_configs([run]).values())
    try:
        for config in configs:
            if config.fingerprint() in errors:
                raise errors[config.fingerprint()]
        found = [find(root, config) for config in configs]
        if isinstance(run, Derived):
            value, remark = run.compute(_examples_of_same(found)), _outcome(found[0])[1]
            return [Line(found[0].config, run.claim, value, 0, 0.0, place_of(found[0]), remark, found[0].synthetic)]
        outcome, remark = _outcome(found[0])
        seconds = sum(fold.wall_s for fold in outcome.folds)
        return [
            Line(
                config=found[0].config,
                claim=claim,
                value=READINGS[claim.figure](outcome),
                num_trainings=len(outcome.folds),
                seconds=seconds,
                place=place_of(found[0]),
                remark=remark,
                synthetic=found[0].synthetic,
            )
            for claim in claims
        ]
    except StorageError:
        raise  # what has been trained cannot be seen, and no other run will do better
    except RayseeError as error:
        return [Line(configs[0], claim, None, 0, 0.0, "", f"owed: {error}") for claim in claims]


def _outcome(inputs: Inputs) -> tuple[Outcome, str]:
    """What the run has, and a remark where it is not finished. ConfigurationError where nothing is trained yet."""
    place = place_of(inputs)
    folds = _finished_folds(place)
    said = finished.answers(folds, inputs.config)
    labels = said["labels"][0].as_py()
    examples = None
    if finished.has_examples(folds):
        pieces = _examples(inputs)
        examples = summarise(pieces.filter(pc.equal(pieces["part"], "test")), labels)
    remark = "" if receipts.read(place) else f"({len(folds)} trainings so far)"
    return Outcome(summarise(said, labels), examples, [finished.read(fold) for fold in folds]), remark


def _examples_of_same(runs: Sequence[Inputs]) -> list[pa.Table]:
    """The examples of runs; ConfigurationError where another fold is finished in one than in another."""
    folds = [_finished_folds(place_of(run)) for run in runs]
    if len({tuple(map(storage.basename, its)) for its in folds}) > 1:
        raise ConfigurationError("the runs that it is made of have not finished the same trainings yet.")
    if not all(map(finished.has_examples, folds)):
        raise ConfigurationError("it is made of what is said of a clip's chunks, and no clip has more than one.")
    return [_examples(run) for run in runs]


def _examples(inputs: Inputs) -> pa.Table:
    return finished.together(_finished_folds(place_of(inputs)), "examples.parquet", schema.EXAMPLES)


def _finished_folds(place: str) -> list[str]:
    done = finished.finished(place)
    if not done:
        raise ConfigurationError("not trained yet.")
    return done
