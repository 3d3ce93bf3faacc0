"""The OpenAI-compatible API: `/v1/models`, `/v1/chat/completions`, `/v1/completions`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import Response

from myna.serving import background, openai_generate
from myna.serving.background import RunningStream, StreamFactory, StreamRunner, server_sent_event
from myna.serving.errors import JsonResponse, error_body, to_api_error
from myna.serving.metrics import Metrics
from myna.serving.openai_chat import ServedModels, chat_from_request
from myna.serving.openai_generate import ChoiceEnd, ChoiceEvent
from myna.serving.openai_requests import ChatRequest, CompletionRequest
from myna.serving.openai_responses import JsonObject, ResponseBuilder, model_object, usage


def create_router(models: ServedModels, streams: StreamRunner, metrics: Metrics) -> APIRouter:
    """The paths below `/v1`."""
    api = APIRouter(prefix="/v1", tags=["OpenAI"])
    created = int(time.time())

    def describe(model_id: str) -> JsonObject:
        return model_object(model_id, created, models.persona(model_id))

    @api.get("/models")
    async def list_models() -> Response:
        """List the models: each persona, the group, and the group with names in its replies."""
        listed = [describe(model_id) for model_id in models.ids()]
        return JsonResponse({"object": "list", "data": listed})

    @api.get("/models/{id:path}")
    async def get_model(id: str) -> Response:  # noqa: A002  # the path's parameter
        """Get one model."""
        return JsonResponse(describe(models.resolve_id(id)))

    @api.post("/chat/completions")
    async def create_chat_completion(request: Request, body: ChatRequest) -> Response:
        """Reply to a chat as a persona; the group's model chooses who of them replies."""

        def create(is_cancelled: Callable[[], bool]) -> Iterator[ChoiceEvent]:
            chat, key = chat_from_request(models, body), _queue_key(request)
            yield from openai_generate.generate_chat(models, body, chat, key, is_cancelled)

        return await respond(request, body, create, usage, chat=True)

    @api.post("/completions")
    async def create_completion(request: Request, body: CompletionRequest) -> Response:
        """Continue a plain text; `model` may be any model of the list."""

        def create(is_cancelled: Callable[[], bool]) -> Iterator[ChoiceEvent]:
            key = _queue_key(request)
            return openai_generate.generate_completions(models, body, key, is_cancelled)

        def count_tokens(events: list[ChoiceEvent]) -> JsonObject:
            return usage(events, body.n or 1)

        return await respond(request, body, create, count_tokens, chat=False)

    async def respond(
        request: Request,
        body: ChatRequest | CompletionRequest,
        create: StreamFactory[ChoiceEvent],
        count_tokens: Callable[[list[ChoiceEvent]], JsonObject],
        *,
        chat: bool,
    ) -> Response:
        logprobs = body.num_top_logprobs is not None
        builder = ResponseBuilder(models.resolve_id(body.model), chat=chat, logprobs=logprobs)
        if logprobs:
            engine = models.clone.engine_for(models.persona(builder.model) or "")
            openai_generate.check_logprobs(engine)
        if not body.stream:
            events = await streams.collect(request, metrics.count_stream(create))
            return JsonResponse(builder.completion(events, count_tokens(events)))
        stream = streams.start(metrics.count_stream(create))
        try:
            # An error before the first event can still be sent as an HTTP status.
            first = await background.cancel_on_disconnect(request, anext(stream))
        except BaseException:
            stream.stop()
            raise
        count = count_tokens if body.includes_usage else None
        return background.EventStream(_stream_chunks(builder, first, stream, count))

    return api


async def _stream_chunks(
    builder: ResponseBuilder,
    first: ChoiceEvent,
    stream: RunningStream[ChoiceEvent],
    count_tokens: Callable[[list[ChoiceEvent]], JsonObject] | None,
) -> AsyncIterator[str]:
    """The chunks of a response as server-sent events; an error is the last one."""
    ends: list[ChoiceEvent] = []
    try:
        for chunk in builder.chunks(first):
            yield server_sent_event(chunk)
        async with aclosing(background.with_pings(stream)) as pinged:
            async for event in pinged:
                if event is None:
                    yield background.PING
                    continue
                if isinstance(event, ChoiceEnd):
                    ends.append(event)
                for chunk in builder.chunks(event):
                    yield server_sent_event(chunk)
        if count_tokens is not None:
            yield server_sent_event(builder.usage_chunk(count_tokens(ends)))
    except Exception as error:
        yield server_sent_event(error_body(to_api_error(error)))
    finally:
        stream.stop()
    yield "data: [DONE]\n\n"


def _queue_key(request: Request) -> str:
    """The client's address: addresses take turns in the engine's queue."""
    return f"api {request.client.host if request.client else ''}"
