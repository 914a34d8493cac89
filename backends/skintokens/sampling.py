"""Sampling of sentences: several at a time, each of which goes on in likely ways that are drawn at random.

Beam search as T. Wolf et al., "Transformers", EMNLP 2020, do it, with the same draws from the same seed;
top-p of A. Holtzman et al., "The Curious Case of Neural Text Degeneration", ICLR 2020; the penalty on words
said before of N. S. Keskar et al., "CTRL", 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ...pipeline.errors import RigError
from ...pipeline.progress import Progress, ignore_progress, span_progress
from .language import LanguageModel, Memory, choose_sentences
from .tokens import STOP, find_allowed

_NEVER = -1e9
_LEAST_KEPT = 2
"""Words that top_k and top_p always leave."""
_LISTENING = 0.1
"""Fraction of the progress that the words of the shape are."""


@dataclass(frozen=True)
class Sampling:
    """How sentences are drawn; the defaults are those of the reference.

    beams: sentences at a time. seed: of the draws; None: no draws, the most likely words. top_k, top_p: only
    so many words, or so much of the probability, can be drawn. penalty: on words said before. longest: words.
    """

    beams: int = 10
    seed: int | None = 0
    top_k: int = 5
    top_p: float = 0.95
    temperature: float = 1.0
    penalty: float = 2.0
    longest: int = 2048


@dataclass(frozen=True, eq=False)
class _Ways:
    """The ways that were drawn for the sentences to go on.

    scores: (2 * beams,) logarithms of probabilities. sentences: whole, new words only. sources: numbers of
    the sentences they go on from. is_over: whether they end.
    """

    scores: torch.Tensor
    sentences: list[list[int]]
    sources: torch.Tensor
    is_over: torch.Tensor


def say_rig(
    model: LanguageModel,
    shape: torch.Tensor,
    first: Sequence[int],
    sampling: Sampling,
    progress: Progress = ignore_progress,
) -> list[int]:
    """Return the best sentence that starts with the words `first`, up to STOP.

    shape: (words, hidden) of the shape's encoder, which come before the first word and count as words.
    RigError if no sentence ends within `sampling.longest` words.
    """
    finished = _search(model, shape, first, sampling, progress)
    whole = [sentence for sentence in finished if sentence[-1] == STOP]
    if not whole:
        room = sampling.longest - len(shape) - len(first)
        raise RigError(f"the model said no whole rig in {room} words; try another seed")
    return [*first, *whole[0]]


def _search(
    model: LanguageModel, shape: torch.Tensor, first: Sequence[int], sampling: Sampling, progress: Progress
) -> list[list[int]]:
    """The sentences that ended or grew too long, best first, without the words `first`."""
    start = torch.tensor([list(first)], device=shape.device)
    prompt = torch.cat((shape[None], model.embed(start).to(shape)), dim=1)
    room = sampling.longest - prompt.shape[1]
    memory: Memory = []
    heard = model(prompt, memory, span_progress(progress, 0, _LISTENING))
    scores = model.score(heard[:, -1]).expand(sampling.beams, -1)
    choose_sentences(memory, torch.zeros(sampling.beams, dtype=torch.long, device=shape.device))
    draw = _make_draw(sampling)
    running: list[list[int]] = [[] for _ in range(sampling.beams)]
    totals = torch.tensor([0.0] + [_NEVER] * (sampling.beams - 1))
    finished: list[tuple[float, list[int]]] = []
    for length in range(1, room + 1):
        progress(_LISTENING + (1 - _LISTENING) * length / room)
        likely = _score_words(scores.float().cpu(), first, running, sampling)
        ways = _go_on(likely + totals[:, None], running, draw, length == room)
        finished = _keep_finished(finished, ways, length, sampling.beams)
        chosen = (ways.scores + ways.is_over * _NEVER).topk(sampling.beams)
        totals, running = chosen.values, [ways.sentences[way] for way in chosen.indices.tolist()]
        is_hopeless = len(finished) == sampling.beams and float(totals[0]) / length <= finished[-1][0]
        if is_hopeless or bool(ways.is_over.all()):
            break
        choose_sentences(memory, ways.sources[chosen.indices].to(shape.device))
        words = torch.tensor([[sentence[-1]] for sentence in running], device=shape.device)
        scores = model.score(model(model.embed(words).to(shape), memory)[:, -1])
    progress(1.0)
    return [sentence for _, sentence in finished]


def _make_draw(sampling: Sampling) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """(logarithms of probabilities (n,), count) -> indices (count,)."""
    if sampling.seed is None:
        return lambda scores, count: scores.topk(count).indices
    generator = torch.Generator().manual_seed(sampling.seed)
    return lambda scores, count: torch.multinomial(scores.softmax(dim=-1), count, generator=generator)


def _score_words(
    scores: torch.Tensor, first: Sequence[int], running: Sequence[Sequence[int]], sampling: Sampling
) -> torch.Tensor:
    """Logarithms of the probabilities of the next words (beams, vocabulary); -inf: it cannot be said."""
    likely = scores.log_softmax(dim=-1)
    for row, sentence in zip(likely, running, strict=True):
        said = torch.tensor(sorted(set(sentence)), dtype=torch.long)
        row[said] = torch.where(row[said] < 0, row[said] * sampling.penalty, row[said] / sampling.penalty)
        row[~torch.from_numpy(find_allowed([*first, *sentence]))] = -torch.inf
    if sampling.seed is None:
        return likely
    likely = likely / sampling.temperature
    least = likely.topk(max(sampling.top_k, _LEAST_KEPT)).values[:, -1:]
    likely = likely.masked_fill(likely < least, -torch.inf)
    ordered = likely.sort(dim=-1)
    is_left_out = ordered.values.softmax(dim=-1).cumsum(dim=-1) <= 1 - sampling.top_p
    is_left_out[:, -_LEAST_KEPT:] = False
    return likely.masked_fill(is_left_out.scatter(1, ordered.indices, is_left_out), -torch.inf)


def _go_on(
    likely: torch.Tensor,
    running: Sequence[list[int]],
    draw: Callable[[torch.Tensor, int], torch.Tensor],
    is_last: bool,
) -> _Ways:
    """Draw twice as many ways as there are sentences, so that as many are left though half of them end."""
    vocabulary = likely.shape[1]
    flat = likely.flatten()
    ways = draw(flat, 2 * len(running))
    sources, words = ways // vocabulary, ways % vocabulary
    sentences = [
        [*running[source], word] for source, word in zip(sources.tolist(), words.tolist(), strict=True)
    ]
    return _Ways(flat[ways], sentences, sources, (words == STOP) | is_last)


def _keep_finished(
    finished: list[tuple[float, list[int]]], ways: _Ways, length: int, beams: int
) -> list[tuple[float, list[int]]]:
    """The best of the sentences that ended, best first, by their score per word."""
    ended = [
        (float(ways.scores[way]) / length, ways.sentences[way]) for way in range(beams) if ways.is_over[way]
    ]
    possible = [scored for scored in ended if scored[0] > _NEVER]
    return sorted([*finished, *possible], key=lambda scored: -scored[0])[:beams]
