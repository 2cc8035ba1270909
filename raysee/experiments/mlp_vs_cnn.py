"""An MLP over 180 means and CNNs over 180 rows of RAVDESS: accuracy and time."""

from collections.abc import Sequence

from raysee.experiments.experiment import Choice, Claim, Derived, Experiment, Run
from raysee.report.published import MLP_VS_CNN_NOTES

_ALL = ("anger", "calm", "disgust", "fear", "happiness", "sadness", "surprise")  # neutral is left out
_BIG_FOUR = ("anger", "fear", "happiness", "sadness")
#: Column -> model, labels, and the published training accuracy, test accuracy and seconds.
_COLUMNS: dict[str, tuple[str, tuple[str, ...], tuple[float | None, float | None, float | None]]] = {
    "MLP": ("mlp", _ALL, (0.69, 0.63, 27.43)),
    "CNN": ("array-cnn", _ALL, (0.62, 0.57, 537.41)),
    "MLP, four emotions": ("mlp", _BIG_FOUR, (None, None, None)),
    "CNN, four emotions": ("array-cnn-big-four", _BIG_FOUR, (None, None, None)),
    "CNN, MFCC": ("array-cnn-mfcc", _ALL, (None, None, None)),
    "CNN, mel": ("array-cnn-mel", _ALL, (None, None, None)),
}
_SPLITS = {"mlp-vs-cnn": "random quarter", "strict": "by speaker"}


def plan(corpora: Sequence[str], choice: Choice) -> list[Run | Derived]:
    """One run a column and split, on speech and songs together where both are there."""
    runs: list[Run | Derived] = []
    for column in MLP_VS_CNN.wanted(choice):
        model, labels, published = _COLUMNS[column]
        for protocol, split in _SPLITS.items():
            if choice.protocol not in ("", protocol):
                continue
            training, test, seconds = published if protocol == "mlp-vs-cnn" else (None, None, None)
            claims = (
                Claim(f"{column}, {split}: training", "training accuracy", training, ("runs",)),
                Claim(f"{column}, {split}: test", "accuracy", test, ("runs",)),
                Claim(f"{column}, {split}: UAR", "UAR"),
                Claim(f"{column}, {split}: seconds", "training seconds", seconds, ("seconds",)),
            )
            config = choice.configure(model=model, protocol=protocol, corpora=tuple(corpora), labels=labels)
            runs.append(Run(config, claims))
    return runs


MLP_VS_CNN = Experiment(
    title="Flat features and an MLP, arrays of features and a CNN",
    source="Duane, Speech Emotion Recognition",
    corpora=("ravdess", "ravdess_song"),
    columns=tuple(_COLUMNS),
    plan=plan,
    notes=MLP_VS_CNN_NOTES,
)
