import math

import numpy as np
import pytest
import torch
from torch import nn

from raysee.models.layers import (
    AttentionPooling,
    batch_norm_1d,
    batch_norm_2d,
    initialise_as_keras,
    pad_same,
    recurrent_states,
)


def started(layer: nn.Module, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return layer.apply(initialise_as_keras)


@pytest.mark.parametrize(
    ("layer", "fan_in", "fan_out"),
    [
        (nn.Linear(60, 90), 60, 90),
        (nn.Conv1d(20, 30, 7), 20 * 7, 30 * 7),
        (nn.Conv2d(6, 10, (3, 5)), 6 * 15, 10 * 15),
        (AttentionPooling(3000).score, 3000, 1),
    ],
)
def test_kernels_start_glorot_uniform_and_biases_at_zero(layer: nn.Module, fan_in: int, fan_out: int) -> None:
    started(layer)
    limit = math.sqrt(6 / (fan_in + fan_out))
    assert 0.98 * limit < layer.weight.abs().max().item() <= limit
    assert layer.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.05)
    assert layer.bias is None or torch.count_nonzero(layer.bias) == 0


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
def test_a_recurrent_kernel_is_one_of_all_gates(kind: type[nn.Module], gates: int) -> None:
    layer = started(kind(30, 20, num_layers=2, bidirectional=True))
    for suffix, num_inputs in (("l0", 30), ("l0_reverse", 30), ("l1", 40), ("l1_reverse", 40)):
        kernel, recurrent = getattr(layer, f"weight_ih_{suffix}"), getattr(layer, f"weight_hh_{suffix}")
        limit = math.sqrt(6 / (num_inputs + gates * 20))
        assert 0.98 * limit < kernel.abs().max().item() <= limit
        # Keras's kernel, the transpose, has orthonormal rows over all gates; those of a gate by itself are not.
        torch.testing.assert_close(recurrent.T @ recurrent, torch.eye(20), rtol=0, atol=1e-5)
        assert (recurrent[:20].T @ recurrent[:20] - torch.eye(20)).abs().max() > 0.1
    assert not torch.equal(layer.weight_hh_l0, layer.weight_hh_l0_reverse)


def test_an_lstm_starts_remembering_and_learns_one_bias() -> None:
    layer = started(nn.LSTM(3, 5, bidirectional=True))
    for suffix in ("l0", "l0_reverse"):
        # Input, forget, cell and output gate.
        assert getattr(layer, f"bias_ih_{suffix}").tolist() == [0.0] * 5 + [1.0] * 5 + [0.0] * 10
        assert torch.count_nonzero(getattr(layer, f"bias_hh_{suffix}")) == 0
    trained = {name for name, parameter in layer.named_parameters() if parameter.requires_grad}
    assert trained == {
        f"{name}_{suffix}" for name in ("weight_ih", "weight_hh", "bias_ih") for suffix in ("l0", "l0_reverse")
    }


def test_a_gru_has_both_biases_at_zero_and_learns_both() -> None:
    layer = started(nn.GRU(3, 5))
    assert torch.count_nonzero(layer.bias_ih_l0) == torch.count_nonzero(layer.bias_hh_l0) == 0
    assert all(parameter.requires_grad for parameter in layer.parameters())


def test_the_forget_gate_is_where_it_is_thought_to_be() -> None:
    """With no weights, a forget gate wide open and an input gate shut keep the cell as it was."""
    layer = started(nn.LSTM(2, 3))
    with torch.no_grad():
        layer.weight_ih_l0.zero_()
        layer.weight_hh_l0.zero_()
        layer.bias_ih_l0.mul_(50)
        layer.bias_ih_l0[:3] = -50
        cell = torch.tensor([[[0.3, -0.7, 1.1]]])
        _, (_, found) = layer(torch.ones(4, 1, 2), (torch.zeros(1, 1, 3), cell))
    torch.testing.assert_close(found, cell)


@pytest.mark.parametrize(("norm", "shape"), [(batch_norm_1d, (6, 2, 5)), (batch_norm_2d, (6, 2, 5, 3))])
def test_batch_norm_has_the_constants_of_keras(norm: type[nn.Module], shape: tuple[int, ...]) -> None:
    layer, generator = norm(2), np.random.default_rng(0)
    values = generator.normal(3, 0.05, shape).astype(np.float32)
    axes = (0, *range(2, len(shape)))
    mean, variance = values.mean(axes), values.var(axes)
    across = (1, 2) + (1,) * (len(shape) - 2)
    expected = (values - mean.reshape(across)) / np.sqrt(variance.reshape(across) + 0.001)
    np.testing.assert_allclose(layer(torch.from_numpy(values)).detach().numpy(), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.01 * mean, rtol=1e-4)
    unbiased = variance * (values.size / 2) / (values.size / 2 - 1)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.99 + 0.01 * unbiased, rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "before", "behind"),
    [
        (640, 40, 1, 19, 20),
        (80_000, 400, 160, 120, 120),
        (80_000, 240, 160, 40, 40),
        (80_000, 1600, 160, 720, 720),
        (79_999, 240, 160, 40, 41),  # 500 steps end at 499 * 160 + 240 = 80,080
        (161, 400, 160, 199, 200),
        (5, 2, 1, 0, 1),
        (5, 1, 3, 0, 0),
        (7, 2, 4, 0, 0),  # windows at 0 and 4: the last sample is not seen, and nothing is padded
    ],
)
def test_same_padding_is_that_of_tensorflow(size: int, kernel: int, stride: int, before: int, behind: int) -> None:
    padded = pad_same(torch.ones(1, size), (kernel,), (stride,))
    assert padded[0].tolist() == [0.0] * before + [1.0] * size + [0.0] * behind
    num_windows = (padded.shape[1] - kernel) // stride + 1
    assert num_windows == math.ceil(size / stride)


def test_same_padding_of_two_axes_pads_each_by_its_own_kernel() -> None:
    padded = pad_same(torch.ones(2, 3, 4), (3, 2), (1, 1))
    assert padded.shape == (2, 5, 5)
    assert padded[1].tolist() == [[0.0] * 5, *([[1.0] * 4 + [0.0]] * 3), [0.0] * 5]


def test_attention_pooling_is_the_weighted_mean() -> None:
    generator = np.random.default_rng(0)
    sequence, vector = generator.normal(size=(3, 7, 5)), generator.normal(size=5)
    expected = np.zeros((3, 5))
    for clip in range(3):
        weights = [math.exp(sum(sequence[clip, step] * vector)) for step in range(7)]
        for step in range(7):
            expected[clip] += weights[step] / sum(weights) * sequence[clip, step]
    pooling = AttentionPooling(5).double()
    assert sum(parameter.numel() for parameter in pooling.parameters()) == 5
    with torch.no_grad():
        pooling.score.weight.copy_(torch.from_numpy(vector))
        np.testing.assert_allclose(pooling(torch.from_numpy(sequence)).numpy(), expected, rtol=1e-12)


def test_attention_without_a_preference_is_the_mean_and_takes_padding_in() -> None:
    pooling = AttentionPooling(2)
    nn.init.zeros_(pooling.score.weight)
    sequence = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [0.0, 0.0], [0.0, 0.0]]])
    assert pooling(sequence).tolist() == [[1.0, 2.0]]
    assert pooling(sequence[:, :2]).tolist() == [[2.0, 4.0]]


def test_recurrent_states_are_the_layers_in_single_precision() -> None:
    layer = started(nn.LSTM(3, 4, batch_first=True, bidirectional=True))
    sequence = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    expected = layer(sequence)[0]
    assert torch.equal(recurrent_states(layer, sequence), expected)
    with torch.autocast("cpu", torch.bfloat16):
        found = recurrent_states(layer, sequence)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
