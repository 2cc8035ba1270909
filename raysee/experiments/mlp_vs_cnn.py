"""An MLP over 180 means and CNNs over 180 rows of RAVDESS: accuracy and time."""

from collections.abc import Sequence

from raysee.experiments.experiment import Choice, Claim, Derived, Experiment, Run
from raysee.report.published import MLP_VS_CNN as PUBLISHED
from raysee.report.published import MLP_VS_CNN_NOTES

_ALL = ("anger", "calm", "disgust", "fear", "happiness", "sadness", "surprise")  # neutral is left out
_BIG_FOUR = ("anger", "fear", "happiness", "sadness")
#: Column -> model and labels. The features of the study are not scaled; the second MLP is to show what that costs.
_COLUMNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "MLP": ("mlp", _ALL),
    "MLP-standardised": ("mlp-standardised", _ALL),
    "CNN": ("array-cnn", _ALL),
    "MLP-big-four": ("mlp", _BIG_FOUR),
    "CNN-big-four": ("array-cnn-big-four", _BIG_FOUR),
    "CNN-MFCC": ("array-cnn-mfcc", _ALL),
    "CNN-mel": ("array-cnn-mel", _ALL),
}
_SPLITS = {"mlp-vs-cnn": "random quarter", "strict": "by speaker"}


def plan(corpora: Sequence[str], choice: Choice) -> list[Run | Derived]:
    """One run a column and split, on speech and songs together where both are there."""
    runs: list[Run | Derived] = []
    for column in MLP_VS_CNN.wanted(choice):
        model, labels = _COLUMNS[column]
        for protocol, split in _SPLITS.items():
            if choice.protocol not in ("", protocol):
                continue
            published = PUBLISHED.get(column, {}) if protocol == "mlp-vs-cnn" else {}
            claims = (
                Claim(
                    f"{column}, {split}: training", "training accuracy", published.get("training"), ("runs", "samples")
                ),
                Claim(f"{column}, {split}: test", "accuracy", published.get("test"), ("runs", "baseline", "classes")),
                Claim(f"{column}, {split}: UAR", "UAR"),
                Claim(f"{column}, {split}: seconds", "training seconds", published.get("seconds"), ("seconds",)),
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
