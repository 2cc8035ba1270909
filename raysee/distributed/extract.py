"""Utterances -> features, over Ray Data: clips that are new or have changed, each decoded once for all front-ends."""

import contextlib
import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from raysee import lake, receipts, schema, storage
from raysee.audio.telephone import CHANNELS
from raysee.config import Channel, fingerprint, set_fingerprint
from raysee.corpora.manifest import about, utterances_of
from raysee.distributed.cluster import connect
from raysee.distributed.shards import Shard, ShardResult, part_name, run_shards
from raysee.features import FrontEnd, front_end
from raysee.features.plan import assign
from raysee.features.table import featurise
from raysee.lock import Lock
from raysee.progress import OnProgress, quiet
from raysee.receipts import Receipt, Stage
from raysee.storage import join


class _Work(NamedTuple):
    """One front-end's part of an extraction."""

    place: str
    front_end: FrontEnd
    config: dict[str, Any]
    found: Receipt | None  # of this manifest or an earlier one

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.config)


def extract(
    root: str,
    corpus_name: str,
    features: Sequence[str],
    *,
    channel: Channel = "clean",
    overwrite: bool = False,
    on_progress: OnProgress = quiet,
) -> list[Stage]:
    """Make each of `features` of every clip in the manifest of `corpus_name` below `root`, heard through `channel`.

    Where the features of an earlier manifest are there, only clips whose bytes are new are computed, and those that are
    no longer listed are taken out. `on_progress` counts clips. Returns a stage for each of `features`.
    Raises ConfigurationError for unknown names, and where there is no manifest; BusyError where another start is
    making them.
    """
    began = time.perf_counter()
    root = storage.normalise(root)
    front_ends = {name: front_end(name) for name in features}
    manifest = about(root, corpus_name)
    inputs = {"utterances": manifest.fingerprint, **manifest.inputs}
    works = [_work(root, corpus_name, name, made_by, channel, overwrite) for name, made_by in front_ends.items()]
    stages = {
        work.place: Stage(work.place, work.found, found=True)
        for work in works
        if work.found and work.found.inputs == inputs
    }
    todo = [work for work in works if work.place not in stages]
    utterances = schema.empty(schema.UTTERANCES)
    if todo:
        utterances = utterances_of(root, corpus_name)
        connect()
    with contextlib.ExitStack() as stack:
        locks = {work.place: stack.enter_context(Lock(work.place)) for work in todo}
        for plan, together in _by_plan(todo, utterances, overwrite):
            totals = run_shards(
                {work.place: work.fingerprint for work in together},
                plan,
                functools.partial(
                    _extract_shard, front_ends={work.place: work.front_end for work in together}, channel=channel
                ),
                on_progress=on_progress,
            )
            for work in together:
                total = totals[work.place]
                receipt = Receipt(
                    stage="extract",
                    fingerprint=fingerprint(
                        {"front_end": work.front_end.fingerprint(), "clips": total["fingerprint"], **CHANNELS[channel]}
                    ),
                    config=work.config,
                    inputs=inputs,
                    counts={"in": total["in"], "out": total["out"], "rejected": total["in"] - total["out"]},
                    rejects=total["rejects"],
                    details={
                        "audio_s": total["audio_s"],
                        "work_s": total["wall_s"],
                        "synthetic": manifest.details["synthetic"],
                    },
                    wall_s=time.perf_counter() - began,
                )
                locks[work.place].check()
                stages[work.place] = Stage(work.place, receipts.write(work.place, receipt), found=False)
    return [stages[work.place] for work in works]


def _work(root: str, corpus_name: str, name: str, made_by: FrontEnd, channel: Channel, overwrite: bool) -> _Work:
    place = lake.features(root, corpus_name, name, made_by, channel)
    config = {"features": name, "front_end": made_by.model_dump(), **CHANNELS[channel]}
    found = None if overwrite else receipts.find(place, "extract", fingerprint(config), config)
    return _Work(place, made_by, config, found)


def _by_plan(works: Sequence[_Work], utterances: pa.Table, overwrite: bool) -> list[tuple[pa.Table, list[_Work]]]:
    """The utterances with their shards, and the works that have these in common: what is decoded once."""
    by_plan: dict[str, tuple[pa.Table, list[_Work]]] = {}
    for work in works:
        plan = _start(work, utterances, overwrite)
        by_plan.setdefault(fingerprint(plan["shard"].to_pylist()), (plan, []))[1].append(work)
    return list(by_plan.values())


def _start(work: _Work, utterances: pa.Table, overwrite: bool) -> pa.Table:
    """Claim the place, write its plan, and take out what an earlier plan had and this one has not."""
    if overwrite:
        receipts.clear(work.place, "extract")
    receipts.claim(work.place, "extract", work.fingerprint, work.config)
    storage.remove(join(work.place, receipts.NAME))  # of an earlier manifest: from here on the stage is unfinished
    plan_uri = join(work.place, receipts.PLAN)
    planned: dict[str, int] = {}
    if storage.exists(plan_uri):
        rows = storage.read_table(plan_uri, schema.FEATURE_PLAN)
        planned = dict(zip(rows["clip_id"].to_pylist(), rows["shard"].to_pylist(), strict=True))
    shards = assign(planned, utterances["clip_id"].to_pylist(), work.front_end.typical_values)
    plan = utterances.append_column("shard", pa.array(shards, pa.int32()))
    gone = {part_name(shard) for shard in set(planned.values()) - set(shards)}
    for folder in ("done", "clips", "rejects"):
        for name in sorted(storage.names(join(work.place, folder))):
            if name.partition(".")[0] in gone:
                storage.remove(join(work.place, folder, name))
    storage.write_table(plan_uri, plan.select(["clip_id", "shard"]), schema.FEATURE_PLAN)
    return plan


def _extract_shard(shard: Shard, front_ends: Mapping[str, FrontEnd], channel: Channel) -> list[ShardResult]:
    earlier = [_earlier(place, shard.name) for place in shard.places]
    made = featurise(shard.rows, [front_ends[place] for place in shard.places], storage.read_each, earlier, channel)
    return [
        ShardResult(
            tables={"clips": (features, schema.FEATURES), "rejects": (rejects, schema.REJECTS)},
            num_out=features.num_rows,
            audio_s=pc.sum(features["duration_s"]).as_py() or 0.0,
            fingerprint=set_fingerprint(features.select(["clip_id", "content_sha256"]).to_pylist()),
        )
        for features, rejects in made
    ]


def _earlier(place: str, part: str) -> pa.Table:
    """A shard's features of an earlier manifest, of which unchanged clips are taken over; none of one cut short."""
    if not storage.exists(join(place, "done", f"{part}.json")):
        return schema.empty(schema.FEATURES)
    return storage.read_table(join(place, "clips", f"{part}.parquet"), schema.FEATURES)
