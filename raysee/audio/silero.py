"""Where somebody speaks, by Silero's detector (MIT), in one pass over the channels of a call side by side.

The network is written here as Silero's package has it, with the package's weights: what it says of one frame depends on
the frames before it only in its LSTM, so that all else is computed for many frames at once. One frame at a time, as the
package's own code and its ONNX model go, takes four times as long (docs/decisions.md).

B: channels of a call, T: samples, F: frames of 32 ms.
"""

import functools
import hashlib
import importlib.metadata
import importlib.util
import pathlib
import warnings

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from raysee.audio.decode import Samples
from raysee.audio.segments import FRAME_S, Probabilities

# The model has a part for 8 kHz, too, which is not used: of one caller in two real calls it misses a quarter of the
# speech that this part finds in the same call, resampled.
SAMPLE_RATE_HZ = 16_000
_SIZE = round(FRAME_S * SAMPLE_RATE_HZ)
_CONTEXT = _SIZE // 8
_LSTM = 128  # cells, and as many outputs, of one channel
_AT_ONCE = 512  # frames: what the layers say of more does not fit in a core's cache

# The package's names of the weights, and those below.
_NAMES = {
    "stft.forward_basis_buffer": "stft.weight",
    **{
        f"encoder.{number}.reparam_conv.{kind}": f"encoder.{2 * number}.{kind}"
        for number in range(4)
        for kind in ("weight", "bias")
    },
    **{f"decoder.rnn.{kind}": f"lstm.{kind}_l0" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")},
    "decoder.decoder.2.weight": "answer.weight",
    "decoder.decoder.2.bias": "answer.bias",
}


def is_installed() -> bool:
    """Whether Silero's package is here; it is not imported."""
    return importlib.util.find_spec("silero_vad") is not None


@functools.cache
def name() -> str:
    """Which model it is, for fingerprints: its major version, and a hash of its weights."""
    major = importlib.metadata.version("silero-vad").partition(".")[0]
    return f"silero-v{major}-{hashlib.sha256(_file().read_bytes()).hexdigest()[:8]}"


class Silero:
    """A pass over `num_channels` channels of 16 kHz: its state goes on from block to block.

    The model sees a frame after the last eighth of the one before it, and carries an LSTM's state. Probabilities are
    independent of the blocks that the samples come in, and of the other channels, but for rounding (1e-5).
    """

    def __init__(self, num_channels: int) -> None:
        self._waiting_BT = np.zeros((num_channels, _CONTEXT), np.float32)
        self._state = torch.zeros(2, 1, num_channels, _LSTM)

    @torch.inference_mode()
    def push(self, samples_BT: Samples) -> Probabilities:
        """Go on by these samples; (B, F), the probability of speech in each frame that they fill."""
        waiting_BT = np.concatenate([self._waiting_BT, samples_BT], axis=1)
        num_frames = (waiting_BT.shape[1] - _CONTEXT) // _SIZE
        self._waiting_BT = waiting_BT[:, num_frames * _SIZE :].copy()
        if not num_frames:
            return np.empty((len(samples_BT), 0), np.float32)
        frames_BFT = torch.from_numpy(waiting_BT).unfold(1, _CONTEXT + _SIZE, _SIZE)
        probabilities_BF, self._state = _network()(frames_BFT, self._state)
        found: Probabilities = probabilities_BF.numpy()
        return found


class _Network(nn.Module):
    """Spectra of a frame and four convolutions over them, an LSTM over frames, and one unit that answers."""

    def __init__(self) -> None:
        super().__init__()
        self.stft = nn.Conv1d(1, 258, 256, stride=128, bias=False)
        self.encoder = nn.Sequential(
            nn.Conv1d(129, 128, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(128, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv1d(64, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv1d(64, _LSTM, 3, padding=1),
            nn.ReLU(),
        )
        self.lstm = nn.LSTM(_LSTM, _LSTM)
        self.answer = nn.Conv1d(_LSTM, 1, 1)

    def forward(self, frames_BFT: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Frames with their context, and the LSTM's state (2, 1, B, 128) -> probabilities (B, F), next state."""
        num_channels, num_frames, _ = frames_BFT.shape
        frames_NT = frames_BFT.flatten(0, 1)
        encoded = [self._encode(frames_NT[first : first + _AT_ONCE]) for first in range(0, len(frames_NT), _AT_ONCE)]
        encoded_BFC = torch.cat(encoded).view(num_channels, num_frames, -1)
        heard_FBC, (hidden, cell) = self.lstm(encoded_BFC.transpose(0, 1), (state[0], state[1]))
        answer_B1F = self.answer(functional.relu(heard_FBC).permute(1, 2, 0))
        return torch.sigmoid(answer_B1F).squeeze(1), torch.stack([hidden, cell])

    def _encode(self, frames_NT: Tensor) -> Tensor:
        """Frames with their context -> (N, 128)."""
        real, imaginary = self.stft(functional.pad(frames_NT[:, None], (0, _CONTEXT), mode="reflect")).chunk(2, dim=1)
        encoded: Tensor = self.encoder(torch.sqrt(real**2 + imaginary**2))
        return encoded.squeeze(-1)


@functools.cache
def _network() -> _Network:
    """The network in this process."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of TorchScript, which the file is
        theirs = torch.jit.load(_file()).state_dict()  # type: ignore[no-untyped-call]
    network = _Network().eval()
    network.load_state_dict({ours: theirs[f"_model.{name}"] for name, ours in _NAMES.items()})
    return network


def _file() -> pathlib.Path:
    # Not the package's silero_vad_16k.safetensors: those weights are another release's, and say something else.
    # Not by importlib.resources, which imports the package: that sets PyTorch's number of threads.
    spec = importlib.util.find_spec("silero_vad")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return pathlib.Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.jit"
