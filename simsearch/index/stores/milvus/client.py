"""A Milvus server or cluster: every call within a deadline, every failure in this project's own errors.

Only this file knows pymilvus. Credentials come from the environment and go to the server alone: into no
file, no log and no message.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pymilvus import DataType, MilvusClient, MilvusException

from simsearch.errors import (
    BrokenBundleError,
    MissingBundleError,
    NotUsableError,
    UnavailableError,
)
from simsearch.index.stores.milvus.address import TOKEN, check_uri

READ_S = 10.0  # a reader's whole deadline, all tries together
WRITE_S = 180.0  # a writer's: a single server that was killed is ready again after about a minute
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_LEAST_S = 0.5  # in less, no answer comes over a network
_MOST_TEXT = 2**16 - 1  # bytes of a stored text, the server's own limit
_STAMP = 128  # bytes of what a file was when it was read
_COLLECTION_NOT_FOUND, _BAD_PARAMETER = 100, 1100
_REFUSAL_S = 3.0  # until a refusal of the credentials is believed: a server that starts knows nobody yet
_NOT_CONNECTED = "Fail connecting"  # how pymilvus begins then
_REFUSED = ("unauthenticated", "auth check failure", "authorization", "permission", "privilege")

logging.getLogger("pymilvus").setLevel(logging.CRITICAL + 1)  # what it has to say is raised, too


class Server:
    """One server, reached when it is first called, and again after a fork."""

    def __init__(self, uri: str, *, token: str | None = None, timeout: float | None = None) -> None:
        """Name a server.

        :param token: `user:password` or an API key; taken from the environment by default.
        :param timeout: Seconds that a call may take, all its tries together, unless it says otherwise; None
            for those of a reader.
        :raises BadInputError: If this is no server's address.
        """
        self.uri, self.timeout = check_uri(uri), READ_S if timeout is None else timeout
        self._token = os.environ.get(TOKEN, "") if token is None else token
        self._client: MilvusClient | None = None
        self._process, self._lock = os.getpid(), threading.Lock()

    def call(self, method: str, *args: Any, within: float | None = None, **options: Any) -> Any:
        """Call one of the client's methods, again while the server cannot answer, until the deadline.

        :param within: Seconds for all tries together.
        :raises UnavailableError: If no answer came within them.
        :raises MissingBundleError: If the server has no such collection.
        :raises NotUsableError: If it refuses the credentials.
        """
        end = time.monotonic() + (self.timeout if within is None else within)
        pause, refused_since = _FIRST_PAUSE_S, math.inf
        while True:
            left = end - time.monotonic()
            try:
                return self._method(method, left)(*args, timeout=max(left, _LEAST_S), **options)
            except Exception as error:  # pymilvus and grpc raise classes of their own
                self._refuse_for_good(error, args)
                now = time.monotonic()
                is_last = end - now < pause + _LEAST_S
                refused_since = min(refused_since, now) if _is_refusal(error) else math.inf
                if now >= refused_since + (0 if is_last else _REFUSAL_S):
                    raise self._refused() from None
                if is_last:
                    raise self._unavailable(error) from None
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def segments(self, collection: str) -> list[tuple[int, str]]:
        """The number of rows, and the name of the index or nothing, of each segment that is served."""
        found = self.call("_served_segments", collection)
        return [(int(segment.num_rows), str(segment.index_name)) for segment in found]

    def replicas(self, collection: str) -> int:
        """In how many copies a collection is served."""
        return len(self.call("_served_replicas", collection).groups)

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            if self._client is not None and self._process == os.getpid():
                self._client.close()
            self._client = None

    def _method(self, name: str, left: float) -> Any:
        """One of the client's methods, or of the connection's beneath it, which lists what is served."""
        client = self._connected(left)
        if name == "_served_segments":
            return client._get_connection().get_query_segment_info
        if name == "_served_replicas":
            return client._get_connection().get_replicas
        return getattr(client, name)

    def _connected(self, left: float) -> MilvusClient:
        with self._lock:
            if self._client is None or self._process != os.getpid():
                self._client = MilvusClient(
                    self.uri, token=self._token, timeout=max(left, _LEAST_S), dedicated=True
                )
                self._process = os.getpid()
            return self._client

    def _refuse_for_good(self, error: Exception, args: Sequence[Any]) -> None:
        """Raise what trying again cannot change."""
        code = error.code if isinstance(error, MilvusException) else None
        if code == _COLLECTION_NOT_FOUND:
            raise MissingBundleError(
                f"the Milvus server at {self.uri} has no collection {args[0] if args else ''}",
                "build the index again with `simsearch build-index --store milvus`",
            ) from None
        if code == _BAD_PARAMETER:
            raise BrokenBundleError(
                f"the Milvus server at {self.uri} refuses the request: {self._said(error)}",
                "build the index again with `simsearch build-index --store milvus`",
            ) from None

    def _refused(self) -> NotUsableError:
        return NotUsableError(
            f"the Milvus server at {self.uri} refuses the credentials", f"set {TOKEN} to user:password"
        )

    def _unavailable(self, error: Exception) -> UnavailableError:
        none, said = f"the Milvus server at {self.uri} gives no answer", self._said(error)
        if said.startswith(_NOT_CONNECTED):  # and goes on about what may be the matter
            return UnavailableError(none, "is it running, and the address right? try again in a minute")
        return UnavailableError(f"{none}: {said}", "try again in a minute")

    def _said(self, error: Exception) -> str:
        """The first line of what the server or its client said, short, and without the credentials."""
        said = (_text_of(error).splitlines() or [type(error).__name__])[0]
        for secret in {self._token, *self._token.split(":")} - {""}:
            said = said.replace(secret, "...")
        return said[:200]


def make_collection(
    server: Server, name: str, *, dim: int, index: Mapping[str, Any], about: str, shards: int
) -> None:
    """Make an empty collection of items, not loaded yet.

    :param index: The vectors' `index_type` and its `params`.
    :param about: What its description says.
    """
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False, description=about)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("label", DataType.INT64)
    schema.add_field("hash", DataType.INT64)
    schema.add_field("source", DataType.VARCHAR, max_length=_MOST_TEXT)
    schema.add_field("picture", DataType.VARCHAR, max_length=_MOST_TEXT)
    schema.add_field("stamp", DataType.VARCHAR, max_length=_STAMP)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    parameters = MilvusClient.prepare_index_params()
    parameters.add_index("vector", metric_type="IP", **index)
    server.call("create_collection", name, schema=schema, num_shards=shards, within=WRITE_S)
    server.call("create_index", name, parameters, within=WRITE_S)


def _is_refusal(error: Exception) -> bool:
    """Whether a server says that it does not know these credentials."""
    text = f"{_text_of(error)} {_text_of(error.__cause__ or error)}".lower()  # of grpc, behind pymilvus
    return any(word in text for word in _REFUSED)


def _text_of(error: BaseException) -> str:
    """What an error of pymilvus or grpc says, without what surrounds it."""
    if isinstance(error, MilvusException):
        return str(error.message)
    details = getattr(error, "details", None)
    return str(details() if callable(details) else error)
