"""How long steps take, and how much of a prompt one of them may read while answers draw."""

from __future__ import annotations

from collections import deque

_FIRST_SLICE = 8
_SLICE = 128
_TILE = 64
"""From so many tokens on llama.cpp computes attention in tiles, which is twice as fast as row by row."""
_COSTS = (2.0, 1.4, 1.0)
"""What a token takes in a slice without a tile, with one, and with more, some thousand tokens deep."""
_GAP = 5.5
"""How many steps without a prompt apart the tokens of answers are told while a prompt is read."""
_SPARE = 1.25
"""How much longer than a slice is thought to take there should be something to tell."""
_HELD_S = 1.0
"""The most that a token is held back for that."""
_STEPS = 9
"""Of so many the middle one says how long steps take."""


class Pace:
    """Learns how long steps take, and says how much of a prompt one may read while answers draw.

    With ``s`` seconds for a step in which answers only draw, each of them gains ``(_GAP - 1) * s`` to tell.

    Attributes
    ----------
    steps : deque of (int, float)
        How many answers drew in the last steps without a prompt, and the seconds each step took. To be added to; what
        that says is only worked out when there is something to read.
    """

    def __init__(self) -> None:
        self.steps: deque[tuple[int, float]] = deque(maxlen=_STEPS)
        self._usual = (0, 0.0)  # what they are like with nobody who reads
        self._tokens: dict[int, float] = {}  # seconds for one of a slice, by the tiles of that
        self._since = 0

    def begin(self) -> None:
        """Take what steps are like now for what is usual: from here on a prompt is read beside them."""
        self._usual, self._since = (0, 0.0), 0

    @property
    def gap(self) -> float:
        """Seconds between what is told of an answer while a prompt is read, which makes steps longer."""
        now = self._step()
        if now[0] != self._usual[0]:
            self._usual = now
        return max(_GAP * self._usual[1], 2 * now[1])

    def slice(self, ahead: float, wanted: int) -> int:
        """Return how many of ``wanted`` tokens the next step may read if there are ``ahead`` seconds left to tell."""
        if not self.steps:
            return 0
        if not self._tokens:
            return min(_FIRST_SLICE, wanted)
        spare = self.gap - self._step()[1]
        token = self._token(wanted)
        count = min(wanted, max(1, int(spare / token), min(_SLICE, int(_HELD_S / token))))
        if _TILE < count < wanted < count + _TILE:
            count = -(-wanted // 2)  # so that what is left has one too
        need = _SPARE * count * self._token(count) - spare
        # Who says nothing, as within the call of a tool, is never ahead, and shall not keep a prompt waiting.
        if need > max(ahead, self._since * spare):
            self._since += 1
            return 0
        self._since = 0
        return count

    def learn(self, seconds: float, count: int) -> None:
        """Take in what a step took in which answers drew and a slice of ``count`` tokens was read."""
        tiles, token = _tiles(count), max(0.0, seconds - self._step()[1]) / count
        before = self._tokens.get(tiles, token)
        self._tokens[tiles] = (before + token) / 2  # the deeper, the slower

    def _step(self) -> tuple[int, float]:
        """Return how many answers drew in the last step, and how long such steps take."""
        if not self.steps:
            return 0, 0.0
        drawing = self.steps[-1][0]
        alike = sorted(seconds for count, seconds in self.steps if count == drawing)
        return drawing, alike[len(alike) // 2]

    def _token(self, count: int) -> float:
        """Return the seconds for each of ``count`` tokens of a prompt."""
        tiles = _tiles(count)
        known = [mean * _COSTS[tiles] / _COSTS[other] for other, mean in self._tokens.items() if other >= tiles]
        return max(known or self._tokens.values()) or 1e-9


def _tiles(count: int) -> int:
    return min(count // _TILE, len(_COSTS) - 1)
