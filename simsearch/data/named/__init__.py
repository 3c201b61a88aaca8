"""Datasets with a name beside MNIST: what they are, where they lie, and how their files are read.

catalog.py what there is: files, checksums, classes, sizes
formats.py the files of USPS, SVHN and CIFAR-10, and IDX
load.py    a name -> a split: found, verified, read
fetch.py   torchvision fetches what is not there, in a process of its own
"""
