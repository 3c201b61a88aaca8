"""Training the Siamese network: the only part of simsearch that imports torch."""
