"""An archive of calls -> scores, over Ray Data: every recording once, or in the table of rejects."""

import functools
import time

import torch

from raysee import receipts, schema, storage
from raysee.audio.speech import detector, listener
from raysee.config import ScoreConfig, fingerprint, set_fingerprint
from raysee.distributed.cluster import connect
from raysee.distributed.shards import Shard, ShardResult, run_shards
from raysee.errors import ConfigurationError, StorageError
from raysee.lock import Lock
from raysee.progress import OnProgress, quiet
from raysee.receipts import Receipt, Stage
from raysee.scoring.hearing import segment_config
from raysee.scoring.plan import RECORDINGS, extend, recordings
from raysee.scoring.score import score as score_plan
from raysee.scoring.scorer import Scorer
from raysee.storage import join
from raysee.storage_stream import open_each
from raysee.synthesis.marker import is_synthetic
from raysee.training.card import load, load_card


def score(
    source: str,
    model: str,
    to: str,
    config: ScoreConfig,
    *,
    overwrite: bool = False,
    on_progress: OnProgress = quiet,
) -> Stage:
    """Score every recording below `source` with the model of the run `model`, and write the tables below `to`.

    A second start does what is missing; recordings that have come since are added to the plan, and to the tables.
    Raises ConfigurationError where `to` holds scores of another model or configuration, StorageError where there is no
    recording below `source`, BusyError where another start is working on `to`.
    """
    began = time.perf_counter()
    source, model, to = (storage.normalise(place) for place in (source, model, to))
    for what, place in (("recordings", source), ("model", model)):
        if f"{place}/".startswith(f"{to}/"):
            raise ConfigurationError(f"{to} holds the {what} in {place}: choose a folder of its own for the scores.")
    card = load_card(model)
    config = config.model_copy(update={"detector": config.detector or detector()})
    segment_config(config)
    listener(config.detector, 1)  # both say what cannot be before anything is written
    identity = {
        "config": config.model_dump(),
        "model": card.fingerprint,
        "front_end": card.front_end_fingerprint,
    }
    work = fingerprint(identity)
    found = None if overwrite else receipts.find(to, "score", work, identity)
    files = storage.list_files(source)
    wanted, others = recordings(files)
    if not wanted:
        raise StorageError(
            f"No recording below {source}: {len(files)} files, none of them ends in {', '.join(RECORDINGS)}. "
            "Check the prefix."
        )
    with Lock(to) as lock:
        if overwrite:
            receipts.clear(to, "score")
        plan_uri = join(to, receipts.PLAN)
        planned = (
            storage.read_table(plan_uri, schema.CALL_PLAN)
            if storage.exists(plan_uri)
            else schema.empty(schema.CALL_PLAN)
        )
        plan = extend(planned, wanted, synthetic=is_synthetic(files))
        if found and plan.num_rows == found.counts["in"]:
            return Stage(to, found, found=True)
        receipts.claim(to, "score", work, identity)
        storage.remove(join(to, receipts.NAME))  # of fewer recordings: from here on the stage is unfinished
        storage.write_table(plan_uri, plan, schema.CALL_PLAN)
        connect()
        worker = functools.partial(_score_shard, model=model, model_fingerprint=card.fingerprint, config=config)
        total = run_shards({to: work}, plan, worker, on_progress=on_progress)[to]
        receipt = Receipt(
            stage="score",
            fingerprint=fingerprint({"work": work, "calls": total["fingerprint"]}),
            config=identity,
            inputs={"source": source, "model": model},
            counts={"in": total["in"], "out": total["out"], "rejected": total["in"] - total["out"]},
            rejects=total["rejects"],
            details={
                "audio_s": total["audio_s"],
                "work_s": total["wall_s"],
                "labels": card.labels,
                "not_recordings": others,
                "model": {"name": card.config.model, "protocol": card.protocol.model_dump(), "metrics": card.metrics},
                "corpora": [corpus.model_dump() for corpus in card.corpora],
                "synthetic": any(plan["synthetic"].to_pylist()),
                "synthetic_model": card.synthetic,
            },
            wall_s=time.perf_counter() - began,
        )
        lock.check()
        return Stage(to, receipts.write(to, receipt), found=False)


def _score_shard(shard: Shard, model: str, model_fingerprint: str, config: ScoreConfig) -> list[ShardResult]:
    scores = score_plan(shard.rows, _scorer(model, model_fingerprint, config), open_each)
    scored = set(scores.calls["call_id"].to_pylist())
    result = ShardResult(
        tables={
            "segments": (scores.segments, schema.SEGMENTS),
            "calls": (scores.calls, schema.CALLS),
            "rejects": (scores.rejects, schema.REJECTS),
        },
        num_out=len(scored),
        audio_s=scores.audio_s,
        fingerprint=set_fingerprint(scored),
    )
    return [result]


@functools.lru_cache(maxsize=1)
def _scorer(model: str, model_fingerprint: str, config: ScoreConfig) -> Scorer:
    """The model, read once in each worker process; `model_fingerprint` tells it from what lay there before."""
    torch.set_num_threads(1)
    return Scorer(*load(model), config)
