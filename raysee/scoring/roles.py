"""Who speaks on which channel, and whose emotions are looked for.

The EU prohibits systems that infer the emotions of people at work, medical and safety reasons apart (Regulation (EU)
2024/1689, the AI Act, Article 5(1)(f)). So only who calls is scored, and nobody of another role or of none, unless
`ScoreConfig.score_agents` says that there is such a reason.
"""

from collections.abc import Sequence

from raysee.config import ScoreConfig

#: Who does not work there. A role that is not among these, such as a misspelt one, is only listened to.
SCORED = ("customer", "caller", "patient")
UNKNOWN = "unknown"


def named(names: Sequence[str]) -> list[str]:
    """Roles as they were written, in the order of the channels: an Agent is an agent, and who has no name unknown."""
    return [name.strip().lower() or UNKNOWN for name in names]


def roles(told: Sequence[str], num_channels: int, config: ScoreConfig) -> list[str]:
    """The role of each channel: as a list tells of this call, else as `config` has it for so many channels.

    What is told counts where it is of as many channels as the recording has.
    """
    for given in (told, *config.channels):
        if len(given) == num_channels:
            return list(given)
    return [UNKNOWN] * num_channels


def is_scored(role: str, config: ScoreConfig) -> bool:
    """Whether the emotions of who has this role are looked for."""
    return config.score_agents or role in SCORED
