"""Any picture -> the pixels that a network sees.

pictures.py   any picture -> what an input takes: what every caller uses
inputs.py     what a network eats, as data: size, channels, preparation, scaling
photo.py      photographs: upright, flattened, fitted to size
prepare.py    digits: pictures -> 28x28, the plain case first
canvas.py     decoded pictures -> upright pixels of a working size, transparency flattened
surface.py    level paper: a smooth surface of grey
plain.py      the plain case: one thing drawn on level paper
page.py       everything else: the digit anywhere on a page
tophat.py     ink against the paper around it, in light and shadow
color.py      ink that only color shows
rulings.py    straight lines across the page
components.py what belongs together
choose.py     which of it is the digit
shapes.py     what no digit looks like
normalize.py  28x28 as MNIST has it
steps.py      the steps, each of which can be left out
cost.py       what decoding costs, counted before it begins
formats.py    which kinds of picture are read, told by their bytes
decode.py     files and bytes -> decoded pictures
"""
