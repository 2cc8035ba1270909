"""An MLP over 180 means and CNNs over 180 rows of RAVDESS: accuracy and time."""

from collections.abc import Sequence

from raysee.experiments.experiment import Choice, Claim, Derived, Experiment, Run
from raysee.report.published import MLP_VS_CNN as PUBLISHED
from raysee.report.published import MLP_VS_CNN_NOTES

_ALL = ("anger", "calm", "disgust", "fear", "happiness", "sadness", "surprise")  # neutral is left out
_BIG_FOUR = ("anger", "fear", "happiness", "sadness")
#: Column -> model and labels. The flat features of the study are not scaled; the second MLP is to show what that costs.
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
_AN_EPOCH = "seconds an epoch"  # which the study has of the CNN alone
#: What of a run -> figure and footnotes.
_FIGURES: dict[str, tuple[str, tuple[str, ...]]] = {
    "training": ("training accuracy", ("runs", "samples")),
    "test": ("accuracy", ("runs", "baseline", "classes")),
    "UAR": ("UAR", ()),
    "seconds": ("training seconds", ("seconds",)),
    _AN_EPOCH: ("seconds an epoch", ("seconds",)),
}


def plan(corpora: Sequence[str], choice: Choice) -> list[Run | Derived]:
    """One run a column and split, on speech and songs together where both are there."""
    runs: list[Run | Derived] = []
    for column in MLP_VS_CNN.wanted(choice):
        model, labels = _COLUMNS[column]
        for protocol, split in _SPLITS.items():
            if choice.protocol not in ("", protocol):
                continue
            published = PUBLISHED.get(column, {}) if protocol == "mlp-vs-cnn" else {}
            claims = [
                Claim(f"{column}, {split}: {what}", figure, published.get(what), notes, MLP_VS_CNN.corpora)
                for what, (figure, notes) in _FIGURES.items()
                if what in published or what != _AN_EPOCH
            ]
            config = choice.configure(model=model, protocol=protocol, corpora=tuple(corpora), labels=labels)
            runs.append(Run(config, tuple(claims)))
    return runs


MLP_VS_CNN = Experiment(
    title="Flat features and an MLP, arrays of features and a CNN",
    source="Duane, Speech Emotion Recognition",
    corpora=("ravdess", "ravdess_song"),
    columns=tuple(_COLUMNS),
    plan=plan,
    notes=MLP_VS_CNN_NOTES,
)
