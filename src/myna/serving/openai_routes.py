"""The OpenAI-compatible API: `/v1/models`, `/v1/chat/completions`, `/v1/completions`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator

from fastapi import APIRouter, Request
from starlette.responses import Response

from myna.serving import openai_generate, openai_responses
from myna.serving.background import PING, EventStream, Made, Running, Work, alive, sse, unless_gone
from myna.serving.errors import Json, as_api, body
from myna.serving.metrics import Watch
from myna.serving.openai_chat import Served, chat
from myna.serving.openai_generate import Ended, Spoken
from myna.serving.openai_requests import ChatRequest, CompletionRequest


def router(served: Served, work: Work, watch: Watch) -> APIRouter:
    """The paths below `/v1`."""
    api = APIRouter(prefix="/v1", tags=["OpenAI"])
    made = int(time.time())

    @api.get("/models")
    async def models() -> Response:
        """The personas, the group, and the group with names before its replies."""
        listed = [openai_responses.model(id_, made) for id_ in served.models()]
        return Json({"object": "list", "data": listed})

    @api.get("/models/{id:path}")
    async def one_model(id: str) -> Response:  # noqa: A002  # the path's parameter
        """One model."""
        return Json(openai_responses.model(served.model(id), made))

    @api.post("/chat/completions")
    async def chat_completions(request: Request, asked: ChatRequest) -> Response:
        """What a persona, or whoever of the group speaks next, answers to a chat."""
        shape = _shape(asked.model, chat=True, logprobs=asked.alternatives is not None)
        key = _client(request)

        def make(gone: Callable[[], bool]) -> Iterator[Spoken]:
            yield from openai_generate.speak(served, asked, chat(served, asked), key, gone)

        return await _answer(request, asked, shape, make, openai_responses.chat_usage)

    @api.post("/completions")
    async def completions(request: Request, asked: CompletionRequest) -> Response:
        """Any text, continued as it stands; `model` may be any of the list."""
        shape = _shape(asked.model, chat=False, logprobs=asked.logprobs is not None)
        key = _client(request)

        def make(gone: Callable[[], bool]) -> Iterator[Spoken]:
            return openai_generate.complete(served, asked, key, gone)

        return await _answer(
            request, asked, shape, make,
            lambda said: openai_responses.completion_usage(said, asked.n or 1),
        )  # fmt: skip

    def _shape(model: str, *, chat: bool, logprobs: bool) -> openai_responses.Shape:
        shape = openai_responses.Shape(served.model(model), chat=chat, logprobs=logprobs)
        if logprobs:
            openai_generate.can_tell(served.clone.engine_for(shape.model))
        return shape

    async def _answer(
        request: Request,
        asked: ChatRequest | CompletionRequest,
        shape: openai_responses.Shape,
        make: Made[Spoken],
        used: Callable[[list[Spoken]], openai_responses.Body],
    ) -> Response:
        if not asked.stream:
            said = await work.whole(request, watch.replies(make))
            return Json(shape.whole(said, used(said)))
        running = work.begin(watch.replies(make))
        try:
            # Whatever is wrong shows before the first piece, and can be a status still.
            first = await unless_gone(request, anext(running))
        except BaseException:
            running.stop()
            raise
        return EventStream(_chunks(shape, first, running, used if asked.with_usage else None))

    return api


async def _chunks(
    shape: openai_responses.Shape,
    first: Spoken,
    running: Running[Spoken],
    used: Callable[[list[Spoken]], openai_responses.Body] | None,
) -> AsyncIterator[str]:
    """A stream as server-sent events; an error on the way is its last one."""
    ended: list[Spoken] = []
    try:
        for chunk in shape.chunks(first):
            yield sse(chunk)
        async for item in alive(running):
            if item is None:
                yield PING
                continue
            if isinstance(item, Ended):
                ended.append(item)
            for chunk in shape.chunks(item):
                yield sse(chunk)
        if used is not None:
            yield sse(shape.last(used(ended)))
    except Exception as error:
        yield sse(body(as_api(error)))
    finally:
        running.stop()
    yield "data: [DONE]\n\n"


def _client(request: Request) -> str:
    """Whose turn in the queue it is: a client's address."""
    return f"api {request.client.host if request.client else ''}"
