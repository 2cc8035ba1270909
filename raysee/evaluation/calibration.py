"""Probabilities that mean what they say, by temperature scaling.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2. N clips, K classes.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]

#: Of the trainings of a cross-validation, by repeat and fold.
Temperatures = Mapping[tuple[int, int], float]

_BOUNDS = (0.05, 20.0)  # clips that are all answered rightly, or all wrongly, have no best temperature between these
_LEAST = 1e-12  # shares of votes, and medians, can be 0, which has no logarithm


def fit_temperature(probabilities: npt.NDArray[np.floating[Any]], targets: npt.NDArray[np.int64]) -> float:
    """The temperature in [0.05, 20] with the lowest negative log-likelihood of `targets` (N,), numbers of classes.

    `probabilities` (N, K) are enough: their logarithms are logits but for a constant of each clip, whatever gave them.
    1.0 where there is nothing to learn it from: no clip, clips of one class alone, or answers that prefer no class.
    """
    if len(np.unique(targets)) < 2:
        return 1.0
    from scipy.optimize import minimize_scalar  # half a second, which a worker that only scores has not

    logits = _logits(probabilities)
    true = logits[np.arange(len(targets)), targets]

    def loss(log_temperature: float) -> float:
        temperature = np.exp(log_temperature)
        return float((np.log(np.exp(logits / temperature).sum(axis=1)) - true / temperature).mean())

    # It is convex in 1 / T, so that there is one valley in log T too.
    found = minimize_scalar(loss, bounds=np.log(_BOUNDS), method="bounded").x
    return float(np.exp(found)) if loss(found) < loss(0.0) else 1.0


def apply(probabilities: npt.NDArray[np.floating[Any]], temperature: float) -> Floats:
    """Calibrated probabilities (N, K) in the same order, so that no answer changes.

    They are float64 for that: a high temperature would make equal ones of two float32 that differ in their last bit.
    """
    if temperature == 1.0:
        return probabilities.astype(np.float64)
    raised = np.exp(_logits(probabilities) / temperature)
    scaled: Floats = raised / raised.sum(axis=1, keepdims=True)
    return scaled


def calibrated(predictions: pa.Table, temperatures: Temperatures) -> Floats:
    """Probabilities (num_rows, K) of schema.PREDICTIONS by the temperature of each row's training, 1 where it has none.

    There must be a row.
    """
    repeats, folds = (predictions[name].to_numpy() for name in ("repeat", "fold"))
    flat = pc.list_flatten(predictions["probabilities"]).to_numpy()
    found: Floats = flat.reshape(predictions.num_rows, -1).astype(np.float64)
    for (repeat, fold), temperature in temperatures.items():
        rows = (repeats == repeat) & (folds == fold)
        found[rows] = apply(found[rows], temperature)
    return found


def mean_temperature(temperatures: Iterable[float]) -> float:
    """The geometric mean, for a model of the same kind; 1.0 of none."""
    logarithms = [np.log(one) for one in temperatures]
    return float(np.exp(np.mean(logarithms))) if logarithms else 1.0


def _logits(probabilities: npt.NDArray[np.floating[Any]]) -> Floats:
    """Logarithms (N, K), 0 for the answer: nothing overflows at any temperature."""
    logarithms = np.log(np.maximum(probabilities.astype(np.float64), _LEAST))
    logits: Floats = logarithms - logarithms.max(axis=1, keepdims=True)
    return logits
