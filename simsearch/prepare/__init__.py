"""Any picture -> the pixels that a network sees.

pictures.py any picture -> what an input takes: what every caller uses
inputs.py   what a network eats, as data: size, channels, preparation, scaling
prepare.py  digits: any picture -> 28x28 -> batch
paper/      a digit on paper -> its ink alone -> 28x28
photo.py    photographs: upright, flattened, fitted to size
cost.py     what decoding costs, counted before it begins
coded.py    how many pictures an AVIF or HEIC holds to show one
formats.py  which kinds of picture are read, told by their bytes
transfer.py what a process that decodes sends back, without code
large_png.py PNGs of more pixels than are decoded at once, made smaller strip by strip
decode.py   files and bytes -> decoded pictures
"""
