"""The renderings that there are, as markups for a base."""

from __future__ import annotations

from myna.errors import SettingsError
from myna.samples.markup import TRANSCRIPT, Mark, Markup
from myna.samples.templates import chat
from myna.samples.tokenizer import Tokenizer

CHATML = ("<|im_start|>", "<|im_end|>")

_NEWLINE, _CUE = Mark("\n"), Mark(":", named=True)
_OPENING, _OPENING_CUE = Mark("\n", trained="opens"), Mark(":", named=True, trained="opens")


def of(rendering: str, tokenizer: Tokenizer) -> Markup:
    """The markup of a rendering for a base.

    Raises:
        SettingsError: the base cannot be trained with it.
        ModelError: the base's files are damaged.
    """
    if rendering == "transcript":
        return TRANSCRIPT
    if rendering == "names":
        return _names(tokenizer)
    if rendering == "mind-upload":
        return _mind_upload(tokenizer)
    return chat(tokenizer)


def _names(tokenizer: Tokenizer) -> Markup:
    """ChatML with names as roles.

    Without its tokens the model would have to learn the markers from scratch: for those
    bases a transcript is the better text.
    """
    missing = [token for token in CHATML if tokenizer.control_id(token) is None]
    if missing:
        raise SettingsError(
            f'rendering = "names" needs the control token {missing[0]}, which '
            f'{tokenizer.folder.name} does not have: use "transcript" or "chat"'
        )
    start, end = (Mark(token, control=True) for token in CHATML)
    ending = tuple(
        Mark(mark.text, mark.control, mark.named, "ends")
        for mark in (end, _NEWLINE, start, Mark("\n", named=True))
    )
    header = (end, _NEWLINE)
    return Markup(
        style="names",
        opening=(*_bos(tokenizer), start, Mark("system\n")),
        between={
            "start>other": (*header, start, Mark("\n", named=True)),
            "start>end": header,
            "other>other": ending,
            "other>end": ending[:2],
        },
        own_lead="",
        other_lead="",
        escaped=(),
    )


def _mind_upload(tokenizer: Tokenizer) -> Markup:
    return Markup(
        style="mind-upload",
        opening=_bos(tokenizer),
        between={
            "start>other": (_NEWLINE, _CUE),
            "start>own": (_OPENING, _OPENING_CUE),
            "start>end": (),
            "own>other": (Mark("\n", trained="ends"), _CUE),
            "own>own": (_NEWLINE,),
            "own>end": (Mark(tokenizer.token(tokenizer.eos), control=True, trained="ends"),),
            "other>own": (_OPENING, _OPENING_CUE),
            "other>other": (_NEWLINE, _CUE),
            "other>end": (),
        },
        per_persona=True,
    )


def _bos(tokenizer: Tokenizer) -> tuple[Mark, ...]:
    return tuple(Mark(tokenizer.token(number), control=True) for number in tokenizer.bos)
