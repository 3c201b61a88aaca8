"""Vector stores: one contract, an engine a file.

base.py         the contract, and what a search gives
exact.py        exact scores, whatever the engine
near.py         which rows may be among the k best, by rough scores
streamed.py     the same of vectors that are read stretch by stretch
comparison.py   several questions about the same queries
candidates.py   what an approximate index proposes, and classes ranked by it
flat.py         every vector compared, without an engine
coded.py        vectors of lower precision: the codes of a FAISS index
faiss.py        candidates of a FAISS index, ordered exactly
opening.py      an index file -> a store
milvus/         vectors on a Milvus server
segments.py     several stores as one, less what was removed
merging.py      the hits of several stores as one answer
faiss_index.py  FAISS indexes: made, written, and read within limits
faiss_check.py  whether a FAISS index keeps to its own memory
by_class.py     each class's nearest items
hits.py         hits left out, hits joined
"""
