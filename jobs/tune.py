"""`raysee tune` as a job of a Ray cluster, with the same options; without any, it is of all corpora of the lake:

    ray job submit --working-dir . -- python jobs/tune.py --model zhao --hours 2 --gpus 0.25 --to s3://bucket/lake

A corpus that cannot be tuned is said at the end and does not stop the others. The lake must be where every node
reaches it.
"""

import sys

from raysee.cli import main

if __name__ == "__main__":
    named = any(word.split("=")[0] == "--corpus" for word in sys.argv)
    wanted = [] if named else ["--corpora", "all"]
    sys.argv[1:1] = ["tune", *wanted]
    main()
