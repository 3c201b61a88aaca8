"""Any picture -> the pixels that a network sees.

prepare.py  what callers use: pictures -> 28x28 -> batch
inputs.py   what a network eats, as data: size, channels, preparation, scaling
photo.py    photographs: upright, flattened, fitted to size
formats.py  which kinds of picture are read, told by their bytes
decode.py   files and bytes -> decoded pictures
"""
