"""A store on a Milvus server or cluster, for galleries that one machine cannot hold.

address.py     where a server is
client.py      the server: calls within a deadline, in this project's errors; alone imports pymilvus
collection.py  the collection: made, filled, waited for until it is ready
rows.py        which rows of a collection are items of an index: what a change removed or revised is not
reader.py      rows read by what the server can ask for, as the index has them
candidates.py  what the server proposes, in exact order
watch.py       whether the collection is whole: answers given while it was not are withheld
store.py       the contract of stores over a collection
"""
