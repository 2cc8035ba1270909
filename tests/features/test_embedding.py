import dataclasses
import hashlib
import pathlib
import pickle
import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.torch
import torch
import torchaudio
from pydantic import ValidationError

from raysee.errors import ConfigurationError, MissingError
from raysee.features import TooShort, embedding
from raysee.features.embedding import BUNDLES, Embedding

Samples = npt.NDArray[np.float32]
WIDTH, NUM_LAYERS = 12, 3
TINY = {
    "extractor_conv_layer_config": [(4, 10, 5), (4, 3, 2), (4, 3, 2), (4, 3, 2), (4, 3, 2), (4, 2, 2), (4, 2, 2)],
    "encoder_embed_dim": WIDTH,
    "encoder_num_layers": NUM_LAYERS,
    "encoder_num_heads": 2,
    "encoder_ff_interm_features": 16,
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 2,
    "encoder_layer_drop": 0.5,  # would show if the network were left in training
}
#: One of each kind: normalised behind each layer, before each layer with a standardised waveform, and WavLM.
KINDS = ["WAV2VEC2_BASE", "HUBERT_LARGE", "WAVLM_BASE"]


def noise(num_samples: int = 4_000) -> Samples:
    return (0.1 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32) + np.float32(0.05)


class Tiny:
    """The bundles of KINDS with small networks and random weights, which lie in files."""

    def __init__(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.models: dict[str, Any] = {}
        self.files: dict[str, str] = {}
        embedding._network.cache_clear()
        for name in KINDS:
            bundle = getattr(torchaudio.pipelines, name)
            small = dataclasses.replace(bundle, _params={**bundle._params, **TINY})
            monkeypatch.setattr(torchaudio.pipelines, name, small)
            is_wavlm = bundle._model_type == "WavLM"
            make = torchaudio.models.wavlm_model if is_wavlm else torchaudio.models.wav2vec2_model
            torch.manual_seed(0)
            model = self.models[name] = make(**small._params).eval()
            path = folder / f"{name}.safetensors"
            safetensors.torch.save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
            self.files[name] = str(path)

    def embedding(self, name: str = "WAV2VEC2_BASE", **fields: Any) -> Embedding:
        return Embedding(bundle=name, **{"weights": self.files[name], **fields})


@pytest.fixture
def tiny(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tiny]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # networks this small only wait for each other's threads
    yield Tiny(tmp_path, monkeypatch)
    torch.set_num_threads(threads)
    embedding._network.cache_clear()


@pytest.mark.parametrize("name", BUNDLES)
def test_the_sizes_are_torchaudios(name: str) -> None:
    bundle = getattr(torchaudio.pipelines, name)
    assert BUNDLES[name] == (bundle._params["encoder_num_layers"], bundle._params["encoder_embed_dim"])
    assert Embedding(bundle=name).num_columns == bundle._params["encoder_embed_dim"]
    assert bundle.sample_rate == 16_000
    field, step = 1, 1
    for _, kernel, stride in bundle._params["extractor_conv_layer_config"]:
        field, step = field + (kernel - 1) * step, step * stride
    assert (field, step) == (400, 320)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("num_samples", "num_frames"), [(400, 1), (719, 1), (720, 2), (1_039, 2), (16_000, 49)])
def test_a_frame_every_20_ms(tiny: Tiny, name: str, num_samples: int, num_frames: int) -> None:
    found = tiny.embedding(name)(noise(num_samples))
    assert found.shape == (num_frames, WIDTH)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert np.array_equal(found, tiny.embedding(name)(noise(num_samples)))


@pytest.mark.parametrize("name", KINDS)
def test_the_last_layer_is_what_the_network_gives(tiny: Tiny, name: str) -> None:
    waveform = torch.from_numpy(noise()).unsqueeze(0)
    if name == "HUBERT_LARGE":
        waveform = (waveform - waveform.mean()) / torch.sqrt(waveform.var(unbiased=False) + 1e-5)
    with torch.no_grad():
        expected, _ = tiny.models[name](waveform)
    for layer in (-1, NUM_LAYERS - 1):
        found = tiny.embedding(name, layer=layer)(noise())
        np.testing.assert_allclose(found, expected[0].numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_a_layer_is_what_goes_into_the_next(tiny: Tiny, name: str) -> None:
    model, inputs = tiny.models[name], []
    for layer in model.encoder.transformer.layers:
        layer.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    waveform = torch.from_numpy(noise()).unsqueeze(0)
    if name == "HUBERT_LARGE":
        waveform = torch.nn.functional.layer_norm(waveform, waveform.shape)
    with torch.no_grad():
        model(waveform)
    for number in range(NUM_LAYERS - 1):
        for layer in (number, number - NUM_LAYERS):
            found = tiny.embedding(name, layer=layer)(noise())
            np.testing.assert_allclose(found, inputs[number + 1][0].numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_the_mean_is_over_the_frames(tiny: Tiny, name: str) -> None:
    frames, mean = (tiny.embedding(name, pooling=pooling)(noise()) for pooling in ("frames", "mean"))
    assert mean.shape == (1, WIDTH)
    np.testing.assert_allclose(mean[0], frames.mean(axis=0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("num_samples", [0, 1, 399])
def test_less_than_a_frame_is_too_short(num_samples: int) -> None:
    with pytest.raises(TooShort, match=f"{num_samples} samples at 16000 Hz, one frame needs 400"):
        Embedding(bundle="WAVLM_BASE")(noise(num_samples))


def test_samples_are_left_as_they_were(tiny: Tiny) -> None:
    both = np.stack([noise(), -noise()], axis=1)
    both.setflags(write=False)
    assert np.array_equal(tiny.embedding()(both[:, 0]), tiny.embedding()(noise()))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bundle": "WAV2VEC3"}, "unknown bundle 'WAV2VEC3'; choose one of: HUBERT_BASE, "),
        ({"bundle": "WAV2VEC2_ASR_BASE_960H"}, "unknown bundle"),
        ({"bundle": "HUBERT_BASE", "layer": 12}, "HUBERT_BASE has the layers 0 to 11, not 12"),
        ({"bundle": "HUBERT_LARGE", "layer": -25}, "HUBERT_LARGE has the layers 0 to 23, not -25"),
        ({"bundle": "HUBERT_BASE", "weights_sha256": "0" * 64}, "which is not given"),
        ({"bundle": "HUBERT_BASE", "weights": "a", "weights_sha256": "0" * 63}, "weights_sha256"),
        ({"bundle": "HUBERT_BASE", "pooling": "max"}, "pooling"),
        ({"bundle": "HUBERT_BASE", "sample_rate_hz": 8_000}, "sample_rate_hz"),
    ],
)
def test_impossible_configurations_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Embedding(**fields)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"bundle": "HUBERT_BASE"},
        {"layer": 5},
        {"pooling": "mean"},
        {"weights": "a.safetensors"},
        {"weights": "a.safetensors", "weights_sha256": "0" * 64},
    ],
)
def test_any_field_changes_the_fingerprint(change: dict[str, Any]) -> None:
    fields = {"bundle": "WAV2VEC2_BASE"}
    assert Embedding(**{**fields, **change}).fingerprint() != Embedding(**fields).fingerprint()


def test_the_file_must_be_the_one_that_was_meant(tiny: Tiny) -> None:
    sha256 = hashlib.sha256(pathlib.Path(tiny.files["WAV2VEC2_BASE"]).read_bytes()).hexdigest()
    assert np.array_equal(tiny.embedding(weights_sha256=sha256)(noise()), tiny.embedding()(noise()))
    with pytest.raises(ConfigurationError, match=f"{sha256}, expected {'0' * 64}"):
        tiny.embedding(weights_sha256="0" * 64)(noise())


def test_weights_that_do_not_fit_are_explained(tiny: Tiny, tmp_path: pathlib.Path) -> None:
    text = tmp_path / "text.safetensors"
    text.write_text("no tensors")
    with pytest.raises(ConfigurationError, match=r"text\.safetensors is no safetensors file"):
        tiny.embedding(weights=str(text))(noise())
    with pytest.raises(ConfigurationError, match=r"WAVLM_BASE\.safetensors does not fit WAV2VEC2_BASE.*names"):
        tiny.embedding(weights=tiny.files["WAVLM_BASE"])(noise())
    with pytest.raises(MissingError):
        tiny.embedding(weights=str(tmp_path / "gone"))(noise())


def test_without_a_file_torchaudio_downloads_numbers_only(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def download(url: str, **options: Any) -> dict[str, torch.Tensor]:
        asked.append((url, options))
        return dict(tiny.models["WAV2VEC2_BASE"].state_dict())

    monkeypatch.setattr("torchaudio.pipelines._wav2vec2.utils.load_state_dict_from_url", download)
    front_end = tiny.embedding(weights="")
    assert np.array_equal(front_end(noise()), tiny.embedding()(noise()))
    front_end = tiny.embedding(weights="", layer=0, pooling="mean")
    front_end(noise())
    front_end(noise())
    ((url, options), *more) = asked
    assert len(more) == 1, "one network is kept, and it was another one in between"
    assert url.startswith("https://download.pytorch.org/torchaudio/models/wav2vec2_")
    assert options["weights_only"] is True


@pytest.mark.parametrize("error", [urllib.error.URLError("no route"), RuntimeError("no central directory")])
def test_a_download_that_fails_says_where_to_put_the_file(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(url: str, **options: Any) -> None:
        raise error

    embedding._network.cache_clear()
    monkeypatch.setattr("torchaudio.pipelines._wav2vec2.utils.load_state_dict_from_url", refuse)
    with pytest.raises(ConfigurationError, match=r"WAVLM_BASE .*: put wavlm_base\.pth of .* into \$TORCH_HOME/hub"):
        Embedding(bundle="WAVLM_BASE")(noise())


def test_it_travels_to_another_process_without_its_network(tiny: Tiny) -> None:
    front_end = tiny.embedding()
    expected = front_end(noise())
    data = pickle.dumps(front_end)
    assert len(data) < 1_000
    assert np.array_equal(pickle.loads(data)(noise()), expected)


def test_torchaudio_is_not_waited_for() -> None:
    code = "import sys; from raysee.features.embedding import Embedding; Embedding(bundle='WAVLM_BASE');"
    code += "print('torchaudio' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False"]
