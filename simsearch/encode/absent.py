"""What an index says that holds vectors of another program: it has no encoder of its own."""

from __future__ import annotations

import hashlib

from simsearch.errors import BadInputError


def no_encoder(index: str) -> BadInputError:
    """The refusal of pictures by an index that cannot encode any."""
    return BadInputError(
        f"{index} holds vectors that another program computed: no picture can be compared with them",
        hint="ask about one of its items with --id, or about a vector with --vector",
    )


def foreign_fingerprint(model: str) -> str:
    """What stands for the encoder of a model that is known by its name alone, 64 hexadecimal digits."""
    return hashlib.sha256(f"vectors of {model}".encode()).hexdigest()
