"""Castro and Lima 2010: DDKS_emotionDD.wav, of sentence, kind, speaker, repetition; two tables of ratings.

Sentences (s) and pseudo-sentences (p) of two speakers, A and B. The appendices are tab-separated, below five lines of
header; nothing in them is needed to read the names.
"""

import collections

from raysee.synthesis.layouts.layout import Clip, Layout, first, in_order, mixed
from raysee.synthesis.voice import Gender

SPEAKERS: dict[str, Gender] = {"A": "female", "B": "male"}
KINDS = {"s": 190, "p": 178}
TABLES = {"s": "Castro_2010_AppxB_Sents.txt", "p": "Castro_2010_AppxB_Pseudosents.txt"}
EMOTIONS = {
    "angry": "anger",
    "happy": "happiness",
    "sad": "sadness",
    "fear": "fear",
    "surprise": "surprise",
    "disgust": "disgust",
    "neutral": "neutral",
}
COUNTS = {"angry": 63, "happy": 46, "sad": 59, "fear": 41, "surprise": 64, "disgust": 35, "neutral": 60}
SENTENCES = 16


def portuguese(speakers: int = len(SPEAKERS)) -> Layout:
    """The 368 clips and the two tables."""
    chosen = set(first("speakers", speakers, list(SPEAKERS)))
    counted: collections.Counter[tuple[str, str, str]] = collections.Counter()
    clips = []
    tables: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for index, (word, kind) in enumerate(zip(in_order(COUNTS), mixed(KINDS), strict=True)):
        speaker = "AABB"[index % 4]  # by twos, as the kinds come by ones
        number = counted[word, kind, speaker]
        counted[word, kind, speaker] += 1
        if speaker not in chosen:
            continue
        sentence = number % SENTENCES + 1
        stem = f"{sentence}{kind}{speaker}_{word}{number // SENTENCES + 1}"
        clips.append(
            Clip(
                path=f"{stem}.wav",
                speaker=f"portuguese-{speaker}",
                gender=SPEAKERS[speaker],
                sentence=f"portuguese-{kind}{sentence}",
                emotion=EMOTIONS[word],
                take=number // SENTENCES,
            )
        )
        tables[kind].append(f"{stem}\tSentence {kind}{sentence}\t{4 + index % 4}.5\t{60 + index % 40}")
    header = ["Castro and Lima (2010)", "Appendix B", "", "Made by raysee.synthesis"]
    columns = "Stimulus\tContent\tIntensity (1-7)\tAccuracy (%)"
    files = {TABLES[kind]: "\r\n".join([*header, columns, *rows, ""]).encode() for kind, rows in tables.items()}
    return Layout(tuple(clips), files)
