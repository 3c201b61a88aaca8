"""Answers and tables in a terminal.

terminal.py      stdout and stderr
progress.py      progress bars
views.py         results -> tables
change_view.py    what a change of an index does, and did
tables.py        tables and bars that views are made of
catalog_view.py  a list of indexes
tune_view.py     kinds of index that were measured
findings_view.py  audits and copies -> a screen
exam_view.py     what a learned head is worth
answer_view.py   an answer -> a screen
window.py        the same in the rows of a window
answer_parts.py  hits and classes as tiles, tables and lines
verdict.py       what an answer comes to, in words
tiles.py         pictures with text below or beside them
thumbnails.py    small pictures in blocks
graphics.py      the kitty and sixel graphics protocols
"""
