"""`raysee reproduce` as a job of a Ray cluster, with the same options:

    ray job submit --working-dir . -- python jobs/reproduce.py keesing2020 --columns A1,L --gpus 0.25 --to s3://bucket/lake

The lake must be where every node reaches it.
"""

import sys

from raysee.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "reproduce")
    main()
