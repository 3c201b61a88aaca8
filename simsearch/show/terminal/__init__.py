"""Answers and tables in a terminal.

terminal.py      stdout, stderr and progress bars
views.py         results -> tables
change_view.py    what a change of an index does, and did
catalog_view.py  a list of indexes
answer_view.py   an answer -> a screen
window.py        the same in the rows of a window
answer_parts.py  hits and classes as tiles, tables and lines
verdict.py       what an answer comes to, in words
tiles.py         pictures with text below or beside them
thumbnails.py    small pictures in blocks
graphics.py      the kitty and sixel graphics protocols
"""
