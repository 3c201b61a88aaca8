"""Where images come from: MNIST, IDX files, folders, and what is made of them.

splits.py        a split: images with what is known about them; which ones are held out
datasets.py      names -> loaders
idx.py           folders of IDX files
named/           datasets with a name beside MNIST
arrays.py        arrays of pixels -> what an input takes
collection.py    what lies in a folder now
class_names.py   what may name a class, and which class is meant
labels.py        the class of each file: by folders, by a table, or none
label_tables.py  a table of labels, CSV or Parquet
split_folders.py folders that are splits
vector_tables.py vectors that another program computed
decoding.py      files -> pixels, in processes of their own
folders.py       folders of image files
some_pictures.py a few pictures of a gallery
mnist.py         a verified copy of MNIST
mnist_sources.py where MNIST can come from
mnist_files.py   MNIST's four files and their hashes
training_set.py  what training sees, and what is held out
corruptions.py   handwriting that MNIST never saw
outliers/        pictures of no class
"""
