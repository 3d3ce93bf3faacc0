"""What a server serves: a clone, as models with ids."""

from __future__ import annotations

from dataclasses import dataclass

from myna.engines.queueing import Queue
from myna.persona.clone import Clone
from myna.serving.errors import ApiError

NAMED = "+names"
"""Behind the group's id: a model whose replies begin with their speaker's name."""
LONGEST_TOKEN = 32
"""Characters that a token covers at most on average: longer texts cannot fit for sure."""


@dataclass(frozen=True)
class Served:
    """What a server serves."""

    clone: Clone
    queue: Queue
    group: str
    """The id of the whole group as a model: the adapter's name."""
    me: str
    """Who says what a client sends without a name."""

    def models(self) -> list[str]:
        """The ids of all models."""
        return [*self.clone.personas, self.group, self.group + NAMED]

    def model(self, id: str) -> str:  # noqa: A002  # as OpenAI calls it
        """The id of the model that a client means.

        Raises:
            ApiError: there is no such model.
        """
        for known in self.models():
            if id == known or id.casefold() == known.casefold():
                return known
        raise ApiError(
            404,
            "there is no such model: GET /v1/models lists them",
            param="model",
            code="model_not_found",
        )
