"""Where a run came from, in rows of a name and a value."""

from raysee.receipts import Receipt


def provenance(place: str, receipt: Receipt) -> list[tuple[str, str]]:
    """What every receipt tells."""
    return [
        ("place", place),
        ("fingerprint", receipt.fingerprint),
        *((f"input: {name}", value) for name, value in receipt.inputs.items()),
        ("versions", ", ".join(f"{name} {version}" for name, version in receipt.versions.items())),
        ("machine", receipt.machine),
        ("written at", receipt.written_at),
        ("wall time of the last start", f"{receipt.wall_s:,.0f} s"),
    ]
