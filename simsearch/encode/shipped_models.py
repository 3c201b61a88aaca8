"""The models that ship with simsearch, each by the name of its network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from simsearch.encode.model_folder import MODEL_CARD, PRETRAINED

SHIPPED: Mapping[str, Path] = {
    "embedding-net": PRETRAINED,  # used wherever no other model is named
    "residual": PRETRAINED / "residual",
}


def find_model(named: Path) -> Path:
    """The folder of a model, given that folder or the name of a shipped model.

    A folder of that name that holds a model goes first. What is neither is returned as it is, for whoever
    opens it to say what is missing there.
    """
    return named if os.path.lexists(named / MODEL_CARD) else SHIPPED.get(str(named), named)
