"""Vector stores: one contract (`base`), one file per engine."""
