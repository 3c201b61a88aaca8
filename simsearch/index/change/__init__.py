"""How an index changes: new items encoded, segments merged, a folder followed, each change one commit.

guard.py        the lock, and what a failed writer leaves
ingest.py       many files -> encoded chunks, while others are decoded
paths.py        names on a command line -> files to be added, items to be removed
merge.py        several segments -> one, block by block
revise.py       items that keep their picture, and get another source, class or stamp
recalibrate.py  whether what an index claims of its gallery still holds
holding.py      where items are held: in files, or on a server
commit.py       a change -> the next manifest, merging where it pays
sync.py         what has become of a folder -> what is to be done
progress.py     a build that is not done: what is kept of it, and whether it can be continued
folder_build.py a folder of images -> an index, in segments that a kill does not lose
"""
