"""Training, and the only place that imports torch.

model.py         EmbeddingNet and SimilarityModel
pairs.py         PairDataset
augment.py       random augmentation of form and pen
objectives.py    which pairs a step compares
optimization.py  optimizer, schedule, averaging, precision
recipes.py       ways of training, as data
checkpoints.py   state on disk, read safely
anatomy.py       what a network is made of, as a run of it showed
dissect.py       a model -> its anatomy, by tracing and running it
export.py        torch -> ONNX, checked
published.py     encoders whose weights are published, as ONNX
download.py      torchvision fetches a dataset, in a process of its own
loop.py          the training loop
run.py           a run and its folder
"""
