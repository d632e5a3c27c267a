"""Prompt embeddings are remembered within a bound of bytes."""

from __future__ import annotations

import torch

from daemon.families.embeddings import EmbeddingCache, Tensors


def kilobyte() -> Tensors:
    return (torch.zeros(128), torch.zeros(128))


def never() -> Tensors:
    raise AssertionError("encoded again")


def test_a_text_is_encoded_once() -> None:
    cache = EmbeddingCache()
    first = cache.get(("a",), kilobyte)
    assert cache.get(("a",), never) is first
    assert cache.get(("a", "b"), kilobyte) is not first


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = EmbeddingCache(capacity_bytes=2048)
    first = cache.get(("a",), kilobyte)
    second = cache.get(("b",), kilobyte)
    cache.get(("a",), never)
    cache.get(("c",), kilobyte)
    assert cache.get(("a",), never) is first
    assert cache.get(("b",), kilobyte) is not second
    assert cache.size_bytes == 2048


def test_what_is_larger_than_the_bound_is_not_kept() -> None:
    cache = EmbeddingCache(capacity_bytes=100)
    assert cache.get(("a",), kilobyte)[0].shape == (128,)
    assert cache.size_bytes == 0


def test_a_view_counts_with_all_that_it_keeps_alive() -> None:
    cache = EmbeddingCache()
    cache.get(("a",), lambda: (torch.zeros(256)[:1],))
    assert cache.size_bytes == 1024
