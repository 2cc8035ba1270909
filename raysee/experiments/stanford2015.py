"""A student report's CNNs, LSTMs and classifiers on half-second chunks of EMO-DB, SAVEE and eNTERFACE'05."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raysee.config import RunConfig
from raysee.corpora import CORPORA
from raysee.errors import ConfigurationError
from raysee.evaluation.intervals import accuracy, speaker_interval
from raysee.evaluation.metrics import confusions_by
from raysee.evaluation.protocols import protocol
from raysee.experiments.experiment import Choice, Claim, Derived, Experiment, Run
from raysee.experiments.readings import Value
from raysee.models import CLASSIFIERS
from raysee.models.classical import fit_predict
from raysee.report.published import STANFORD_2015, STANFORD_NOTES

#: The report's classes; EMO-DB's boredom is none of them.
_LABELS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
_MODELS = {
    **{name: f"stanford-{name.lower()}" for name in ("S1", "S2", "S3", "S4", "R1", "R2", "R3", "R4", "R5", "R6")},
    **{"SVM": "linear-svm", "softmax": "softmax", "FC2": "fc2", "FC3": "fc3"},
    **{"FC2-spectrogram": "fc2", "FC3-spectrogram": "fc3"},
}
_CORPORA = ("emodb", "savee", "enterface")
_ALONE = ("enterface",)  # that R7 and the LSTM are of
#: Footnotes of models beside that on the data.
_NOTES = {
    **{"S2": ("S2", "no validation"), "R1": ("no validation",), "R3": ("R3",)},
    **{"SVM": ("linear",), "softmax": ("linear",)},
    **dict.fromkeys(("FC2", "FC3", "FC2-spectrogram", "FC3-spectrogram"), ("connected",)),
}
_SPECTROGRAM = "-spectrogram"
_AUGMENTED = "R7"
_NO_ENTERFACE = "it is of enterface alone, which is none of the corpora here: see `raysee manifest` and --corpora."
_SEQUENCES = {"LSTM": "chunk-lstm", "CNN-LSTM": "cnn-lstm", "CNN-BLSTM": "cnn-blstm"}
_ON_CLASS_SCORES = ("naive-bayes", "softmax", "lda", "qda", "gmm")
_ENSEMBLES = "ER2"


def plan(corpora: Sequence[str], choice: Choice) -> list[Run | Derived]:
    """The models over chunks of all corpora, the sequences over eNTERFACE'05, and what is made of the former."""
    wanted = STANFORD.wanted(choice)
    together = functools.partial(_configure, choice, corpora)
    runs: list[Run | Derived] = []
    for column in wanted:
        if column in _MODELS:
            config = together(_MODELS[column], **({"features": "chunks64"} if column.endswith(_SPECTROGRAM) else {}))
            trained = () if _MODELS[column] in CLASSIFIERS else ("epochs",)
            claims = [_by_chunk(column, column, "data", *_NOTES.get(column, ()), *trained)]
            if column == "R1":
                # Where whole clips are split, all of a clip's chunks are tested and averaged.
                notes = ("data", "epochs", *(["ER1"] if protocol(config.protocol).split == "example" else []))
                claims.append(Claim("ER1: R1 averaged over time", "accuracy", STANFORD_2015["ER1"], notes, _CORPORA))
            runs.append(Run(config, tuple(claims)))
        elif column in _SEQUENCES:
            config = _configure(choice, _ALONE if "enterface" in corpora else corpora, _SEQUENCES[column])
            claim = Claim(f"{column}, files", "accuracy", STANFORD_2015.get(column), ("LSTM",), _ALONE)
            runs.append(Run(config, (claim,)))
        elif column == _AUGMENTED:
            config = _configure(choice, _ALONE, _MODELS["R1"], augmented="chunks64-augmented")
            claim = Claim("R7", "example accuracy", STANFORD_2015["R7"], ("R7",), _ALONE)
            runs.append(Run(config, (claim,), "" if "enterface" in corpora else _NO_ENTERFACE))
    r1, r3 = together(_MODELS["R1"]), together(_MODELS["R3"])
    if _ENSEMBLES in wanted:
        runs.append(Derived((r1, r3), together_accuracy, _by_chunk("ER2: R1 and R3", "ER2", "data", "R3", "epochs")))
    for name in _ON_CLASS_SCORES:
        column = f"R1+{name}"
        if column in wanted:
            claim = _by_chunk(f"{name} on R1's class scores", column, "class scores")
            runs.append(Derived((r1,), functools.partial(class_score_accuracy, name), claim))
    return runs


def _by_chunk(what: str, column: str, *notes: str) -> Claim:
    published = STANFORD_2015[column.removesuffix(_SPECTROGRAM)]
    return Claim(what, "example accuracy", published, (*notes, "cleaned"), _CORPORA)


def _configure(choice: Choice, corpora: Sequence[str], model: str, **fields: Any) -> RunConfig:
    return choice.configure(
        model=model,
        # A network over all chunks of a file sees files, which are then what is shuffled.
        protocol=choice.protocol or ("stanford2015-file" if model in _SEQUENCES.values() else "stanford2015"),
        corpora=tuple(corpora),
        labels=tuple(label for label in _LABELS if any(label in CORPORA[corpus].labels for corpus in corpora)),
        **fields,
    )


def together_accuracy(runs: Sequence[pa.Table]) -> Value:
    """Of the mean of several runs' probabilities for each test example, tables of schema.EXAMPLES."""
    keys = ("repeat", "fold", "example")
    tested = [_part(run, "test").sort_by([(key, "ascending") for key in keys]) for run in runs]
    assert all(run.select(keys).equals(tested[0].select(keys)) for run in tested), "the same split and features"
    return _accuracy(_answered(tested[0], np.mean([_probabilities(run) for run in tested], axis=0)))


def class_score_accuracy(classifier: str, runs: Sequence[pa.Table]) -> Value:
    """Of a classifier that is fitted on a network's class scores for validation examples, for test examples.

    The report does not say which scores it fits on; those of the training part would be those of a network that knows
    these examples by heart. A class score is the logarithm of a probability. Each fold has a classifier of its own,
    because its test examples validate another one. Raises ConfigurationError where nothing was validated.
    """
    (run,) = runs
    if _part(run, "validation").num_rows == 0:
        raise ConfigurationError("its protocol validates nothing, and class scores are fitted on validation examples.")
    trainings = sorted(set(zip(run["repeat"].to_pylist(), run["fold"].to_pylist(), strict=True)))
    answered = [
        _by_class_scores(classifier, run.filter(pc.and_(pc.equal(run["repeat"], repeat), pc.equal(run["fold"], fold))))
        for repeat, fold in trainings
    ]
    return _accuracy(pa.concat_tables(answered))


def _by_class_scores(classifier: str, run: pa.Table) -> pa.Table:
    fitted, tested = _part(run, "validation"), _part(run, "test")
    labels = fitted["labels"][0].as_py()
    # A class without a validation example cannot be fitted, and is never the answer.
    present = sorted(set(fitted["label"].to_pylist()), key=labels.index)
    classes = np.array([present.index(label) for label in fitted["label"].to_pylist()])
    spec = CLASSIFIERS[classifier]
    scores, tested_scores = (np.log(np.maximum(_probabilities(part), 1e-12)) for part in (fitted, tested))
    answer = fit_predict(spec, spec.grid[0], scores, classes, tested_scores, seed=0)
    columns = np.zeros((len(answer), len(labels)))
    columns[:, [labels.index(label) for label in present]] = answer
    return _answered(tested, columns)


def _part(run: pa.Table, part: str) -> pa.Table:
    return run.filter(pc.equal(run["part"], part))


def _probabilities(run: pa.Table) -> npt.NDArray[np.float32]:
    return np.array(run["probabilities"].to_pylist(), np.float32)


def _answered(tested: pa.Table, probabilities: npt.NDArray[np.floating[Any]]) -> pa.Table:
    """The tested examples with the most probable label as what is predicted."""
    predicted = np.array(tested["labels"][0].as_py())[probabilities.argmax(axis=1)]
    place = tested.schema.get_field_index("predicted")
    return tested.set_column(place, tested.schema.field(place), pa.array(predicted, pa.string()))


def _accuracy(answered: pa.Table) -> Value:
    _, confusion_SKK = confusions_by(answered, "speaker", answered["labels"][0].as_py())
    interval = speaker_interval(confusion_SKK, accuracy) or (None, None)
    return Value(float(accuracy(confusion_SKK.sum(axis=0))), None, *interval)


STANFORD = Experiment(
    title="CNNs, LSTMs and classifiers on chunks of half a second: accuracy by chunk",
    source="a student report of 2015",
    corpora=_CORPORA,
    columns=(*_MODELS, _AUGMENTED, *_SEQUENCES, _ENSEMBLES, *(f"R1+{name}" for name in _ON_CLASS_SCORES)),
    plan=plan,
    notes=STANFORD_NOTES,
)
