"""torch, transformers and peft as they should behave: quiet, and clear where missing."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

from myna.errors import ModelError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the progress bars and warnings of libraries off the terminal.

    Errors still come out as exceptions, and the libraries' settings are put back.
    """
    with needing_train_extra():
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
def needing_train_extra() -> Iterator[None]:
    """Turn a library that is missing into one clear line."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{error.name} is not installed, and this needs it: "
            "run `pip install 'myna[train]'`, then this again"
        ) from error
