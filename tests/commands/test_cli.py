"""The command line as a user meets it: what it answers, with which exit code, and what it leaves behind."""

import contextlib
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from typing import NamedTuple

import pyarrow.compute as pc
import pytest
import soundfile
import typer

from raysee import __version__, receipts, schema, storage
from raysee.cli import app
from raysee.lock import Lock

from ..environment import without_ray
from .command_line import Ran, assert_said, raysee

_ROOT = pathlib.Path(__file__).parents[2]

COMMANDS = (
    *("corpora", "manifest", "look", "audit", "extract", "export", "synthesise"),
    *("train", "cross", "tune", "reproduce", "compare", "score", "forget", "report", "submit"),
)


WHO = "--channels agent,customer --night 2026-11-19"


class Home(NamedTuple):
    """What the happy path has left: folders, and what each command printed."""

    root: pathlib.Path
    ran: dict[str, Ran]


def snapshot(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder with its size and the time it was written; nothing where there is no folder."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


@pytest.fixture(scope="module")
def home(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The happy path over a tiny synthetic corpus."""
    root = tmp_path_factory.mktemp("home")
    ran: dict[str, Ran] = {}

    def step(name: str, words: str) -> None:
        ran[name] = raysee(words)
        assert ran[name].code == 0, ran[name]

    step("synthesise", f"synthesise emodb {root}/audio --count 3")
    step("manifest", f"manifest emodb {root}/audio --to {root}/lake --allow-count-mismatch")
    step("extract", f"extract --corpus emodb --features logmel40 --to {root}/lake")
    step("train", f"train --corpus emodb --to {root}/lake --size debug --epochs 1 --labels anger,neutral")
    step("calls", f"synthesise calls {root}/calls --count 2")
    step("score", f"score {root}/calls {WHO} --model {ran['train'].place} --to {root}/scores")
    step("report", f"report {ran['train'].place} {root}/scores")

    (root / "calls.csv").write_text("name\na call\n")
    (root / "foreign").mkdir()
    (root / "foreign" / "readme.txt").write_text("no recording")
    run = local(ran["train"].place)
    shutil.copytree(run, root / "unfinished")
    (root / "unfinished" / "receipt.json").unlink()
    shutil.copytree(root / "lake" / "utterances", root / "listed" / "utterances")
    said = storage.read_table(storage.join(ran["train"].place, "predictions.parquet"), schema.PREDICTIONS)
    fewer = said.filter(pc.invert(pc.and_(pc.equal(said["speaker"], "03"), pc.equal(said["label"], "anger"))))
    storage.write_table(f"file://{root}/other-clips/predictions.parquet", fewer, schema.PREDICTIONS)
    for path in sorted((root / "audio" / "wav").glob("0[38]a01*.wav")):
        (root / "pair").mkdir(exist_ok=True)
        shutil.copy(path, root / "pair")
    (root / "noise").mkdir()
    for name in ("03a01Wa", "08a01Na", "09a01Wa"):
        (root / "noise" / f"{name}.wav").write_text("not sound at all, but long enough for a header" * 4)
    for name in ("pair", "noise"):
        step(f"manifest {name}", f"manifest emodb {root}/{name} --to {root}/lake-of-{name} --allow-count-mismatch")
        step(f"extract {name}", f"extract --corpus emodb --features logmel40 --to {root}/lake-of-{name}")
    return Home(root, ran)


def local(uri: str) -> pathlib.Path:
    """The path of a file:// URI."""
    return pathlib.Path(uri.removeprefix("file://"))


def test_help_is_a_table_of_contents() -> None:
    ran = raysee("--help")
    assert ran.code == 0
    listed = re.findall(r"^\W*([a-z]+)\s{2,}[A-Z].*", ran.out, re.MULTILINE)
    assert tuple(listed) == COMMANDS, "in the order in which they are used"
    assert set(typer.main.get_command(app).commands) == set(COMMANDS)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    ran = raysee(f"{command} --help")
    assert ran.code == 0
    assert f"raysee {command}" in ran.out


def test_a_file_stands_for_its_words(tmp_path: pathlib.Path, bucket: str) -> None:
    words = "compare 'a run' # remark\n  another --nowhere"
    for place in (str(tmp_path / "words.txt"), f"{bucket}/words.txt"):
        storage.write_bytes(storage.normalise(place), words.encode())
        ran = raysee(f"@{place}")
        assert (ran.code, "No such option: --nowhere" in ran.err) == (2, True), ran
        assert_said(raysee(f"compare -- @{place} b"), "@.*words.txt|%40.*words.txt")  # it is a run by that name
    (tmp_path / "broken.txt").write_text("--to 'nowhere")
    assert_said(raysee(f"@{tmp_path}/broken.txt"), "broken.txt holds no words that can be read .*No closing quotation")
    assert_said(raysee(f"@{tmp_path}/missing.txt"), "missing.txt does not exist")


def test_version() -> None:
    assert raysee("--version") == Ran(0, f"{__version__}\n", "")


def test_the_page_holds_the_figures_that_training_printed(home: Home) -> None:
    page = local(home.ran["report"].place)
    text = page.read_text()
    figures = re.search(r"UAR (\d+\.\d)% \(mean of folds\), (\d+\.\d)% \(pooled\)", home.ran["train"].out)
    assert figures is not None, home.ran["train"].out
    assert f"<strong>{figures[1]}</strong>" in text
    assert re.search(rf">\s*{figures[2]}\b", text)
    assert "synthetic" in text
    assert page.name == "report.html"
    assert page.parent == local(home.ran["train"].place)
    assert "call-0001.wav" in text
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text), "it needs no network"


@pytest.mark.parametrize(
    ("command", "rows"),
    [("manifest", "210 of 210"), ("extract", "210 of 210"), ("train", "60 of 60"), ("score", "night of 2026-11-19")],
)
def test_each_stage_says_what_it_did(home: Home, command: str, rows: str) -> None:
    assert home.ran[command].out.startswith(f"{command} (synthetic): {rows}, ")
    assert home.ran[command].err == "", "nothing but what was asked for"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("manifest", "manifest emodb {home}/audio --to {home}/lake --allow-count-mismatch"),
        ("extract", "extract --corpus emodb --features logmel40 --to {home}/lake"),
        ("train", "train --corpus emodb --to {home}/lake --size debug --epochs 1 --labels anger,neutral"),
        ("score", "score {home}/calls --channels agent,customer --night 2026-11-19 --model {run} --to {home}/scores"),
    ],
)
def test_a_second_start_finds_it_finished(home: Home, command: str, words: str) -> None:
    before = snapshot(home.root)
    again = raysee(words.format(home=home.root, run=home.ran["train"].place))
    assert (again.code, again.err) == (0, "")
    assert "found finished" in again.out
    assert "found finished" not in home.ran[command].out
    assert again.place == home.ran[command].place
    assert snapshot(home.root) == before


def test_a_night_says_what_it_did(home: Home) -> None:
    first, again = (
        re.sub(r"\d+\.\d\d? (s|hours)", r"SOME \1", ran.out)
        for ran in (
            home.ran["score"],
            raysee(f"score {home.root}/calls {WHO} --model {home.ran['train'].place} --to {home.root}/scores"),
        )
    )
    assert first.splitlines() == [
        "score (synthetic): night of 2026-11-19, SOME s",
        "  2 calls = 2 scored + none rejected + 0 already done",
        "  SOME hours of audio; channels: agent 2, customer 2",
        "  listened to, emotions not looked for: agent 2",
        f"  file://{home.root}/scores",
    ]
    assert again.splitlines() == [first.splitlines()[0].replace("SOME s", "found finished"), *first.splitlines()[1:]]


def test_rejects_past_the_limit_end_with_an_exit_code(home: Home, tmp_path: pathlib.Path) -> None:
    shutil.copytree(home.root / "calls", tmp_path / "calls")
    (tmp_path / "calls" / "broken.wav").write_text("no sound" * 20)
    words = f"score {tmp_path}/calls {WHO} --model {home.ran['train'].place} --to {tmp_path}/scores"
    ran = raysee(words)
    assert (ran.code, ran.err) == (3, "")
    assert "  3 calls = 2 scored + 1 rejected (NotAudio 1) + 0 already done\n" in ran.out
    assert "  warning: 1 of 3 calls were rejected (33.3%, limit 5.0%): see the table of rejects.\n" in ran.out
    again = raysee(words)
    assert (again.code, again.out.splitlines()[0]) == (3, "score (synthetic): night of 2026-11-19, found finished")
    assert raysee(f"{words}-2 --max-rejects 0.4").code == 0


def test_drift_past_the_limit_ends_with_an_exit_code(
    home: Home, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The night after is the same calls, but so quiet as nobody speaks."""
    monkeypatch.setattr("raysee.scoring.watch.FEWEST_SEGMENTS", 1)
    words = f"--channels agent,customer --model {home.ran['train'].place} --to {tmp_path}/scores"
    for night, gain in (("2026-11-19", 1.0), ("2026-11-20", 0.9), ("2026-11-21", 0.03)):
        for path in (home.root / "calls").rglob("*.wav"):
            samples, rate = soundfile.read(path)
            (tmp_path / night).mkdir(exist_ok=True)
            soundfile.write(tmp_path / night / path.name, gain * samples, rate, subtype="FLOAT")
    first, alike, quiet = (raysee(f"score {tmp_path}/2026-11-{day} {words}") for day in (19, 20, 21))
    assert [ran.code for ran in (first, alike, quiet)] == [0, 0, 4]
    assert "warning" not in first.out + alike.out
    assert re.search(
        r"warning: Tonight differs from the nights before it \(.*level_dbfs 1\.00.*limit 0\.25\)", quiet.out
    )
    assert raysee(f"score {tmp_path}/2026-11-21 {words} --rescore --max-s 7 --max-drift 1").code == 0


def test_agents_are_scored_for_a_reason_which_is_kept(home: Home, tmp_path: pathlib.Path) -> None:
    words = f"score {home.root}/calls {WHO} --model {home.ran['train'].place} --to {tmp_path}/scores --score-agents"
    assert_said(raysee(words), "no reason is given")
    assert snapshot(tmp_path) == {}
    ran = raysee(f"{words} --reason safety-of-crews")
    assert ran.code == 0, ran
    assert "not looked for" not in ran.out
    night = receipts.read(f"file://{tmp_path}/scores", "nights/00000.json")
    assert night is not None
    assert night.details["reason"] == "safety-of-crews"


def test_a_second_start_on_the_same_scores_says_so_and_leaves(home: Home, tmp_path: pathlib.Path) -> None:
    words = f"score {home.root}/calls {WHO} --model {home.ran['train'].place} --to {tmp_path}/scores"
    with Lock(f"file://{tmp_path}/scores"):
        assert_said(raysee(words), "Another start .process .* is working on file://.*/scores: let it finish")
    assert snapshot(tmp_path / "scores") == {}


def test_an_incomplete_corpus_goes_on_where_it_is_allowed(home: Home, tmp_path: pathlib.Path) -> None:
    words = f"manifest emodb {home.root}/audio --to {tmp_path}/lake"
    assert_said(raysee(words), r"anger: 30 clips, Table 1 has 127;.*missing: 03a01Nc, .* and \d+ more.*--allow-count-m")
    assert snapshot(tmp_path) == {}
    assert raysee(f"{words} --allow-count-mismatch").code == 0
    rows = storage.read_table(
        storage.normalise(tmp_path / "lake" / "utterances" / "emodb" / "clips"), schema.UTTERANCES
    )
    assert rows.num_rows == 210


MANIFEST = "manifest emodb {home}/audio --allow-count-mismatch"
EXTRACT = "extract --corpus emodb --features logmel40"
TRAIN = "train --corpus emodb --size debug --epochs 1"
TRAIN_HERE = f"{TRAIN} --labels anger,neutral --to {{home}}/lake"
SCORE = f"score {{home}}/calls {WHO} --model {{run}}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        # corpora and places
        ("manifest emodb {home}/foreign --to {out}", "No clip of EMO-DB below .*1 files.*Point at the corpus's root"),
        ("manifest ravdess {home}/audio --to {out}", "No clip of RAVDESS .*Point at the corpus's root folder"),
        ("manifest emodb {home}/nowhere --to {out}", "nowhere does not exist: check the spelling"),
        ("manifest emodb s3://no-such-bucket-of-ours/a --to {out}", "s3://no-such.* bucket does not exist: check"),
        ("manifest emodb s3://Not_A_Bucket!/a --to {out}", "Not_A_Bucket!.*[Cc]heck"),
        ("manifest emodb http://host/a --to {out}", "'http://host/a' is not a place .*give s3://bucket"),
        ("manifest emodb file://emodb --to {out}", "file://emodb.*give s3://bucket"),
        ("manifest emodb '' --to {out}", "not a place .*give s3://bucket"),
        (MANIFEST + " --to ''", "not a place .*give s3://bucket"),
        (SCORE + " --to ''", "not a place .*give s3://bucket"),
        (MANIFEST + " --to s3://no-such-bucket-of-ours/lake", "s3://no-such-bucket-.*does not exist: check"),
        (MANIFEST + " --to gs://bucket/lake", "'gs://bucket/lake' is not a place .*give s3://bucket"),
        (MANIFEST + " --to {home}/foreign/readme.txt", "readme.txt.*cannot be used.*"),
        # unknown names
        ("manifest emo-db {home}/audio --to {out}", "Unknown corpus 'emo-db'; choose one of: cafe, .*Lhotse"),
        (
            "extract --corpus emo-db --features logmel40 --to {out}",
            "Unknown corpus 'emo-db'; choose one of: cafe, ",
        ),
        ("extract --corpus emodb --features mfccs --to {out}", "Unknown front-end 'mfccs'; choose one of: .*logmel40"),
        (TRAIN_HERE + " --corpus emo-db", "Unknown corpus 'emo-db'; choose one of: cafe, "),
        (TRAIN_HERE + " --features mfccs", "Unknown front-end 'mfccs'; choose one of: .*logmel40"),
        (TRAIN_HERE + " --model transformer", "Unknown model 'transformer'; choose one of: aldeneh"),
        (TRAIN_HERE + " --protocol loso", "Unknown protocol 'loso'; choose one of: .*code, .*paper, .*strict"),
        (TRAIN_HERE + " --labels anger,joy", "Unknown labels joy; this corpus has anger, boredom, disgust"),
        (TRAIN_HERE + " --labels anger", "One label, anger, leaves nothing to tell apart: give two or more"),
        (TRAIN_HERE + " --labels anger,anger", "nothing to tell apart"),
        ("synthesise song {out}", "Unknown kind of synthetic audio 'song'; choose one of: cafe, calls, .*tess"),
        # a stage whose stage before has not run
        (EXTRACT + " --to {out}", "has no manifest of emodb: run `raysee manifest emodb .*` first"),
        (TRAIN + " --to {out}", "has no manifest of emodb: run `raysee manifest emodb .*` first"),
        (TRAIN + " --to {home}/listed", "has no finished logmel40 of emodb: run `raysee extract .*` first"),
        (
            "score {home}/calls --model {home}/nowhere --to {out}",
            "model.json does not exist: check .* the stage before",
        ),
        (
            "score {home}/calls --model {home}/foreign --to {out}",
            "model.json does not exist: check .* the stage before",
        ),
        ("score {home}/foreign --model {run} --to {out}", "No recording in .*1 files.*Check the place"),
        ("score {home}/nowhere --model {run} --to {out}", "nowhere does not exist: check the spelling"),
        ("report {home}/unfinished", "unfinished holds no finished run.*start its stage again"),
        ("report {home}/nowhere", "nowhere holds no finished run.*check the spelling"),
        ("report {home}/lake/utterances/emodb --out {out}", "written by `raysee manifest`: give the folder of a run"),
        ("report {run} --out s3://no-such-bucket-of-ours/page.html", "does not exist: check the spelling"),
        # an output of another configuration
        ("manifest emodb {home}/pair --to {home}/lake --allow-count-mismatch", "different: source.*pass --overwrite"),
        ("manifest emodb {home}/audio --to {home}/lake", "different: allow_count_mismatch.*pass --overwrite"),
        (SCORE + " --to {run}", "holds the recordings or the model: choose a folder of its own"),
        (SCORE + " --to {home}/lake/utterances/emodb", "was written by another manifest .*Choose another --to"),
        (SCORE + " --to {home}/calls", "holds the recordings or the model: choose a folder of its own"),
        (SCORE + " --to {home}", "holds the recordings or the model: choose a folder of its own"),
        # whose emotions are looked for
        (
            "score {home}/calls --model {run} --to {out}",
            "No channel is that of .*give --channels agent,customer",
        ),
        (
            "score {home}/calls --channels Agent, --model {run} --to {out}",
            "No channel is that of",
        ),
        (SCORE + " --to {out} --score-agents", r"no reason is given: .*AI Act, Article 5\(1\)\(f\).*give --reason"),
        ("score {home}/calls.csv --model {run} --to {out}", "calls.csv has no column uri, but name: name it so"),
        ("score {home}/calls/**x --model {run} --to {out}", "is no pattern: "),
        # numbers that cannot be
        (TRAIN_HERE + " --set learning_rate=-1", "learning_rate: .*greater than 0.*-1"),
        (TRAIN_HERE + " --set learning_rate=nan", "learning_rate: .*finite.*nan"),
        (TRAIN_HERE + " --set epochs=0", "epochs: .*equal to 1, not '0'"),
        (TRAIN_HERE + " --set epochs=many", "epochs: .*integer.*'many'"),
        (TRAIN_HERE + " --set batch_size=0", "batch_size: .*equal to 1, not '0'"),
        (TRAIN_HERE + " --set batch_size", "--set 'batch_size' has no value: give NAME=VALUE"),
        (TRAIN_HERE + " --set nonsense=1", "Unknown setting 'nonsense'; choose one of: adam_eps, .*batch_size"),
        (TRAIN_HERE + " --repeats 0", "repeats: .*equal to 1, not 0"),
        (TRAIN_HERE + " --hop-ms 0", "hop_ms: .*equal to 1, not 0"),
        (TRAIN_HERE + " --seed -1 --protocol badshah2017", "seed.*-1"),
        (SCORE + " --to {out} --night 19.11.2026", "The night is '19.11.2026': write its date as 2026-11-19"),
        (SCORE + " --to {out} --abstain 1.5", "abstain: .*less than or equal to 1"),
        (SCORE + " --to {out} --max-s nan", "max_s: .*finite.*nan"),
        (SCORE + " --to {out} --max-s 0", "max_s: .*greater than.*2.1.* 0.0"),
        (SCORE + " --to {out} --detector ears", "Speech is to be found by ears, and .* is what is installed here"),
        ("synthesise emodb {out} --count 11", "1 to 10 speakers, not 11"),
        ("synthesise ravdess {out} --count 25", "1 to 24 actors, not 25"),
        ("synthesise emodb {home}/foreign/readme.txt", "readme.txt.*(folder|cannot be used)"),
        ("synthesise calls s3://bucket/calls --count 1", "s3://?bucket/calls.*folder"),
        # what does not go together
        (TRAIN_HERE + " --model latif", "no finished waveform of emodb: run `raysee extract"),
        (TRAIN_HERE + " --model mlp --features logmel40", "mlp takes .*summary180.*, not logmel40: see --features"),
        (TRAIN_HERE + " --model alexnet-fine-tuned", "alexnet-fine-tuned starts from ImageNet weights.*--initial"),
        (TRAIN_HERE + " --initial {home}/foreign/readme.txt", "initial weights are no safetensors file.*convert it"),
        (
            TRAIN_HERE + " --initial {home}/nowhere.safetensors",
            "nowhere.safetensors does not exist: check",
        ),
        (TRAIN_HERE + " --augmented mfcc", "mfcc holds no altered copies of logmel40"),
        (TRAIN_HERE + " --gpus 0.5 --seed 1", "A GPU was asked for and the cluster has none: leave --gpus out"),
        (TRAIN_HERE + " --gpus 0.5 --overwrite", "A GPU was asked for and the cluster has none: leave --gpus out"),
        ("reproduce keesing --to {home}/lake", "Unknown experiment 'keesing'; choose one of: .*keesing2020"),
        ("reproduce keesing2020 --to {out}", "has none of the experiment's corpora .*raysee manifest"),
        ("reproduce keesing2020 --to {home}/lake --columns A9", "Unknown column 'A9'; choose one of: A1"),
        ("reproduce keesing2020 --to {home}/lake --corpora iemocap,mine", "The experiment is about .*, not mine"),
        ("reproduce badshah2017 --to {home}/lake --columns fine-tuned", "Nothing of badshah2017 .*--initial"),
        ("compare {run} {home}/nowhere", "predictions.parquet does not exist: check the spelling"),
        (
            "compare {run} {home}/other-clips",
            "10 clips are in the first run only and 0 in the second.*same --labels",
        ),
        ("compare {home}/scores {run}", "predictions.parquet does not exist: check the spelling"),
        # what there is does not suffice
        (
            TRAIN + " --to {home}/lake-of-pair",
            "strict needs at least 3 speakers, this corpus has 2: take one with more",
        ),
        (TRAIN + " --to {home}/lake-of-noise", "clips 0 have features, and none of these is one of .*see the rejects"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    home: Home, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, words: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = snapshot(home.root)
    ran = raysee(words.format(home=home.root, out=tmp_path / "out", run=home.ran["train"].place))
    assert_said(ran, message)
    assert snapshot(home.root) == before, "what was there is as it was"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("manifest emodb", "missing argument 'source'"),
        ("extract --corpus emodb --features logmel40", "missing option '--to'"),
        ("train --corpus emodb --to x --size huge", "'--size': .*'huge' is not one of 'published'"),
        ("train --corpus emodb --to x --epochs many", "'--epochs': "),
        ("mainfest emodb x", "no such command 'mainfest'"),
    ],
)
def test_a_wrong_call_names_the_option(words: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAYSEE_LAKE", raising=False)
    ran = raysee(words)
    assert ran.code == 2
    assert re.search(message, " ".join(ran.err.split()), re.IGNORECASE)
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("http://127.0.0.1:9", "does not answer.*check AWS_ENDPOINT_URL"),
        ("127.0.0.1:9", "127.0.0.1:9.*AWS_ENDPOINT_URL"),
    ],
)
def test_an_unreachable_endpoint(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, endpoint: str, message: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert_said(raysee(f"manifest emodb s3://bucket/a --to {tmp_path}/out"), message)
    assert snapshot(tmp_path) == {}


@pytest.fixture
def refusing(s3_server: str) -> contextlib.AbstractContextManager[None]:
    """While it is open, the S3 server looks at who asks, and knows nobody."""

    def allow(actions: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{s3_server}/moto-api/reset-auth", data=actions, headers=headers)
        urllib.request.urlopen(request).read()

    @contextlib.contextmanager
    def closed():  # type: ignore[no-untyped-def]
        allow(b"0")
        try:
            yield
        finally:
            allow(b"inf")

    return closed()


@pytest.mark.parametrize(
    "words",
    [
        "manifest emodb {bucket}/emodb --to {out}",
        "manifest emodb {home}/audio --to {bucket}/lake --allow-count-mismatch",
        "extract --corpus emodb --features logmel40 --to {bucket}/lake",
        "score {bucket}/calls --channels customer --model {run} --to {out}",
        "score {home}/calls --channels agent,customer --model {run} --to {bucket}/scores",
        "report {bucket}/run",
    ],
)
def test_wrong_credentials(
    home: Home,
    bucket: str,
    refusing: contextlib.AbstractContextManager[None],
    tmp_path: pathlib.Path,
    words: str,
) -> None:
    with refusing:
        ran = raysee(words.format(bucket=bucket, home=home.root, out=tmp_path / "out", run=home.ran["train"].place))
    assert_said(ran, f"No permission for {bucket}.*check the credentials")
    assert storage.list_files(bucket) == []
    assert snapshot(tmp_path) == {}


def test_credentials_that_end_during_the_work_reject_nothing(
    home: Home, bucket: str, refusing: contextlib.AbstractContextManager[None], tmp_path: pathlib.Path
) -> None:
    for path in (home.root / "pair").iterdir():
        storage.write_bytes(storage.join(bucket, path.name), path.read_bytes())
    assert raysee(f"manifest emodb {bucket} --to {tmp_path} --allow-count-mismatch").code == 0
    with refusing:
        ran = raysee(f"{EXTRACT} --to {tmp_path}")
    assert_said(ran, "No permission for .*check the credentials")
    again = raysee(f"{EXTRACT} --to {tmp_path}")
    assert (again.code, again.out.splitlines()[0].split(",")[0]) == (0, "extract: 14 of 14")


def test_a_corpus_of_ones_own_comes_in_a_table(home: Home, tmp_path: pathlib.Path) -> None:
    sounds = sorted((home.root / "audio" / "wav").glob("*.wav"))
    rows = [f"{path.stem},audio/{path.name},{path.stem[:2]},{path.stem[5]}" for path in sounds]
    (tmp_path / "audio").symlink_to(home.root / "audio" / "wav")
    (tmp_path / "mine.csv").write_text("\n".join(["clip_id,uri,speaker,label", *rows]) + "\n")
    ran = raysee(f"manifest mine {tmp_path}/mine.csv --to {tmp_path}/lake")
    assert (ran.code, ran.out.split(",")[0]) == (0, "manifest (synthetic): 210 of 210"), ran
    assert raysee(f"extract --corpus mine --features logmel40,mfcc --to {tmp_path}/lake").code == 0
    ran = raysee(f"train --corpus mine --features mfcc --to {tmp_path}/lake --size debug --epochs 1 --labels W,N")
    assert (ran.code, ran.out.split(",")[0]) == (0, "train (synthetic): 60 of 60"), ran
    assert raysee(f"look mine --to {tmp_path}/lake").code == 0


def test_another_map_of_emotions_lists_anew(
    home: Home, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"manifest emodb {home.root}/pair --to {tmp_path} --allow-count-mismatch"
    assert raysee(words).code == 0
    assert "found finished" in raysee(words).out
    monkeypatch.setattr("raysee.corpora.manifest.FINGERPRINT", "another")
    assert "found finished" not in raysee(words).out


@pytest.mark.parametrize("kind", ["audformat", "lhotse"])
def test_a_list_goes_out_and_comes_back(home: Home, tmp_path: pathlib.Path, kind: str) -> None:
    pytest.importorskip(kind)
    assert raysee(f"export emodb {kind} {tmp_path}/out --to {home.root}/lake").code == 0
    ran = raysee(f"manifest back {tmp_path}/out --to {tmp_path}/lake")
    assert (ran.code, ran.out.split(",")[0]) == (0, "manifest (synthetic): 210 of 210"), ran


def test_features_of_another_manifest_are_not_trained_on(home: Home, tmp_path: pathlib.Path) -> None:
    shutil.copytree(home.root / "lake-of-pair", tmp_path / "lake")
    words = f"manifest emodb {home.root}/audio --to {tmp_path}/lake --allow-count-mismatch"
    assert raysee(f"{words} --overwrite").code == 0
    ran = raysee(f"{TRAIN} --to {tmp_path}/lake --labels anger,neutral --protocol paper")
    assert_said(ran, "another manifest.*run `raysee extract .*` first")
    assert not (tmp_path / "lake" / "runs").exists()


def test_a_run_is_as_good_as_itself(home: Home) -> None:
    ran = raysee(f"compare {home.ran['train'].place} {home.ran['train'].place}")
    assert ran.code == 0, ran
    assert re.match(r"UAR pooled (\d+\.\d%) and \1: \+0\.0 points, 95 % \+0\.0 to \+0\.0\n", ran.out), ran.out
    assert ran.out.splitlines()[1] == "p = 1.000 by flipping speakers; 3 speakers, 60 clips"


def test_a_run_without_a_model_has_its_page(home: Home) -> None:
    ran = raysee(f"{TRAIN} --labels anger,neutral --to {home.root}/lake --protocol paper --no-deliver")
    assert ran.code == 0, ran
    assert not (local(ran.place) / "model.json").exists()
    page = raysee(f"report {ran.place}")
    assert page.code == 0, page
    assert "paper" in local(page.place).read_text()
    assert_said(
        raysee(f"score {home.root}/calls {WHO} --model {ran.place} --to {home.root}/none"), "model.json does not exist"
    )


def test_an_experiment_prints_its_table_and_draws_its_page(home: Home) -> None:
    words = f"reproduce keesing2020 --to {home.root}/lake --columns A1 --size debug --epochs 1 --repeats 1 --folds 1"
    ran = raysee(f"{words} --table-only")
    assert (ran.code, ran.err) == (0, ""), ran
    assert "owed: not trained yet." in ran.out
    assert "1 training: " in raysee(f"{words} --plan").out
    assert "owed: not trained yet." in raysee(f"{words} --table-only").out, "a plan trains nothing"
    ran = raysee(words)
    assert (ran.code, ran.err) == (0, ""), ran
    assert re.search(r"emodb +A1\[2\] +UAR +paper +\d\d\.\d % +\d+\.\d % \(1 trainings so far\)", ran.out), ran.out
    assert ran.place == f"file://{home.root}/lake/experiments/keesing2020/report.html"
    assert "not finished" in local(ran.place).read_text()
    assert re.search(r"emodb +Human\[1\] +accuracy +84\.3 %", ran.out), ran.out
    planned, separator, table = ran.out.partition("Table 3: ")
    assert "1 training: " in planned
    left_out = re.search(r"Left out, because .*: cafe, cremad, .*`raysee manifest` lists a corpus\.\n", planned)
    assert left_out, ran.out
    assert left_out.group() in table
    assert left_out.group().strip() in local(ran.place).read_text()
    assert raysee(f"{words} --table-only").out == separator + table
    assert "owed: not trained yet." in raysee(f"{words} --seed 1 --table-only").out, "another seed, another training"
    assert raysee(f"{words} --plan").out == (
        f"  emodb aldeneh logmel40 paper: 1 finished\n0 trainings: 0.0 s of one CPU core\n{left_out.group()}"
    )


def _process(words: str, **changes: str | None) -> Ran:
    environment = {key: value for key, value in {**os.environ, **changes}.items() if value is not None}
    command = [sys.executable, "-m", "raysee", *words.split()]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    return Ran(ended.returncode, ended.stdout, ended.stderr)


def test_no_credentials(tmp_path: pathlib.Path, s3_server: str) -> None:
    none = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    ran = _process(f"manifest emodb s3://bucket/a --to {tmp_path}/out", HOME=str(tmp_path), **none)
    assert_said(ran, "No credentials for s3://bucket/a: set AWS_ACCESS_KEY_ID")
    assert snapshot(tmp_path) == {}


def test_no_cluster_at_the_address(home: Home, tmp_path: pathlib.Path) -> None:
    shutil.copytree(home.root / "listed", tmp_path / "lake")
    ran = _process(f"{EXTRACT} --to {tmp_path}/lake", RAY_ADDRESS="127.0.0.1:9")
    assert_said(ran, "No Ray cluster .*RAY_ADDRESS=127.0.0.1:9 .*start it, or unset RAY_ADDRESS")


def test_without_an_address_a_cluster_of_somebody_else_is_left_alone() -> None:
    with tempfile.TemporaryDirectory() as place:  # a short path: it holds sockets
        # `ray start --head` leaves this note; Ray connects to where it points unless it is told not to.
        note = pathlib.Path(place) / "ray" / "ray_current_cluster"
        note.parent.mkdir()
        note.write_text("127.0.0.1:9")
        code = "from raysee.distributed.cluster import connect; connect(); import ray; print(len(ray.nodes()))"
        ended = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env=without_ray(RAY_TMPDIR=place),
            timeout=90,
        )
    assert (ended.returncode, ended.stdout) == (0, "1\n"), ended.stderr[-300:]


def test_overwrite_deletes_only_what_it_can_replace(home: Home, tmp_path: pathlib.Path) -> None:
    shutil.copytree(home.root / "listed", tmp_path / "kept")
    before = snapshot(tmp_path / "kept")
    ran = raysee(f"manifest emodb {home.root}/nowhere --to {tmp_path}/kept --overwrite")
    assert snapshot(tmp_path / "kept") == before
    assert_said(ran, "([Cc]hoose|check)")


def test_the_demo_and_the_readme_call_commands_as_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """Every command line is parsed and none is run: an option that is gone is found in milliseconds."""
    spec = importlib.util.spec_from_file_location("demo", _ROOT / "jobs" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    called: list[list[str]] = []
    monkeypatch.setattr(demo, "raysee", lambda *words: called.append([str(word) for word in words]) or "s3://place")
    for name in ("make_once", "upload"):
        monkeypatch.setattr(demo, name, lambda *arguments: None)
    monkeypatch.setattr(demo.storage, "read_bytes", lambda uri: b"")
    demo.run("ravdess", None, tmp_path)
    readme = (_ROOT / "README.md").read_text()
    lines = re.findall(r"^    raysee ([^#\n]+)", readme, flags=re.MULTILINE)
    called += [line.split() for line in lines]
    assert {words[0] for words in called} >= {"manifest", "extract", "train", "score", "forget", "report", "reproduce"}
    command = typer.main.get_command(app)
    for name, *arguments in called:
        command.commands[name].make_context(name, list(arguments))  # type: ignore[attr-defined]
