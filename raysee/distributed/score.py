"""An archive of calls -> scores, over Ray Data: every recording once, or in the table of rejects."""

import datetime
import functools
import re
import time
import uuid
from collections.abc import Sequence
from typing import Any

import torch

from raysee import receipts, storage
from raysee.audio.speech import NONE, detector, listener
from raysee.config import ScoreConfig, fingerprint, set_fingerprint
from raysee.distributed import metrics, night, pool
from raysee.distributed.cluster import connect
from raysee.distributed.pool import PoolConfig
from raysee.distributed.shards import Part, Shard, ShardResult, run_shards
from raysee.errors import ConfigurationError
from raysee.features import front_end
from raysee.lock import Lock
from raysee.progress import OnProgress, quiet
from raysee.receipts import Receipt, Stage
from raysee.schema import CALLS, REJECTS, SEGMENTS
from raysee.scoring import batches, contact_lens, deaths, listing, watch
from raysee.scoring.batches import Batch
from raysee.scoring.hearing import segment_config
from raysee.scoring.plan import begin, new_recordings
from raysee.scoring.roles import SCORED, is_scored
from raysee.scoring.score import score as score_plan
from raysee.scoring.scorer import Scorer, predictor
from raysee.scoring.tally import tally
from raysee.storage import join
from raysee.storage_stream import open_each
from raysee.training.card import Card, load, load_card

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def score(
    source: str,
    model: str,
    to: str,
    config: ScoreConfig,
    *,
    date: str = "",
    rescore: bool = False,
    replay: bool = False,
    reason: str = "",
    json_files: bool = False,
    models: PoolConfig = PoolConfig(),  # noqa: B008  a tuple cannot change
    limits: watch.Limits = watch.Limits(),  # noqa: B008
    on_progress: OnProgress = quiet,
) -> list[Stage]:
    """Score the recordings of `source`, as `listing.find` takes it, with the model of the run `model`.

    Calls that the ledger of `to` holds are settled; with `rescore`, only what this very model and configuration have
    done; with `replay`, what was rejected for good is tried again. A batch of an earlier start that was cut short is
    finished first, or, where it is of another model or configuration, followed (night.follow). `date` is that of the
    night (YYYY-MM-DD), by default the last one in `source`, else today's in UTC. `reason` is why agents are scored,
    where they are. With `json_files`, each call of a batch that begins now has a file of its own too
    (raysee.scoring.contact_lens). Returns a stage a batch, at least one. Raises ConfigurationError where it is not
    known whom to score, or no reason is given; StorageError where there is no recording; BusyError where another start
    is working on `to`.
    """
    model, to = storage.normalise(model), storage.normalise(to)
    if f"{model}/".startswith(f"{to}/") or f"{storage.normalise(source)}/".startswith(f"{to}/"):
        raise ConfigurationError(f"{to} holds the recordings or the model: choose a folder of its own for the scores.")
    date = _date(date, source)
    card = load_card(model)
    config = _checked(config, reason)
    identity = {
        "config": config.model_dump(mode="json"),
        "model": card.fingerprint,
        "front_end": card.front_end_fingerprint,
    }
    work = fingerprint(identity)
    found = listing.find(source)
    if not _somebody_is_scored(found, config):
        raise ConfigurationError(
            f"No channel is that of a {', '.join(SCORED[:-1])} or {SCORED[-1]}: give --channels agent,customer (for "
            "recordings with one channel --channels customer), or a list with a column roles; others are not scored "
            "without a reason."
        )
    ours = {
        "work": work,
        "identity": identity,
        "reason": reason,
        "json_files": json_files,
        "run": model,
        "about": night.about(card),
    }
    with Lock(to) as lock:
        receipts.find(to, night.STAGE, night.STAGE, {})
        if batches.last(to) is None:
            receipts.claim(to, night.STAGE, night.STAGE, {})
        followed = [
            night.follow(to, batch, ours, source, found.recordings, rescore=rescore, limits=limits)
            for batch in batches.unfinished(to)
            if batch.work != work
        ]
        run = functools.partial(
            _run,
            to,
            model=model,
            card=card,
            config=config,
            models=models,
            limits=limits,
            lock=lock,
            on_progress=on_progress,
        )
        stages = [stage for stage in followed if stage] + [run(batch) for batch in batches.unfinished(to, work)]
        new = new_recordings(found.recordings, to, work if rescore else "", replay=replay)
        before = [receipt for receipt in batches.nights(to, 1) if _is_of(receipt, work, date)]
        if not new.recordings.num_rows and before:
            return stages or [Stage(to, before[-1], found=True)]
        batch = begin(
            to,
            new.recordings,
            date=date,
            source=source,
            settled=new.num_settled,
            twice=new.num_twice,
            others=found.others,
            synthetic=found.synthetic,
            **ours,
        )
        del found, new  # a night has many calls, and they are written down now
        return [*stages, run(batch)]


def _run(
    to: str,
    batch: Batch,
    model: str,
    card: Card,
    config: ScoreConfig,
    models: PoolConfig,
    limits: watch.Limits,
    lock: Lock,
    on_progress: OnProgress,
) -> Stage:
    """Do what a batch still lacks, say in the ledger what it has settled, and write its receipt."""
    began = time.perf_counter()
    connect()
    batch = batch.model_copy(update={"run": model, "about": night.about(card)})  # where the model lies by now
    worker = functools.partial(
        _score_shard,
        model=model,
        model_fingerprint=card.fingerprint,
        config=config,
        work=batch.work,
        notes=batch.begun,
        start=uuid.uuid4().hex,
        json_below=join(contact_lens.FOLDER, batch.partition) if batch.json_files else "",
        actors=pool.start(model, card.fingerprint, models, config) if models.actors else (),
    )
    total = run_shards(
        {to: batch.work},
        batches.plan_of(to, batch),
        worker,
        part=Part(batch.done, batch.partition),
        on_progress=on_progress,
    )[to]
    lock.check()
    night.settle(to, batch, batches.plan_of(to, batch, ["key"])["key"].to_pylist(), set(total["unsettled"]))
    receipt = night.end(to, batch, total, began, limits, card.reference)
    metrics.note_night(time.time())
    metrics.note_drift(receipt.details["drift"]["nights"])
    return Stage(to, receipt, found=False)


def _date(given: str, source: str) -> str:
    if given:
        try:
            return datetime.date.fromisoformat(given).isoformat()
        except ValueError:
            raise ConfigurationError(f"The night is {given!r}: write its date as 2026-11-19.") from None
    dates = [date for date in _DATE.findall(source) if _is_date(date)]
    return str(dates[-1]) if dates else datetime.datetime.now(datetime.UTC).date().isoformat()


def _is_date(text: str) -> bool:
    try:
        return bool(datetime.date.fromisoformat(text))
    except ValueError:
        return False


def _checked(config: ScoreConfig, reason: str) -> ScoreConfig:
    """The configuration with the detector that is there; both say what cannot be before anything is written."""
    if config.score_agents and not reason.strip():
        raise ConfigurationError(
            "Agents are to be scored and no reason is given: the EU's AI Act, Article 5(1)(f), prohibits to infer "
            "emotions of people at work, medical and safety reasons apart; give --reason, which the receipt keeps."
        )
    if reason.strip() and not config.score_agents:
        raise ConfigurationError(
            f"A reason for scoring agents is given ({reason!r}) and they are not to be scored: give --score-agents "
            "too, or no --reason."
        )
    config = config.model_copy(update={"detector": config.detector or detector()})
    segment_config(config)
    if config.detector != NONE:
        listener(config.detector, 1)
    return config


def _somebody_is_scored(found: listing.Listing, config: ScoreConfig) -> bool:
    known = {role for its_roles in config.channels for role in its_roles}
    told = {role for its_roles in found.recordings["roles"].to_pylist() for role in its_roles}
    return config.score_agents or any(is_scored(role, config) for role in known | told)


def _is_of(receipt: Receipt, work: str, date: str) -> bool:
    return bool(receipt.details["work"] == work and receipt.details["date"] == date)


def _score_shard(
    shard: Shard,
    model: str,
    model_fingerprint: str,
    config: ScoreConfig,
    work: str,
    notes: str,
    start: str,
    json_below: str,
    actors: Sequence[Any],
) -> list[ShardResult]:
    torch.set_num_threads(1)
    if actors:
        card = _card(model, model_fingerprint)
        scorer = Scorer(pool.asking(actors), card, front_end(card.config.features), config)
    else:
        scorer = _scorer(model, model_fingerprint, config)
    with deaths.noted(join(shard.places[0], notes, f"{shard.name}.json"), start, open_each) as opening:
        scores = score_plan(shard.rows, work, scorer, opening)
    if json_below:
        for name, data in contact_lens.files(scores):
            storage.write_bytes(join(shard.places[0], json_below, name), data)
    scored = set(scores.calls["key"].to_pylist())
    result = ShardResult(
        tables={
            "segments": (scores.segments, SEGMENTS),
            "calls": (scores.calls, CALLS),
            "rejects": (scores.rejects, REJECTS),
        },
        num_out=len(scored),
        audio_s=scores.audio_s,
        fingerprint=set_fingerprint(scored),
        tally=tally(scores, scorer.card.labels),
        unsettled=scores.unsettled,
    )
    return [result]


@functools.lru_cache(maxsize=1)
def _scorer(model: str, model_fingerprint: str, config: ScoreConfig) -> Scorer:
    """The model, read once in each worker process, and that with which the night began."""
    network, card, its_front_end = load(model, model_fingerprint)
    return Scorer(predictor(network, card, config), card, its_front_end, config)


_card = functools.lru_cache(maxsize=1)(load_card)  # all that a worker needs where the model is in actors
