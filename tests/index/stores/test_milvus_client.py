"""A server that is none: each failure is one line within its deadline. No Milvus is needed, its client is."""

from __future__ import annotations

import socket
import threading

import pytest

from simsearch.errors import BadInputError, NotUsableError, UnavailableError

pytest.importorskip("pymilvus")
from pymilvus import MilvusException

from simsearch.index.stores.milvus import client
from simsearch.index.stores.milvus.client import Server

pytestmark = pytest.mark.engine


@pytest.fixture(params=["refuses", "closes at once", "speaks another language", "says nothing"])
def address(request):
    """Where something listens that is no Milvus; or where nothing does."""
    listener, held = socket.create_server(("127.0.0.1", 0)), []
    port = listener.getsockname()[1]

    def run() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            held.append(client)
            if request.param == "speaks another language":
                client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            if request.param != "says nothing":
                client.close()

    if request.param == "refuses":
        listener.close()
    else:
        threading.Thread(target=run, daemon=True).start()
    yield f"http://127.0.0.1:{port}"
    listener.close()
    for connection in held:
        connection.close()


def test_what_is_no_milvus_server_is_one_line_and_gives_up(address, monkeypatch):
    monkeypatch.setenv("SIMSEARCH_MILVUS_TOKEN", "root:Hidden-Secret-7")
    with pytest.raises(UnavailableError) as caught:
        Server(address).call("list_collections", within=1.5)
    assert caught.value.message == f"the Milvus server at {address} gives no answer"
    assert caught.value.hint == "is it running, and the address right? try again in a minute"
    assert caught.value.exit_code == 4


LATE = MilvusException(1, "proxy is not ready")
REFUSED = MilvusException(1, "auth check failure, please check username and password are correct")


class Scripted(Server):
    """A server that says these things, the last of them for ever."""

    def __init__(self, *said: object) -> None:
        super().__init__("http://127.0.0.1:1", token="root:Hidden-Secret-7", timeout=5)
        self.said = list(said)

    def _method(self, *_: object):
        def answer(*_: object, **__: object) -> object:
            found = self.said.pop(0) if len(self.said) > 1 else self.said[0]
            if isinstance(found, Exception):
                raise found
            return found

        return answer


def test_a_refusal_is_believed_once_it_has_lasted(monkeypatch):
    monkeypatch.setattr(client, "_REFUSAL_S", 0.2)
    assert Scripted(LATE, REFUSED, "it is there").call("list_collections") == "it is there"
    assert Scripted(*[LATE] * 4, REFUSED, "it is there").call("list_collections") == "it is there"
    with pytest.raises(NotUsableError, match="refuses the credentials") as caught:
        Scripted(LATE, REFUSED).call("list_collections")
    assert "Secret" not in f"{caught.value.message}{caught.value.hint}"
    assert caught.value.exit_code == 3


def test_an_error_is_quoted_by_its_first_line_and_without_the_password():
    said = MilvusException(1, "no Hidden-Secret-7 for root here\nand more")
    with pytest.raises(UnavailableError) as caught:
        Scripted(said).call("list_collections", within=0.6)
    assert (
        caught.value.message == "the Milvus server at http://127.0.0.1:1 gives no answer: no ... for ... here"
    )


@pytest.mark.parametrize(
    "uri", ["milvus:19530", "http://", "ftp://h:1", "http://h:x", "http://root:pw@h:1", "http://h/x"]
)
def test_what_is_no_address_is_said_before_anything_is_tried(uri):
    with pytest.raises(BadInputError) as caught:
        Server(uri)
    assert "pw" not in f"{caught.value.message}{caught.value.hint}"
