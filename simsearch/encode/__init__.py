"""Pixels -> unit vectors, and the model folders that hold encoders.

encoder.py             the contract of encoders
onnx.py                encoders in ONNX files, run by onnxruntime
reading.py             what a graph takes and gives
known.py               encoders that need not be checked again, by SHA-256
probe.py               vectors that a processor must give again
absent.py              what an index without an encoder says
onnx_check.py          which ONNX files are let near onnxruntime: the policy and the budget
graph/                 what an ONNX graph says, and what it makes
imported.py            an ONNX file that others made -> a model folder
ray.py                 work in units on a Ray cluster
model_folder.py        a model folder: encoder, checkpoint, card
shipped_models.py      the models that ship, by name
checkpoint.py          a torch checkpoint, read without torch
reference.py           the networks in numpy, to check an encoder against its checkpoint
stored_calibration.py  a calibration as cards and manifests store it
inside.py              the maps inside a network, for whoever asks
history.py             one record a training epoch
"""
