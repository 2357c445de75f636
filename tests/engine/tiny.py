"""Real GGUF files of a few kilobytes: random weights, bytes as tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gguf
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

WIDTH = 32
N_CTX_TRAIN = 512
BOS, EOS = "<s>", "</s>"


def write(
    path: Path, arch: str = "llama", *, weights: bool = True, template: str | None = None, add_bos: bool = True
) -> Path:
    """Write a model of ``arch``, "llama" or "mamba", with a token for each byte; return its path.

    It has a token that begins a text, and asks for it with ``add_bos``.
    """
    writer = gguf.GGUFWriter(path, arch)
    writer.add_context_length(N_CTX_TRAIN)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    n_vocab = _vocabulary(writer)
    writer.add_add_bos_token(add_bos)
    if template is not None:
        writer.add_chat_template(template)
    tensors = {"token_embd.weight": (n_vocab, WIDTH), "output_norm.weight": (WIDTH,), "output.weight": (n_vocab, WIDTH)}
    tensors |= {f"blk.0.{name}": shape for name, shape in _BLOCKS[arch](writer).items()}
    random = np.random.default_rng(0)
    if weights:
        for name, shape in tensors.items():
            data = -np.ones(shape) if name.endswith("ssm_a") else random.normal(0, 0.5, shape)
            writer.add_tensor(name, data.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _vocabulary(writer: gguf.GGUFWriter) -> int:
    # The alphabet of byte-level BPE: bytes that do not print move above 255.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in printable] + [chr(256 + index) for index in range(256 - len(printable))]
    tokens = [*letters, BOS, EOS]
    types = [gguf.TokenType.NORMAL] * len(letters) + [gguf.TokenType.CONTROL] * 2
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([f"{letters[0]} {letters[1]}"])
    writer.add_bos_token_id(len(letters))
    writer.add_eos_token_id(len(letters) + 1)
    return len(tokens)


def _llama(writer: gguf.GGUFWriter) -> dict[str, Any]:
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_feed_forward_length(WIDTH)
    writer.add_rope_dimension_count(WIDTH // 2)
    square = (WIDTH, WIDTH)
    names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    return {f"{name}.weight": square for name in names} | {"attn_norm.weight": (WIDTH,), "ffn_norm.weight": (WIDTH,)}


def _mamba(writer: gguf.GGUFWriter) -> dict[str, Any]:
    kernel, inner, state, rank = 4, 2 * WIDTH, 4, 2
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    return {
        "attn_norm.weight": (WIDTH,),
        "ssm_in.weight": (2 * inner, WIDTH),
        "ssm_conv1d.weight": (inner, kernel),
        "ssm_conv1d.bias": (inner,),
        "ssm_x.weight": (rank + 2 * state, inner),
        "ssm_dt.weight": (inner, rank),
        "ssm_dt.bias": (inner,),
        "ssm_a": (inner, state),
        "ssm_d": (inner,),
        "ssm_out.weight": (WIDTH, inner),
    }


_BLOCKS = {"llama": _llama, "mamba": _mamba}
