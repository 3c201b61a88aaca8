"""Any picture -> the pixels that a network sees.

prepare.py  what callers use: pictures -> 28x28 -> batch
decode.py   files and bytes -> decoded pictures
"""
