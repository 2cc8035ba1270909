"""What tests share: one Ray for the session, an S3 server over HTTP, real recordings where there are any."""

import logging
import os
import pathlib
import uuid
from collections.abc import Iterator

import hypothesis
import pytest
from moto.server import ThreadedMotoServer

from raysee import storage

from .environment import NICENESS

# Credentials that mean nothing, so that no test can reach anybody's bucket; and no search for a role of the machine.
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_REGION="us-east-1",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
)

hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine breaks no promise
hypothesis.settings.load_profile("untimed")

#: Tests that start and kill Rays of their own; the others share that of the session.
KILLING = ("test_chaos.py", "test_kill.py", "test_large.py", "test_submit.py")


@pytest.hookimpl(tryfirst=True)  # pytest-xdist has looked for the groups otherwise
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the tests, those of one Ray stay together."""
    for item in items:
        if item.path.name in KILLING:
            item.add_marker(pytest.mark.xdist_group("killing"))
        elif item.path.parent.name in ("distributed", "commands") or "ray_session" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("ray"))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes by their argument: some hold the second they were made in, and all processes must name a test alike."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server on loopback; AWS_ENDPOINT_URL leads to it for the whole session."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # or each request stands in the report of a failure
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
    yield os.environ["AWS_ENDPOINT_URL"]
    server.stop()


@pytest.fixture
def bucket(s3_server: str) -> str:
    """A bucket of its own for a test."""
    uri = f"s3://test-{uuid.uuid4().hex[:12]}"
    storage.make_bucket(uri)
    return uri


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    """An empty place, once in the file system and once in a bucket."""
    if request.param == "file":
        return storage.normalise(tmp_path / "a place")
    bucket: str = request.getfixturevalue("bucket")
    return storage.join(bucket, "a place")


@pytest.fixture(scope="session")
def ray_session(s3_server: str) -> Iterator[None]:
    """The session's Ray. It starts after the S3 server, so that its workers inherit where that is."""
    import ray

    from raysee.distributed.cluster import connect

    os.environ.pop("RAY_ADDRESS", None)
    os.environ.update(NICENESS)
    connect()
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """A folder with emodb/, ravdess/ and calls/ as their publishers lay them out."""
    root = os.environ.get("RAYSEE_REAL_DATA")
    if not root:
        pytest.skip("RAYSEE_REAL_DATA names no folder with real recordings")
    return pathlib.Path(root)
