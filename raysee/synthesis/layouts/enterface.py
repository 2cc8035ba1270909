"""eNTERFACE'05: subject N/emotion/sentence K/sN_ee_K.avi, with the defects of the published archive.

The files of subject 11 are called s12; some of subject 3 have another underscore (s_3_ee_K); one name of subject 16 has
lost its dot; subject 23 has two of five clips of happiness; subject 6 was never cut into sentences, and is left out.
Real files hold pictures too; these hold the sound alone, in the same container.
"""

from raysee.synthesis.layouts.layout import Clip, Layout, first

UNCUT = 6
SUBJECTS = tuple(str(number) for number in range(1, 45) if number != UNCUT)
EMOTIONS = {
    "an": "anger",
    "di": "disgust",
    "fe": "fear",
    "ha": "happiness",
    "sa": "sadness",
    "su": "surprise",
}
SENTENCES = (1, 2, 3, 4, 5)
MISSING = {(23, "ha", 3), (23, "ha", 4), (23, "ha", 5)}
THUMBNAILS = bytes.fromhex("d0cf11e0a1b11ae1")  # the magic number of Thumbs.db


def enterface(subjects: int = len(SUBJECTS)) -> Layout:
    """The 1,287 clips, the six recordings of subject 6, and a file of thumbnails."""
    chosen = [int(subject) for subject in first("subjects", subjects, SUBJECTS)]
    clips = [
        Clip(
            path=f"subject {subject}/{emotion}/sentence {sentence}/{_stem(subject, code, sentence)}.avi",
            speaker=f"enterface-s{subject}",
            gender="female" if subject % 5 == 0 else "male",
            sentence=f"enterface-{code}-{sentence}",
            emotion=emotion,
        )
        for subject in chosen
        for code, emotion in EMOTIONS.items()
        for sentence in SENTENCES
        if (subject, code, sentence) not in MISSING
    ]
    if chosen[-1] > UNCUT:
        clips += [
            Clip(
                path=f"subject {UNCUT}/{emotion}/s{UNCUT}_{code}.avi",
                speaker=f"enterface-s{UNCUT}",
                gender="male",
                sentence=f"enterface-{code}-all",
                emotion=emotion,
                left_out=True,
            )
            for code, emotion in EMOTIONS.items()
        ]
    return Layout(tuple(clips), {"subject 1/anger/sentence 1/Thumbs.db": THUMBNAILS})


def _stem(subject: int, code: str, sentence: int) -> str:
    if subject == 3 and code in {"fe", "su"}:
        return f"s_3_{code}_{sentence}"
    if (subject, code, sentence) == (16, "su", 3):
        return "s16_su_3avi"
    return f"s{12 if subject == 11 else subject}_{code}_{sentence}"
