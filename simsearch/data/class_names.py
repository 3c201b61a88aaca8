"""Names of classes: what may be one, and which class somebody means who writes one."""

from __future__ import annotations

from collections.abc import Sequence

from simsearch.data.collection import comparable
from simsearch.errors import BadInputError
from simsearch.text import did_you_mean, listed


def class_name(written: str) -> str:
    """A name as classes have it: in the form in which names are compared, without blanks around it.

    :raises BadInputError: If nothing is left, or it is no text that UTF-8 could hold.
    """
    name = comparable(written.strip())
    if not name:
        raise BadInputError(f"{written!r} cannot name a class")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise BadInputError(
            f"{written!r} cannot name a class: it is no text", hint="write it in UTF-8"
        ) from error
    return name


def meant_class(written: str, classes: Sequence[str], owner: str) -> str:
    """The class of an index that somebody means, in whatever form its name was written.

    :param owner: The index's name.
    :raises BadInputError: If there is no such class, with the closest.
    """
    for name in (written, comparable(written.strip())):
        if name in classes:
            return name
    hint = f"{did_you_mean(written, classes)}its classes: {listed(classes)}"
    raise BadInputError(f"there is no class {written!r} in {owner}", hint)
