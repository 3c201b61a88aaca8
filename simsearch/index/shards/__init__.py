"""Galleries too large to encode in one process: planned in units of work, encoded into Parquet, loaded.

plan.py      the pictures of a folder or of Parquet files, in units of work with ids
step.py      one unit -> one shard: pictures read, prepared and encoded; knows no engine
engines.py   what does the units: this process, or Ray
loading.py   units -> shards -> items, as often as wanted
building.py  shards -> an index
places.py    folders and object stores
"""
