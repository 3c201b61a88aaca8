"""An index -> how good its answers are.

evaluation.py   an index -> a report
report.py       one evaluation as data, and its JSON
saved_report.py a report's JSON -> what is compared and drawn
compare.py      two reports -> which is better
mistakes.py     the queries answered worst
query_table.py  per-query values -> CSV, Parquet
trec.py         rankings and relevance -> TREC files
"""
