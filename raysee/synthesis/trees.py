"""Corpora of the synthetic voice, in the directories and under the file names of the real ones.

`layouts` says which files there are; here they are spoken and written. Every file has the voice's sampling rate,
whatever the real one's.
"""

import functools
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import soundfile

from raysee.synthesis.containers import avi
from raysee.synthesis.layouts import LAYOUTS
from raysee.synthesis.layouts.emodb import SPEAKERS as EMODB_SPEAKERS
from raysee.synthesis.layouts.emodb import emodb_clips
from raysee.synthesis.layouts.layout import Clip, Layout
from raysee.synthesis.layouts.ravdess import ACTORS as RAVDESS_ACTORS
from raysee.synthesis.layouts.ravdess import ravdess_clips
from raysee.synthesis.marker import mark
from raysee.synthesis.tract import SAMPLE_RATE_HZ
from raysee.synthesis.voice import Gender, Speaker, sentence, speak, speaker


def write_layout(root: pathlib.Path, layout: Layout, *, seed: int = 0) -> int:
    """Speak a layout below `root`, 16-bit mono, write its other files, and return how many files have sound."""
    recordings: dict[str, list[Clip]] = {}
    for clip in layout.clips:
        recordings.setdefault(clip.path, []).append(clip)
    for name, clips in recordings.items():
        path = root / name
        mark(path.parent)
        samples = _recording(clips, seed)
        if path.suffix == ".avi":
            path.write_bytes(avi(samples, SAMPLE_RATE_HZ))
        else:
            soundfile.write(path, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
    for name, data in layout.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)  # without the mark, which a reader of annotations would find
        path.write_bytes(data)
    return len(recordings)


def write_tree(name: str, root: pathlib.Path, count: int | None = None, *, seed: int = 0) -> int:
    """Write a corpus of LAYOUTS with its first `count` speakers, or all; return how many files have sound.

    Raises:
        ConfigurationError: for more speakers than the corpus has.
    """
    layout = LAYOUTS[name]() if count is None else LAYOUTS[name](count)
    return write_layout(root, layout, seed=seed)


#: By the corpus's name: (root, count, seed=...) writes the tree.
TREES: dict[str, Callable[..., int]] = {name: functools.partial(write_tree, name) for name in LAYOUTS}


def write_ravdess(root: pathlib.Path, actors: int = len(RAVDESS_ACTORS), *, repetitions: int = 2, seed: int = 0) -> int:
    """Write `ravdess_clips` below `root`, at 60 clips an actor in full, and return how many there are."""
    return write_layout(root, Layout(tuple(ravdess_clips(actors, repetitions))), seed=seed)


def write_emodb(root: pathlib.Path, speakers: int = len(EMODB_SPEAKERS), *, seed: int = 0) -> int:
    """Write `emodb_clips` below `root`, at 70 clips a speaker, and return how many there are."""
    return write_layout(root, Layout(tuple(emodb_clips(speakers))), seed=seed)


def _recording(clips: Sequence[Clip], seed: int) -> npt.NDArray[np.float32]:
    """The samples (num_samples,) of a file: one utterance, or each in its span with silence between them."""
    if clips[0].span is None:
        return _spoken(clips[0], seed)
    spans = [clip.span for clip in clips if clip.span is not None]
    samples = np.zeros(max(end for _, end in spans), np.float32)
    for clip, (start, end) in zip(clips, spans, strict=True):
        said = _spoken(clip, seed)[: end - start]
        samples[start : start + len(said)] = said
    return samples


def _spoken(clip: Clip, seed: int) -> npt.NDArray[np.float32]:
    return speak(
        _speaker(clip.speaker, clip.gender, seed),
        sentence(clip.sentence, seed),
        clip.emotion,
        intensity=clip.intensity,
        take=clip.take,
        seed=seed,
    )


@functools.lru_cache(maxsize=256)
def _speaker(name: str, gender: Gender, seed: int) -> Speaker:
    return speaker(name, gender, seed)
