"""Features of messages and of pairs, for disentanglement."""

from __future__ import annotations

import numpy as np
from tests.chats import table, tea_talk

from myna.conversations import disentangle_features


def test_features_of_pairs_do_not_depend_on_the_block() -> None:
    said = tea_talk(200)
    thread, shared = (
        disentangle_features.find_neighbours(said),
        disentangle_features.shared_words(said),
    )
    whole, there = disentangle_features.pair_features(said, thread, shared, 0, 200)
    part, part_there = disentangle_features.pair_features(said, thread, shared, 90, 110)
    assert np.array_equal(whole[:, 90:110][:, part_there], part[:, part_there])
    assert np.array_equal(there[90:110], part_there)


def test_neighbours_are_rows_and_people_around_a_message() -> None:
    said = disentangle_features.message_arrays(
        table(
            [
                {"author": "Ana", "text": "Ben: tea?"},
                {"author": "Cleo", "text": "hm"},
                {"author": "Ben", "text": "yes"},
                {"author": "Ana", "text": "fine"},
                {"author": "Ben", "text": "Ana: milk, please"},
            ]
        )
    )
    ana, _, ben = said.people[:3].tolist()
    found = disentangle_features.find_neighbours(said)
    assert found.before.tolist() == [-1, -1, -1, 0, 2]
    assert found.after.tolist() == [3, -1, 4, -1, -1]
    assert found.called_by.tolist() == [-1, -1, 0, -1, 0]
    assert found.calls_next.tolist() == [4, -1, -1, 4, -1]
    assert found.addressed.tolist() == [-1, -1, -1, ben, -1]
    assert found.partner.tolist() == [-1, -1, ana, -1, ana]


def test_rare_words_that_two_messages_share_weigh_more_than_usual_ones() -> None:
    texts = ["the kettle", "the", "the", "the", "the kettle"]
    said = disentangle_features.message_arrays(
        table([{"author": "Ana", "text": text} for text in texts])
    )
    shared = disentangle_features.shared_words(said)
    last = shared.row == 4
    weight = dict.fromkeys(range(1, 5), 0.0)
    for distance, one in zip(
        shared.distance[last].tolist(), shared.weight[last].tolist(), strict=True
    ):
        weight[distance] += one
    assert weight[4] > weight[1] == weight[2] == weight[3]
