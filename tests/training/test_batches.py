import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raysee.models import MODELS
from raysee.models.network import Network
from raysee.training.batches import Batches, end_to_end
from raysee.training.clips import Array, examples


def spec(**fields: Any) -> Network:
    plain = {"length_multiple": 1, "min_length": 1, "max_length": None, "batching": "length", "unit": "clip"}
    return dataclasses.replace(MODELS["aldeneh"], **{**plain, **fields})


def clip(num_rows: int, value: float = 1.0) -> Array:
    return np.full((num_rows, 2), value, np.float32)


def batches(clips: list[Array], its_spec: Network, batch_size: int, hop_ms: int = 10) -> Batches:
    values, offsets = end_to_end(clips)
    seen = examples(offsets, values.shape[1:], its_spec.unit, hop_ms)
    return Batches(its_spec, torch.from_numpy(values), seen, np.arange(len(seen.clip)), batch_size)


@pytest.mark.parametrize(
    ("lengths", "fields", "num_rows"),
    [
        ([1], {"length_multiple": 64}, 64),
        ([64], {"length_multiple": 64}, 64),
        ([65], {"length_multiple": 64}, 128),
        ([3, 64, 10], {"length_multiple": 64}, 64),
        ([3, 5], {}, 5),
        ([3, 5], {"min_length": 9}, 9),
        ([3, 5, 90], {"max_length": 7}, 7),
        ([90], {"min_length": 40, "max_length": 40}, 40),
    ],
)
def test_cut_and_then_zeros_behind_each_clip(lengths: list[int], fields: dict[str, int], num_rows: int) -> None:
    clips = [clip(length, number + 1.0) for number, length in enumerate(lengths)]
    (batch,) = batches(clips, spec(**fields), 8).in_order()
    assert batch.values.shape == (len(lengths), num_rows, 2)
    assert batch.values.dtype == torch.float32
    for position, values, length in zip(batch.positions.tolist(), batch.values, batch.lengths.tolist(), strict=True):
        assert length == min(lengths[position], num_rows)
        assert (values[:length] == position + 1).all()
        assert (values[length:] == 0).all()


@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=40), batch_size=st.integers(1, 9))
def test_every_clip_is_in_one_batch_beside_those_of_its_length(lengths: list[int], batch_size: int) -> None:
    fed = batches([clip(length) for length in lengths], spec(), batch_size)
    made = list(fed.in_order())
    order = torch.cat([batch.positions for batch in made]).tolist()
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[position] for position in order] == sorted(lengths)
    assert [len(batch.positions) for batch in made[:-1]] == [batch_size] * (len(made) - 1)
    assert all(batch.values.shape[1] == batch.lengths.max() for batch in made)
    shuffled = [batch.positions.tolist() for batch in fed.shuffled()]
    assert sorted(shuffled) == sorted(batch.positions.tolist() for batch in made), "fixed batches in another order"


def test_clips_of_one_length_stay_in_their_order() -> None:
    """Which clips share a batch must not depend on how a sort breaks ties."""
    lengths = [1 + number * 7 % 3 for number in range(400)]
    order = torch.cat([batch.positions for batch in batches([clip(one) for one in lengths], spec(), 32).in_order()])
    assert order.tolist() == sorted(range(400), key=lengths.__getitem__)


def test_other_batches_each_epoch_where_the_network_wants_it() -> None:
    fed = batches([clip(3, float(number)) for number in range(40)], spec(batching="shuffle"), 8)
    torch.manual_seed(0)
    epochs = [[batch.positions.tolist() for batch in fed.shuffled()] for _ in range(2)]
    assert [sorted(one for part in epoch for one in part) for epoch in epochs] == [list(range(40))] * 2
    assert {frozenset(one) for one in epochs[0]} != {frozenset(one) for one in epochs[1]}
    for batch in fed.shuffled():
        assert batch.values[:, 0, 0].tolist() == batch.positions.tolist(), "each with its own values"


@given(num=st.integers(1, 300), batch_size=st.integers(1, 40))
def test_even_batches_have_one_example_more_or_less(num: int, batch_size: int) -> None:
    fed = batches([clip(3, float(number)) for number in range(num)], spec(batching="even"), batch_size)
    for made in (fed.shuffled(), fed.in_order()):
        parts = [batch.positions.tolist() for batch in made]
        sizes = {len(part) for part in parts}
        assert sorted(position for part in parts for position in part) == list(range(num))
        assert max(sizes) <= batch_size
        assert max(sizes) - min(sizes) <= 1
        assert len(parts) == -(-num // batch_size)


def test_what_was_trained_in_caffe_has_even_batches() -> None:
    even = {name for name, network in MODELS.items() if network.batching == "even"}
    assert even == {"badshah", "badshah-literal", "alexnet", "alexnet-fine-tuned"}


def test_rows_and_windows_are_cut_out_of_their_clips() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.standard_normal((length, 4, 3)).astype(np.float32) for length in (4, 6)]
    (rows,) = batches(pictures, spec(unit="row"), 100).in_order()
    assert np.array_equal(rows.values.numpy(), np.concatenate(pictures))
    (windows,) = batches(pictures, spec(unit="window"), 100, hop_ms=500).in_order()
    assert np.array_equal(windows.values.numpy(), np.stack([pictures[0], pictures[1][:4], pictures[1][2:]]))
