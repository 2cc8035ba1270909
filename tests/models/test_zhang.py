import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from raysee.models import zhang
from raysee.models.layers import pad_same
from raysee.models.zhang import ZHANG, LongKernel, Zhang, frames


def wave(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def debug(num_labels: int = 4, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return ZHANG.sizes["debug"]((1,), num_labels)


def count(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def test_what_keesing_et_al_say_of_feeding_and_training_it() -> None:
    training = ZHANG.training
    assert (training.batch_size, training.epochs, training.learning_rate) == (16, 50, 1e-4)
    assert (training.optimiser, training.adam_eps) == ("adam", 1e-7)
    assert (ZHANG.features, ZHANG.unit, ZHANG.batching) == (("waveform",), "clip", "shuffle")
    assert (ZHANG.min_length, ZHANG.max_length, ZHANG.masks) == (80_000, 80_000, False)


def test_parameters_layer_by_layer() -> None:
    model = ZHANG.sizes["published"]((1,), 7)
    assert [count(part) for part in (model.first, model.second)] == [1_640, 64_040]
    gru = [
        sum(p.numel() for name, p in model.recurrent.named_parameters() if name.endswith(layer))
        for layer in ("l0", "l1")
    ]
    assert gru == [541_440, 99_072]
    assert [count(part) for part in (model.pool, model.output)] == [128, 903]
    assert count(model) == sum(p.numel() for p in model.parameters() if p.requires_grad) == 707_223
    assert not list(model.buffers())


def test_five_seconds_are_500_frames_of_1280_values() -> None:
    assert frames(torch.zeros(2, 80_000), 640, 160).shape == (2, 500, 640)
    model, seen = ZHANG.sizes["published"]((1,), 7).eval(), []
    model.recurrent.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    with torch.no_grad():
        assert model(wave(1, 8_000, 1)).shape == (1, 7)
    assert seen == [(1, 50, 1280)]


@pytest.mark.parametrize(("num_samples", "num_frames"), [(1, 1), (160, 1), (161, 2), (1000, 7), (1280, 8)])
def test_frames_are_640_samples_every_160_with_zeros_behind(num_samples: int, num_frames: int) -> None:
    samples = np.arange(1.0, num_samples + 1)
    expected = np.zeros((num_frames, 640))
    for frame in range(num_frames):
        for place in range(640):
            if 160 * frame + place < num_samples:
                expected[frame, place] = samples[160 * frame + place]
    np.testing.assert_array_equal(frames(torch.from_numpy(samples)[None], 640, 160)[0].numpy(), expected)


@pytest.mark.parametrize(("num_samples", "kernel"), [(320, 40), (80, 40), (21, 4), (20, 5), (3, 7), (1, 1)])
def test_a_long_kernel_is_a_convolution_forwards_and_backwards(num_samples: int, kernel: int) -> None:
    layer, plain = LongKernel(3, 5, kernel), nn.Conv1d(3, 5, kernel)
    plain.load_state_dict(layer.state_dict())
    maps, same_maps = (wave(4, 3, num_samples).requires_grad_() for _ in range(2))
    found, expected = layer(maps), plain(pad_same(same_maps, (kernel,), (1,)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    weighting = wave(*expected.shape, seed=1)
    (found * weighting).sum().backward()
    (expected * weighting).sum().backward()
    torch.testing.assert_close(maps.grad, same_maps.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.weight.grad, plain.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer.bias.grad, plain.bias.grad, rtol=1e-4, atol=1e-4)


def test_other_devices_than_a_cpu_convolve_to_the_same_shape() -> None:
    assert LongKernel(3, 5, 40).to("meta")(torch.empty(4, 3, 320, device="meta")).shape == (4, 5, 320)


def reference(model: Zhang, samples: np.ndarray, frame: int, hop: int, num_pooled_maps: int) -> np.ndarray:
    """The network in evaluation, one number after the other and channels last, as in Keras."""
    state = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}

    def convolve(values: np.ndarray, name: str) -> np.ndarray:
        kernel = state[f"{name}.weight"]  # (out, in, 40)
        padded = np.pad(values, ((19, 20), (0, 0)))
        windows = [np.einsum("oik,ki->o", kernel, padded[place : place + 40]) for place in range(len(values))]
        return np.maximum(np.stack(windows) + state[f"{name}.bias"], 0)

    def sigmoid(values: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-values))

    num_frames = -(-len(samples) // hop)
    padded = np.concatenate([samples, np.zeros(frame)])
    sequence = []
    for number in range(num_frames):
        maps = convolve(padded[number * hop : number * hop + frame, None], "first")
        maps = np.maximum(maps[0::2], maps[1::2])
        maps = convolve(maps, "second")
        pooled = [maps[:, m : m + num_pooled_maps].max(axis=1) for m in range(0, maps.shape[1], num_pooled_maps)]
        sequence.append(np.stack(pooled, axis=1).reshape(-1))
    for layer in ("l0", "l1"):
        state_now, states = np.zeros(state["recurrent.weight_hh_l0"].shape[1]), []
        for step in sequence:
            given = state[f"recurrent.weight_ih_{layer}"] @ step + state[f"recurrent.bias_ih_{layer}"]
            kept = state[f"recurrent.weight_hh_{layer}"] @ state_now + state[f"recurrent.bias_hh_{layer}"]
            (reset, update, new), (reset_h, update_h, new_h) = np.split(given, 3), np.split(kept, 3)
            update = sigmoid(update + update_h)
            state_now = update * state_now + (1 - update) * np.tanh(new + sigmoid(reset + reset_h) * new_h)
            states.append(state_now)
        sequence = states
    scores = np.exp(np.stack(sequence) @ state["pool.score.weight"][0])
    pooled = (scores[:, None] * np.stack(sequence)).sum(axis=0) / scores.sum()
    return state["output.weight"] @ pooled + state["output.bias"]


def test_the_network_is_its_definition() -> None:
    model = debug().eval()
    for name, parameter in model.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter, std=0.3)
    clips = wave(2, 7000, 1)
    with torch.no_grad():
        found = model(clips).double().numpy()
    expected = np.stack([reference(model, clip[:, 0].double().numpy(), 160, 1600, 5) for clip in clips])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_frames_in_parts_are_frames_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, clips = debug().eval(), wave(3, 16_000, 1)
    at_once = model(clips)
    monkeypatch.setattr(zhang, "_FRAMES_AT_ONCE_ON_CPU", 7)  # 30 frames: parts across clips, and a smaller last one
    torch.testing.assert_close(model(clips), at_once)


def test_dropout_takes_a_tenth_of_the_samples_of_each_frame_anew() -> None:
    model, heard = Zhang((1,), 4, num_maps=10, num_pooled_maps=5, num_units=4), []
    model.first.register_forward_pre_hook(lambda _, given: heard.append(given[0]))
    assert [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)] == [0.1]
    model.train()(torch.ones(1, 4000, 1))
    kept = torch.cat(heard)[:20, 0, 19:-20]  # frames 0 to 19 are full; the convolution's own zeros are cut off
    assert (kept == 0).float().mean().item() == pytest.approx(0.1, abs=0.02)
    # A sample is in four frames, and is dropped in each by itself.
    assert ((kept[0, 160:] == 0) != (kept[1, :-160] == 0)).any()


def test_one_row_of_logits_a_clip() -> None:
    logits = debug().eval()(wave(5, 80_000, 1))
    assert logits.shape == (5, 4)
    assert (logits.sum(dim=1) - 1).abs().max() > 1e-3


def test_a_clip_is_judged_alone_as_in_a_batch() -> None:
    model, clips = debug().eval(), wave(4, 80_000, 1)
    together = model(clips)
    for clip in range(4):
        torch.testing.assert_close(model(clips[clip : clip + 1])[0], together[clip])


def test_padding_takes_part() -> None:
    model, clip = debug().eval(), wave(1, 16_000, 1)
    assert not torch.allclose(model(clip), model(functional.pad(clip, (0, 0, 0, 64_000))), atol=1e-3)


def test_it_learns_sixteen_clips_by_heart() -> None:
    model, clips = debug(), wave(16, 16_000, 1)
    classes = torch.arange(16) % 4
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(40):
        optimiser.zero_grad()
        functional.cross_entropy(model(clips), classes).backward()
        optimiser.step()
    assert torch.equal(model.eval()(clips).argmax(dim=1), classes)


def test_mixed_precision_gives_gradients_in_single_precision() -> None:
    model, clips = debug().eval(), wave(2, 16_000, 1)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(clips)
    torch.testing.assert_close(logits.float(), model(clips), rtol=0.1, atol=0.05)
    logits.float().square().sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())
