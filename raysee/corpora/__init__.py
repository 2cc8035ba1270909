"""The corpora by name: one file each, and this dict."""

from raysee.corpora import (
    cafe,
    cremad,
    demos,
    emodb,
    emofilm,
    enterface,
    iemocap,
    jl,
    msp_improv,
    portuguese,
    ravdess,
    savee,
    shemo,
    smartkom,
    tess,
)
from raysee.corpora.corpus import Corpus
from raysee.errors import unknown

CORPORA: dict[str, Corpus] = {
    "cafe": cafe.CAFE,
    "cremad": cremad.CREMAD,
    "demos": demos.DEMOS,
    "emodb": emodb.EMODB,
    "emofilm": emofilm.EMOFILM,
    "enterface": enterface.ENTERFACE,
    "iemocap": iemocap.IEMOCAP,
    "jl": jl.JL,
    "msp_improv": msp_improv.MSP_IMPROV,
    "portuguese": portuguese.PORTUGUESE,
    "ravdess": ravdess.RAVDESS,
    "ravdess_song": ravdess.RAVDESS_SONG,
    "savee": savee.SAVEE,
    "shemo": shemo.SHEMO,
    "smartkom": smartkom.SMARTKOM,
    "tess": tess.TESS,
}


def voices(name: str) -> str:
    """The corpus by whose name the speakers of another one go: itself, but for recordings of the same people."""
    return (CORPORA[name].voices if name in CORPORA else "") or name


def corpus(name: str) -> Corpus:
    """The corpus of that name; ConfigurationError that lists the known ones otherwise."""
    if name not in CORPORA:
        raise unknown("corpus", name, CORPORA)
    return CORPORA[name]
