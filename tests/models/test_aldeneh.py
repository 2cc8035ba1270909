import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from raysee.errors import ConfigurationError
from raysee.models import MODELS, network
from raysee.models.aldeneh import Aldeneh, ConvMaxOverTime

NETWORK = MODELS["aldeneh"]


def batch(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def debug(num_bands: int = 8, num_labels: int = 4, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return NETWORK.sizes["debug"]((num_bands,), num_labels)


def test_an_unknown_network_is_answered_with_the_known_ones() -> None:
    assert network("aldeneh") is NETWORK
    with pytest.raises(ConfigurationError, match=r"'transformer'.*aldeneh"):
        network("transformer")


def test_what_keesing_et_al_say_of_feeding_it() -> None:
    assert (NETWORK.training.batch_size, NETWORK.length_multiple) == (32, 64)


@pytest.mark.parametrize(
    ("num_bands", "branches", "total"),
    [
        (40, [123_264, 246_144, 491_904, 983_424], 4_475_399),
        (240, [737_664, 1_474_944, 2_949_504, 5_898_624], 13_691_399),
    ],
)
def test_parameters_layer_by_layer(num_bands: int, branches: list[int], total: int) -> None:
    with torch.device("meta"):
        model = NETWORK.sizes["published"]((num_bands,), 7)

    def count(part: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in part.parameters())

    found = [count(layer) for layer in model.modules() if isinstance(layer, (torch.nn.Conv1d, torch.nn.Linear))]
    assert found == [*branches, 1_573_888, 1_049_600, 7_175]
    assert count(model) == total


def test_it_has_no_dropout_and_no_state_but_its_parameters() -> None:
    model = debug()
    assert not list(model.buffers())
    mel = batch(3, 64, 8)
    assert torch.equal(model.train()(mel), model.eval()(mel))


@pytest.mark.parametrize(
    ("num_clips", "num_bands", "num_frames", "num_filters", "kernel"),
    [
        (3, 5, 20, 7, 4),
        (1, 5, 20, 7, 4),
        (2, 1, 9, 3, 2),
        (2, 4, 6, 3, 6),  # one window
        (2, 4, 6, 1, 1),
        # Products of spectra:
        (2, 4, 64, 3, 32),  # of one tile
        (3, 5, 101, 4, 16),
        (2, 3, 128, 4, 64),
        (2, 3, 129, 4, 64),  # of two tiles that share most windows
        (2, 3, 450, 4, 17),
        (70, 2, 250, 3, 20),  # of more tiles than are multiplied at once
    ],
)
@pytest.mark.parametrize("contiguous", [True, False])
def test_convolution_and_maximum_are_the_plain_ones(
    num_clips: int, num_bands: int, num_frames: int, num_filters: int, kernel: int, contiguous: bool
) -> None:
    layer = ConvMaxOverTime(num_bands, num_filters, kernel)
    mel = batch(num_clips, num_bands, num_frames)
    if not contiguous:
        mel = batch(num_clips + 1, num_frames, num_bands)[1:].transpose(1, 2)
    weight, bias = (parameter.detach().clone().requires_grad_() for parameter in (layer.weight, layer.bias))
    expected = functional.conv1d(mel, weight, bias).relu().amax(dim=2)
    found = layer(mel)
    torch.testing.assert_close(found, expected)
    with torch.no_grad():
        torch.testing.assert_close(layer(mel), expected)
    weighting = batch(*expected.shape, seed=1)  # so that every clip and filter pulls on its own
    (expected * weighting).sum().backward()
    (found * weighting).sum().backward()
    torch.testing.assert_close(layer.weight.grad, weight.grad)
    torch.testing.assert_close(layer.bias.grad, bias.grad)


def test_what_is_kept_of_the_weights_follows_them() -> None:
    layer, mel = ConvMaxOverTime(3, 4, 16), batch(2, 3, 150)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.1, fused=True)
    for _ in range(2):
        with torch.no_grad():
            found = layer(mel)
            torch.testing.assert_close(found, functional.conv1d(mel, layer.weight, layer.bias).relu().amax(dim=2))
        layer(mel).sum().backward()
        optimiser.step()
    other = ConvMaxOverTime(3, 4, 16)
    layer.load_state_dict(other.state_dict(), assign=True)
    with torch.no_grad():
        torch.testing.assert_close(layer(mel), other(mel))
    assert set(layer.state_dict()) == {"weight", "bias"}


def test_a_filter_that_never_fires_gets_no_gradient() -> None:
    layer = ConvMaxOverTime(2, 3, 2)
    torch.nn.init.constant_(layer.bias, -100.0)
    layer(batch(2, 2, 10)).sum().backward()
    assert torch.count_nonzero(layer.weight.grad) == torch.count_nonzero(layer.bias.grad) == 0


def test_gradients_of_two_batches_add_up() -> None:
    layer, mel = ConvMaxOverTime(3, 4, 5), batch(4, 3, 12)
    layer(mel).sum().backward()
    at_once = layer.weight.grad.clone()
    layer.zero_grad()
    layer(mel[:2]).sum().backward()
    layer(mel[2:]).sum().backward()
    torch.testing.assert_close(layer.weight.grad, at_once)


def test_kernels_start_he_normal_and_biases_at_zero() -> None:
    torch.manual_seed(0)
    model = Aldeneh((40,), 7)
    fan_ins = {"branches.0": 8 * 40, "branches.3": 64 * 40, "hidden.0": 4 * 384, "hidden.2": 1024, "output": 1024}
    for name, layer in model.named_modules():
        if not isinstance(layer, (torch.nn.Conv1d, torch.nn.Linear)):
            continue
        assert torch.count_nonzero(layer.bias) == 0
        if name in fan_ins:
            std = math.sqrt(2 / fan_ins[name])
            assert layer.weight.std().item() == pytest.approx(std, rel=0.03)
            assert layer.weight.abs().max().item() <= 2 * std / 0.8796 * 1.0001  # cut at two deviations
            assert layer.weight.mean().item() == pytest.approx(0, abs=0.05 * std)


def test_the_seed_decides_the_start() -> None:
    one, again, other = (debug(seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["output.weight"], other["output.weight"])


def test_the_network_is_its_layers_in_a_row() -> None:
    model, mel = debug(), batch(3, 100, 8)
    state = model.state_dict()
    pooled = [
        functional.conv1d(mel.transpose(1, 2), state[f"branches.{branch}.weight"], state[f"branches.{branch}.bias"])
        .relu()
        .amax(dim=2)
        for branch in range(4)
    ]
    hidden = torch.cat(pooled, dim=1)
    for name in ("hidden.0", "hidden.2"):
        hidden = (hidden @ state[f"{name}.weight"].T + state[f"{name}.bias"]).relu()
    expected = hidden @ state["output.weight"].T + state["output.bias"]
    torch.testing.assert_close(model(mel), expected)


@pytest.mark.parametrize("num_frames", [64, 65, 200])
def test_one_row_of_logits_a_clip(num_frames: int) -> None:
    logits = debug()(batch(5, num_frames, 8))
    assert logits.shape == (5, 4)
    assert (logits < 0).any()
    assert (logits.sum(dim=1) - 1).abs().max() > 1e-3  # logits, no softmax


def test_fewer_frames_than_the_longest_kernel_are_refused() -> None:
    with pytest.raises(RuntimeError, match=r"[Kk]ernel"):
        debug()(batch(1, 63, 8))


def test_a_clip_is_judged_alone_as_in_a_batch_of_its_length() -> None:
    model, mel = debug(), batch(6, 128, 8)
    together = model(mel)
    for clip in range(6):
        torch.testing.assert_close(model(mel[clip : clip + 1])[0], together[clip])


def test_the_order_of_time_and_of_bands_matters() -> None:
    model, mel = debug(), batch(1, 128, 8)
    assert not torch.allclose(model(mel), model(mel.flip(1)))
    assert not torch.allclose(model(mel), model(mel.flip(2)))


def test_padding_takes_part_in_the_maximum() -> None:
    """A window of padding gives a filter's bias: it wins wherever all real windows lie below."""
    layer = ConvMaxOverTime(2, 1, 2)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.fill_(0.5)
        clip = torch.full((1, 2, 4), -1.0)
        assert layer(clip).item() == 0.0
        assert layer(functional.pad(clip, (0, 2))).item() == 0.5
    model, mel = debug(), batch(1, 128, 8) - 2
    assert not torch.allclose(model(mel), model(functional.pad(mel, (0, 0, 0, 64))))
    # Beyond the longest kernel all windows of padding are alike.
    torch.testing.assert_close(model(functional.pad(mel, (0, 0, 0, 64))), model(functional.pad(mel, (0, 0, 0, 192))))


def test_it_learns_sixteen_clips_by_heart() -> None:
    model, mel = debug(), batch(16, 64, 8)
    classes = torch.from_numpy(np.arange(16) % 4)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(60):
        optimiser.zero_grad()
        functional.cross_entropy(model(mel), classes).backward()
        optimiser.step()
    assert torch.equal(model(mel).argmax(dim=1), classes)


def test_mixed_precision_gives_gradients_in_single_precision() -> None:
    # Not 8 bands: oneDNN of PyTorch 2.13 convolves 8 channels of bfloat16 wrongly on a CPU with AMX.
    model, mel = debug(40), batch(4, 64, 40)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(mel)
    torch.testing.assert_close(logits.float(), model(mel), rtol=0.1, atol=0.2)
    logits.float().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())
