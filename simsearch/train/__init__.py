"""Training, and the only place that imports torch.

model.py         EmbeddingNet and SimilarityModel
residual.py      ResidualNet, for pictures of any size
networks.py      which network is trained, by name
pairs.py         PairDataset
augment.py       random augmentation of form and pen
remains.py       faults of preparation in training images
exposure.py      pictures of no class beside the training images
photo_augment.py random augmentation of other pictures
objectives.py    which pairs a step compares
optimization.py  optimizer, schedule, averaging, precision
recipes.py       ways of training, as data
checkpoints.py   state on disk, read safely
anatomy.py       what a network is made of, as a run of it showed
dissect.py       a model -> its anatomy, by tracing and running it
export.py        torch -> ONNX, checked
quantize.py      an encoder in int8
published.py     encoders whose weights are published, as ONNX
download.py      torchvision fetches a dataset, in a process of its own
loop.py          the training loop
validation.py    what a run is judged by
resuming.py      what it takes to go on with a run
retrieval.py     P@1 and MAP@R while a run chooses
run_folder.py    what a run's folder holds
run.py           a run from scratch
head.py          a head on features, and both joined
features.py      the features of a training set, kept
baselines.py     LDA and logistic regression on features
head_exam.py     what a head is worth
head_export.py   encoder and head -> one ONNX file
head_run.py      a run that learns a head
"""
