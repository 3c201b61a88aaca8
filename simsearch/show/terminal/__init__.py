"""Answers and tables in a terminal.

terminal.py     stdout, stderr and progress bars
views.py        results -> tables
answer_view.py  an answer -> a screen
thumbnails.py   small pictures in blocks
graphics.py     the kitty and sixel graphics protocols
"""
