"""A run of a sweep as the reply that asking for it alone would have given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..chat.provenance import Provenance
from ..chat.reply import Reply
from ..errors import SweepError
from ..protocol import Timings, Usage

if TYPE_CHECKING:
    from .plan import Plan, Row


def reply(plan: Plan, row: Row) -> Reply:
    """Return what came of a run.

    Raises
    ------
    SweepError
        If nothing did, or not yet.
    """
    if row["stop_reason"] is None:
        reason = f": {row['error']}" if row["error"] else "."
        msg = f"Run {row['index']} has no reply, it is {row['state']}{reason}"
        raise SweepError(msg, "resume() makes what is missing, and wait() waits for it.")
    return Reply(
        text=row["text"],
        stop_reason=row["stop_reason"],
        usage=Usage(
            prompt_tokens=row["prompt_tokens"] or 0,
            cached_tokens=row["cached_tokens"] or 0,
            completion_tokens=row["completion_tokens"] or 0,
        ),
        timings=Timings(ttft_s=row["ttft_s"], decode_tps=row["decode_tps"]),
        thoughts=row["thoughts"],
        model=row["model"],
        logprobs=row["logprobs"],
        schema=plan.schema,
        # A file that an earlier release wrote has none of it.
        provenance=Provenance.read({"model": row["model"], **row["made"]}, None),
        asked={"messages": row["messages"]},
    )
