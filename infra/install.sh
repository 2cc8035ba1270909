#!/usr/bin/env sh
# Creates a virtual environment with raysee in it, or brings one up to date. Used by make and by the container image.
#   infra/install.sh [VENV] [EXTRAS]      e.g. infra/install.sh .venv dev
# The versions are those of constraints.txt. A CPU build of PyTorch is kept where pip finds one or one is there already.
set -eu
cd "$(dirname "$0")/.."
venv="${1:-.venv}"
extras="${2:-dev}"

python="${PYTHON:-}"
for candidate in python3 python3.13 python3.12 python3.11; do
  [ -n "$python" ] && break
  if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
    python="$candidate"
  fi
done
[ -n "$python" ] || { echo "Python 3.11, 3.12 or 3.13 is needed; set PYTHON to one." >&2; exit 1; }

wanted="$(cat pyproject.toml constraints.txt infra/install.sh) $extras"
if [ -f "$venv/installed" ] && [ "$(cat "$venv/installed")" = "$wanted" ]; then
  exit 0
fi
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv" ||
  { echo "The venv module is missing: on Debian and Ubuntu, apt install python3-venv." >&2; exit 1; }
echo "Installing raysee[$extras] into $venv; this takes a few minutes the first time."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$extras]"

# torchaudio's wheel is linked to CUDA and does not import beside a CPU build of PyTorch. raysee uses only what
# torchaudio writes in PyTorch itself, and without its libraries it imports.
"$venv/bin/python" - <<'PYTHON'
import importlib.util
import pathlib

import torch

if torch.version.cuda is None:
    libraries = list((pathlib.Path(importlib.util.find_spec("torchaudio").origin).parent / "lib").glob("*.so"))
    for library in libraries:
        library.unlink()
    if libraries:
        print(f"PyTorch is a CPU build: took out {len(libraries)} CUDA libraries of torchaudio.")
import torchaudio.functional  # noqa: E402, F401
PYTHON

# numba keeps what it compiles of librosa beside it. One process compiles it, before there are others: a cache that
# several had filled at once was seen to end each later process in a segmentation fault (docs/decisions.md).
NUMBA_CPU_NAME=generic "$venv/bin/python" - <<'PYTHON'
import librosa
import numpy

sound = numpy.random.default_rng(0).standard_normal(32000).astype(numpy.float32)
librosa.feature.chroma_stft(y=sound)
librosa.feature.zero_crossing_rate(numpy.stack([sound, sound]))
librosa.yin(numpy.stack([sound, sound]), fmin=60, fmax=500)
librosa.effects.time_stretch(sound, rate=1.1)
PYTHON
printf '%s' "$wanted" > "$venv/installed"
