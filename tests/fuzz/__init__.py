"""Hostile and broken input: mutators, what is done with each case, and a watched process that does it."""
