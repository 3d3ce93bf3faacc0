"""Hand-written kernels of a training step, each with its formula, forwards and backwards.

A kernel is a function of tensors; `install` puts them into models that they fit.
"""
