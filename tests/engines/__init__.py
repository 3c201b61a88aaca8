"""Engines for the tests that need one: processes of this machine, started and ended by their ids.

They listen on fixed ports of 127.0.0.1, so these tests run in a network namespace of their own; `.ci/engines`
makes one, and the folder of programs that `SIMSEARCH_ENGINES` names.
"""
