"""A Kafka broker for tests: librdkafka's own mock cluster, reached by a fixed port. Run as `broker.py PORT`.

The mock cluster lives in a client's process and listens on a port of its choice, which it also tells clients;
only the first contact goes through the port that is forwarded here.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading

from confluent_kafka import Producer


def forward(source: socket.socket, target: socket.socket) -> None:
    """Pass on everything in one direction, until either side closes."""
    with contextlib.suppress(OSError):
        while data := source.recv(2**16):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def main(port: int) -> None:
    """Serve until the process is ended."""
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused"})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            client, _ = listener.accept()
            server = socket.create_connection((broker.host, broker.port))
            for ends in ((client, server), (server, client)):
                threading.Thread(target=forward, args=ends, daemon=True).start()


main(int(sys.argv[1]))
