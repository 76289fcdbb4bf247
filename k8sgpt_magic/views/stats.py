"""``--stats``: what reading and judging cost, kind by kind."""

from __future__ import annotations

from k8sgpt_magic.frame import Summary

_HEADER = ("KIND", "NAMESPACE", "STATUS", "OBJECTS", "REQUESTS", "KB", "READ S", "JUDGE S")


def render(summary: Summary) -> str:
    """A table: objects, requests, kilobytes and seconds of each read; seconds of each analyzer; totals."""
    rows = []
    judged = dict(summary.analyzer_seconds)
    for read in sorted(summary.reads, key=lambda read: (-read["seconds"], read["kind"])):
        cached = read["from_cache"]
        rows.append(
            (
                read["kind"],
                read["namespace"] or "*",
                "from session" if cached else read["status"],
                f"{read['objects']:,}",
                "0" if cached else str(read["requests"]),
                "0.0" if cached else f"{read['bytes'] / 1000:,.1f}",
                "0.000" if cached else f"{read['seconds']:.3f}",
                f"{judged.pop(read['kind']):.3f}" if read["kind"] in judged else "",
            )
        )
    fresh = [read for read in summary.reads if not read["from_cache"]]
    rows.append(
        (
            "total",
            "",
            "",
            f"{sum(read['objects'] for read in summary.reads):,}",
            str(sum(read["requests"] for read in fresh)),
            f"{sum(read['bytes'] for read in fresh) / 1000:,.1f}",
            f"{summary.seconds:.3f}",
            f"{sum(summary.analyzer_seconds.values()):.3f}",
        )
    )
    widths = [max(len(row[column]) for row in [_HEADER, *rows]) for column in range(len(_HEADER))]
    lines = []
    for row in [_HEADER, *rows]:
        cells = [
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
