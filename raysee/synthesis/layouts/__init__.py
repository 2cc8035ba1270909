"""The official layouts of the corpora: every path, and every annotation file, without the sound.

A generator for each corpus, made from its published grammar and from the counts in Table 1 of Keesing et al. 2020.
`raysee.corpora` reads the same grammar and shares no code with this package, so that a mistake there cannot hide behind
the same mistake here.
"""

from collections.abc import Callable

from raysee.synthesis.layouts.cafe import cafe
from raysee.synthesis.layouts.cremad import cremad
from raysee.synthesis.layouts.demos import demos
from raysee.synthesis.layouts.emodb import emodb
from raysee.synthesis.layouts.emofilm import emofilm
from raysee.synthesis.layouts.enterface import enterface
from raysee.synthesis.layouts.iemocap import iemocap
from raysee.synthesis.layouts.jl import jl
from raysee.synthesis.layouts.layout import Layout
from raysee.synthesis.layouts.msp_improv import msp_improv
from raysee.synthesis.layouts.portuguese import portuguese
from raysee.synthesis.layouts.ravdess import ravdess, ravdess_song
from raysee.synthesis.layouts.savee import savee
from raysee.synthesis.layouts.shemo import shemo
from raysee.synthesis.layouts.smartkom import smartkom
from raysee.synthesis.layouts.tess import tess

#: By the corpus's name: its layout, of all speakers or of the first so many.
LAYOUTS: dict[str, Callable[..., Layout]] = {
    "cafe": cafe,
    "cremad": cremad,
    "demos": demos,
    "emodb": emodb,
    "emofilm": emofilm,
    "enterface": enterface,
    "iemocap": iemocap,
    "jl": jl,
    "msp_improv": msp_improv,
    "portuguese": portuguese,
    "ravdess": ravdess,
    "ravdess_song": ravdess_song,
    "savee": savee,
    "shemo": shemo,
    "smartkom": smartkom,
    "tess": tess,
}
