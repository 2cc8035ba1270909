"""RAVDESS, speech and song: Actor_NN/MM-VV-EE-II-SS-RR-NN.wav.

Modality (03 is sound alone), channel (01 speech, 02 song), emotion, intensity, statement, repetition, actor. Nobody was
asked to be strongly neutral. In the song neither disgust nor surprise was sung, and actor 18 did not sing.
"""

from collections.abc import Iterator, Sequence

from raysee.synthesis.layouts.layout import Clip, Layout, first

EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
SUNG = ("01", "02", "03", "04", "05", "06")
INTENSITIES = {"01": 1.0, "02": 1.5}
STATEMENTS = ("01", "02")
REPETITIONS = ("01", "02")
ACTORS = tuple(f"{number:02}" for number in range(1, 25))
SINGERS = tuple(actor for actor in ACTORS if actor != "18")


def ravdess_clips(actors: int = len(ACTORS), repetitions: int = len(REPETITIONS)) -> Iterator[Clip]:
    """The speech clips: 60 an actor in full.

    Raises:
        ConfigurationError: for more actors or repetitions than there are.
    """
    who, takes = first("actors", actors, ACTORS), first("repetitions", repetitions, REPETITIONS)
    return _clips("Audio_Speech_Actors_01-24", "01", who, tuple(EMOTIONS), takes)


def ravdess(actors: int = len(ACTORS)) -> Layout:
    """The speech: 60 clips an actor, 1,440 in full."""
    return Layout(tuple(ravdess_clips(actors)))


def ravdess_song(actors: int = len(SINGERS)) -> Layout:
    """The song: 44 clips an actor, 1,012 in full. The voice speaks them, as it cannot sing."""
    who = first("actors", actors, SINGERS)
    return Layout(tuple(_clips("Audio_Song_Actors_01-24", "02", who, SUNG, REPETITIONS)))


def _clips(
    folder: str, channel: str, actors: Sequence[str], emotions: Sequence[str], repetitions: Sequence[str]
) -> Iterator[Clip]:
    for actor in actors:
        for code in emotions:
            for level, intensity in INTENSITIES.items():
                if EMOTIONS[code] == "neutral" and level == "02":
                    continue
                for statement in STATEMENTS:
                    for repetition in repetitions:
                        name = f"03-{channel}-{code}-{level}-{statement}-{repetition}-{actor}.wav"
                        yield Clip(
                            path=f"{folder}/Actor_{actor}/{name}",
                            speaker=f"ravdess-{actor}",
                            gender="male" if int(actor) % 2 else "female",
                            sentence=f"ravdess-{statement}",
                            emotion=EMOTIONS[code],
                            intensity=intensity,
                            take=int(repetition),
                        )
