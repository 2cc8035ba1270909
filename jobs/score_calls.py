"""`raysee score` as a job of a Ray cluster, with the same options:

    ray job submit --submission-id score-2026-11-19 --working-dir . -- python jobs/score_calls.py s3://calls ...

Recordings, model and scores must be where every node reaches them. A cluster takes a submission id once, so that a
night that is submitted twice is scored once; on another cluster, what has its receipt is not scored again.
"""

import sys

from raysee.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "score")
    main()
