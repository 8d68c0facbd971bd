"""A small bar chart as SVG: medians, with whiskers from the lowest to the highest."""

from dataclasses import dataclass
from html import escape

_WIDTH, _BAR, _GAP, _LEFT, _RIGHT, _TOP = 760, 18, 10, 300, 150, 34
_OURS, _YARDSTICK, _TEXT = "#2b6cb0", "#a0aec0", "#4a5568"
_FONT = 'font-family="sans-serif" font-size="12"'


@dataclass(frozen=True, slots=True)
class Bar:
    """One contender."""

    name: str
    median: float
    low: float
    high: float
    label: str
    yardstick: bool


def bars(title: str, rows: list[Bar]) -> str:
    """Return the chart; it has no time or random part, so that equal results are equal files."""
    height = _TOP + len(rows) * (_BAR + _GAP)
    scale = (_WIDTH - _LEFT - _RIGHT) / max(row.high for row in rows)
    drawn = [_bar(row, _TOP + place * (_BAR + _GAP), scale) for place, row in enumerate(rows)]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" {_FONT}>',
            '<rect width="100%" height="100%" fill="white"/>',
            f'<text x="8" y="20" font-weight="bold">{escape(title)}</text>',
            *drawn,
            "</svg>\n",
        )
    )


def _bar(row: Bar, top: int, scale: float) -> str:
    middle, text = top + _BAR / 2, top + _BAR - 5
    low, high = _LEFT + row.low * scale, _LEFT + row.high * scale
    width, ends = row.median * scale, f"{top + 4}V{top + _BAR - 4}"
    whiskers = f"M{low:.1f} {middle}H{high:.1f}M{low:.1f} {ends}M{high:.1f} {ends}"
    fill = _YARDSTICK if row.yardstick else _OURS
    name = escape(row.name.replace("`", ""))
    return "\n".join(
        (
            f'<text x="{_LEFT - 8}" y="{text}" text-anchor="end">{name}</text>',
            f'<rect x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_BAR}" fill="{fill}"/>',
            f'<path d="{whiskers}" stroke="{_TEXT}" fill="none"/>',
            f'<text x="{high + 8:.1f}" y="{text}" fill="{_TEXT}">{escape(row.label)}</text>',
        )
    )
