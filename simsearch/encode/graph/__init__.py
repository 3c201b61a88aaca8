"""What an ONNX graph says, and what it makes: read strictly, worked out without running it.

wire.py         a file as records; what can be read in two ways is refused
external.py     weights in files beside a model, brought into it
tensors.py      tensors without their numbers, steps, and what a step makes
rules.py        one rule an operator
elementwise.py  the rules that keep a shape, join two, or sum over axes
products.py     the rules for kernels and matrices
forms.py        the rules that give numbers another form
values.py       the small numbers that shapes are made of
"""
