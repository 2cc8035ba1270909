"""Batches of one training out of the feature store, over Ray Data.

The arrays are read once, standardised, and sorted by the batch that they are in first; Ray keeps the sorted blocks in
its object store, and on disk what does not fit. In an epoch each worker runs a dataset of its own whose rows are its
steps: tasks fetch what its share of a batch needs, ahead of it. Ray Data's own split among workers
(`streaming_split(equal=True)`) is of no use here: it drops rows until the shares are equal, and knows no batches.

Shapes: B examples, T rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import ray
import torch
from ray.data import DataContext, Dataset, TaskPoolStrategy
from ray.data.collate_fn import ArrowBatchCollateFn

from raysee.evaluation.standardise import Statistics
from raysee.models import network
from raysee.models.network import Network
from raysee.training.batches import Batch, Cut, cut_lengths, padded, padded_rows
from raysee.training.clips import Array, Indices
from raysee.training.store import Share, Store, share_of

BLOCK_BYTES = 8 * 2**20  # what a task reads at once, for some of it
_STEPS_A_TASK = 8
_FETCHERS = 2  # tasks of a worker at a time, besides the CPUs of the workers: they copy, and wait for disks

_PLACE, _VALUES = "place", "values"
_FLOATS = pa.large_list(pa.field("element", pa.float32(), nullable=False))


class Source(NamedTuple):
    """Where the rows of the examples lie in the sorted blocks."""

    place: Indices  # (num_examples,) of the example's array among all, sorted
    start: Indices  # its first row there,
    length: Indices  # and how many a network sees
    first: Indices  # (num_blocks,) the first place of each block
    shape: tuple[int, ...]  # of a row


class Blocks(NamedTuple):
    """The sorted arrays, and where what lies in them."""

    refs: list[ray.ObjectRef]
    source: ray.ObjectRef


def training_cut(store: Store) -> Cut:
    """Which examples share a batch in training."""
    return _cut(store, store.fold.train)


def validation_cut(store: Store) -> Cut:
    """Which examples share a batch in validation."""
    return _cut(store, store.fold.validation)


def _cut(store: Store, positions: Indices) -> Cut:
    return Cut(network(store.work.config.model), store.seen.length, positions, store.work.config.training.batch_size)


def load(store: Store, shared: ray.ObjectRef, statistics: dict[str, Statistics]) -> tuple[Dataset, Blocks]:
    """Read and standardise the arrays of `store`, which is `shared` too, and sort them into blocks.

    Ray keeps these as long as there is the dataset.
    """
    spec, shape = network(store.work.config.model), store.work.clips.shape
    order = np.concatenate([*training_cut(store).in_order, *validation_cut(store).in_order])
    arrays, first_use = np.unique(store.array[order], return_index=True)
    by_use = arrays[np.argsort(first_use)]
    place_of = np.full(len(store.part), -1)
    place_of[by_use] = np.arange(len(by_use))
    first = _first_places(store.length[by_use] * 4 * int(np.prod(shape)))
    parts = [{"part": number} for number in range(len(store.parts))]
    dataset = (
        ray.data.from_items(parts, override_num_blocks=len(parts))
        .map_batches(
            _read,
            batch_size=1,
            batch_format="pyarrow",
            fn_kwargs={"shared": shared, "places": ray.put(place_of), "statistics": statistics},
        )
        .sort(_PLACE, boundaries=first[1:].tolist() or None)
        .materialize()
    )
    refs, rows = [], []
    for bundle in dataset.iter_internal_ref_bundles():
        for block in bundle.blocks:
            if block.metadata.num_rows:
                refs.append(block.ref)
                rows.append(block.metadata.num_rows)
    assert sum(rows) == len(by_use), "every array once"
    length = cut_lengths(spec, store.seen.length) if spec.unit == "clip" else store.seen.length
    starts = np.cumsum([0, *rows[:-1]])
    source = Source(place_of[store.array], store.seen.start, length, starts, shape)
    return dataset, Blocks(refs, ray.put(source))


def _first_places(num_bytes: Indices) -> Indices:
    """Of each block, where arrays of so many bytes fill blocks one behind the other."""
    block = (np.cumsum(num_bytes) - num_bytes) // BLOCK_BYTES
    first: Indices = np.unique(block, return_index=True)[1]
    return first


def _read(
    rows: pa.Table, shared: ray.ObjectRef, places: ray.ObjectRef, statistics: dict[str, Statistics]
) -> Iterator[pa.Table]:
    """The arrays of a part, standardised, a block of them at a time."""
    store: Store = ray.get(shared)
    place_of = ray.get(places)
    kept: list[tuple[int, Array]] = []
    num_bytes = 0
    for part in rows["part"].to_pylist():
        for number, values in store.read(part):
            kept.append((int(place_of[number]), store.standardise(number, values, statistics)))
            num_bytes += values.nbytes
            if num_bytes >= BLOCK_BYTES:
                yield _table(kept)
                kept, num_bytes = [], 0
    yield _table(kept)


def _table(arrays: Sequence[tuple[int, Array]]) -> pa.Table:
    places = pa.array([place for place, _ in arrays], pa.int64())
    return pa.table({_PLACE: places, _VALUES: _lists([values for _, values in arrays])})


def _lists(arrays: Sequence[Array]) -> pa.Array:
    offsets = np.cumsum([0, *(array.size for array in arrays)], dtype=np.int64)
    flat = np.concatenate([array.ravel() for array in arrays]) if arrays else np.empty(0, np.float32)
    return pa.LargeListArray.from_arrays(offsets, pa.array(flat, pa.float32()), type=_FLOATS)


class Feed:
    """One worker's shares of the batches of a training, on `device`; `shuffled` gives those of `epoch`.

    The batches of an epoch are those that one process would draw: `generator` is in the state in which PyTorch's own
    is when training begins, and epochs that were passed over are drawn too.
    """

    def __init__(
        self,
        store: Store,
        blocks: Blocks,
        rank: int,
        num_workers: int,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self._spec = network(store.work.config.model)
        self._length = store.seen.length
        self._train, self._validation = training_cut(store), validation_cut(store)
        self._blocks, self._rank, self._num_workers = blocks, rank, num_workers
        self._shape = store.work.clips.shape
        self._generator, self._num_drawn, self._device = generator, 0, device
        self.epoch = 1

    def shuffled(self) -> Iterator[Batch]:
        """The shares of the training batches, those too where another's example stands in."""
        while self._num_drawn < self.epoch:
            batches = self._train.shuffled(self._generator)
            self._num_drawn += 1
        return self._run(self._shares(batches))

    def in_order(self) -> Iterator[Batch]:
        """The shares of the validation batches that are this worker's."""
        return self._run([share for share in self._shares(self._validation.in_order) if share.share])

    def positions(self) -> Indices:
        """Of the examples that `in_order` gives, ascending."""
        mine = [share.positions for share in self._shares(self._validation.in_order) if share.share]
        return np.sort(np.concatenate([np.empty(0, np.int64), *mine]))

    def _shares(self, batches: Sequence[Indices]) -> list[Share]:
        shares = []
        for batch in batches:
            rows = padded_rows(self._spec, cut_lengths(self._spec, self._length[batch]))
            shares.append(share_of(batch, rows, self._rank, self._num_workers))
        return shares

    def _run(self, shares: Sequence[Share]) -> Iterator[Batch]:
        if not shares:
            return
        # Not from_arrow, which asks a task for the sizes of the blocks: all CPUs are the workers'.
        steps = [{"step": step, "positions": share.positions.tolist()} for step, share in enumerate(shares)]
        num_blocks = -(-len(steps) // _STEPS_A_TASK)
        dataset = ray.data.from_items(steps, override_num_blocks=num_blocks).map_batches(
            _fetch,
            batch_size=1,
            batch_format="pyarrow",
            fn_kwargs={"blocks": self._blocks.refs, "source": self._blocks.source},
            compute=TaskPoolStrategy(size=min(_FETCHERS, num_blocks)),
            num_cpus=0,
        )
        collate = _Collate(self._spec, self._shape, shares, self._device.type == "cuda")
        # Not moved by Ray Data: asking for the number of a step on a GPU would make it wait.
        batches = dataset.iter_torch_batches(batch_size=1, prefetch_batches=2, collate_fn=collate, device="cpu")
        for number, tensors in enumerate(batches):
            assert int(tensors["step"]) == number, "the steps come in their order"
            moved = {name: tensor.to(self._device, non_blocking=True) for name, tensor in tensors.items()}
            yield Batch(moved["positions"], moved["values"], moved["lengths"], shares[number].share)


def prepare_worker() -> None:
    """Ray Data in a worker: in order, and silent."""
    context = DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.enable_fallback_to_arrow_object_ext_type = False


def _fetch(steps: pa.Table, blocks: Sequence[ray.ObjectRef], source: ray.ObjectRef) -> pa.Table:
    """The rows of each step's examples, end to end, and how many each has."""
    where: Source = ray.get(source)
    columns: dict[str, list[Any]] = {"lengths": [], _VALUES: []}
    for positions in steps["positions"].to_pylist():
        rows = _rows(np.array(positions), blocks, where)
        columns["lengths"].append(where.length[positions])
        columns[_VALUES].append(np.concatenate(rows))
    return steps.append_column("lengths", pa.array(columns["lengths"])).append_column(_VALUES, _lists(columns[_VALUES]))


def _rows(positions: Indices, blocks: Sequence[ray.ObjectRef], where: Source) -> list[Array]:
    rows: list[Array] = [np.empty(0, np.float32)] * len(positions)
    size = int(np.prod(where.shape))
    block_of = np.searchsorted(where.first, where.place[positions], side="right") - 1
    # One block after the other, so that the object store need not hold all of them at once.
    for block in np.unique(block_of).tolist():
        values = ray.get(blocks[block])[_VALUES]
        for number in np.flatnonzero(block_of == block).tolist():
            position = positions[number]
            array = values[int(where.place[position] - where.first[block])].values.to_numpy()
            start = where.start[position] * size
            rows[number] = array[start : start + where.length[position] * size].copy()
        del values, array
    return rows


class _Collate(ArrowBatchCollateFn):  # type: ignore[misc]
    """A step's rows -> what `Batches` would make of its examples."""

    def __init__(self, spec: Network, shape: tuple[int, ...], shares: Sequence[Share], pinned: bool) -> None:
        self._spec, self._shape, self._shares, self._pinned = spec, shape, shares, pinned

    def __call__(self, steps: pa.Table) -> dict[str, torch.Tensor]:
        (step,) = steps["step"].to_pylist()
        share = self._shares[step]
        lengths = steps["lengths"][0].values.to_numpy()
        flat = torch.tensor(steps[_VALUES][0].values.to_numpy())
        values = flat.view(-1, *self._shape)
        if self._spec.unit == "clip":
            values = padded(values, np.cumsum(lengths) - lengths, lengths, share.num_rows)
        elif self._spec.unit == "window":
            values = flat.view(len(lengths), -1, *self._shape)
        tensors = {
            "step": torch.tensor(step),
            "positions": torch.from_numpy(share.positions.copy()),
            "values": values,
            "lengths": torch.tensor(lengths),
        }
        return {name: tensor.pin_memory() for name, tensor in tensors.items()} if self._pinned else tensors
