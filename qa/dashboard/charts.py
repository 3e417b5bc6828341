"""What the charts share: colours that follow the page, and none that colour-blind people mix up."""

from __future__ import annotations

from typing import Any

BASE: dict[str, Any] = {
    "animation": False,
    "color": ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#0072b2"],
    "grid": {"left": 8, "right": 16, "top": 40, "bottom": 8, "containLabel": True},
    "tooltip": {"trigger": "axis", "renderMode": "html", "confine": True},
    "textStyle": {"fontFamily": "inherit"},
}
"""Okabe and Ito's colours; drawn as SVG, where a colour may be one of the page's variables."""


def axis(kind: str, **more: Any) -> dict[str, Any]:
    """Gives an axis in the page's colours."""
    return {
        "type": kind,
        "axisLabel": {"color": "var(--soft)"},
        "axisLine": {"lineStyle": {"color": "var(--line)"}},
        "splitLine": {"lineStyle": {"color": "var(--line)"}},
        **more,
    }
