"""Running commands in this process, and what they say."""

import contextlib
import io
import re
import sys
import unittest.mock
from typing import NamedTuple

from raysee.cli import main


class Ran(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def place(self) -> str:
        """Where its output lies: the last line."""
        return self.out.splitlines()[-1].strip()


def raysee(words: str) -> Ran:
    """Run one command in this process, as the console script does."""
    out, err = io.StringIO(), io.StringIO()
    argv = ["raysee", *("" if word == "''" else word for word in words.split())]
    streams = (contextlib.redirect_stdout(out), contextlib.redirect_stderr(err))
    with unittest.mock.patch.object(sys, "argv", argv), streams[0], streams[1]:
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Ran(code, out.getvalue(), err.getvalue())


def assert_said(ran: Ran, message: str) -> None:
    """It ended with one sentence that matches `message`, and no more."""
    assert "Traceback" not in ran.out + ran.err
    lines = ran.err.splitlines()
    assert (ran.code, len(lines)) == (1, 1), ran.err
    assert lines[0].startswith("error: ")
    assert re.search(message, lines[0]), lines[0]
