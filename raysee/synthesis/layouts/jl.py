"""JL corpus: SPEAKER_EMOTION_NV_R.wav, of sentence, variant and session, with a transcript beside each.

Two women and two men of New Zealand; five primary emotions, which the paper takes, and five secondary ones.
"""

from raysee.synthesis.layouts.layout import Clip, Layout, first
from raysee.synthesis.voice import Gender

SPEAKERS: dict[str, Gender] = {"female1": "female", "male1": "male", "female2": "female", "male2": "male"}
PRIMARY = {"angry": "anger", "sad": "sadness", "neutral": "neutral", "happy": "happiness", "excited": "excited"}
# The secondary ones by what the voice has that is nearest.
SECONDARY = {
    "anxious": "fear",
    "apologetic": "guilt",
    "assertive": "anger",
    "concerned": "sadness",
    "encouraging": "happiness",
}
SENTENCES = range(1, 16)
VARIANTS = ("a", "b")
SESSIONS = (1, 2)
FOLDER = "Raw JL corpus (unchecked and unannotated)/JL(wav+txt)"


def jl(speakers: int = len(SPEAKERS)) -> Layout:
    """The 1,200 primary clips, the 1,200 secondary ones, and the transcripts of both."""
    clips, files = [], {}
    for speaker in first("speakers", speakers, list(SPEAKERS)):
        for word, emotion in {**PRIMARY, **SECONDARY}.items():
            for sentence in SENTENCES:
                for variant in VARIANTS:
                    for session in SESSIONS:
                        stem = f"{FOLDER}/{speaker}_{word}_{sentence}{variant}_{session}"
                        clips.append(
                            Clip(
                                path=f"{stem}.wav",
                                speaker=f"jl-{speaker}",
                                gender=SPEAKERS[speaker],
                                sentence=f"jl-{sentence}{variant}",
                                emotion=emotion,
                                intensity=0.6 if word in SECONDARY else 1.0,
                                take=session,
                                category=word if word in SECONDARY else None,
                                left_out=word in SECONDARY,
                            )
                        )
                        files[f"{stem}.txt"] = f"Sentence {sentence} {variant} of a made-up language.\n".encode()
    return Layout(tuple(clips), files)
