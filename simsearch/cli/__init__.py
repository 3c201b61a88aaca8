"""The commands: each parses its options, makes one call into the rooms below, and renders what comes back.

main.py       the program: its commands in panels, and how each may end
lazy.py       commands that are loaded when they run
options.py    the options of commands in groups
query_options.py  those that query alone has
flattening.py groups of options as Typer reads them
targets.py    the files that a command writes, checked first
drawing.py    before and after a figure
output.py     what answers leave on stdout and stderr
viewer.py     the system's viewer of pictures
failures.py   errors in words
signals.py    Ctrl-C, SIGTERM and closed pipes
doctor.py     the health of an installation
commands/     the commands, a file for each close group
"""
