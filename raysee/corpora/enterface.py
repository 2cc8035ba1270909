"""eNTERFACE'05, an audio-visual emotion database (Martin et al., ICDE Workshops 2006).

1,287 clips, 43 subjects of several mother tongues who speak English, six emotions, five sentences for each. They are
videos with sound at 48 kHz, `subject N/EMOTION/sentence K/sN_ee_K.avi`. The folders are right and the names are not
always: subject 11's files are called s12, as subject 12's are; some of subject 3 are s_3_ee_K; one is
s16_su_3avi.avi. So the speaker is the folder's, and a clip is called after the folder of its subject. Subject 6 was not
cut into sentences and is left out; subject 23 has two happy clips of five. Genders are not published.
"""

import re

from raysee.corpora.corpus import ENDING, Clip, Corpus, LeftOut, by_name

_EMOTIONS = {
    "an": "anger",
    "di": "disgust",
    "fe": "fear",
    "ha": "happiness",
    "sa": "sadness",
    "su": "surprise",
}
_UNCUT = "6"
_NAMED_AS = {"11": "12"}
_PATH = re.compile(
    r"(?:^|/)subject[ _-](?P<subject>[1-9]|[123]\d|4[0-4])/(?P<folder>anger|disgust|fear|happiness|sadness|surprise)/"
    r"(?:sentence[ _-](?P<sentence>[1-5])/)?"
    r"s_?(?P<named>\d\d?)_(?P<emotion>an|di|fe|ha|sa|su)(?:_(?P<number>[1-5])(?:avi)?)?" + ENDING
)


def parse(path: str) -> Clip | LeftOut | None:
    """The clip of a path below the corpus's root, a recording of subject 6 as left out, or None.

    The clip's sound is that of the video, or a file that was extracted from it to the same place.
    """
    match = _PATH.search(path)
    if match is None or match["folder"] != _EMOTIONS[match["emotion"]]:
        return None
    subject, emotion = match["subject"], match["emotion"]
    if match["named"] != _NAMED_AS.get(subject, subject):
        return None
    if subject == _UNCUT:
        number = f"_{match['number']}" if match["number"] else ""
        return LeftOut(f"s{subject}_{emotion}{number}", "subject 6 was not cut into sentences")
    if match["sentence"] is None or match["number"] is None:
        return None
    return Clip(
        clip_id=f"s{subject}_{emotion}_{match['number']}",
        speaker=f"s{subject}",
        label=_EMOTIONS[emotion],
        sentence=f"{emotion}_{match['sentence']}",  # every emotion has its own five
    )


ENTERFACE = Corpus(
    name="enterface",
    title="eNTERFACE'05",
    language="en",
    licence="free for research",
    commercial=None,
    source="http://www.enterface.net/enterface05",
    counts={
        "anger": 215,
        "happiness": 212,
        "sadness": 215,
        "fear": 215,
        "surprise": 215,
        "disgust": 215,
    },
    num_speakers=43,
    labels=tuple(_EMOTIONS.values()),
    layout="subject N/EMOTION/sentence K/sN_ee_K.avi, e.g. subject 1/anger/sentence 2/s1_an_2.avi",
    read=by_name(parse),
)
