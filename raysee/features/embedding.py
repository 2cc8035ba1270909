"""Frame embeddings of networks trained on unlabelled speech: wav2vec 2.0, HuBERT, WavLM, through torchaudio's bundles.

One vector every 20 ms, from 25 ms of samples by a stack of convolutions and, beyond them, from the whole clip by a
transformer. Sources: Baevski et al. 2020 (wav2vec 2.0), Hsu et al. 2021 (HuBERT), Chen et al. 2022 (WavLM);
torchaudio.pipelines for architectures, weights and which of the networks want a standardised waveform, and for the
licence of the weights, which it says is MIT's.
"""

import functools
import hashlib
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from pydantic import Field, model_validator
from safetensors import SafetensorError

from raysee import storage
from raysee.audio.decode import Samples
from raysee.config import Config
from raysee.errors import ConfigurationError
from raysee.features.frontend import TooShort


class _Size(NamedTuple):
    num_layers: int  # of the transformer
    width: int


_BASE, _LARGE, _XLARGE = _Size(12, 768), _Size(24, 1_024), _Size(48, 1_280)
#: torchaudio's name of each network that was trained without labels -> its size.
BUNDLES: dict[str, _Size] = {
    "WAV2VEC2_BASE": _BASE,
    "WAV2VEC2_LARGE": _LARGE,
    "WAV2VEC2_LARGE_LV60K": _LARGE,
    "WAV2VEC2_XLSR53": _LARGE,
    "WAV2VEC2_XLSR_300M": _LARGE,
    "WAV2VEC2_XLSR_1B": _XLARGE,
    "WAV2VEC2_XLSR_2B": _Size(48, 1_920),
    "HUBERT_BASE": _BASE,
    "HUBERT_LARGE": _LARGE,
    "HUBERT_XLARGE": _XLARGE,
    "WAVLM_BASE": _BASE,
    "WAVLM_BASE_PLUS": _BASE,
    "WAVLM_LARGE": _LARGE,
}
_FRAME = 400  # samples that the convolutions of every bundle need


class Embedding(Config):
    """Configuration and function: samples (num_samples,) -> embeddings (num_frames, width), or their mean (1, width).

    Without `weights` torchaudio downloads its own, once, into $TORCH_HOME/hub/checkpoints; that file can also be put
    there by hand. With it, they are a safetensors file (a path or a URI) with torchaudio's names of parameters. The
    fingerprint knows the name of that file and not what is in it, unless `weights_sha256` is given: a file of
    another content is then refused.
    """

    kind: Literal["embedding"] = "embedding"
    version: int = 1  # raised when the numbers change
    bundle: str
    layer: int = -1  # of the transformer: 0 the first, -1 the last
    pooling: Literal["frames", "mean"] = "frames"
    weights: str = ""
    weights_sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    sample_rate_hz: Literal[16_000] = 16_000

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.bundle not in BUNDLES:
            raise ValueError(f"unknown bundle {self.bundle!r}; choose one of: {', '.join(sorted(BUNDLES))}")
        num_layers = BUNDLES[self.bundle].num_layers
        if not -num_layers <= self.layer < num_layers:
            raise ValueError(f"{self.bundle} has the layers 0 to {num_layers - 1}, not {self.layer}")
        if self.weights_sha256 and not self.weights:
            raise ValueError("weights_sha256 is the SHA-256 of the file `weights`, which is not given")
        return self

    @property
    def num_columns(self) -> int:
        """The width of the transformer."""
        return BUNDLES[self.bundle].width

    @property
    def typical_values(self) -> int:
        """The numbers in the array of a clip of 4 s, about."""
        return 200 * self.num_columns if self.pooling == "frames" else self.num_columns

    def __call__(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Embeddings (num_frames, width) of samples (num_samples,) in [-1, 1] at 16 kHz, or with "mean" (1, width).

        num_frames is floor((num_samples - 400) / 320) + 1. Raises TooShort below one frame, ConfigurationError where
        the weights cannot be had or do not fit.
        """
        if len(samples) < _FRAME:
            raise TooShort(f"{len(samples)} samples at {self.sample_rate_hz} Hz, one frame needs {_FRAME}")
        network = _network(self.bundle, self.weights, self.weights_sha256)
        frames = network.frames(torch.from_numpy(np.array(samples, np.float32)), self.layer)
        return (frames if self.pooling == "frames" else frames.mean(dim=0, keepdim=True)).numpy()


class _Network(NamedTuple):
    model: Any  # torchaudio.models.Wav2Vec2Model
    standardises: bool  # whether it wants a waveform of mean 0 and variance 1

    @torch.no_grad()
    def frames(self, samples_N: torch.Tensor, layer: int) -> torch.Tensor:
        """What a layer of the transformer gives, (num_frames, width); of the last layer what the network gives."""
        waveform_1N = samples_N.unsqueeze(0)
        if self.standardises:
            waveform_1N = torch.nn.functional.layer_norm(waveform_1N, waveform_1N.shape)
        transformer = self.model.encoder.transformer
        number = layer % len(transformer.layers) + 1
        outputs, _ = self.model.extract_features(waveform_1N, num_layers=number)
        frames: torch.Tensor = outputs[-1].squeeze(0)
        if number == len(transformer.layers) and not transformer.layer_norm_first:
            # The large networks normalise once more behind the last layer; extract_features leaves that out.
            frames = transformer.layer_norm(frames)
        return frames


@functools.lru_cache(maxsize=1)
def _network(bundle_name: str, weights: str, sha256: str) -> _Network:
    """The network of a bundle with its weights, one a process: it takes 0.4 to 8 GB."""
    import torchaudio  # takes a second, which only those who need it shall wait

    bundle = getattr(torchaudio.pipelines, bundle_name)
    make = {"Wav2Vec2": torchaudio.models.wav2vec2_model, "WavLM": torchaudio.models.wavlm_model}[bundle._model_type]
    state = _read(weights, sha256) if weights else _download(bundle_name, bundle)
    model = make(**bundle._params)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ConfigurationError(
            f"{weights or 'What torchaudio downloaded'} does not fit {bundle_name}: it needs torchaudio's names and "
            f"sizes of parameters. {' '.join(str(error).split())[:300]}"
        ) from error
    return _Network(model.eval(), bundle._normalize_waveform)


def _read(weights: str, sha256: str) -> dict[str, torch.Tensor]:
    data = storage.read_bytes(storage.normalise(weights))
    found = hashlib.sha256(data).hexdigest()
    if sha256 and found != sha256:
        raise ConfigurationError(f"{weights} has the SHA-256 {found}, expected {sha256}: give the file that was meant.")
    try:
        return safetensors.torch.load(data)
    except SafetensorError as error:
        raise ConfigurationError(f"{weights} is no safetensors file: {error}.") from error


def _download(bundle_name: str, bundle: Any) -> dict[str, torch.Tensor]:
    try:
        # weights_only: numbers, and nothing that could be executed.
        state: dict[str, torch.Tensor] = bundle._get_state_dict({"weights_only": True, "progress": False})
    except (OSError, RuntimeError) as error:  # no network, or half a file
        raise ConfigurationError(
            f"The weights of {bundle_name} cannot be had ({error}): put {bundle._path.rsplit('/', 1)[-1]} of "
            "torchaudio's models into $TORCH_HOME/hub/checkpoints, which is "
            "~/.cache/torch/hub/checkpoints where TORCH_HOME is not set."
        ) from error
    return state
