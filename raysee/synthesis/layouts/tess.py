"""TESS: SPEAKER_word_emotion.wav in a folder for each speaker and emotion; two women, 200 words, seven emotions.

"Say the word ..." with each word of Northwestern University's auditory test no. 6. One file of the usual copy has lost
a letter, OA_bite_neutral.wav, and the folders are not spelled alike.
"""

from raysee.synthesis.layouts.layout import Clip, Layout, first

SPEAKERS = ("OAF", "YAF")
EMOTIONS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "ps": "surprise",
    "sad": "sadness",
    "neutral": "neutral",
}
FOLDERS = {"OAF_fear": "OAF_Fear", "OAF_ps": "OAF_Pleasant_surprise", "OAF_sad": "OAF_Sad"} | {
    "YAF_ps": "YAF_pleasant_surprised"
}
WORDS = (
    "back bar base bath bean beg bite boat bone book bought burn cab calm came cause chain chair chalk chat check "
    "cheek chief choice cool dab date dead death deep dime dip ditch dodge dog doll door fail fall far fat fit five "
    "food gap gas gaze germ get gin goal good goose gun half hall hash hate have haze hire hit hole home hurl hush "
    "jail jar join judge jug juice keen keep keg kick kill king kite knock late laud lean learn lease lid life limb "
    "live loaf long lore lose lot love luck make match merge mess met mill mob mode mood moon mop mouse nag name "
    "near neat nice note numb pad page pain pass pearl peg perch phone pick pike pole pool puff rag raid rain raise "
    "rat reach read red ring ripe road room rose rot rough rush said sail search seize sell shack shall shawl sheep "
    "shirt should shout size soap soup sour south sub such sure take talk tape team tell thin third thought thumb "
    "time tip tire ton tool tough turn vine voice void vote wag walk wash week wheat when which whip white wife "
    "wire witch yearn yes young youth"
)


def tess(speakers: int = len(SPEAKERS)) -> Layout:
    """The 2,800 clips, 1,400 a speaker."""
    return Layout(
        tuple(
            Clip(
                path=f"{FOLDERS.get(f'{speaker}_{code}', f'{speaker}_{code}')}/{_stem(speaker, word, code)}.wav",
                speaker=f"tess-{speaker}",
                gender="female",
                sentence=f"tess-{word}",
                emotion=emotion,
            )
            for speaker in first("speakers", speakers, SPEAKERS)
            for code, emotion in EMOTIONS.items()
            for word in WORDS.split()
        )
    )


def _stem(speaker: str, word: str, code: str) -> str:
    stem = f"{speaker}_{word}_{code}"
    return "OA_bite_neutral" if stem == "OAF_bite_neutral" else stem
