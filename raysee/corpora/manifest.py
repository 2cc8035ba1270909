"""A listing of files -> utterances and rejects. Only names are read here; sound is read where features are made."""

import collections
import time
from collections.abc import Sequence

import pyarrow as pa

from raysee import lake, receipts, schema, storage
from raysee.config import fingerprint
from raysee.corpora import corpus as corpus_of
from raysee.corpora.corpus import AUDIO_ENDINGS, Clip, Corpus
from raysee.emotions import canonical
from raysee.errors import CorpusError
from raysee.receipts import Receipt, Stage
from raysee.storage import FileInfo
from raysee.synthesis.marker import is_synthetic


def manifest(
    root: str, corpus_name: str, source: str, *, allow_count_mismatch: bool = False, overwrite: bool = False
) -> Stage:
    """List the corpus below `source` and write its utterances and rejects below the lake `root`."""
    began = time.perf_counter()
    corpus, root, source = corpus_of(corpus_name), storage.normalise(root), storage.normalise(source)
    place = lake.utterances(root, corpus_name)
    config = {"corpus": corpus_name, "source": source, "allow_count_mismatch": allow_count_mismatch}
    if not overwrite and (found := receipts.find(place, "manifest", fingerprint(config), config)):
        return Stage(place, found, found=True)
    files = storage.list_files(source)
    utterances, rejects = build(corpus, source, files, allow_count_mismatch=allow_count_mismatch)
    if overwrite:
        receipts.clear(place, "manifest")
    receipts.claim(place, "manifest", fingerprint(config), config)
    storage.write_table(storage.join(place, "clips", "part-00000.parquet"), utterances, schema.UTTERANCES)
    storage.write_table(storage.join(place, "rejects", "part-00000.parquet"), rejects, schema.REJECTS)
    known = utterances.select(["clip_id", "size_bytes", "speaker", "label"]).to_pylist()
    receipt = Receipt(
        stage="manifest",
        fingerprint=fingerprint(known),
        config=config,
        inputs={},
        counts={
            "in": utterances.num_rows + rejects.num_rows,
            "out": utterances.num_rows,
            "rejected": rejects.num_rows,
        },
        rejects=dict(collections.Counter(rejects["error"].to_pylist())),
        details={
            "labels": dict(sorted(collections.Counter(utterances["label"].to_pylist()).items())),
            "num_speakers": len(set(utterances["speaker"].to_pylist())),
            "synthetic": is_synthetic(files),
        },
        wall_s=time.perf_counter() - began,
    )
    return Stage(place, receipts.write(place, receipt), found=False)


def build(
    corpus: Corpus, root: str, files: Sequence[FileInfo], *, allow_count_mismatch: bool = False
) -> tuple[pa.Table, pa.Table]:
    """The utterances (schema.UTTERANCES, sorted by clip_id) and rejects (schema.REJECTS) of the files below `root`.

    A sound file whose name is not of the corpus, an empty one and a second one of the same clip are rejects; hidden and
    AppleDouble files and everything that is no sound are passed over.

    Raises CorpusError where no clip is found, or where the counts differ from Table 1 of Keesing et al. 2020 and
    `allow_count_mismatch` is not set; the message names what is missing and what is extra.
    """
    found: dict[str, tuple[Clip, FileInfo]] = {}
    rejects: list[dict[str, str]] = []
    for file in files:
        path = file.uri.removeprefix(root).lstrip("/")
        if any(part.startswith(".") for part in path.split("/")) or not path.lower().endswith(AUDIO_ENDINGS):
            continue
        clip = corpus.parse(path)
        problem = None
        if clip is None:
            problem = ("UnknownName", f"the path does not read as {corpus.layout}")
        elif file.size_bytes == 0:
            problem = ("EmptyFile", "the file has no bytes")
        elif clip.clip_id in found:
            problem = ("DuplicateClip", f"the same clip as {found[clip.clip_id][1].uri}")
        else:
            found[clip.clip_id] = (clip, file)
        if problem:
            identity = clip.clip_id if clip else file.uri
            rejects.append(
                {
                    "id": identity,
                    "uri": file.uri,
                    "stage": "manifest",
                    "error": problem[0],
                    "message": problem[1],
                }
            )
    if not found:
        raise CorpusError(
            f"No clip of {corpus.title} below {root}: {len(files)} files, none of them like {corpus.layout}. "
            f"Point at the corpus's root folder; it is had from {corpus.source}."
        )
    differences = corpus.missing_and_extra(clip for clip, _ in found.values())
    if differences and not allow_count_mismatch:
        reasons = collections.Counter(row["error"] for row in rejects)
        rejected = ", ".join(f"{count} {error}" for error, count in sorted(reasons.items()))
        raise CorpusError(
            f"{corpus.title} below {root} is not the complete corpus ({len(found)} of {sum(corpus.counts.values())} "
            f"clips): {'; '.join(differences)}{f'; rejected: {rejected}' if rejected else ''}. "
            "Mend the folder, or go on with what is there by --allow-count-mismatch."
        )
    rows = [
        {
            **clip._asdict(),
            "corpus": corpus.name,
            "uri": file.uri,
            "start_s": None,
            "end_s": None,
            "size_bytes": file.size_bytes,
            "language": corpus.language,
            "emotion": canonical(clip.label),
        }
        for clip, file in sorted(found.values())
    ]
    return (
        pa.Table.from_pylist(rows, schema=schema.UTTERANCES),
        pa.Table.from_pylist(rejects, schema=schema.REJECTS),
    )
