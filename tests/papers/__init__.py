"""Digits on paper as people bring them, drawn from a seed: what tests and the benchmark of preparation share.

digits.py   digits as strokes of a pen, or as MNIST's handwriting
sheets.py   what a digit is written on: colors, rulings, light, noise, encoding
families.py the families of pictures, by name, and the pictures with nothing to know
more.py     further papers, boards and kinds of files, and further pages with nothing to know
unseen.py   families that were kept out of sight while preparation was tuned
later.py    more of them, written when those had been looked at
blanks.py   more pages, desks, walls and prints with nothing to know
crossings.py digits crossed out in many ways, and those whose own strokes cross
brought.py  what else people bring: screens in the dark, faxes, combs of boxes, plates, walls of notes
fresh.py    families that were kept out of sight while the last rules were tuned
"""
