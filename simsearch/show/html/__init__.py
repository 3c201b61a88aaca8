"""A report as one HTML file that needs nothing else.

html_report.py     what a report says
report.html.jinja  how it is written
audit_page.py, audit.html.jinja  the same of an audit
copies_page.py, copies.html.jinja  the same of copies
explorer_page.py, explorer.html.jinja, explorer.js  an index that searches itself
pages.py           templates -> documents
parts.html.jinja   what all of them share
tables.py          tables and pictures as data
report_charts.py  the charts of a report
charts.py         line charts as SVG
report.css, palette.css  its style, and the colors that the page shares
"""
