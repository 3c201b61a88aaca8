"""A server that is none: each failure is one line within its deadline. No Milvus is needed, its client is."""

from __future__ import annotations

import socket
import threading

import pytest

from simsearch.errors import BadInputError, UnavailableError

pytest.importorskip("pymilvus")
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
    for client in held:
        client.close()


def test_what_is_no_milvus_server_is_one_line_and_gives_up(address, monkeypatch):
    monkeypatch.setenv("SIMSEARCH_MILVUS_TOKEN", "root:Hidden-Secret-7")
    with pytest.raises(UnavailableError) as caught:
        Server(address).call("list_collections", within=1.5)
    assert caught.value.message == f"the Milvus server at {address} gives no answer"
    assert caught.value.hint == "is it running, and the address right? try again in a minute"
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    "uri", ["milvus:19530", "http://", "ftp://h:1", "http://h:x", "http://root:pw@h:1", "http://h/x"]
)
def test_what_is_no_address_is_said_before_anything_is_tried(uri):
    with pytest.raises(BadInputError) as caught:
        Server(uri)
    assert "pw" not in f"{caught.value.message}{caught.value.hint}"
