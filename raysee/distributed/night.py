"""How a batch of calls ends: by a start of its own, or by one with another model or configuration that follows it."""

import collections
import re
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raysee import schema, storage
from raysee.config import fingerprint
from raysee.distributed.shards import CPUS_PER_SHARD, Part, done, part_name, total
from raysee.errors import ConfigurationError
from raysee.receipts import Receipt, Stage
from raysee.scoring import batches, contact_lens, ledger, watch
from raysee.scoring.batches import Batch
from raysee.scoring.plan import begin, new_recordings
from raysee.storage import join
from raysee.training.card import Card

STAGE = "score"
_DATES = re.compile(r"\d{4}([-_/]?)\d{2}\1\d{2}")


def about(card: Card) -> dict[str, Any]:
    """What a receipt says of the model."""
    return {
        "labels": card.labels,
        "model": {"name": card.config.model, "protocol": card.protocol.model_dump(), "metrics": card.metrics},
        "corpora": [corpus.model_dump() for corpus in card.corpora],
        "synthetic_model": card.synthetic,
    }


def settle(to: str, batch: Batch, keys: Iterable[str], unsettled: Collection[str]) -> None:
    """Say in the ledger what a batch has done."""
    ledger.write(to, batch.work, batch.name, (bytes.fromhex(key) for key in keys if key not in unsettled))


def end(
    to: str,
    batch: Batch,
    its: Mapping[str, Any],
    began: float,
    limits: watch.Limits,
    training: watch.Histograms,
    cut_short: Mapping[str, Any] | None = None,
) -> Receipt:
    """Write the receipt of a batch; `its` is what its shards add up to, `began` by time.perf_counter.

    `training` are the histograms of the model's card. `cut_short` says who follows, where not all shards are done.
    """
    already = batch.settled + batch.twice
    counts = {
        "in": its["in"] + already,  # the calls that were listed, but for those that were forgotten since
        "out": its["out"],
        "rejected": its["in"] - its["out"],
        "already": already,
    }
    assert counts["in"] == counts["out"] + counts["rejected"] + counts["already"], "every call is accounted for"
    earlier = [receipt for receipt in batches.nights(to, watch.NIGHTS_BEFORE) if receipt.details["work"] == batch.work]
    drifts = watch.drifts(its["tally"].get("histograms", {}), training, earlier)
    receipt = Receipt(
        stage=STAGE,
        fingerprint=fingerprint({"work": batch.work, "calls": its["fingerprint"]}),
        config=batch.identity,
        inputs={"source": batch.source, "model": batch.run},
        counts=counts,
        rejects=its["rejects"],
        details={
            **batch.model_dump(
                include={"date", "work", "reason", "synthetic", "first_shard", "num_shards", "json_files"}
            ),
            **its["tally"],
            **batch.about,
            "audio_s": its["audio_s"],
            "work_s": its["wall_s"],
            "core_s": its["wall_s"] * CPUS_PER_SHARD,
            "unsettled": len(its["unsettled"]),
            "not_recordings": batch.others,
            "shards_found": its["found"],
            "cut_short": dict(cut_short or {}),
            "drift": drifts,
            "limits": limits._asdict(),
            "warnings": watch.warnings(counts, drifts, limits),
        },
        wall_s=time.perf_counter() - began,
    )
    return batches.finish(to, batch, receipt)


def follow(
    to: str,
    batch: Batch,
    ours: Mapping[str, Any],
    source: str,
    listed: pa.Table,
    *,
    rescore: bool,
    limits: watch.Limits,
) -> Stage | None:
    """Close a batch of another model or configuration that was cut short, where this start is the one that follows it.

    It is where its source is that of the batch but for the date, or where it lists (schema.RECORDINGS) a call of the
    batch. What the batch's shards have done is settled, and what others have left is taken out. The rest, where the
    source is the same, becomes a batch of `ours` (fields of a Batch); elsewhere what is listed is new to this start,
    and nothing else is scored by a configuration that was not made for it. None where the batch stays as it is.
    """
    began = time.perf_counter()
    plan = batches.plan_of(to, batch)
    same = _archive(batch.source) == _archive(source)
    if not same and not _lists_any(listed, plan["key"]):
        return None
    if not batch.about:
        raise ConfigurationError(
            f"The night of {batch.date} was begun by an earlier version of raysee, with another model or configuration "
            f"({batch.work}), and cut short: start it again with these ({batch.source}), then start this one."
        )
    receipts = done(to, batch.work, plan, Part(batch.done, batch.partition))
    its = {**total([receipts[shard] for shard in sorted(receipts)]), "found": len(receipts)}
    is_done = pc.is_in(plan["shard"], value_set=pa.array(list(receipts), pa.int32()))
    settle(to, batch, plan.filter(is_done)["key"].to_pylist(), set(its["unsettled"]))
    rest = plan.filter(pc.invert(is_done))
    _take_out(to, batch, rest)
    if same:
        keyed = new_recordings(rest.select(schema.RECORDINGS.names), to, ours["work"] if rescore else "").recordings
        # A start that was killed between this and the receipt has begun the rest already.
        for one in batches.unfinished(to, ours["work"]):
            keyed = keyed.filter(pc.invert(pc.is_in(keyed["key"], value_set=batches.plan_of(to, one, ["key"])["key"])))
        if keyed.num_rows:
            told = batch.model_dump(include={"date", "source", "twice", "others", "synthetic"})
            begin(to, keyed, **told, **ours, settled=batch.settled + plan.num_rows - keyed.num_rows)
    # Last: until it is there, the next start finds the batch as it was.
    cut_short = {"left": rest.num_rows, "work": ours["work"], "model": ours["run"]}
    return Stage(to, end(to, batch, its, began, limits, {}, cut_short), found=False)


def _take_out(to: str, batch: Batch, rest: pa.Table) -> None:
    """Delete what shards that were cut short have written: `rest` are their rows of the plan."""
    names = {f"{part_name(shard)}.parquet" for shard in rest["shard"].unique().to_pylist()}
    for table in ("calls", "segments", "rejects"):
        _remove(join(to, table, batch.partition), names)
    if batch.json_files:
        files: dict[str, set[str]] = collections.defaultdict(set)
        for key in rest["key"].to_pylist():
            folder, _, name = contact_lens.name_of(key).partition("/")
            files[folder].add(name)
        for folder, its in sorted(files.items()):
            _remove(join(to, contact_lens.FOLDER, batch.partition, folder), its)
    storage.remove(join(to, batch.begun))


def _remove(folder: str, names: Collection[str]) -> None:
    for name in sorted(storage.names(folder) & set(names)):
        storage.remove(join(folder, name))


def _archive(source: str) -> str:
    """A source without the date that is another one every night."""
    return _DATES.sub("*", source.rstrip("/"))


def _lists_any(listed: pa.Table, keys: pa.ChunkedArray) -> bool:
    theirs = pa.array([bytes.fromhex(key) for key in keys.to_pylist()], schema.LEDGER.field("key").type)
    return not ledger.not_in(ledger.keys(listed), [pa.chunked_array([theirs])]).all()
