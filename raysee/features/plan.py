"""Which clip is in which shard of an extraction: clips keep their shard when others come or go."""

from collections.abc import Mapping, Sequence

# Enough shards for a cluster where the corpus is small; where it or its arrays are large, no more than a worker should
# hold: 2^25 numbers are 128 MiB, of which a worker has three copies while it writes.
_SHARDS, _CLIPS_PER_SHARD, _VALUES_PER_SHARD = 16, (64, 256), 2**25


def clips_per_shard(num_clips: int, values_per_clip: int = 1) -> int:
    """How many clips a shard holds: of corpus and front-end alone, so that a restart has the same shards anywhere."""
    least, most = _CLIPS_PER_SHARD
    return max(min(max(-(-num_clips // _SHARDS), least), most, _VALUES_PER_SHARD // values_per_clip), 1)


def assign(planned: Mapping[str, int], clip_ids: Sequence[str], values_per_clip: int = 1) -> list[int]:
    """The shard of each clip: that of `planned` (clip_id -> shard), or one behind all of these for a new clip."""
    size = clips_per_shard(len(clip_ids), values_per_clip)
    first = 1 + max(planned.values(), default=-1)
    shards = []
    num_new = 0
    for clip_id in clip_ids:
        if clip_id in planned:
            shards.append(planned[clip_id])
        else:
            shards.append(first + num_new // size)
            num_new += 1
    return shards
