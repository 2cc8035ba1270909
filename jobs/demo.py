"""The main job from end to end, on this machine alone: `make demo`.

Synthetic recordings (or real ones: `make demo CORPUS=emodb DATA=/path`) go into a bucket of an S3 server on loopback;
then the commands run that a user would run. The bucket is kept in `.demo/`, so that a second start finds its receipts.
"""

import argparse
import contextlib
import logging
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator

from moto.server import ThreadedMotoServer

from raysee import storage
from raysee.cli import app
from raysee.config import fingerprint
from raysee.errors import RayseeError
from raysee.synthesis.calls import write_calls
from raysee.synthesis.trees import write_ravdess

SPEAKERS, CALLS, CALL_SECONDS = 8, 6, 40.0
EPOCHS, LEARNING_RATE = 30, 1e-3
BUCKET = "s3://raysee-demo"


def main() -> None:
    """Parse the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="ravdess", help="the corpus, emodb or ravdess")
    parser.add_argument("--data", type=pathlib.Path, help="its root folder; without one, synthetic voices")
    parser.add_argument("--home", type=pathlib.Path, default=pathlib.Path(".demo"), help="where everything is kept")
    options = parser.parse_args()
    if options.data is None and options.corpus != "ravdess":
        parser.error(f"--corpus {options.corpus} needs --data: the synthetic corpus is ravdess")
    if options.data is not None and not options.data.is_dir():
        parser.error(f"--data {options.data} is no folder")
    began = time.perf_counter()
    kind = f"{options.corpus}-{fingerprint(str(options.data.absolute()))}" if options.data else "synthetic"
    home = options.home.absolute() / kind
    home.mkdir(parents=True, exist_ok=True)
    with chatter_into(home / "ray.log"), s3_server(home / "bucket"):
        try:
            page = run(options.corpus, options.data, home)
        except RayseeError as error:
            sys.exit(f"error: {error}")
    print(f"\n{time.perf_counter() - began:.0f} s. Open this page in a browser:\n{page}")


def run(corpus: str, data: pathlib.Path | None, home: pathlib.Path) -> pathlib.Path:
    """Fill the bucket, run the stages, and bring the page home."""
    archive = home / "audio" / "calls"
    make_once(archive, lambda folder: write_calls(folder, calls=CALLS, seconds=CALL_SECONDS, sample_rate_hz=16_000))
    if data is None:
        data = home / "audio" / corpus
        make_once(data, lambda folder: write_ravdess(folder, actors=SPEAKERS))
        incomplete = ["--allow-count-mismatch"]
    else:
        incomplete = []
    audio, calls, lake, scores = (f"{BUCKET}/{name}" for name in (corpus, "calls", "lake", "scores"))
    upload(data, audio)
    upload(archive, calls)

    raysee("manifest", corpus, audio, "--to", lake, *incomplete)
    raysee("extract", "--corpus", corpus, "--features", "logmel40", "--to", lake)
    leaky, strict = (
        raysee(
            *("train", "--corpus", corpus, "--features", "logmel40", "--model", "aldeneh", "--size", "debug"),
            *("--protocol", protocol, "--epochs", EPOCHS, "--set", f"learning_rate={LEARNING_RATE}", "--to", lake),
        )
        for protocol in ("badshah2017", "strict")
    )
    raysee("score", calls, "--channels", "agent,customer", "--model", strict, "--to", scores)
    page = raysee("report", strict, leaky, scores)
    target = home / "report.html"
    target.write_bytes(storage.read_bytes(page))
    return target


def raysee(*arguments: object) -> str:
    """Run a command of the command line as a user would; what it returns is where its output lies."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ raysee {' '.join(words)}", flush=True)
    place = app(words, standalone_mode=False)
    if not isinstance(place, str):  # Typer's exit code for Ctrl-C
        sys.exit("Stopped. The same command goes on where it was.")
    return place


def make_once(folder: pathlib.Path, make: Callable[[pathlib.Path], object]) -> None:
    """Make a folder whole or not at all."""
    if folder.exists():
        return
    print(f"A synthetic voice fills {folder.name}", flush=True)
    unfinished = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    make(unfinished)
    unfinished.rename(folder)


def upload(folder: pathlib.Path, place: str) -> None:
    """Copy the files of a folder that are not there yet."""
    there = {(file.uri, file.size_bytes) for file in storage.list_files(BUCKET)}
    for path in sorted(folder.rglob("*")):
        uri = storage.join(place, path.relative_to(folder).as_posix())
        if path.is_file() and (uri, path.stat().st_size) not in there:
            storage.write_bytes(uri, path.read_bytes())


@contextlib.contextmanager
def s3_server(kept: pathlib.Path) -> Iterator[None]:
    """An S3 server on loopback. Its objects are in memory: they come from `kept` first and are saved there last."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would print every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://{host}:{port}",
        AWS_ACCESS_KEY_ID="demo",
        AWS_SECRET_ACCESS_KEY="demo",
        AWS_REGION="us-east-1",
        AWS_DEFAULT_REGION="us-east-1",
    )
    # What would lead elsewhere: another endpoint, another identity, a cluster that cannot reach this loopback.
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_SESSION_TOKEN", "RAY_ADDRESS"):
        os.environ.pop(name, None)
    storage.make_bucket(BUCKET)
    upload(kept, BUCKET)
    try:
        yield
    finally:
        for file in storage.list_files(BUCKET):
            path = kept / file.uri.removeprefix(f"{BUCKET}/")
            if not path.exists() or path.stat().st_size != file.size_bytes:
                storage.write_bytes(storage.normalise(path), storage.read_bytes(file.uri))
        server.stop()


@contextlib.contextmanager
def chatter_into(log: pathlib.Path) -> Iterator[None]:
    """Send what Ray's processes print as errors into a file; what Python prints still goes to the screen."""
    screen = os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    sys.stderr = os.fdopen(screen, "w", buffering=1)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(screen, 2)


if __name__ == "__main__":
    main()
