"""SAVEE: AudioData/SPEAKER/CCNN.wav, of emotion and sentence; four men of Surrey."""

from raysee.synthesis.layouts.layout import Clip, Layout, first

SPEAKERS = ("DC", "JE", "JK", "KL")
EMOTIONS = {
    "a": ("anger", 15),
    "d": ("disgust", 15),
    "f": ("fear", 15),
    "h": ("happiness", 15),
    "n": ("neutral", 30),
    "sa": ("sadness", 15),
    "su": ("surprise", 15),
}


def savee(speakers: int = len(SPEAKERS)) -> Layout:
    """The 480 clips, 120 a speaker, and the note that lies beside their folders."""
    clips = [
        Clip(
            path=f"AudioData/{speaker}/{code}{number:02}.wav",
            speaker=f"savee-{speaker}",
            gender="male",
            sentence=f"savee-{code}{number:02}",
            emotion=emotion,
        )
        for speaker in first("speakers", speakers, SPEAKERS)
        for code, (emotion, count) in EMOTIONS.items()
        for number in range(1, count + 1)
    ]
    return Layout(tuple(clips), {"AudioData/Info.txt": b"Four made-up male speakers, seven emotions.\r\n"})
