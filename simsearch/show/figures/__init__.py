"""Figures as PNG, SVG and PDF: the only place that imports matplotlib.

theme.py         one palette, light and dark
fonts.py         which fonts write names in any script
sheet.py         a sheet in inches whose texts can be measured
files.py         figures -> PNG, SVG, PDF
plane.py         vectors -> a plane
pair_sheet.py    pairs of one class and of two
similarity.py    a query beside its best example of each class
architecture.py  the network in 3-D
training.py      a training run
embedding.py     a map of a gallery
confusion.py     which classes are taken for which
curves.py        precision and recall, scores, reliability
grids.py         queries and their nearest items
"""
