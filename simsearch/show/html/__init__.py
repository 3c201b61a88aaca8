"""A report as one HTML file that needs nothing else.

html_report.py    what a report says
report.html.jinja  how it is written
tables.py         tables and pictures as data
report_charts.py  the charts of a report
charts.py         line charts as SVG
report.css, palette.css  its style, and the colors that the page shares
"""
