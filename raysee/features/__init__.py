"""Samples -> arrays: the front-ends by name, one file a kind, and this dict."""

from raysee.errors import unknown
from raysee.features.augmented import Augmented
from raysee.features.chunks import ChunkFeatures, Chunks
from raysee.features.embedding import Embedding
from raysee.features.frontend import FrontEnd, TooShort
from raysee.features.image import Image
from raysee.features.is09 import IS09
from raysee.features.logmel import LogMel
from raysee.features.mfcc import Mfcc
from raysee.features.sliding import Sliding
from raysee.features.spectrogram import Spectrogram
from raysee.features.summary import FeatureArray, Summary
from raysee.features.waveform import Waveform

__all__ = ["FEATURES", "FrontEnd", "TooShort", "front_end"]

FEATURES: dict[str, FrontEnd] = {
    "array180": FeatureArray(),
    "chunk26": ChunkFeatures(),
    "chunks64": Chunks(),
    "chunks64-augmented": Augmented(),
    "hubert": Embedding(bundle="HUBERT_BASE"),
    "hubert-mean": Embedding(bundle="HUBERT_BASE", pooling="mean"),
    "image256": Image(),
    "is09": IS09(),
    "logmel40": LogMel(num_bands=40),
    "logmel240": LogMel(num_bands=240),
    "mfcc": Mfcc(),
    "sliding227": Sliding(),
    "sliding227linear": Sliding(scale="linear"),
    "sliding227log": Sliding(scale="log"),
    "spectrogram40": Spectrogram(num_bands=40),
    "spectrogram240": Spectrogram(num_bands=240),
    "summary180": Summary(),
    "waveform": Waveform(),
    "wav2vec2": Embedding(bundle="WAV2VEC2_BASE"),
    "wav2vec2-mean": Embedding(bundle="WAV2VEC2_BASE", pooling="mean"),
    "wavlm": Embedding(bundle="WAVLM_BASE"),
    "wavlm-mean": Embedding(bundle="WAVLM_BASE", pooling="mean"),
}


def front_end(name: str) -> FrontEnd:
    """The front-end of that name; ConfigurationError that lists the known ones otherwise."""
    if name not in FEATURES:
        raise unknown("front-end", name, FEATURES)
    return FEATURES[name]
