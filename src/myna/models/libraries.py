"""torch, transformers and peft without noise, and with advice if not installed."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

from myna.errors import ModelError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide the progress bars and warnings of libraries; errors are still raised."""
    with requires_train_extra():
        from transformers.utils import logging
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)


@contextlib.contextmanager
def requires_train_extra() -> Iterator[None]:
    """Turn a ModuleNotFoundError into a ModelError with advice."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{error.name} is not installed, and this needs it: "
            "run `pip install 'myna[train]'`, then this again"
        ) from error
