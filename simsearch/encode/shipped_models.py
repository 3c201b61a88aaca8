"""The models that ship with simsearch, each by the name of its network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from simsearch.encode.model_folder import PRETRAINED
from simsearch.encode.reference import EMBEDDING_NET, RESIDUAL

SHIPPED: Mapping[str, Path] = {
    EMBEDDING_NET: PRETRAINED,  # used wherever no other model is named
    RESIDUAL: PRETRAINED / RESIDUAL,
}


def find_model(named: Path) -> Path:
    """The folder of a model, given that folder or the name of a shipped model.

    What lies there under that name goes first. What is neither is returned as it is, for whoever opens it to
    say what is missing there.
    """
    return named if os.path.lexists(named) else SHIPPED.get(str(named), named)
