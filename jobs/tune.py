r"""`raysee tune` as a job of a Ray cluster, with the same options:

    ray job submit --working-dir . -- python jobs/tune.py --corpora all --model zhao --hours 2 --gpus 0.25 \
        --to s3://bucket/lake

A corpus that cannot be tuned is said at the end and does not stop the others. The lake must be where every node
reaches it.
"""

import sys

from raysee.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "tune")
    main()
