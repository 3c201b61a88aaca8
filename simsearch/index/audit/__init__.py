"""What is doubtful in a gallery, and which of its pictures are there twice.

audit.py       labels, outliers, overlapping classes, leaks
kinds.py       in what two pictures can be the same
copies.py      pairs of copies
same_files.py  files of equal content
agreement.py   pictures compared by pixels
groups.py      copies joined to groups, and the best of each
moving.py      copies moved aside, and back
neighbors.py   the nearest others of every item
"""
