import pathlib

import pytest

from raysee import storage
from raysee.config import RunConfig, TrainingConfig
from raysee.corpora.manifest import manifest
from raysee.distributed.extract import extract
from raysee.distributed.train import train
from raysee.synthesis.calls import write_calls
from raysee.synthesis.trees import write_emodb

#: A run that is trained in a second.
TINY = RunConfig(
    corpora=("emodb",),
    features="logmel40",
    model="aldeneh",
    size="debug",
    labels=("anger", "neutral"),
    training=TrainingConfig(epochs=1),
)


@pytest.fixture(scope="session")
def emodb_tree(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Three synthetic speakers in EMO-DB's layout, 210 clips."""
    root = tmp_path_factory.mktemp("emodb")
    write_emodb(root, speakers=3)
    return root


@pytest.fixture(scope="session")
def call_archive(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Three synthetic stereo calls."""
    root = tmp_path_factory.mktemp("calls")
    write_calls(root, calls=3, seconds=15.0)
    return root


@pytest.fixture(scope="session")
def lake(s3_server: str, ray_session: None, emodb_tree: pathlib.Path) -> str:
    """A lake in a bucket with the manifest and the features of `emodb_tree`."""
    bucket = "s3://shared-by-the-session"
    storage.make_bucket(bucket)
    upload(emodb_tree, storage.join(bucket, "emodb"))
    root = storage.join(bucket, "lake")
    manifest(root, "emodb", storage.join(bucket, "emodb"), allow_count_mismatch=True)
    extract(root, "emodb", ["logmel40"])
    return root


@pytest.fixture(scope="session")
def model(lake: str) -> str:
    """A run whose model has hardly learned anything, for who scores."""
    return train(lake, TINY).place


def upload(folder: pathlib.Path, place: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            storage.write_bytes(storage.join(place, path.relative_to(folder).as_posix()), path.read_bytes())
