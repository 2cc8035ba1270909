"""Where somebody speaks, by Silero's detector (MIT), in one pass over many recordings side by side.

B: recordings (a channel of a call is one), T: samples, F: frames of 32 ms.
"""

import functools
import hashlib
import importlib.metadata
import importlib.util
import pathlib
from typing import Any

import numpy as np

from raysee.audio.decode import Samples
from raysee.audio.segments import FRAME_S, Probabilities

# The model has a part for 8 kHz, too, which is not used: of one caller in two real calls it misses a quarter of the
# speech that this part finds in the same call, resampled.
SAMPLE_RATE_HZ = 16_000
_SIZE = round(FRAME_S * SAMPLE_RATE_HZ)
_CONTEXT = _SIZE // 8
_LSTM = 128  # cells, and as many outputs, of one recording


def is_installed() -> bool:
    """Whether onnxruntime and Silero's model are here; neither is imported."""
    return all(importlib.util.find_spec(package) is not None for package in ("onnxruntime", "silero_vad"))


@functools.cache
def name() -> str:
    """Which model it is, for fingerprints: its major version, and a hash of its weights."""
    major = importlib.metadata.version("silero-vad").partition(".")[0]
    return f"silero-v{major}-{hashlib.sha256(_model().read_bytes()).hexdigest()[:8]}"


class Silero:
    """A pass over `num_recordings` recordings of 16 kHz: its state goes on from block to block.

    The model sees a frame after the last eighth of the one before it, and carries an LSTM's state. Probabilities
    are independent of the blocks that the samples come in, and but for rounding (1e-6) of the other recordings.
    """

    def __init__(self, num_recordings: int) -> None:
        self._waiting_BT = np.zeros((num_recordings, _CONTEXT), np.float32)
        self._state = np.zeros((2, num_recordings, _LSTM), np.float32)

    def push(self, samples_BT: Samples) -> Probabilities:
        """Go on by these samples; (B, F), the probability of speech in each frame that they fill.

        Recordings that are over may be left off at the end of B, for good.
        """
        num_recordings = len(samples_BT)
        waiting_BT = np.concatenate([self._waiting_BT[:num_recordings], samples_BT], axis=1)
        state = self._state[:, :num_recordings]
        num_frames = (waiting_BT.shape[1] - _CONTEXT) // _SIZE
        probabilities_BF = np.empty((num_recordings, num_frames), np.float32)
        for frame in range(num_frames):
            start = frame * _SIZE
            heard_BT = np.ascontiguousarray(waiting_BT[:, start : start + _CONTEXT + _SIZE])
            feed = {"input": heard_BT, "state": np.ascontiguousarray(state), "sr": np.array(SAMPLE_RATE_HZ)}
            probability_B1, state = _session().run(None, feed)
            probabilities_BF[:, frame] = probability_B1[:, 0]
        self._state = state
        self._waiting_BT = waiting_BT[:, num_frames * _SIZE :].copy()
        return probabilities_BF


@functools.cache
def _session() -> Any:
    """The model in this process, on one core: workers are what fills the others."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors: what it warns of is how the model was exported
    return onnxruntime.InferenceSession(str(_model()), options, providers=["CPUExecutionProvider"])


def _model() -> pathlib.Path:
    # Not by importlib.resources, which imports the package: that imports torch and sets its number of threads.
    spec = importlib.util.find_spec("silero_vad")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return pathlib.Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.onnx"
