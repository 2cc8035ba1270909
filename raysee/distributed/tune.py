"""A nested search for a configuration: Ray Tune proposes and stops trials, receipts remember them.

For each outer fold a search sees its training part only; what it chooses is fitted once on that part and tested on the
rest, beside the untuned configuration on the same folds. Where that training fails (its loss is not finite), the next
best trial is taken: that is a part of the procedure, and nothing of the test part decides it. A last search over
everybody makes the configuration that is delivered: the outer figures are those of this procedure, on fewer speakers.
"""

import json
import time
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import ray
import torch

from raysee import receipts, schema, storage
from raysee.config import RunConfig, fingerprint
from raysee.distributed.cluster import check_gpus, explained
from raysee.distributed.extract import extract
from raysee.distributed.search import Plan, Progress, search
from raysee.errors import ConfigurationError, RayseeError
from raysee.evaluation.compare import compare
from raysee.evaluation.metrics import summarise
from raysee.lock import Lock
from raysee.models.spaces import Space, configured, point_of
from raysee.progress import OnProgress, quiet
from raysee.receipts import Receipt, Stage
from raysee.report.tuning import PAGE, write_page
from raysee.storage import join
from raysee.training import tuning
from raysee.training.inputs import find
from raysee.training.tuning import Material, Trial

CONFIG = "config.json"
_EVERYBODY = "everybody"


def tune(
    root: str,
    config: RunConfig,
    space: Space,
    *,
    trials: int = 50,
    hours: float = 0,
    outer: int = 3,
    gpus: float = 0,
    overwrite: bool = False,
    on_progress: OnProgress = quiet,
) -> Stage:
    """Search `space` around `config`, with `trials` in each of the `outer` folds and over everybody.

    Each trial has `gpus` of a GPU, or a CPU core where that is 0. Where there are `hours`, each search has its equal
    share of them over all starts and makes as many trials as it can; trials that a kill has cut short are not counted.
    What is proposed and what is stopped follows from which trials have ended by then, so that a search repeats itself
    to the digit only with one trial at a time and without a kill.
    Missing features are extracted. Trials that have a receipt are not made again, nor are outer trainings.
    Raises ConfigurationError for unknown names, too few speakers, no GPU where one is asked for, or a place that holds
    another search; RayseeError where no trial succeeds, or another start has taken over.
    """
    began = time.perf_counter()
    root = storage.normalise(root)
    config = _checked(config, space, trials, outer)
    wanted = tuning.inputs_of(config, space)
    _extract_missing(root, wanted)
    needs = [find(root, one) for one in wanted]
    config = config.model_copy(update={"labels": needs[0].config.labels})
    place = place_of(root, config)
    identity = {
        "config": config.model_dump(mode="json"),
        "inputs": {f"{one.config.features} {one.config.augmented}".strip(): one.identity for one in needs},
        "space": tuning.space_as_json(space),
        "trials": trials,
        "outer": outer,
    }

    def finished() -> Stage | None:
        stage = None if overwrite else receipts.finished(place, "tune", identity)
        if stage and not storage.exists(join(place, PAGE)):
            write_page(place)  # a kill came between the receipt and the page that is made of it
        return stage

    if stage := finished():
        return stage
    material = tuning.gather(needs)
    folds = tuning.outer_folds_of(material, outer)
    check_gpus(gpus)
    with Lock(place) as lock:
        if stage := finished():  # by a start that has ended meanwhile
            return stage
        if overwrite:
            receipts.clear(place, "tune")
        receipts.claim(place, "tune", fingerprint(identity), identity)
        budget_s = 3600 * hours / (len(folds) + 1) if hours else None
        plan = Plan(place, config, space, trials, budget_s, gpus, lock)
        progress = Progress(on_progress, trials * (len(folds) + 1) + 2 * len(folds))
        shared = ray.put(material)
        chosen = []
        for fold in folds:
            name = f"outer-{fold.number:02d}"
            best = search(plan, name, tuning.within(material, fold), progress)
            chosen.append(_fit_outer(plan, name, shared, len(folds), fold.number, best, progress))
        last = search(plan, _EVERYBODY, material, progress)[0]

        said = {kind: _together(plan, len(folds), kind) for kind in ("tuned", "untuned")}
        storage.write_table(join(place, "predictions.parquet"), said["tuned"], schema.PREDICTIONS)
        delivered = configured(config, last.point)
        storage.write_bytes(join(place, CONFIG), (delivered.model_dump_json(indent=2) + "\n").encode())
        num_clips = len(material.any_clips)
        receipt = Receipt(
            stage="tune",
            fingerprint=fingerprint(identity),
            config=identity,
            inputs={
                f"{name} {one.config.features}": made.fingerprint for one in needs for name, made in one.made.items()
            },
            counts={"in": num_clips, "out": said["tuned"].num_rows, "rejected": 0},
            rejects={},
            details={
                "labels": material.labels,
                "synthetic": any(one.synthetic for one in needs),
                "searches": [*(f"outer-{fold.number:02d}" for fold in folds), _EVERYBODY],
                "chosen": [one.model_dump() for one in (*chosen, last)],
                "untuned_point": point_of(config, space),
                "delivered": delivered.model_dump(mode="json"),
                "metrics": summarise(said["tuned"], material.labels)._asdict(),
                "untuned_metrics": summarise(said["untuned"], material.labels)._asdict(),
                "comparison": compare(said["untuned"], said["tuned"])._asdict(),
                "hours": hours,
            },
            wall_s=time.perf_counter() - began,
        )
        lock.check()
        written = receipts.write(place, receipt)
        write_page(place)
        return Stage(place, written, found=False)


def tune_each(root: str, configs: Sequence[RunConfig], space: Space, **options: Any) -> dict[str, Stage | RayseeError]:
    """`tune` for several corpora in turn: one that fails is its error, and the others go on."""
    found: dict[str, Stage | RayseeError] = {}
    for config in configs:
        try:
            found[config.corpus] = tune(root, config, space, **options)
        except RayseeError as error:
            found[config.corpus] = error
    return found


def corpora_of(root: str) -> list[str]:
    """The corpora of a lake. ConfigurationError where it has none."""
    names = sorted(storage.names(join(storage.normalise(root), "utterances")))
    if not names:
        raise ConfigurationError(f"{root} has no manifest of any corpus: run `raysee manifest` first.")
    return names


def place_of(root: str, config: RunConfig) -> str:
    """Where the tuning of a configuration lies: one place, whatever its space and trials are."""
    size = "" if config.size == "published" else f"-{config.size}"
    return join(root, "tunings", config.corpus, f"{config.model}{size}-{config.features}-{config.fingerprint()}")


def _checked(config: RunConfig, space: Space, trials: int, outer: int) -> RunConfig:
    if config.protocol != tuning.PROTOCOL:
        raise ConfigurationError(
            f"A search chooses on speakers nobody has heard, as protocol {tuning.PROTOCOL} has them, not under "
            f"{config.protocol}: leave the protocol out."
        )
    if not space or trials < 1 or outer < 2:
        raise ConfigurationError(
            f"{len(space)} parameters, {trials} trials and {outer} outer folds were asked for, and a search needs one "
            "parameter, one trial and two folds at least: see --help."
        )
    if strangers := tuning.outside(point_of(config, space), space):
        raise ConfigurationError(
            f"The search begins with the untuned configuration, and its {strangers[0]} is not in the space: "
            "widen that, or start from another configuration."
        )
    return config.model_copy(update={"repeats": 1})


def _extract_missing(root: str, wanted: Sequence[RunConfig]) -> None:
    """Nothing happens where the features of this manifest are there."""
    features = list(dict.fromkeys(name for one in wanted for name in (one.features, one.augmented) if name))
    for corpus in wanted[0].corpora:
        extract(root, corpus, features)


def _fit_outer(
    plan: Plan, name: str, shared: ray.ObjectRef, number: int, part: int, best: Sequence[Trial], progress: Progress
) -> Trial:
    """Fit the best of a search, and the untuned configuration, on one outer fold, where that is not done.

    Returns the trial whose configuration was tested: the best one, but where its training failed.
    """
    tested: dict[str, list[tuple[int | None, RunConfig]]] = {
        "tuned": [(trial.number, configured(plan.config, trial.point)) for trial in best],
        "untuned": [(None, plan.config)],
    }
    places = {kind: join(plan.place, "folds", name, kind) for kind in tested}
    missing = [kind for kind, place in places.items() if not storage.exists(join(place, receipts.NAME))]
    resources = {"num_gpus": plan.gpus} if plan.gpus else {"num_cpus": 1}
    waiting = [
        _fit_task.options(**resources).remote(places[kind], shared, tested[kind], part, number) for kind in missing
    ]
    try:
        with explained():
            while waiting:
                (ready,), waiting = ray.wait(waiting)
                ray.get(ready)
    finally:
        for task in waiting:  # only these: Ray aborts the process where a task ends while it is cancelled
            ray.cancel(task, force=True)
    progress.add(len(tested), name)
    tuned = json.loads(storage.read_bytes(join(places["tuned"], receipts.NAME)))
    return next(trial for trial in best if trial.number == tuned["trial"])


@ray.remote(max_retries=3)  # type: ignore[untyped-decorator]
def _fit_task(
    place: str, material: Material, best: Sequence[tuple[int | None, RunConfig]], part: int, number: int
) -> None:
    """Fit and test the first of these configurations, with the numbers of their trials, whose training succeeds."""
    torch.set_num_threads(1)  # the order of additions, and so the numbers, must not depend on the machine
    device = "cuda" if ray.get_gpu_ids() else "cpu"
    passed_over: list[str] = []
    while True:
        trial, config = best[len(passed_over)]
        try:
            said, result = tuning.fit_outer(material, config, part, number, device)
            break
        except tuning.FAILURES as error:
            passed_over.append(str(error).partition("\n")[0])
            if len(passed_over) == len(best):
                raise RayseeError(
                    f"None of {len(best)} configurations could be trained for {place}, the first with: "
                    f"{passed_over[0]} Start with another one or another space, with --overwrite."
                ) from error
    storage.write_table(join(place, "predictions.parquet"), said, schema.PREDICTIONS)
    receipt = {
        "trial": trial,
        "passed_over": passed_over,
        "config": config.model_dump(mode="json"),
        "uar": summarise(said, material.labels).uar_mean_of_folds,
        "test_speakers": sorted(set(said["speaker"].to_pylist())),
        "chosen_epoch": result.chosen_epoch,
        "wall_s": result.wall_s,
    }
    storage.write_bytes(join(place, receipts.NAME), (json.dumps(receipt, indent=2) + "\n").encode())


def _together(plan: Plan, number: int, kind: str) -> pa.Table:
    """The predictions of all outer folds."""
    uris = [join(plan.place, "folds", f"outer-{part:02d}", kind, "predictions.parquet") for part in range(number)]
    return pa.concat_tables(storage.read_table(uri, schema.PREDICTIONS) for uri in uris)
