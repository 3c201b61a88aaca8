"""Answers and reports as tables, pictures, HTML and figures; nothing here computes a result.

terminal/            answers and tables in a terminal
html/                a report as one HTML file
figures/             figures as PNG, SVG and PDF (extra `figures`)
prepared.py          the steps of preparing a picture, as one sheet
findings.py          what audits found, in sentences
names.py             names cut to a width, never two alike
evaluation_files.py  the files that an evaluation leaves
"""
