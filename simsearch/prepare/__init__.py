"""Any picture -> the pixels that a network sees.

prepare.py  what callers use: pictures -> 28x28 -> batch
inputs.py   what a network eats, as data: size, channels, preparation, scaling
pictures.py any picture -> what an input takes: what every caller uses
photo.py    photographs: upright, flattened, fitted to size
cost.py     what decoding costs, counted before it begins
formats.py  which kinds of picture are read, told by their bytes
decode.py   files and bytes -> decoded pictures
"""
