"""Work in units on a Ray cluster, by actors that hold what they need; a lost node's units are done again.

This file knows Ray, and nothing of pictures. Ray's clusters ask for a token, its usage statistics are off.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from simsearch.errors import BadInputError, UnavailableError, require

_REASON = re.compile(r"[\w.]*(Error|Exception): ")  # the line of a traceback that says what happened
Work = Callable[[Any], Callable[[bytes], bytes]]  # what an actor is made with -> what does a unit


def in_units(
    work: Work, given: Any, units: Sequence[bytes], *, address: str | None = None, actors: int = 0
) -> Iterator[bytes]:
    """Do every unit once or more often, anywhere; what each came to, in any order.

    :param work: Called once in each actor with `given`; a function that can be pickled.
    :param units: Bytes, which Ray passes on as they are.
    :param address: HOST:PORT of a cluster, which answers with the token in RAY_AUTH_TOKEN or
        RAY_AUTH_TOKEN_PATH; None for one of this machine alone, for as long as this lasts.
    :param actors: How many at once; 0 for one a core.
    :raises UnavailableError: If there is no such cluster, or it gives up.
    """
    check_address(address)
    _set_up(address)
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnavailableError(
            f"the Ray cluster at {address} cannot be used: {reason[:200]}",
            "check --address, and its token: RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH",
        ) from None
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        most = actors or max(1, int(ray.cluster_resources().get("CPU", 1)))
        done = (
            ray.data.from_items([{"unit": unit} for unit in units], override_num_blocks=len(units))
            .map_batches(
                _Actor,
                fn_constructor_args=(work, given),
                batch_size=1,
                num_cpus=1,
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
            )
            .iter_rows()
        )
        for row in done:
            yield row["done"]
    except ray.exceptions.RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((line for line in lines if _REASON.match(line)), (lines or [""])[0])
        raise UnavailableError(
            f"Ray gave up: {type(error).__name__}: {reason[:200]}", "run the same command again: it goes on"
        ) from None
    finally:
        ray.shutdown()


class _Actor:
    """One process's state: made once, asked for each unit."""

    def __init__(self, work: Work, given: Any) -> None:
        self._do = work(given)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"done": [self._do(unit) for unit in batch["unit"]]}


def check_address(address: str | None) -> None:
    """Check that Ray is installed, and that this may be a cluster's address.

    :raises MissingExtraError: If it is not.
    :raises BadInputError: If it cannot be one.
    """
    require("ray", "scale")
    if address is not None and not address.rpartition(":")[2].isdigit():
        raise BadInputError(f"{address!r} is no address of a cluster", "give HOST:PORT")


def _set_up(address: str | None) -> None:
    """What Ray reads from the environment when it is imported."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if address is None and not os.environ.get("RAY_AUTH_TOKEN_PATH"):
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
