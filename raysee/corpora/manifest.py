"""A listing of files -> utterances and rejects.

Only names and annotations are read here; sound is read where features are made.
"""

import collections
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from raysee import lake, receipts, schema, storage
from raysee.config import fingerprint
from raysee.corpora import CORPORA, exchange, table
from raysee.corpora import corpus as corpus_of
from raysee.corpora.corpus import AUDIO_ENDINGS, Clip, Corpus, LeftOut, Tree, is_hidden
from raysee.emotions import FINGERPRINT, canonical
from raysee.errors import ConfigurationError, CorpusError, unknown
from raysee.receipts import Receipt, Stage
from raysee.storage import FileInfo
from raysee.synthesis.marker import is_synthetic, lie_in_marked_folders

_LFS_POINTER = b"version https://git-lfs"
_LFS_BYTES = 200  # a pointer is about 130

#: The option that changes neither which clips are taken nor their labels, so that Table 1 counts them all the same.
_SPEAKER_RULE = "speaker_rule"


def manifest(
    root: str,
    corpus_name: str,
    source: str,
    *,
    options: Mapping[str, str] | None = None,
    allow_count_mismatch: bool = False,
    overwrite: bool = False,
) -> Stage:
    """List the corpus below `source` and write its utterances and rejects below the lake `root`.

    A name that is not in CORPORA is that of a corpus in a table (raysee.corpora.table) or in a format of others
    (raysee.corpora.exchange), and `source` the table or folder.
    `options` are the corpus's own choices (Corpus.options). Raises ConfigurationError for one that it does not have,
    CorpusError as `build` does.
    """
    began = time.perf_counter()
    root, source = storage.normalise(root), storage.normalise(source)
    known = CORPORA.get(corpus_name)
    given = None if known else _given(source)
    if not (known or given):
        raise ConfigurationError(
            f"{unknown('corpus', corpus_name, CORPORA)} One of your own is a table ({', '.join(table.ENDINGS)}), or a "
            f"folder of this machine with {exchange.HEADER} (audformat), or with {exchange.RECORDINGS} and "
            f"{exchange.SUPERVISIONS} (Lhotse)."
        )
    chosen = known.choose(options or {}) if known else {}
    place = lake.utterances(root, corpus_name)
    config = {
        "corpus": corpus_name,
        "source": source,
        "options": chosen,
        "allow_count_mismatch": allow_count_mismatch,
    }
    found = None if overwrite else receipts.find(place, "manifest", fingerprint(config), config)
    files = storage.list_files(source.rpartition("/")[0] if source.lower().endswith(table.ENDINGS) else source)
    inputs = {"listing": fingerprint(files), "emotions": FINGERPRINT}
    if found and found.inputs == inputs:
        return Stage(place, found, found=True)
    if known:
        utterances, rejects = build(
            known, source, files, storage.read_bytes, options=chosen, allow_count_mismatch=allow_count_mismatch
        )
    elif given:
        utterances, rejects = given(source, corpus_name, files)
    labels = collections.Counter(utterances["label"].to_pylist())
    if overwrite:
        receipts.clear(place, "manifest")
    receipts.claim(place, "manifest", fingerprint(config), config)
    storage.remove(storage.join(place, receipts.NAME))  # of an earlier listing
    storage.write_table(storage.join(place, "clips", "part-00000.parquet"), utterances, schema.UTTERANCES)
    storage.write_table(storage.join(place, "rejects", "part-00000.parquet"), rejects, schema.REJECTS)
    receipt = Receipt(
        stage="manifest",
        fingerprint=fingerprint(utterances.drop_columns(["uri", "etag"]).to_pylist()),
        config=config,
        inputs=inputs,
        counts={
            "in": utterances.num_rows + rejects.num_rows,
            "out": utterances.num_rows,
            "rejected": rejects.num_rows,
        },
        rejects=dict(collections.Counter(rejects["error"].to_pylist())),
        details={
            "labels": dict(sorted(labels.items())),
            "about": {
                "title": known.title if known else corpus_name,
                "licence": known.licence if known else "not said",
                "commercial": known.commercial if known else None,
                "source": known.source if known else source,
                "published_clips": sum(known.counts.values()) if known else None,
                "labels": known.labels if known else sorted(labels),
            },
            "num_speakers": len(set(utterances["speaker"].to_pylist())),
            "synthetic": is_synthetic(files) or (bool(given) and lie_in_marked_folders(utterances["uri"].to_pylist())),
        },
        wall_s=time.perf_counter() - began,
    )
    return Stage(place, receipts.write(place, receipt), found=False)


def utterances_of(root: str, corpus_name: str) -> pa.Table:
    """The utterances of a corpus in the lake `root`; ConfigurationError where there is no manifest."""
    about(root, corpus_name)
    place = lake.utterances(storage.normalise(root), corpus_name)
    return storage.read_table(storage.join(place, "clips"), schema.UTTERANCES)


def _given(source: str) -> Callable[[str, str, Sequence[FileInfo]], tuple[pa.Table, pa.Table]] | None:
    """What reads the utterances that somebody else has written at `source`; None where nothing does."""
    if source.lower().endswith(table.ENDINGS):
        return table.read_table_corpus
    there = storage.names(source)
    if exchange.HEADER in there:
        return lambda place, name, _: exchange.from_audformat(place, name)
    if {exchange.RECORDINGS, exchange.SUPERVISIONS} <= there:
        return lambda place, name, _: exchange.from_lhotse(place, name)
    return None


def about(root: str, corpus_name: str) -> Receipt:
    """The receipt of a corpus's manifest in the lake `root`; ConfigurationError where there is none."""
    found = receipts.read(lake.utterances(storage.normalise(root), corpus_name))
    if found is None:
        corpus_of(corpus_name)  # which names the known ones
        raise ConfigurationError(
            f"{root} has no manifest of {corpus_name}: "
            f"run `raysee manifest {corpus_name} WHERE_IT_LIES --to {root}` first."
        )
    return found


def build(
    corpus: Corpus,
    root: str,
    files: Sequence[FileInfo],
    read: Callable[[str], bytes],
    *,
    options: Mapping[str, str] | None = None,
    allow_count_mismatch: bool = False,
) -> tuple[pa.Table, pa.Table]:
    """The utterances (schema.UTTERANCES, sorted by clip_id) and rejects (schema.REJECTS) of the files below `root`.

    `read` gives the bytes of a uri; it is called for annotation files, and for what may be a Git LFS pointer. A sound
    file is a reject where its name is not of the corpus, where the paper leaves it out, where it is empty, a pointer
    or a second one of the same clip; so is a clip that the annotations name and the listing lacks. Hidden and
    AppleDouble files and everything that is no sound are passed over.

    Raises CorpusError where no clip is found, where an annotation file cannot be read, or where the counts differ from
    Table 1 of Keesing et al. 2020, no option takes other clips or labels, and `allow_count_mismatch` is not set; the
    message names what is missing and what is extra.
    """
    chosen = corpus.choose(options or {})
    by_path = {file.uri.removeprefix(root).lstrip("/"): file for file in files}
    reading = corpus.read(Tree(by_path, lambda path: read(by_path[path].uri)), chosen)
    found: dict[str, _Found] = {}
    rejects: list[dict[str, str]] = []

    def reject(identity: str, uri: str, error: str, message: str) -> None:
        rejects.append({"id": identity, "uri": uri, "stage": "manifest", "error": error, "message": message})

    for path, file in by_path.items():
        if is_hidden(path) or not path.lower().endswith(AUDIO_ENDINGS):
            continue
        outcome = reading.parse(path)
        if outcome is None:
            reject(file.uri, file.uri, "UnknownName", f"the path does not read as {corpus.layout}")
            continue
        if isinstance(outcome, LeftOut):
            reject(outcome.clip_id, file.uri, "LeftOut", outcome.reason)
            continue
        problem = _problem(file, read)
        for clip in [outcome] if isinstance(outcome, Clip) else outcome:
            if problem:
                reject(clip.clip_id, file.uri, *problem)
            elif clip.clip_id in found:
                reject(clip.clip_id, file.uri, "DuplicateClip", f"the same clip as {found[clip.clip_id].file.uri}")
            else:
                found[clip.clip_id] = _Found(clip, file)
    met = found.keys() | {row["id"] for row in rejects}
    for clip_id, path in reading.named.items():
        if clip_id not in met:
            reject(
                clip_id, by_path[path].uri, "MissingSound", "the annotations name this clip, there is no sound of it"
            )
    if not found:
        raise CorpusError(
            f"No clip of {corpus.title} below {root}: {len(files)} files, none of them like {corpus.layout}. "
            f"Point at the corpus's root folder; it is had from {corpus.source}."
        )
    recounted = any(chosen[name] != value for name, value in corpus.choose({}).items() if name != _SPEAKER_RULE)
    differences = [] if recounted else corpus.missing_and_extra(one.clip for one in found.values())
    if differences and not allow_count_mismatch:
        reasons = collections.Counter(row["error"] for row in rejects)
        rejected = ", ".join(f"{count} {error}" for error, count in sorted(reasons.items()))
        raise CorpusError(
            f"{corpus.title} below {root} is not the complete corpus ({len(found)} of {sum(corpus.counts.values())} "
            f"clips): {'; '.join(differences)}{f'; rejected: {rejected}' if rejected else ''}. "
            "Mend the folder, or go on with what is there by --allow-count-mismatch."
        )
    return (
        pa.Table.from_pylist([_row(corpus, *found[clip_id]) for clip_id in sorted(found)], schema=schema.UTTERANCES),
        pa.Table.from_pylist(rejects, schema=schema.REJECTS),
    )


class _Found(NamedTuple):
    clip: Clip
    file: FileInfo


def _problem(file: FileInfo, read: Callable[[str], bytes]) -> tuple[str, str] | None:
    """What is wrong with a sound file before anybody listens: the error's class and sentence."""
    if file.size_bytes == 0:
        return "EmptyFile", "the file has no bytes"
    if file.size_bytes < _LFS_BYTES and read(file.uri).startswith(_LFS_POINTER):
        return "LfsPointer", "a Git LFS pointer and not the sound: run `git lfs pull` in the corpus's folder"
    return None


def _row(corpus: Corpus, clip: Clip, file: FileInfo) -> dict[str, Any]:
    row = {
        **clip._asdict(),
        "corpus": corpus.name,
        "uri": file.uri,
        "size_bytes": file.size_bytes,
        "etag": file.etag,
        "language": clip.language or corpus.language,
        "emotion": canonical(clip.label),
    }
    return {**row, "group": row[corpus.group]}
