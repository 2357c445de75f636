"""The two models that are measured: the demo model, and one of another architecture with random weights."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import gguf

from benchmarks.table import demo_model
from tests.engine import tiny

N_CTX = 8192
_PRINTABLE = 94
_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|system|>You are a helpful assistant.\n{% endif %}"
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@dataclass(frozen=True)
class Subject:
    """A model to measure.

    Attributes
    ----------
    name : str
        What rows call it.
    path : Path
        Its file.
    word : str
        A text that is one token, however often it is repeated.
    endless : dict
        The ``logit_bias`` that keeps it from ending an answer. Only where both sides are ours: others are slow at it.
    """

    name: str
    path: Path
    word: str
    endless: dict[str, float]

    def text(self, tokens: int, first: object) -> str:
        """Return a text of about so many tokens which, after ``first``, nobody has read yet."""
        return f"{first}:" + self.word * tokens


@functools.cache
def subjects() -> tuple[Subject, ...]:
    """Return both; the second is written the first time."""
    demo = Subject("demo", demo_model(), " word", {"<|im_end|>": -100, "<|endoftext|>": -100})
    return demo, Subject("qwen2", _written(), "w", {})


_folder = tempfile.TemporaryDirectory(prefix="llama-widgets-benchmarks-")


def _written() -> Path:
    """Write a qwen2 of 179 million weights: ten layers like the 24 of Qwen2.5-0.5B, and a smaller vocabulary.

    So its tokens take about as long as those of the demo model. The weights have eight bits, as models of this size are
    mostly given away. For the demo model's Q4_1 llama.cpp has no product of matrices: it goes token by token.

    It says printable ASCII for ever: bytes drawn at random are seldom text, and create_chat_completion tries to decode
    all of what is not yet, again with each token.
    """
    path = Path(_folder.name) / "qwen2.gguf"
    tiny.write(
        path,
        "qwen2",
        template=_TEMPLATE,
        add_bos=False,
        width=896,
        layers=10,
        heads_kv=2,
        feed_forward=4864,
        n_ctx_train=N_CTX,
        n_vocab=16_384,
        dtype=gguf.GGMLQuantizationType.Q8_0,
    )
    for tensor in gguf.GGUFReader(path, "r+").tensors:
        if tensor.name == "output.weight":
            tensor.data[_PRINTABLE:] = 0  # logits of 0, which never are the largest
    return path
