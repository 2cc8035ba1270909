"""Which clip is in which shard of an extraction: clips keep their shard when others come or go."""

from collections.abc import Mapping, Sequence

# Enough shards for a cluster where the corpus is small; where it is large, no more than a worker should hold.
_SHARDS, _CLIPS_PER_SHARD = 16, (64, 256)


def clips_per_shard(num_clips: int) -> int:
    """How many clips a shard holds: of the corpus's size alone, so that a restart has the same shards anywhere."""
    least, most = _CLIPS_PER_SHARD
    return min(max(-(-num_clips // _SHARDS), least), most)


def assign(planned: Mapping[str, int], clip_ids: Sequence[str]) -> list[int]:
    """The shard of each clip: that of `planned` (clip_id -> shard), or one behind all of these for a new clip."""
    size = clips_per_shard(len(clip_ids))
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
