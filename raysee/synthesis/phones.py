"""The sounds of a made-up language, sentences of them, and their way through time as frames."""

import dataclasses

import numpy as np
import numpy.typing as npt

FRAME_S = 0.008


@dataclasses.dataclass(frozen=True)
class Phone:
    """One sound: where the tract resonates, which sources drive it, and how long it lasts unhurried."""

    formants_hz: tuple[float, float, float]
    duration_s: float
    voicing: float = 0.0
    """Amplitude of the glottal source; 1 in a vowel."""
    frication: float = 0.0
    """Amplitude of the noise of a narrow passage, on the same scale."""
    frication_hz: float = 4000.0
    """Centre of that noise, which the tract in front of the passage decides."""


# Vowels: means of 33 men, Peterson & Barney (1952), "Control methods used in a study of the vowels".
VOWELS = {
    "iy": Phone((270, 2290, 3010), 0.110, voicing=1.0),
    "ih": Phone((390, 1990, 2550), 0.085, voicing=1.0),
    "eh": Phone((530, 1840, 2480), 0.100, voicing=1.0),
    "ae": Phone((660, 1720, 2410), 0.125, voicing=1.0),
    "aa": Phone((730, 1090, 2440), 0.125, voicing=1.0),
    "ao": Phone((570, 840, 2410), 0.120, voicing=1.0),
    "uh": Phone((440, 1020, 2240), 0.085, voicing=1.0),
    "uw": Phone((300, 870, 2240), 0.110, voicing=1.0),
}
# Consonants: chosen by ear and eye. Their formants are where a neighbouring vowel starts or ends its glide.
CONSONANTS = {
    "s": Phone((320, 1700, 2600), 0.090, frication=0.20, frication_hz=5500.0),
    "sh": Phone((320, 1900, 2500), 0.095, frication=0.25, frication_hz=3000.0),
    "f": Phone((320, 1100, 2100), 0.080, frication=0.08, frication_hz=6500.0),
    "z": Phone((300, 1700, 2600), 0.070, voicing=0.30, frication=0.10, frication_hz=5500.0),
    "m": Phone((270, 1100, 2200), 0.065, voicing=0.45),
    "n": Phone((270, 1600, 2500), 0.060, voicing=0.45),
    "l": Phone((350, 1100, 2700), 0.060, voicing=0.60),
    "d": Phone((300, 1750, 2650), 0.045, voicing=0.08),
    "k": Phone((300, 1900, 2300), 0.060),
}
PAUSE = "_"
PHONES = {**VOWELS, **CONSONANTS, PAUSE: Phone((500, 1500, 2500), 0.090)}


@dataclasses.dataclass(frozen=True)
class Sentence:
    """Phones in order, and the stress from 0 to 1 of each of them, which is 0 for all but vowels."""

    name: str
    phones: tuple[str, ...]
    stress: tuple[float, ...]


def compose(name: str, syllables: int, rng: np.random.Generator) -> Sentence:
    """A sentence of open and closed syllables, with a pause between phrases of three or four.

    Onsets and vowels are dealt like cards: none comes back before all the others have been used.
    """
    onsets, vowels = rng.permutation(list(CONSONANTS)).tolist(), rng.permutation(list(VOWELS)).tolist()
    phones: list[str] = []
    phrase_end = int(rng.integers(3, 5))
    for syllable in range(syllables):
        if syllable == phrase_end:
            phones.append(PAUSE)
            phrase_end += int(rng.integers(3, 5))
        phones += [onsets[syllable % len(onsets)], vowels[syllable % len(vowels)]]
        if rng.random() < 0.25:
            phones.append(onsets[-1 - syllable % len(onsets)])
    stress = tuple(float(rng.random()) if phone in VOWELS else 0.0 for phone in phones)
    return Sentence(name, tuple(phones), stress)


@dataclasses.dataclass(frozen=True)
class Tracks:
    """A sentence in T frames of FRAME_S, ready for a voice: arrays of shape (T,), `formants_hz` (T, 3)."""

    formants_hz: npt.NDArray[np.float64]
    voicing: npt.NDArray[np.float64]
    frication: npt.NDArray[np.float64]
    frication_hz: npt.NDArray[np.float64]
    stress: npt.NDArray[np.float64]


def articulate(sentence: Sentence, durations_s: npt.NDArray[np.float64], edge_s: float = 0.1) -> Tracks:
    """Spread the phones over time and let each glide into the next.

    Args:
        sentence: the phones; P of them.
        durations_s: shape (P,), the length of each in seconds.
        edge_s: silence before and after.
    """
    names = [PAUSE, *sentence.phones, PAUSE]
    ends_s = np.cumsum([edge_s, *durations_s, edge_s])
    frames = np.arange(int(ends_s[-1] / FRAME_S)) * FRAME_S
    at = np.minimum(np.searchsorted(ends_s, frames, side="right"), len(names) - 1)
    phones = [PHONES[name] for name in names]

    def track(values: list[float], glide_s: float) -> npt.NDArray[np.float64]:
        """Steps from target to target, rounded off: the tongue takes longer over it than the larynx."""
        half = max(1, round(glide_s / FRAME_S / 2))
        kernel = np.hanning(2 * half + 3)[1:-1]
        steps = np.pad(np.array(values)[at], half, mode="edge")
        return np.convolve(steps, kernel / kernel.sum(), mode="valid")

    return Tracks(
        formants_hz=np.stack([track([p.formants_hz[i] for p in phones], 0.08) for i in range(3)], axis=1),
        voicing=track([p.voicing for p in phones], 0.03),
        frication=track([p.frication for p in phones], 0.03),
        frication_hz=track([p.frication_hz for p in phones], 0.03),
        stress=track([0.0, *sentence.stress, 0.0], 0.20),
    )
