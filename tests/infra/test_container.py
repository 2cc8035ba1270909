"""The image, as far as it can be known without building it, and its install steps."""

import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

from . import manifests
from .manifests import ROOT

DOCKERFILE = ROOT / "infra" / "Dockerfile"
INSTALL = ROOT / "infra" / "install.sh"

Instruction = tuple[str, str]


def instructions() -> list[Instruction]:
    """Word and rest of each instruction, comments left out and continued lines joined."""
    text = "\n".join(line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#"))
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line]


def arguments() -> dict[str, str]:
    return dict(rest.split("=", 1) for word, rest in instructions() if word == "ARG" and "=" in rest)


def test_the_base_is_pinned() -> None:
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert len(bases) == 2
    assert {base.replace("${PYTHON}", arguments()["PYTHON"]) for base in bases} == {"python:" + arguments()["PYTHON"]}
    assert re.fullmatch(r"3\.11\.\d+-slim-\w+", arguments()["PYTHON"]), "constraints.txt is for Python 3.11"


def test_it_runs_as_nobody_in_particular_and_knows_no_secret() -> None:
    words = [word for word, _ in instructions()]
    (user,) = (rest for word, rest in instructions() if word == "USER")
    assert user == "1000:1000", "a number, so that Kubernetes can see that it is not root"
    assert words.index("USER") > max(index for index, word in enumerate(words) if word in ("RUN", "COPY"))
    uids = {pod.spec["securityContext"]["runAsUser"] for pod in manifests.pods("plain")}
    assert uids == {1000}
    for word, rest in instructions():
        assert word != "ADD", "it fetches and unpacks"
        if word in ("ARG", "ENV"):
            assert not re.search("KEY|SECRET|TOKEN|PASSWORD", rest, re.IGNORECASE)


def test_it_has_the_programs_that_ray_and_kuberay_call() -> None:
    (packages,) = (rest for word, rest in instructions() if word == "RUN" and "apt-get install" in rest)
    wanted = {
        "openssh-client": "ray/autoscaler/_private/command_runner.py, in the head's container",
        "rsync": "the same, and on the machine outside",
        "wget": "KubeRay's probes",
    }
    assert set(wanted) <= set(packages.split())


def test_its_steps_are_those_of_make() -> None:
    runs = [rest for word, rest in instructions() if word == "RUN"]
    (installs,) = (run for run in runs if "install.sh" in run)
    assert "infra/install.sh .venv" in installs
    assert not any("pip install" in run for run in runs)
    assert "infra/install.sh $(VENV) dev" in (ROOT / "Makefile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(arguments()["EXTRAS"].split(",")) <= set(extras)
    assert "is09" not in arguments()["EXTRAS"], "its licence is not for every use"


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out: the last pattern that matches it, or a folder of it, decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            parts = path.split("/")
            for end in range(1, len(parts) + 1):
                its = "/".join(parts[:end])
                # "*" is one level, "**/" any number of them.
                plain = pattern.removeprefix("**/")
                whole = its if plain == pattern else its.rpartition("/")[2]
                if fnmatch.fnmatchcase(whole, plain) and (plain != "*" or "/" not in whole):
                    out = not line.startswith("!")
    return out


def test_what_it_copies_is_there_and_nothing_else_is_sent() -> None:
    copied = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    for path in {path for paths in copied for path in paths}:
        assert (ROOT / path).exists(), path
        assert not ignored(path), path
    for path in ("raysee/cli.py", "raysee/report/report.html", "jobs/train.py"):
        assert not ignored(path), path
    kept_out = (
        ".git/config",
        ".venv/bin/python",
        "tests/conftest.py",
        ".demo/x",
        "docs/a.md",
        "raysee/__pycache__/a.pyc",
    )
    for path in (*kept_out, ".env", "infra/aws/cluster.yaml"):
        assert ignored(path), path


def test_jobs_lie_where_the_manifests_start_them() -> None:
    (place,) = {rest for word, rest in instructions() if word == "WORKDIR"}
    for _, job in manifests.jobs("plain"):
        if "entrypoint" in job:
            assert job["entrypoint"].split()[1].startswith(f"{place}/jobs/")
    (environment,) = (rest for word, rest in instructions() if word == "ENV" and rest.startswith("PATH="))
    assert environment.startswith(f"PATH={place}/.venv/bin:")


def test_hadolint_agrees() -> None:
    # In the virtual environment, which need not be in PATH.
    hadolint = shutil.which("hadolint", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]))
    if hadolint is None:
        pytest.skip("hadolint is not installed: make venv")
    ran = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


# The install steps, with a Python that only writes down what it is asked for.

FAKE = """#!/bin/sh
echo "$*" >> "$LOG"
case "$*" in
  "-m pip --version") [ "${0##*/}" = python ] ;;
  "-m venv --clear "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
  "-m pip install "*) exit "${PIP_EXIT:-0}" ;;
  -c*) exit "${VERSION_EXIT:-0}" ;;
  -) cat > /dev/null ;;
esac
"""


class Project:
    """A copy of what install.sh reads, and a Python that installs nothing."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root, self.log = root, root / "log"
        (root / "infra").mkdir(parents=True)
        for name in ("pyproject.toml", "constraints.txt", "infra/install.sh"):
            shutil.copy(ROOT / name, root / name)
        self.python = root / "fakes" / "python3"
        self.python.parent.mkdir()
        self.python.write_text(FAKE)
        self.python.chmod(0o755)

    def install(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        self.log.write_text("")
        its = {"PATH": f"{self.python.parent}:/usr/bin:/bin", "LOG": str(self.log), **environment}
        return subprocess.run(
            ["sh", "infra/install.sh", *words], cwd=self.root, env=its, capture_output=True, text=True
        )

    def asked(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def project(tmp_path: pathlib.Path) -> Project:
    return Project(tmp_path / "a project")


def test_it_installs_what_is_pinned_into_a_new_environment(project: Project) -> None:
    ran = project.install("venv", "speech,aws")
    assert ran.returncode == 0, ran.stderr
    (venv,) = (line for line in project.asked() if line.startswith("-m venv"))
    (pip,) = (line for line in project.asked() if line.startswith("-m pip install"))
    assert venv == "-m venv --clear venv"
    assert "--constraint constraints.txt" in pip
    assert pip.endswith("--editable .[speech,aws]")
    assert project.asked()[-1] == "-", "what it does to torchaudio comes last"


def test_it_does_nothing_twice_and_something_where_the_versions_change(project: Project) -> None:
    project.install("venv", "dev")
    project.install("venv", "dev")
    assert project.asked() == ["-c import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))"]
    with (project.root / "constraints.txt").open("a") as file:
        file.write("another==1.0\n")
    project.install("venv", "dev")
    assert any("pip install" in line for line in project.asked())
    assert not any("-m venv" in line for line in project.asked()), "what is there is brought up to date"
    project.install("venv", "speech")
    assert any(line.endswith(".[speech]") for line in project.asked())


def test_what_fails_is_done_again(project: Project) -> None:
    assert project.install("venv", "dev", PIP_EXIT="1").returncode == 1
    assert project.install("venv", "dev").returncode == 0
    assert any("pip install" in line for line in project.asked())


def test_without_a_python_it_says_so(project: Project) -> None:
    for name in ("python3.11", "python3.12", "python3.13"):
        os.link(project.python, project.python.with_name(name))
    ran = project.install("venv", "dev", VERSION_EXIT="1")
    assert ran.returncode == 1
    assert "Python 3.11, 3.12 or 3.13 is needed" in ran.stderr
    assert "Python 3.11, 3.12 or 3.13 is all that is needed" in (ROOT / "README.md").read_text()
