"""The models that ship with simsearch, each by the name of its network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from simsearch.encode.model_folder import MODEL_CARD, PRETRAINED
from simsearch.encode.reference import EMBEDDING_NET, RESIDUAL
from simsearch.errors import MissingModelError

SHIPPED: Mapping[str, Path] = {
    EMBEDDING_NET: PRETRAINED,  # used wherever no other model is named
    RESIDUAL: PRETRAINED / RESIDUAL,
}


def find_model(named: Path) -> Path:
    """The folder of a model, given that folder or the name of a shipped model.

    What lies there under that name goes first. What is neither is returned as it is, for whoever opens it to
    say what is missing there.

    :raises MissingModelError: If what lies there under the name of a shipped model is no model.
    """
    shipped = SHIPPED.get(str(named))
    if shipped is None or not os.path.lexists(named):
        return shipped or named
    if not (named / MODEL_CARD).is_file():
        raise MissingModelError(
            f"there is no model in {named} here (no {MODEL_CARD}), which hides the shipped one of that name",
            hint=f"rename it, or pass the shipped one's folder: {shipped}",
        )
    return named
