"""Pictures that show no class: what the unknown is learned from.

They resemble known pictures in every way that is easy to copy (size, place, ink), so that what is learned is
more than that. Nothing here knows what the classes are, but for the letters, which are not digits.

kinds.py     what all kinds have in common
mixtures.py  made of known pictures: halves, pieces, several
drawn.py     drawn: strokes, textures, shapes
letters.py   letters that do not resemble digits
scenes.py    known pictures whose surroundings were left in
make.py      so many of each kind, prepared as any picture
"""
