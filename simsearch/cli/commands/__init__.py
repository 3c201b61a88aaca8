"""The commands, a file for each close group.

searching.py    query, similarity
measuring.py    evaluate, compare
figures.py      figure
building.py     build-index
calibrating.py  calibrate
training.py     train, export
serving.py      serve
upkeep.py       info, verify, doctor, data fetch
"""
