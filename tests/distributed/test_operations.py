"""What docs/operations.md tells the people on call to type, typed."""

import pathlib

from raysee import schema, storage
from raysee.scoring import batches

from ..commands.command_line import raysee
from .conftest import upload

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "operations.md"
RUN = "s3://lake/runs/emodb/RUN"
MORE = {"manifest": "--allow-count-mismatch", "train": "--size debug --epochs 1"}  # three speakers, and no hours


def test_every_command_of_the_page_does_what_it_says(
    ray_session: None, s3_server: str, emodb_tree: pathlib.Path, call_archive: pathlib.Path
) -> None:
    page = PAGE.read_text()
    commands = [line.split(maxsplit=1)[1] for line in page.splitlines() if line.startswith("    raysee ")]
    assert {"manifest", "extract", "train", "score", "report", "forget"} == {words.split()[0] for words in commands}
    for bucket in ("corpora", "lake", "calls", "scores", "conf"):
        storage.make_bucket(f"s3://{bucket}")
    upload(emodb_tree, "s3://corpora/emodb")
    for path in call_archive.rglob("*.wav"):
        storage.write_bytes(f"s3://calls/2026-11-19/{path.name}", path.read_bytes())
    run = ""
    for words in commands:
        ran = raysee(f"{words.replace(RUN, run)} {MORE.get(words.split()[0], '')}")
        assert ran.code == 0, (words, ran)
        if words.startswith("train"):
            run = ran.place
            assert storage.exists(storage.join(run, "model.json"))
            storage.write_bytes("s3://conf/night.txt", page.split("```\n")[1].replace(RUN, run).encode())
        if "--rescore" in words:
            calls = batches.read("s3://scores", "calls", schema.CALLS)
            assert (calls.num_rows, len(calls["work"].unique())) == (12, 2)
    left = batches.read("s3://scores", "calls", schema.CALLS)["call_id"]
    assert sorted(left.unique().to_pylist()) == ["call-0002.wav", "call-0003.wav"]
