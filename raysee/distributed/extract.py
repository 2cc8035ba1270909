"""Utterances -> features, over Ray Data."""

import functools
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysee import lake, receipts, schema, storage
from raysee.config import fingerprint
from raysee.corpora import corpus
from raysee.distributed.cluster import connect
from raysee.distributed.shards import ShardResult, run_shards
from raysee.errors import ConfigurationError
from raysee.features import FrontEnd, front_end
from raysee.features.table import featurise
from raysee.progress import OnProgress, quiet
from raysee.receipts import Receipt, Stage

# Enough shards for a cluster where the corpus is small; where it is large, no more than a worker should hold.
_SHARDS, _CLIPS_PER_SHARD = 16, (64, 256)


def extract(
    root: str,
    corpus_name: str,
    features: str,
    *,
    overwrite: bool = False,
    on_progress: OnProgress = quiet,
) -> Stage:
    """Make `features` of every clip in the manifest of `corpus_name` below the lake `root`.

    Raises ConfigurationError where there is no manifest, or the features there were made from another one.
    """
    began = time.perf_counter()
    root = storage.normalise(root)
    corpus(corpus_name)
    made_by = front_end(features)
    manifest = receipts.read(lake.utterances(root, corpus_name))
    if manifest is None:
        raise ConfigurationError(
            f"{root} has no manifest of {corpus_name}: "
            f"run `raysee manifest {corpus_name} WHERE_IT_LIES --to {root}` first."
        )
    place = lake.features(root, corpus_name, features, made_by)
    config = {"features": features, "front_end": made_by.model_dump(), "utterances": manifest.fingerprint}
    work = fingerprint(config)
    if not overwrite and (found := receipts.find(place, "extract", work, config)):
        return Stage(place, found, found=True)
    if overwrite:
        receipts.clear(place, "extract")
    receipts.claim(place, "extract", work, config)
    utterances = storage.read_table(storage.join(lake.utterances(root, corpus_name), "clips"), schema.UTTERANCES)
    shards = pa.array(np.arange(utterances.num_rows, dtype=np.int32) // clips_per_shard(utterances.num_rows))
    connect()
    total = run_shards(
        place,
        utterances.append_column("shard", shards),
        functools.partial(_extract_shard, front_end=made_by),
        work=work,
        on_progress=on_progress,
    )
    receipt = Receipt(
        stage="extract",
        fingerprint=fingerprint({"front_end": made_by.fingerprint(), "shards": total["fingerprints"]}),
        config=config,
        inputs={"utterances": manifest.fingerprint},
        counts={"in": total["in"], "out": total["out"], "rejected": total["in"] - total["out"]},
        rejects=total["rejects"],
        details={"audio_s": total["audio_s"], "work_s": total["wall_s"], "synthetic": manifest.details["synthetic"]},
        wall_s=time.perf_counter() - began,
    )
    return Stage(place, receipts.write(place, receipt), found=False)


def clips_per_shard(num_clips: int) -> int:
    """How many clips a shard holds: of the corpus's size alone, so that a restart has the same shards anywhere."""
    least, most = _CLIPS_PER_SHARD
    return min(max(-(-num_clips // _SHARDS), least), most)


def _extract_shard(rows: pa.Table, front_end: FrontEnd) -> ShardResult:
    features, rejects = featurise(rows, front_end, storage.read_each)
    contents = features.select(["clip_id", "content_sha256"]).to_pylist()
    return ShardResult(
        tables={"clips": (features, schema.FEATURES), "rejects": (rejects, schema.REJECTS)},
        num_out=features.num_rows,
        audio_s=pc.sum(features["duration_s"]).as_py() or 0.0,
        fingerprint=fingerprint(contents),
    )
