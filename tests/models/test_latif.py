import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from raysee.models.latif import LATIF, Latif, Window


def wave(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def debug(num_labels: int = 4, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return LATIF.sizes["debug"]((1,), num_labels)


def trained_count(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters() if parameter.requires_grad)


def test_what_keesing_et_al_say_of_feeding_and_training_it() -> None:
    training = LATIF.training
    assert (training.batch_size, training.epochs, training.learning_rate) == (32, 50, 1e-4)
    assert (training.optimiser, training.adam_eps) == ("adam", 1e-7)
    assert (LATIF.features, LATIF.unit, LATIF.batching) == (("waveform",), "clip", "length")
    assert (LATIF.max_length, LATIF.length_multiple, LATIF.masks) == (80_000, 1, False)


def test_parameters_layer_by_layer() -> None:
    model = LATIF.sizes["published"]((1,), 7)
    assert [trained_count(window) - trained_count(window.norm) for window in model.windows] == [16_040, 9_640, 64_040]
    assert [trained_count(window.norm) for window in model.windows] == [80, 80, 80]
    parts = (model.over_filters, model.norm, model.recurrent, model.hidden, model.output)
    assert [trained_count(part) for part in parts] == [160, 64, 1_049_088, 132_096, 7_175]
    assert trained_count(model) == 1_278_543
    moving = sum(buffer.numel() for buffer in model.buffers() if buffer.ndim)
    assert moving == 2 * (3 * 40 + 32)
    assert trained_count(model) + moving == 1_278_847  # Keras counts the moving averages too


def test_a_clip_of_five_seconds_is_a_sequence_of_125_vectors_of_1920() -> None:
    model, seen = LATIF.sizes["published"]((1,), 7).eval(), []
    model.recurrent.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    with torch.no_grad():
        assert model(wave(1, 80_000, 1)).shape == (1, 7)
    assert seen == [(1, 125, 1920)]


def reference(model: Latif, samples: np.ndarray) -> np.ndarray:
    """The network in evaluation, one number after the other and channels last, as in Keras."""
    state = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}

    def norm(values: np.ndarray, name: str) -> np.ndarray:
        scale = state[f"{name}.weight"] / np.sqrt(state[f"{name}.running_var"] + 1e-3)
        return (values - state[f"{name}.running_mean"]) * scale + state[f"{name}.bias"]

    branches = []
    for number in range(3):
        kernel, bias = state[f"windows.{number}.weight"][:, 0], state[f"windows.{number}.bias"]
        size, num_steps = kernel.shape[1], -(-len(samples) // 160)
        left = max((num_steps - 1) * 160 + size - len(samples), 0) // 2
        padded = np.concatenate([np.zeros(left), samples, np.zeros(size)])
        steps = np.stack([kernel @ padded[160 * step : 160 * step + size] + bias for step in range(num_steps)])
        steps = np.maximum(norm(steps, f"windows.{number}.norm"), 0)
        branches.append(np.stack([np.maximum(steps[2 * i], steps[2 * i + 1]) for i in range(num_steps // 2)]))
    image = np.concatenate(branches, axis=1)
    kernel, (num_steps, num_filters) = state["over_filters.weight"][:, 0], image.shape
    padded = np.pad(image, ((0, 1), (0, 1)))
    channels = np.empty((num_steps, num_filters, len(kernel)))
    for step in range(num_steps):
        for column in range(num_filters):
            patch = padded[step : step + 2, column : column + 2]
            channels[step, column] = (kernel * patch).sum(axis=(1, 2)) + state["over_filters.bias"]
    channels = np.maximum(norm(channels, "norm"), 0)
    sequence = np.stack(
        [
            np.stack([channels[t : t + 2, f : f + 2].max(axis=(0, 1)) for f in range(0, num_filters, 2)]).reshape(-1)
            for t in range(0, num_steps, 2)
        ]
    )
    num_units = state["recurrent.weight_hh_l0"].shape[1]
    hidden, cell = np.zeros(num_units), np.zeros(num_units)
    for step in sequence:
        gates = state["recurrent.weight_ih_l0"] @ step + state["recurrent.weight_hh_l0"] @ hidden
        take, keep, new, tell = np.split(gates + state["recurrent.bias_ih_l0"], 4)
        cell = cell / (1 + np.exp(-keep)) + np.tanh(new) / (1 + np.exp(-take))
        hidden = np.tanh(cell) / (1 + np.exp(-tell))
    hidden = np.maximum(state["hidden.weight"] @ hidden + state["hidden.bias"], 0)
    return state["output.weight"] @ hidden + state["output.bias"]


@pytest.mark.parametrize("num_samples", [161, 320, 1000, 1599])  # 2, 2, 7 and 10 steps: 1, 1, 3 and 5 pooled
def test_the_network_is_its_definition(num_samples: int) -> None:
    model = debug()
    clips = wave(2, num_samples, 1)
    for seed in range(3):  # so that the moving averages are not where they started
        model(wave(4, 3200, 1, seed=seed) * 3)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            nn.init.normal_(parameter, mean=0.2)  # scales of either sign: a maximum must not come before them
    model.eval()
    with torch.no_grad():
        found = model(clips).double().numpy()
    expected = np.stack([reference(model, clip[:, 0].double().numpy()) for clip in clips])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_the_shortest_clip_that_it_takes() -> None:
    model = debug()
    logits = model.train()(wave(1, LATIF.min_length, 1))
    assert torch.isfinite(logits).all()
    with pytest.raises(RuntimeError, match="[Oo]utput size"):
        model.eval()(wave(1, LATIF.min_length - 1, 1))


def test_one_row_of_logits_a_clip() -> None:
    logits = debug().eval()(wave(5, 16_000, 1))
    assert logits.shape == (5, 4)
    assert (logits.sum(dim=1) - 1).abs().max() > 1e-3


def test_a_clip_is_judged_alone_as_in_a_batch_of_its_length() -> None:
    model, clips = debug().eval(), wave(4, 16_000, 1)
    together = model(clips)
    for clip in range(4):
        torch.testing.assert_close(model(clips[clip : clip + 1])[0], together[clip])


def test_padding_takes_part() -> None:
    model, clip = debug().eval(), wave(1, 16_000, 1)
    assert not torch.allclose(model(clip), model(functional.pad(clip, (0, 0, 0, 16_000))), atol=1e-3)


def test_dropout_is_that_before_the_dense_layers() -> None:
    model = debug()
    assert [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)] == [0.3]
    dropped = []
    model.hidden.register_forward_pre_hook(lambda _, given: dropped.append(given[0] == 0))
    model.train()(wave(64, 640, 1))
    assert dropped[0].float().mean().item() == pytest.approx(0.3, abs=0.06)


def test_it_learns_sixteen_clips_by_heart() -> None:
    model, clips = debug(), wave(16, 8_000, 1)
    classes = torch.arange(16) % 4
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    for _ in range(50):
        optimiser.zero_grad()
        functional.cross_entropy(model(clips), classes).backward()
        optimiser.step()
    assert torch.equal(model(clips).argmax(dim=1), classes)
    assert torch.count_nonzero(model.recurrent.bias_hh_l0) == 0


def test_mixed_precision_gives_gradients_in_single_precision() -> None:
    model, clips = debug().eval(), wave(2, 16_000, 1)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(clips)
    torch.testing.assert_close(logits.float(), model(clips), rtol=0.1, atol=0.05)
    logits.float().square().sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in model.parameters() if p.requires_grad)


def test_a_window_gives_a_step_for_every_twenty_milliseconds() -> None:
    assert Window(3, 400)(wave(2, 1, 80_000)).shape == (2, 3, 250)
    assert Window(3, 1600)(wave(2, 1, 80_000 - 1)).shape == (2, 3, 250)
    assert Window(3, 240)(wave(2, 1, 79_840)).shape == (2, 3, 249)  # 499 steps, the last of which has no pair
