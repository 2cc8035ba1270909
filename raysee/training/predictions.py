"""What the models of a cross-validation say, as tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysee import schema
from raysee.config import Pooling, RunConfig
from raysee.evaluation.aggregate import by_clip
from raysee.evaluation.calibration import fit_temperature
from raysee.evaluation.folds import Fold
from raysee.evaluation.protocols import protocol
from raysee.models.score_lstm import ScoreLstm
from raysee.training.aggregation import of_clips
from raysee.training.clips import Array, Clips, Examples, Indices
from raysee.training.fit import FoldResult


def predictions(
    config: RunConfig, clips: Clips, seen: Examples, labels: Sequence[str], fold: Fold, result: FoldResult
) -> pa.Table:
    """One row of schema.PREDICTIONS a clip of which examples were tested."""
    tested, probabilities = of_clips(result.probabilities, seen.clip[fold.test], config.aggregation, result.lstm)
    return _table(clips, seen, labels, fold, result, tested, probabilities).cast(schema.PREDICTIONS)


def example_predictions(
    clips: Clips, seen: Examples, labels: Sequence[str], fold: Fold, result: FoldResult
) -> pa.Table:
    """One row of schema.EXAMPLES an example that was tested or validated."""
    parts = [("test", fold.test, result.probabilities), ("validation", fold.validation, result.validation)]
    tables = []
    for part, positions, probabilities in parts:
        if len(positions):
            table = _table(clips, seen, labels, fold, result, seen.clip[positions], probabilities)
            named = table.append_column("part", pa.array([part] * len(positions)))
            tables.append(named.append_column("example", pa.array(positions)))
    return pa.concat_tables(tables).select(schema.EXAMPLES.names).cast(schema.EXAMPLES)


def whole_clips(examples: pa.Table, aggregation: Pooling) -> pa.Table:
    """One row of schema.PREDICTIONS a repeat and clip, of all of its examples that were tested, in whichever fold.

    `examples` is of schema.EXAMPLES. Where examples are split, a clip's are in several folds, and each fold by itself
    would answer for a part of it. So that nobody takes these clips for those of a fold, their fold is 0.
    """
    tested = examples.filter(pc.equal(examples["part"], "test"))
    ids = zip(tested["repeat"].to_pylist(), tested["clip_id"].to_pylist(), strict=True)
    clip_of = pa.array([f"{repeat} {clip_id}" for repeat, clip_id in ids]).dictionary_encode().indices.to_numpy()
    _, first = np.unique(clip_of, return_index=True)
    _, probabilities = by_clip(np.array(tested["probabilities"].to_pylist(), np.float32), clip_of, aggregation)
    said = tested.take(first)
    labels = tested["labels"][0].as_py()
    answers = {
        "fold": pa.array([0] * len(first), pa.int32()),
        "predicted": pa.array([labels[index] for index in probabilities.argmax(axis=1)]),
        "probabilities": pa.array(list(probabilities)),
    }
    for name, values in answers.items():
        said = said.set_column(said.schema.get_field_index(name), name, values)
    return said.select(schema.PREDICTIONS.names).cast(schema.PREDICTIONS)


def temperature(
    config: RunConfig,
    clips: Clips,
    seen: Examples,
    labels: Sequence[str],
    fold: Fold,
    validation: Array,
    lstm: ScoreLstm | None = None,
) -> float | None:
    """What calibrates a model, of what it says of the examples of the validation part, (num_examples, num_labels).

    An `lstm` that answers for clips is part of the model; it has not heard the validation part.

    None where nothing is validated, and where what is validated is the test part.
    """
    if not len(fold.validation) or protocol(config.protocol).validation == "test":
        return None
    held, probabilities = of_clips(validation, seen.clip[fold.validation], config.aggregation, lstm)
    return fit_temperature(probabilities, np.array([labels.index(clips.labels[clip]) for clip in held.tolist()]))


def _table(
    clips: Clips,
    seen: Examples,
    labels: Sequence[str],
    fold: Fold,
    result: FoldResult,
    clip_of: Indices,
    probabilities: Array,
) -> pa.Table:
    trained = np.unique(seen.clip[fold.train]).tolist()
    speakers = {clips.speakers[clip] for clip in trained}
    sentences = {clips.sentences[clip] for clip in trained}

    def column(values: Sequence[Any]) -> list[Any]:
        return [values[clip] for clip in clip_of.tolist()]

    sentence_heard = [None if one is None else one in sentences for one in clips.sentences]
    return pa.table(
        {
            "clip_id": column(clips.clip_ids),
            "speaker": column(clips.speakers),
            "gender": pa.array(column(clips.genders), pa.string()),
            "repeat": [result.repeat] * len(clip_of),
            "fold": [result.fold] * len(clip_of),
            "speaker_heard": column([speaker in speakers for speaker in clips.speakers]),
            "sentence_heard": pa.array(column(sentence_heard), pa.bool_()),
            "label": column(clips.labels),
            "predicted": [labels[index] for index in probabilities.argmax(axis=1).tolist()],
            "labels": [list(labels)] * len(clip_of),
            "probabilities": list(probabilities),
        }
    )
