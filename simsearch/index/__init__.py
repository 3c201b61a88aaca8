"""An index on disk: built, opened, calibrated, verified.

update.py         an index that changes: add, remove, sync, compact
packed.py         sources and small pictures, with random access
build.py          dataset + model -> bundle
bundle.py         one index on disk
data_files.py     its data files, written whole and checked when opened
columns.py        what is known of items beside their vectors
served.py         an index whose items a server holds
migrate.py        files to a server, and back
staging.py        items on their way into files, kept until all are there
serving.py        an index on a server, written
remote.py         an index on a server, changed
shards/           galleries too large for one process
segment.py        one segment's files, opened
retype.py         an index of another kind: factory, precision, effort
tune.py           which kind suits a gallery, measured
writing.py        one segment's files, written
reading.py        one file -> pixels, small picture and stamp
rows.py           rows of several segments as one sequence
manifest.py       what an index says about itself
locations.py      where indexes are
catalog.py        which indexes there are: listed, renamed, deleted
calibrate.py      validation images -> a model's calibration
leave_one_out.py  what known pictures say of each other, and pairs of them
held_out.py       which images a model's training held out
verify.py         the whole check of an index or a model
checks.py         one finding of a check
checked.py        large files, checked block by block
change/           how an index changes
stored_map.py     a layout of the items, kept beside the index
originals.py      the files behind the items
importing.py      vectors of another program -> bundle
exporting.py      bundle -> npz and Parquet
audit/            what is doubtful, and what is there twice
stores/           vector stores: one contract, an engine a file
"""
