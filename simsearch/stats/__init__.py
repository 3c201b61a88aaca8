"""Metrics, intervals and calibration: numpy alone.

retrieval.py      rankings -> per-query metric values
significance.py   bootstrap intervals and the randomization test
pairs.py          balanced pairs of images; accuracy, ROC AUC, equal error rate
calibration.py    scores -> probabilities and decisions, as stored
fitting.py        truth and scores -> probabilities, thresholds
reliability.py    how right probabilities are
checking.py       whether a posterior holds on what it was not fitted on
class_ranking.py  nearest items of each class -> class ranking
novelty.py        what tells the known from the unknown
label_errors.py   confident learning over neighbors
"""
