"""Start the RayJob of a night from its pattern, wait for it, and end as it ends: 0 where it SUCCEEDED, else 3.

The pattern is a suspended RayJob; the copy is named after its night, so that a night is started once however often
this is. It belongs to the Kubernetes Job that this runs in, and is deleted with it. The standard library is enough.
"""

import argparse
import copy
import datetime
import json
import os
import pathlib
import ssl
import sys
import time
import urllib.error
import urllib.request
from typing import Any

ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
ENDED = ("Complete", "Failed", "ValidationFailed")
SUCCEEDED, FAILED = 0, 3
POLL_S = 15.0


def of_night(pattern: dict[str, Any], night: datetime.date, owner: tuple[str, str] | None) -> dict[str, Any]:
    """A RayJob that runs, from the suspended one; `owner` is the name and the uid of a Job."""
    spec = copy.deepcopy(pattern["spec"])
    spec["suspend"] = False
    spec["entrypoint"] = spec["entrypoint"].replace("NIGHT", night.isoformat())
    metadata = {
        "name": f"{pattern['metadata']['name']}-{night.isoformat()}",
        "labels": {**pattern["metadata"].get("labels", {}), "raysee.dev/night": night.isoformat()},
    }
    if owner:
        metadata["ownerReferences"] = [
            {"apiVersion": "batch/v1", "kind": "Job", "name": owner[0], "uid": owner[1]},
        ]
    return {"apiVersion": pattern["apiVersion"], "kind": pattern["kind"], "metadata": metadata, "spec": spec}


class Api:
    """RayJobs of a namespace."""

    def __init__(self, server: str, account: pathlib.Path) -> None:
        self.namespace = (account / "namespace").read_text().strip()
        self._url = f"{server}/apis/ray.io/v1/namespaces/{self.namespace}/rayjobs"
        self._token = account / "token"
        ca = account / "ca.crt"
        self._context = ssl.create_default_context(cafile=str(ca)) if server.startswith("https:") else None

    def get(self, name: str) -> dict[str, Any]:
        return self._ask(f"{self._url}/{name}")

    def create(self, job: dict[str, Any]) -> bool:
        """False where there is one of its name."""
        try:
            self._ask(self._url, json.dumps(job).encode())
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise
            return False
        return True

    def _ask(self, url: str, data: bytes | None = None) -> dict[str, Any]:
        # The token is read each time, because Kubernetes changes it.
        headers = {"Authorization": f"Bearer {self._token.read_text()}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, data, headers)
        with urllib.request.urlopen(request, timeout=30, context=self._context) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def follow(api: Api, name: str) -> int:
    """Wait for the end; the API server may be away for a while."""
    said = None
    while True:
        try:
            status = api.get(name).get("status", {})
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise
            status = {"jobDeploymentStatus": f"the API server says {error.code}"}
        except OSError as error:
            status = {"jobDeploymentStatus": f"the API server does not answer: {error}"}
        now = (status.get("jobDeploymentStatus"), status.get("jobStatus"))
        if now != said:
            print(
                f"{name}: {now[0] or 'New'}, {now[1] or 'no job yet'} {status.get('message', '')}".rstrip(), flush=True
            )
            said = now
        if now[0] in ENDED:
            return SUCCEEDED if now[1] == "SUCCEEDED" else FAILED
        time.sleep(POLL_S)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pattern", required=True, help="the suspended RayJob")
    parser.add_argument("--night", help="a date, e.g. 2026-11-19; by default yesterday, in the time zone of TZ")
    arguments = parser.parse_args()
    yesterday = datetime.date.today() - datetime.timedelta(days=1)
    night = datetime.date.fromisoformat(arguments.night) if arguments.night else yesterday
    api = Api(os.environ.get("KUBERNETES_SERVER", "https://kubernetes.default.svc"), ACCOUNT)
    owner = (os.environ["JOB_NAME"], os.environ["JOB_UID"]) if "JOB_UID" in os.environ else None
    job = of_night(api.get(arguments.pattern), night, owner)
    name = job["metadata"]["name"]
    print(f"{name}: {'started' if api.create(job) else 'is there already'}", flush=True)
    code = follow(api, name)
    if code == FAILED:
        # Its name is taken, and who starts the night again would be told of this end once more.
        print(f"{name}: to start it again, first kubectl -n {api.namespace} delete rayjob {name}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
