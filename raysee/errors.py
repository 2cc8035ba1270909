"""What the command line prints as one sentence instead of a stack trace."""

from collections.abc import Iterable


class RayseeError(Exception):
    """A problem that the user can mend. Its message says what was found, what was expected, what to do."""


class ConfigurationError(RayseeError):
    """An unknown name, an impossible combination, or an output that belongs to another configuration."""


class BusyError(RayseeError):
    """A place where another start is working."""


class StorageError(RayseeError):
    """A place that cannot be listed, read or written."""


class MissingError(StorageError):
    """A file, a folder or a bucket that is not there."""


class UnreachableError(StorageError):
    """An object store or a cluster that does not answer: the work can go on later, and nothing is rejected for good."""


class CorpusError(RayseeError):
    """A folder that does not hold the corpus that was asked for."""


class AudioError(RayseeError):
    """A recording that cannot be turned into samples or features: it becomes a row of rejects."""


def unknown(kind: str, name: str, known: Iterable[str]) -> ConfigurationError:
    """The answer to a key that a registry does not hold: the keys that it does hold."""
    return ConfigurationError(f"Unknown {kind} {name!r}; choose one of: {', '.join(sorted(known))}.")
