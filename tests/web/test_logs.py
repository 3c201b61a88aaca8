"""Logs stay short whatever happens how often, and lose no kind of message."""

from __future__ import annotations

import logging

import pytest

from simsearch.web.logs import LOGGERS, Calm, calm_logs


def test_of_each_kind_a_few_pass_and_the_next_period_says_how_many_did_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    logger = logging.getLogger("simsearch.web.calm")
    calm = Calm(period=60, per_period=2, clock=lambda: now[0])
    logger.addFilter(calm)
    with caplog.at_level(logging.WARNING):
        for second in range(0, 70, 10):
            now[0] = second
            logger.warning("%s failed", second)
            if second % 20 == 0:
                logger.warning("another\n%s", second)
    logger.removeFilter(calm)
    assert [record.getMessage() for record in caplog.records] == [
        "0 failed",
        "another\n0",
        "10 failed",
        "another\n20",
        "60 failed (4 more like it went before)",
        "another\n60 (1 more like it went before)",
    ]


def test_the_servers_loggers_are_calm_only_while_it_runs(caplog: pytest.LogCaptureFixture) -> None:
    with calm_logs():
        for name in LOGGERS:
            for _ in range(1_000):
                logging.getLogger(name).error("again")
    assert len(caplog.records) == 5 * len(LOGGERS)
    assert not any(isinstance(item, Calm) for name in LOGGERS for item in logging.getLogger(name).filters)
