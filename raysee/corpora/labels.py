"""Label files: a line of text for each turn of a conversation, among other lines."""

import re
from collections.abc import Callable, Container, Iterable

from raysee.corpora.corpus import Tree
from raysee.errors import CorpusError


def read_labels(
    tree: Tree,
    files: Iterable[str],
    *,
    is_label: Callable[[str], bool],
    pattern: re.Pattern[str],
    form: str,
    clip_id: Callable[[re.Match[str]], str],
    taken: Container[str],
) -> tuple[dict[str, str], dict[str, str]]:
    """The code of every clip that the label files name, and the file of each clip whose code is `taken`.

    A line that `is_label` must match `pattern`, whose group `code` is the label; `form` says how it reads. Raises
    CorpusError for one that does not, and where two lines label a clip differently.
    """
    codes: dict[str, str] = {}
    named: dict[str, str] = {}
    for path in files:
        for number, line in enumerate(map(str.strip, tree.text(path).split("\n")), 1):
            if not is_label(line):
                continue
            match = pattern.fullmatch(line)
            if match is None:
                raise CorpusError(f"{path}, line {number}: {line!r} is no {form}: take the file as it was published.")
            name, code = clip_id(match), match["code"]
            if codes.setdefault(name, code) != code:
                raise CorpusError(
                    f"{path}, line {number}: {name} is {code!r} here and {codes[name]!r} in a line before: "
                    "keep one of the two."
                )
            if code in taken:
                named[name] = path
    return codes, named
