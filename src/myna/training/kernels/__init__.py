"""Parts of a training step written by hand, each with its formula, forwards and backwards.

A kernel is a function of tensors: it knows nothing of models. `install` puts them in the
place of a model's own code, where they fit.
"""
