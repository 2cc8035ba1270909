"""`raysee train` as a job of a Ray cluster, with the same options:

    ray job submit --working-dir . -- python jobs/train.py --corpus emodb --model zhao --gpus 0.25 --to s3://bucket/lake

The lake must be where every node reaches it.
"""

import sys

from raysee.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "train")
    main()
