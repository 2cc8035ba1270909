"""Speech emotion recognition at scale, on Ray."""

import os

__version__ = "0.1.0"

# What numba compiles of librosa it keeps for the next process. For a generic processor, that fits wherever the
# environment is copied to, and is as fast; numba reads this once, before its first import.
os.environ.setdefault("NUMBA_CPU_NAME", "generic")
