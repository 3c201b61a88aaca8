"""Where images come from: MNIST, IDX files, folders, and what is made of them.

splits.py        which training images are held out
datasets.py      names -> loaders; MNIST, IDX folders and image folders as one record
folders.py       the image files in a folder
mnist.py         a verified copy of MNIST
mnist_sources.py where MNIST can come from
mnist_files.py   MNIST's four files and their hashes
corruptions.py   handwriting that MNIST never saw
outliers.py      pictures of no class
"""
