"""Real GGUF files of a few kilobytes: random weights, bytes as tokens."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gguf
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 32
N_CTX_TRAIN = 512
WINDOW = 64
"""Tokens that the layers of "gemma2" with a sliding window look back."""
BOS, EOS = "<s>", "</s>"
CLS, SEP = "[CLS]", "[SEP]"
Shapes = dict[str, tuple[int, ...]]


def write(
    path: Path,
    arch: str = "llama",
    *,
    weights: bool = True,
    template: str | None = None,
    add_bos: bool = True,
    infill: bool = False,
    width: int = WIDTH,
    layers: int | None = None,
    heads_kv: int | None = None,
    feed_forward: int | None = None,
    n_ctx_train: int = N_CTX_TRAIN,
    n_vocab: int = 0,
    dtype: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    pooling: gguf.PoolingType | None = None,
    hollow: bool = False,
    vocabulary_first: bool = False,
) -> Path:
    """Write a model of ``arch`` with a token for each byte; return its path.

    Parameters
    ----------
    arch : str
        "llama"; "qwen2", with biases; "gemma2", whose every other layer has a sliding window of ``WINDOW`` tokens;
        "mamba", which keeps a running state; "lfm2", whose layers take turns in running state and attention; or "bert",
        which reads in both directions and makes embeddings, with a token for each printable character.
    weights : bool
        False leaves a vocabulary only.
    add_bos : bool
        Whether the model asks for the token that begins a text, which it has in any case.
    infill : bool
        Whether it has tokens that say what stands before, after and between two texts.
    width, layers, n_ctx_train : int
        Size of the model; heads have 16 numbers each, or 64 where the width is 128 or more.
    heads_kv, feed_forward : int, optional
        Heads that keys and values have, if not all of them, and numbers within a feed-forward layer, if not ``width``;
        where layers are those of "llama".
    n_vocab : int
        At least so many tokens; those that are added mean nothing.
    dtype : GGMLQuantizationType
        Type of the matrices.
    pooling : PoolingType, optional
        How the results of the tokens become one vector.
    hollow : bool
        Leave holes in place of the weights: the file is as long as with them, and takes no room. It can be judged, and
        not be used.
    vocabulary_first : bool
        Whether the tokens stand before what says how large the model is, which they do not in most files.
    """
    writer = gguf.GGUFWriter(path, arch)
    layers = layers or (2 if arch in ("gemma2", "lfm2") else 1)
    writer.add_context_length(n_ctx_train)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_add_bos_token(add_bos)
    if pooling is not None:
        writer.add_pooling_type(pooling)
    if template is not None:
        writer.add_chat_template(template)
    vocabulary = (_wordpieces if arch == "bert" else _bytes)(n_vocab)
    tokens = len(vocabulary.tokens)
    model = _Model(writer, width, layers, tokens, n_ctx_train, heads_kv, feed_forward or width)
    if vocabulary_first:
        vocabulary.add(writer)
    outer, block = _ARCHITECTURES[arch](model)
    if not vocabulary_first:
        vocabulary.add(writer)
    if infill:
        for number, mark in enumerate(("pre", "suf", "mid")):
            writer.add_uint32(f"tokenizer.ggml.fim_{mark}_token_id", tokens - 5 + number)
    for number in range(layers):
        outer |= {f"blk.{number}.{name}": shape for name, shape in block[number % len(block)].items()}
    if hollow:
        return _write_hollow(writer, outer, dtype)
    if weights:
        _add_weights(writer, outer, 0.5 * (WIDTH / width) ** 0.5, dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_weights(writer: gguf.GGUFWriter, tensors: Shapes, spread: float, dtype: gguf.GGMLQuantizationType) -> None:
    random = np.random.default_rng(0)
    for name, shape in tensors.items():
        data = (-np.ones(shape) if name.endswith("ssm_a") else random.normal(0, spread, shape)).astype(np.float32)
        if dtype == gguf.GGMLQuantizationType.F32 or len(shape) == 1 or "conv" in name:
            writer.add_tensor(name, data)
        else:
            writer.add_tensor(name, gguf.quants.quantize(data, dtype), raw_dtype=dtype)


def _write_hollow(writer: gguf.GGUFWriter, tensors: Shapes, dtype: gguf.GGMLQuantizationType) -> Path:
    for name, shape in tensors.items():
        kind = gguf.GGMLQuantizationType.F32 if len(shape) == 1 or "conv" in name else dtype
        items, size = gguf.GGML_QUANT_SIZES[kind]
        writer.add_tensor_info(name, shape, np.dtype(np.float32), math.prod(shape) // items * size, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    path = Path(str(writer.path))
    sizes = [tensor.nbytes for tensor in writer.tensors[0].values()]
    aligned = [-size % writer.data_alignment + size for size in (path.stat().st_size, *sizes)]
    os.truncate(path, sum(aligned))
    return path


# Vocabularies


def _bytes(n_vocab: int) -> _Vocabulary:
    # The alphabet of byte-level BPE: bytes that do not print move above 255.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in printable] + [chr(256 + index) for index in range(256 - len(printable))]

    def say(writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("default")
        writer.add_token_merges([f"{letters[0]} {letters[1]}"])
        writer.add_bos_token_id(len(letters))
        writer.add_eos_token_id(len(letters) + 1)

    return _Vocabulary(letters, [BOS, EOS], n_vocab, say)


def _wordpieces(n_vocab: int) -> _Vocabulary:
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    starts = [f"\u2581{letter}" for letter in letters]  # a letter that begins a word is another token

    def say(writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("bert")
        writer.add_token_type_count(2)
        count = len(letters) * 2
        writer.add_bos_token_id(count)
        writer.add_sep_token_id(count + 1)
        writer.add_unk_token_id(count + 2)
        writer.add_pad_token_id(count + 3)

    return _Vocabulary([*starts, *letters], [CLS, SEP, "[UNK]", "[PAD]"], n_vocab, say)


class _Vocabulary:
    def __init__(
        self, normal: list[str], control: list[str], n_vocab: int, say: Callable[[gguf.GGUFWriter], None]
    ) -> None:
        unused = [f"<unused{number}>" for number in range(n_vocab - len(normal) - len(control))]
        kinds = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL, gguf.TokenType.UNUSED
        self.tokens = [*normal, *control, *unused]
        self._kinds = [k for k, group in zip(kinds, (normal, control, unused), strict=True) for _ in group]
        self._say = say

    def add(self, writer: gguf.GGUFWriter) -> None:
        self._say(writer)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self._kinds)


# Architectures: what their headers say; the shapes outside of the layers, and within each of a group of layers


@dataclass
class _Model:
    writer: gguf.GGUFWriter
    width: int
    layers: int
    n_vocab: int
    n_ctx_train: int
    heads_kv: int | None
    feed_forward: int

    @property
    def heads(self) -> int:
        return self.width // (64 if self.width >= 128 else 16)

    def outer(self) -> Shapes:
        table = (self.n_vocab, self.width)
        return {"token_embd.weight": table, "output_norm.weight": (self.width,), "output.weight": table}

    def matrices(self, *names: str) -> Shapes:
        return {f"{name}.weight": (self.width, self.width) for name in names}

    def fed_forward(self) -> Shapes:
        wide = (self.feed_forward, self.width)
        return {"ffn_gate.weight": wide, "ffn_up.weight": wide, "ffn_down.weight": wide[::-1]}

    def vectors(self, *names: str) -> Shapes:
        return dict.fromkeys(names, (self.width,))

    def say(self) -> None:
        """Write what all with attention have in their headers."""
        self.writer.add_head_count(self.heads)
        self.writer.add_feed_forward_length(self.feed_forward)
        self.writer.add_layer_norm_rms_eps(1e-5)


_ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_output")
_FEED_FORWARD = ("ffn_gate", "ffn_up", "ffn_down")
_NORMS = ("attn_norm.weight", "ffn_norm.weight")


def _llama(model: _Model) -> tuple[Shapes, list[Shapes]]:
    size, heads_kv = model.width // model.heads, model.heads_kv or model.heads
    model.say()
    model.writer.add_head_count_kv(heads_kv)
    model.writer.add_rope_dimension_count(size)
    block = model.matrices(*_ATTENTION) | model.fed_forward() | model.vectors(*_NORMS)
    block |= dict.fromkeys(("attn_k.weight", "attn_v.weight"), (heads_kv * size, model.width))
    return model.outer(), [block]


def _qwen2(model: _Model) -> tuple[Shapes, list[Shapes]]:
    outer, (block,) = _llama(model)
    return outer, [block | {f"{name}.bias": block[f"{name}.weight"][:1] for name in ("attn_q", "attn_k", "attn_v")}]


def _gemma2(model: _Model) -> tuple[Shapes, list[Shapes]]:
    outer, (block,) = _llama(model)
    del outer["output.weight"]  # the same as the embedding
    model.writer.add_key_length(model.width // model.heads)
    model.writer.add_value_length(model.width // model.heads)
    model.writer.add_sliding_window(WINDOW)
    return outer, [block | model.vectors("post_attention_norm.weight", "post_ffw_norm.weight")]


def _lfm2(model: _Model) -> tuple[Shapes, list[Shapes]]:
    model.say()
    model.writer.add_head_count_kv([0, model.heads] * (model.layers // 2))  # none: a layer with a running state
    model.writer.add_rope_dimension_count(model.width // model.heads)
    model.writer.add_shortconv_l_cache(3)
    outer, width = model.outer(), model.width
    outer["token_embd_norm.weight"] = outer.pop("output_norm.weight")
    both = model.matrices(*_FEED_FORWARD) | model.vectors(*_NORMS)
    state = {"shortconv.conv.weight": (width, 3), "shortconv.in_proj.weight": (3 * width, width)}
    head = dict.fromkeys(("attn_q_norm.weight", "attn_k_norm.weight"), (width // model.heads,))
    return outer, [both | state | model.matrices("shortconv.out_proj"), both | model.matrices(*_ATTENTION) | head]


def _mamba(model: _Model) -> tuple[Shapes, list[Shapes]]:
    kernel, inner, state, rank = 4, 2 * model.width, 4, 2
    model.writer.add_ssm_conv_kernel(kernel)
    model.writer.add_ssm_inner_size(inner)
    model.writer.add_ssm_state_size(state)
    model.writer.add_ssm_time_step_rank(rank)
    model.writer.add_feed_forward_length(0)
    model.writer.add_head_count(0)
    model.writer.add_layer_norm_rms_eps(1e-5)
    block: Shapes = {
        "attn_norm.weight": (model.width,),
        "ssm_in.weight": (2 * inner, model.width),
        "ssm_conv1d.weight": (inner, kernel),
        "ssm_conv1d.bias": (inner,),
        "ssm_x.weight": (rank + 2 * state, inner),
        "ssm_dt.weight": (inner, rank),
        "ssm_dt.bias": (inner,),
        "ssm_a": (inner, state),
        "ssm_d": (inner,),
        "ssm_out.weight": (model.width, inner),
    }
    return model.outer(), [block]


def _bert(model: _Model) -> tuple[Shapes, list[Shapes]]:
    model.say()
    model.writer.add_layer_norm_eps(1e-5)
    model.writer.add_causal_attention(False)
    norms = [f"{name}.{part}" for name in ("attn_output_norm", "layer_output_norm") for part in ("weight", "bias")]
    matrices = (*_ATTENTION, "ffn_up", "ffn_down")
    outer: Shapes = {
        "token_embd.weight": (model.n_vocab, model.width),
        "token_types.weight": (2, model.width),
        "position_embd.weight": (model.n_ctx_train, model.width),
    }
    outer |= model.vectors("token_embd_norm.weight", "token_embd_norm.bias")
    biases = [f"{name}.bias" for name in matrices]
    return outer, [model.matrices(*matrices) | model.vectors(*norms, *biases)]


_ARCHITECTURES = {"llama": _llama, "qwen2": _qwen2, "gemma2": _gemma2, "mamba": _mamba, "lfm2": _lfm2, "bert": _bert}
