"""A digit on paper -> its ink alone -> 28x28 as MNIST has it. Arrays in, arrays out.

canvas.py     decoded pictures -> upright pixels of a working size, transparency flattened
cells.py      pictures in a smaller size, to look at
ranks.py      medians and quantiles, without what NumPy loads for them
surface.py    level paper: a smooth surface of gray
plain.py      the plain case: one thing drawn on level paper
blurred.py    one thing that is out of focus
page.py       everything else: the digit anywhere on a page
tophat.py     ink against the paper around it, in light and shadow
color.py      ink that only color shows
rulings.py    straight lines across the page
components.py what belongs together
sides.py      whether paper is the same on both sides of a stroke
evidence.py   what speaks for a piece of it being ink
choose.py     which of it is the digit
shapes.py     what no digit looks like
strokes.py    ink along straight lines through a digit
overshoot.py  strokes that stick out of it at both ends
crossed.py    whether it was crossed out
normalize.py  28x28 as MNIST has it
steps.py      the steps, each of which can be left out
"""
