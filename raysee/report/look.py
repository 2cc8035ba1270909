"""A corpus in the lake -> one HTML page that shows what is in it, before any feature is made."""

import collections
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from raysee import lake, schema, storage
from raysee.audio.decode import Samples, decode
from raysee.audio.measure import BELOW_LOUDEST_DB, Measures, measure
from raysee.audio.resample import mono, resample
from raysee.corpora.manifest import about
from raysee.emotions import count_schemes
from raysee.errors import AudioError, MissingError
from raysee.features.logmel import LogMel
from raysee.progress import OnProgress, quiet
from raysee.report.examples import Example
from raysee.report.figures import Picture, histograms, spectrograms
from raysee.report.provenance import provenance
from raysee.report.template import render

MOST_ROWS = 50  # of a list; a count says how many more there are
MOST_SPEAKERS = 120
CLIPPING_RUN = 3  # samples in a row at full scale: one or two are also where a recording was scaled to its peak

_DEFAULT_NAME = "look.html"
_SAID = ("label", "speaker", "sentence", "intensity", "repetition")
_COLUMNS = ("clip_id", "uri", "start_s", "end_s", "gender", "language", "emotion", *_SAID)
_SHOWN = LogMel(num_bands=40)
_FFT_SIZE = 1024
_SHORTEST_S = 0.1  # of an example


class Heard(NamedTuple):
    """A row of schema.UTTERANCES and what was measured."""

    row: dict[str, Any]
    measures: Measures


class Problem(NamedTuple):
    """A clip that cannot be measured, or a reject of the manifest."""

    name: str
    error: str
    message: str


class Spread(NamedTuple):
    """The quartiles of some numbers."""

    lowest: float
    quarter: float
    median: float
    three_quarters: float
    highest: float


@dataclass(frozen=True)
class LabelRow:
    """The clips of one of the corpus's categories. Spreads are None where none of them can be measured."""

    label: str
    emotion: str
    num_clips: int
    genders: dict[str, int]
    num_speakers: int
    audio_s: float
    duration: Spread | None
    level: Spread | None
    silent: Spread | None
    leading: Spread | None
    trailing: Spread | None


@dataclass(frozen=True)
class SpeakerRow:
    """The clips of one speaker by label."""

    speaker: str
    gender: str
    counts: list[int]


@dataclass(frozen=True)
class Duplicates:
    """Clips with the same sound, and what the manifest says differently of them."""

    clips: list[dict[str, Any]]
    differ: list[str]


def look(root: str, corpus_name: str, out: str | None = None, on_progress: OnProgress = quiet) -> str:
    """Measure every clip in the manifest of `corpus_name` below the lake `root`, and draw one page of it.

    Returns the URI of the page: `out`, or `look.html` beside the manifest. Clips that cannot be read are listed on it.
    Raises ConfigurationError where there is no manifest, StorageError where a store refuses or does not answer.
    """
    root = storage.normalise(root)
    receipt = about(root, corpus_name)
    corpus, place = receipt.details["about"], lake.utterances(root, corpus_name)
    uri = storage.join(place, _DEFAULT_NAME) if out is None else storage.normalise(out)
    rows = storage.read_table(storage.join(place, "clips"), schema.UTTERANCES, _COLUMNS).to_pylist()
    rejects = storage.read_table(storage.join(place, "rejects"), schema.REJECTS).to_pylist()
    heard, unread = _listen(rows, on_progress)
    found = collections.Counter(row["label"] for row in rows)
    labels = [*(label for label in corpus["labels"] if label in found), *sorted(found.keys() - set(corpus["labels"]))]
    speakers = _speakers(rows, labels)
    synthetic = bool(receipt.details["synthetic"])
    page = render(
        "look.html",
        corpus=corpus,
        place=place,
        synthetic=synthetic,
        num_clips=len(rows),
        languages=dict(collections.Counter(row["language"] for row in rows).most_common()),
        genders=dict(sorted(collections.Counter(one.gender for one in speakers).items())),
        labels=[_label(label, rows, heard) for label in labels],
        schemes=count_schemes([row["label"] for row in rows], [row["emotion"] for row in rows]),
        speakers=speakers,
        most_speakers=MOST_SPEAKERS,
        most_rows=MOST_ROWS,
        heard=heard,
        audio_s=sum(one.measures.duration_s for one in heard),
        rates=_counted(f"{one.measures.sample_rate_hz:,} Hz" for one in heard),
        channels=_counted(str(one.measures.num_channels) for one in heard),
        pictures=_pictures(heard, labels, synthetic),
        level=spread(one.measures.level_dbfs for one in heard),
        full_scale=[one for one in heard if one.measures.clipped_share > 0],
        clipping=_clipping(heard),
        clipping_run=CLIPPING_RUN,
        below_loudest_db=BELOW_LOUDEST_DB,
        duplicates=duplicates(heard),
        examples=_examples(heard, labels, synthetic),
        unread=unread,
        unread_by_error=_counted(problem.error for problem in unread),
        rejects=[Problem(storage.basename(one["uri"]), one["error"], one["message"]) for one in rejects],
        rejects_by_error=_counted(one["error"] for one in rejects),
        provenance=provenance(place, receipt),
    )
    storage.write_bytes(uri, page.encode())
    return uri


def spread(values: Iterable[float]) -> Spread | None:
    """The quartiles of `values`, or None where there are none."""
    every = np.fromiter(values, np.float64)
    return Spread(*np.quantile(every, [0, 0.25, 0.5, 0.75, 1]).tolist()) if len(every) else None


def duplicates(heard: Sequence[Heard]) -> list[Duplicates]:
    """Clips whose files hold the same bytes, and that are the same part of them."""
    same: dict[tuple[Any, ...], list[dict[str, Any]]] = collections.defaultdict(list)
    for row, measures in heard:
        same[measures.content_sha256, row["start_s"], row["end_s"]].append(row)
    return [
        Duplicates(rows, [name for name in _SAID if len({row[name] for row in rows}) > 1])
        for rows in same.values()
        if len(rows) > 1
    ]


def power_db(samples: Samples) -> npt.NDArray[np.float32]:
    """The power spectrum (num_frames, num_bins) of the frames that the log-mels are made of, in dB."""
    size, hop = (round(ms * _SHOWN.sample_rate_hz / 1000) for ms in (_SHOWN.frame_ms, _SHOWN.hop_ms))
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(size), _FFT_SIZE))
    decibels: npt.NDArray[np.float32] = (20 * np.log10(np.maximum(spectrum, 1e-7))).astype(np.float32)
    return decibels


def _listen(rows: Sequence[dict[str, Any]], on_progress: OnProgress) -> tuple[list[Heard], list[Problem]]:
    """Every clip's measures or problem; a file that holds several clips is read and decoded once."""
    by_file: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for row in rows:
        by_file[row["uri"]].append(row)
    heard: list[Heard] = []
    problems: list[Problem] = []
    done = 0
    for (uri, clips), data in zip(by_file.items(), storage.read_each(list(by_file)), strict=True):
        try:
            if isinstance(data, MissingError):
                raise data
            results: list[Measures | AudioError | MissingError] = [
                *measure(data, [(clip["start_s"], clip["end_s"]) for clip in clips])
            ]
        except (AudioError, MissingError) as error:
            results = [error for _ in clips]
        for clip, result in zip(clips, results, strict=True):
            if isinstance(result, Measures):
                heard.append(Heard(clip, result))
            else:
                problems.append(Problem(clip["clip_id"], type(result).__name__, str(result)))
        done += len(clips)
        on_progress(done, len(rows), storage.basename(uri))
    return heard, problems


def _label(label: str, rows: Sequence[dict[str, Any]], heard: Sequence[Heard]) -> LabelRow:
    own = [row for row in rows if row["label"] == label]
    measures = [one.measures for one in heard if one.row["label"] == label]
    return LabelRow(
        label=label,
        emotion=own[0]["emotion"],
        num_clips=len(own),
        genders=collections.Counter(_gender(row) for row in own),
        num_speakers=len({row["speaker"] for row in own}),
        audio_s=sum(one.duration_s for one in measures),
        duration=spread(one.duration_s for one in measures),
        level=spread(one.level_dbfs for one in measures),
        silent=spread(one.silent_share for one in measures),
        leading=spread(one.leading_silence_s for one in measures),
        trailing=spread(one.trailing_silence_s for one in measures),
    )


def _speakers(rows: Sequence[dict[str, Any]], labels: Sequence[str]) -> list[SpeakerRow]:
    counted = collections.Counter((row["speaker"], row["label"]) for row in rows)
    genders = {row["speaker"]: _gender(row) for row in rows}
    return [
        SpeakerRow(speaker, genders[speaker], [counted[speaker, label] for label in labels])
        for speaker in sorted(genders)
    ]


def _gender(row: dict[str, Any]) -> str:
    return str(row["gender"] or "gender unknown")


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(collections.Counter(values).most_common())


def _clipping(heard: Sequence[Heard]) -> list[Heard]:
    """The clips that look clipped, the worst first."""
    clipped = [one for one in heard if one.measures.longest_clipping >= CLIPPING_RUN]
    return sorted(clipped, key=lambda one: (-one.measures.clipped_share, one.row["clip_id"]))


def _pictures(heard: Sequence[Heard], labels: Sequence[str], synthetic: bool) -> dict[str, Picture]:
    if not heard:
        return {}

    def draw(axis: str, values: Iterable[float]) -> Picture:
        by_label: dict[str, list[float]] = {label: [] for label in labels}
        for one, value in zip(heard, values, strict=True):
            by_label[one.row["label"]].append(value)
        return histograms(by_label, axis, synthetic=synthetic)

    return {
        "duration": draw("duration (s)", (one.measures.duration_s for one in heard)),
        "level": draw("level (dBFS)", (one.measures.level_dbfs for one in heard)),
        "silent": draw("silent frames (%)", (100 * one.measures.silent_share for one in heard)),
    }


def _examples(heard: Sequence[Heard], labels: Sequence[str], synthetic: bool) -> list[Example]:
    """A clip of each label, where possible of one speaker and one sentence, so that only the emotion differs."""
    long_enough = [one for one in heard if one.measures.duration_s >= _SHORTEST_S]
    said: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    for one in long_enough:
        said[one.row["speaker"], one.row["sentence"] or ""].add(one.row["label"])
    speaker, sentence = min(said, key=lambda key: (-len(said[key]), key), default=("", ""))

    def unlike(one: Heard) -> tuple[Any, ...]:
        row = one.row
        return row["speaker"] != speaker, (row["sentence"] or "") != sentence, row["clip_id"]

    chosen = {
        label: min((one for one in long_enough if one.row["label"] == label), key=unlike, default=None)
        for label in labels
    }
    longest_s = max((one.measures.duration_s for one in chosen.values() if one), default=0.0)
    return [
        Example(label, problem=f"none of {_SHORTEST_S:g} s or more can be read")
        if one is None
        else Example(
            label=label,
            clip_id=one.row["clip_id"],
            speaker=one.row["speaker"],
            duration_s=one.measures.duration_s,
            picture=_draw(one.row, longest_s, synthetic),
        )
        for label, one in chosen.items()
    ]


def _draw(row: dict[str, Any], longest_s: float, synthetic: bool) -> Picture:
    audio = decode(storage.read_bytes(row["uri"])).part(row["start_s"], row["end_s"])
    samples = resample(mono(audio), audio.sample_rate_hz, _SHOWN.sample_rate_hz)
    return spectrograms(
        samples, _SHOWN.sample_rate_hz, power_db(samples), _SHOWN(samples), longest_s=longest_s, synthetic=synthetic
    )
