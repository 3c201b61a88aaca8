"""A report as one HTML file that needs nothing else.

html_report.py  a report -> the file
html_parts.py   tables, pictures and escaping
charts.py       line charts as SVG
report.css, palette.css  its style, and the colors that the page shares
"""
