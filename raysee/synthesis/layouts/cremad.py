"""CREMA-D: AudioWAV/AAAA_SSS_EEE_LL.wav, of actor, sentence, emotion, level; tables of actors and of votes.

91 actors say twelve sentences in six emotions, "It's eleven o'clock" (IEO) at three levels, which would be 7,462 clips;
7,442 were published, of which 1076_MTI_SAD_XX holds no sound. Three of the twenty that are missing are in the table
of votes nevertheless; which the other seventeen are is this module's choice. One name has a level of one letter,
1040_ITH_SAD_X.wav, where the table says XX.
"""

from raysee.synthesis.layouts.layout import Clip, Layout, first, mixed
from raysee.synthesis.voice import Gender

ACTORS = tuple(str(number) for number in range(1001, 1092))
SEXES: dict[Gender, int] = {"male": 48, "female": 43}
SENTENCES = ("IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI")
EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happiness", "NEU": "neutral", "SAD": "sadness"}
LEVELS = {"LO": 0.6, "MD": 1.0, "HI": 1.5}
VOTED_ONLY = ("1006_TIE_NEU_XX", "1013_WSI_DIS_XX", "1017_IWW_FEA_XX")
MISSING = {
    *VOTED_ONLY,
    *(f"{actor}_TSI_NEU_XX" for actor in (1019, 1037, 1055, 1073)),
    *(f"{actor}_IEO_{emotion}_HI" for actor in (1019, 1055) for emotion in EMOTIONS if emotion != "NEU"),
    *("1037_IEO_ANG_MD", "1037_IEO_HAP_MD", "1037_IEO_SAD_MD"),
}
SILENT = "1076_MTI_SAD_XX"
MISNAMED = "1040_ITH_SAD_XX"


def cremad(actors: int = len(ACTORS)) -> Layout:
    """The 7,441 clips of the paper and the one that is silent; the two tables of these actors.

    The clip that is silent in the real corpus is spoken here: by its name it is known, and not by its sound.
    """
    genders = dict(zip(ACTORS, mixed(SEXES), strict=True))
    chosen = first("actors", actors, ACTORS)
    clips: list[Clip] = []
    votes: list[str] = []
    for actor in chosen:
        for stem, sentence, emotion, intensity in _recordings(actor):
            if stem not in MISSING or stem in VOTED_ONLY:
                votes.append(_votes(stem, emotion[0].upper(), len(votes)))
            if stem in MISSING:
                continue
            clips.append(
                Clip(
                    path=f"AudioWAV/{stem[:-1] if stem == MISNAMED else stem}.wav",
                    speaker=f"cremad-{actor}",
                    gender=genders[actor],
                    sentence=f"cremad-{sentence}",
                    emotion=emotion,
                    intensity=intensity,
                    left_out=stem == SILENT,
                )
            )
    demographics = [
        f"{actor},{20 + int(actor) * 7 % 55},{genders[actor].capitalize()},Unknown,Not Hispanic" for actor in chosen
    ]
    header = '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"'
    return Layout(
        tuple(clips),
        {
            "VideoDemographics.csv": _lines("ActorID,Age,Sex,Race,Ethnicity", *demographics),
            "processedResults/summaryTable.csv": _lines(header, *votes),
        },
    )


def _recordings(actor: str) -> list[tuple[str, str, str, float]]:
    """What an actor was asked for: the stem, the sentence, the emotion, and the voice's intensity."""
    return [
        (f"{actor}_{sentence}_{code}_{level}", sentence, emotion, intensity)
        for sentence in SENTENCES
        for code, emotion in EMOTIONS.items()
        for level, intensity in (LEVELS if sentence == "IEO" and code != "NEU" else {"XX": 1.0}).items()
    ]


def _votes(stem: str, acted: str, row: int) -> str:
    """A row of the table of votes: the voice is often taken for neutral, and two categories may be even (`A:N`)."""
    voice, level = [(acted, "71.5"), ("N", "64.25"), (acted, "80"), ("A:N", "52:60.5"), (acted, "68")][row % 5]
    both, both_level = ("F:S", "49.5:58") if row % 11 == 7 else (acted, "77.25")
    fields = [str(row + 1), stem, voice, level, acted, "74", both, both_level]
    return ",".join(f'"{field}"' for field in fields)


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
