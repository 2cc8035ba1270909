"""The corpora by name: one file each, and this dict."""

from raysee.corpora import emodb, ravdess
from raysee.corpora.corpus import Corpus
from raysee.errors import unknown

CORPORA: dict[str, Corpus] = {
    "emodb": emodb.EMODB,
    "ravdess": ravdess.RAVDESS,
}


def corpus(name: str) -> Corpus:
    """The corpus of that name; ConfigurationError that lists the known ones otherwise."""
    if name not in CORPORA:
        raise unknown("corpus", name, CORPORA)
    return CORPORA[name]
