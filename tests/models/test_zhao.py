import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from raysee.models.zhao import ZHAO, Block, Zhao


def mel(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def debug(num_bands: int = 40, num_labels: int = 4, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return ZHAO.sizes["debug"]((num_bands,), num_labels)


def trained_count(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters() if parameter.requires_grad)


def test_what_keesing_et_al_say_of_feeding_and_training_it() -> None:
    training = ZHAO.training
    assert (training.batch_size, training.epochs, training.learning_rate) == (64, 50, 1e-4)
    assert (training.optimiser, training.adam_eps) == ("adam", 1e-7)
    assert (ZHAO.features[0], ZHAO.unit, ZHAO.batching, ZHAO.masks) == ("spectrogram40", "clip", "length", False)


def test_parameters_layer_by_layer() -> None:
    model = ZHAO.sizes["published"]((40,), 7)
    assert [trained_count(part) for part in (model.recurrent, model.recurrent_pool)] == [173_056, 256]
    assert [trained_count(block.convolution) for block in model.blocks] == [4_160, 204_928, 147_584]
    assert [2 * trained_count(block.norm) for block in model.blocks] == [256, 512, 512]  # with moving averages
    parts = (model.projection, model.convolution_pool, model.hidden, model.output)
    assert [trained_count(part) for part in parts] == [16_512, 128, 49_280, 903]
    assert trained_count(model) == 597_447
    moving = sum(buffer.numel() for buffer in model.buffers() if buffer.ndim)
    assert trained_count(model) + moving == 598_087


@pytest.mark.parametrize(("num_frames", "num_places"), [(497, 59 * 2), (512, 61 * 2), (31, 2)])
def test_places_that_the_convolutions_leave(num_frames: int, num_places: int) -> None:
    model, seen = debug().eval(), []
    model.projection.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    assert model(mel(1, num_frames, 40)).shape == (1, 4)
    assert seen == [(1, num_places, 12)]


def reference(model: Zhao, image: np.ndarray) -> np.ndarray:
    """The network in evaluation, one number after the other and channels last, as in Keras."""
    state = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}

    def attention(sequence: np.ndarray, name: str) -> np.ndarray:
        scores = np.exp(sequence @ state[f"{name}.score.weight"][0])
        return (scores[:, None] * sequence).sum(axis=0) / scores.sum()

    def states(sequence: np.ndarray, suffix: str) -> np.ndarray:
        hidden = cell = np.zeros(state[f"recurrent.weight_hh_{suffix}"].shape[1])
        found = []
        for step in sequence:
            gates = state[f"recurrent.weight_ih_{suffix}"] @ step + state[f"recurrent.weight_hh_{suffix}"] @ hidden
            take, keep, new, tell = np.split(gates + state[f"recurrent.bias_ih_{suffix}"], 4)
            cell = cell / (1 + np.exp(-keep)) + np.tanh(new) / (1 + np.exp(-take))
            hidden = np.tanh(cell) / (1 + np.exp(-tell))
            found.append(hidden)
        return np.stack(found)

    both = np.concatenate([states(image, "l0"), states(image[::-1], "l0_reverse")[::-1]], axis=1)
    maps = image[:, :, None]
    for block in range(3):
        kernel, name = state[f"blocks.{block}.convolution.weight"], f"blocks.{block}.norm"
        size = kernel.shape[2]
        windows = np.lib.stride_tricks.sliding_window_view(maps, (size, size), axis=(0, 1))
        maps = np.einsum("tfcij,ocij->tfo", windows, kernel) + state[f"blocks.{block}.convolution.bias"]
        maps = (maps - state[f"{name}.running_mean"]) / np.sqrt(state[f"{name}.running_var"] + 1e-3)
        maps = np.maximum(maps * state[f"{name}.weight"] + state[f"{name}.bias"], 0)
        maps = maps[: len(maps) // 2 * 2, : maps.shape[1] // 2 * 2]
        maps = np.maximum(
            np.maximum(maps[0::2, 0::2], maps[0::2, 1::2]), np.maximum(maps[1::2, 0::2], maps[1::2, 1::2])
        )
    places = np.tanh(maps.reshape(-1, maps.shape[2]) @ state["projection.weight"].T + state["projection.bias"])
    pooled = np.concatenate([attention(both, "recurrent_pool"), attention(places, "convolution_pool")])
    hidden = np.maximum(state["hidden.weight"] @ pooled + state["hidden.bias"], 0)
    return state["output.weight"] @ hidden + state["output.bias"]


@pytest.mark.parametrize("num_frames", [31, 57])
def test_the_network_is_its_definition(num_frames: int) -> None:
    model = debug()
    for seed in range(3):  # so that the moving averages are not where they started
        model(mel(4, 60, 40, seed=seed) * 3)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            nn.init.normal_(parameter, mean=0.2)  # scales of either sign: a maximum must not come before them
    model.eval()
    images = mel(2, num_frames, 40)
    with torch.no_grad():
        found = model(images).double().numpy()
    expected = np.stack([reference(model, image.double().numpy()) for image in images])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_the_shortest_clip_that_it_takes() -> None:
    model = debug()
    assert torch.isfinite(model.train()(mel(1, ZHAO.min_length, 40))).all()
    with pytest.raises(RuntimeError, match="[Oo]utput size"):
        model(mel(1, ZHAO.min_length - 1, 40))


@pytest.mark.parametrize("num_bands", [31, 39, 40, 240])
def test_the_widths_of_its_front_ends(num_bands: int) -> None:
    logits = debug(num_bands).eval()(mel(3, 50, num_bands))
    assert logits.shape == (3, 4)
    assert (logits.sum(dim=1) - 1).abs().max() > 1e-3


def test_dropout_is_before_the_lstm_and_behind_each_convolution() -> None:
    model, given, left = debug().train(), [], []
    assert [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)] == [0.2] * 4
    model.recurrent.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    model.blocks[0].convolution.register_forward_pre_hook(lambda _, args: left.append(args[0]))
    images = mel(4, 60, 40)
    model(images)
    assert (given[0] == 0).float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert torch.equal(left[0][:, 0], images)  # the convolutions see all


def test_a_block_drops_a_fifth_of_what_it_gives() -> None:
    torch.manual_seed(0)
    block, image = Block(1, 5, 3).eval(), mel(4, 1, 30, 31)
    whole = block(image)
    assert whole.shape == (4, 5, 14, 14)
    block.dropout.train()
    kept = block(image)
    fired = whole > 0
    torch.testing.assert_close(kept, torch.where(kept == 0, 0.0, whole / 0.8))
    assert (kept[fired] == 0).float().mean().item() == pytest.approx(0.2, abs=0.03)


def test_a_clip_is_judged_alone_as_in_a_batch_of_its_length() -> None:
    model, images = debug().eval(), mel(4, 100, 40)
    together = model(images)
    for clip in range(4):
        torch.testing.assert_close(model(images[clip : clip + 1])[0], together[clip])


def test_padding_takes_part() -> None:
    model, image = debug().eval(), mel(1, 60, 40)
    assert not torch.allclose(model(image), model(functional.pad(image, (0, 0, 0, 60))), atol=1e-3)


def test_it_learns_sixteen_clips_by_heart() -> None:
    model, images = debug(), mel(16, 60, 40)
    classes = torch.arange(16) % 4
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        functional.cross_entropy(model(images), classes).backward()
        optimiser.step()
    assert torch.equal(model(images).argmax(dim=1), classes)


def test_mixed_precision_gives_gradients_in_single_precision() -> None:
    model, images = debug().eval(), mel(2, 60, 40)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
    torch.testing.assert_close(logits.float(), model(images), rtol=0.1, atol=0.05)
    logits.float().square().sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in model.parameters() if p.requires_grad)
