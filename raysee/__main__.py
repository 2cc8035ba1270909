"""`python -m raysee` is `raysee`."""

from raysee.cli import main

if __name__ == "__main__":
    main()
