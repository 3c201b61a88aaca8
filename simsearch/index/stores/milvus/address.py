"""Where a Milvus server is, and where its credentials come from; nothing here needs its client."""

from __future__ import annotations

from urllib.parse import urlsplit

from simsearch.errors import BadInputError

TOKEN = "SIMSEARCH_MILVUS_TOKEN"  # the environment's variable: user:password, or an API key
_PORT = 19530
_SCHEMES = ("http", "https")


def check_uri(uri: str) -> str:
    """A server's address as it is stored: http or https, a host, a port, and nothing else.

    :raises BadInputError: If it is no such address, or holds a name or a password.
    """
    try:
        parts = urlsplit(uri)
        port = parts.port or _PORT
    except ValueError:
        raise BadInputError("the server's address cannot be read", "give http://HOST:PORT") from None
    if "@" in parts.netloc:
        raise BadInputError(
            "the server's address holds credentials, which would be stored", f"set {TOKEN} in the environment"
        )
    if (
        parts.scheme not in _SCHEMES
        or not parts.hostname
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
    ):
        raise BadInputError("the server's address must be http://HOST:PORT or https://HOST:PORT")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"
