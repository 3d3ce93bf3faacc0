"""HTML pages: the ledger of `myna prepare`, and samples. All text in them is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from myna.cleaning.ledger import ACTIONS, Action, Ledger, LedgerRow, PersonShare
from myna.preparing.statistics import LENGTH_BINS, MAX_TURN_MESSAGES, Audit, Habits

ACTION_LABELS: dict[Action, str] = {
    "train": "trained",
    "validation": "held out (validation)",
    "test": "held out (test)",
    "context": "context",
    "drop": "dropped",
}
"""The actions of the ledger as pages name them, in the order of bars."""

_STYLE = """
:root { --train: #2f8f5b; --validation: #4c86d9; --test: #7a63cf; --context: #d09a2d;
  --drop: #c0574f; }
@media (prefers-color-scheme: dark) { :root { --train: #4cb67c; --validation: #6ea3ef;
  --test: #9d88ea; --context: #dfb04b; --drop: #dc766d; } }
section > p { margin: 0 0 .75rem; max-width: 46rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr));
  gap: .8rem; margin: 1.5rem 0 1rem; }
.facts b { display: block; font-size: 1.5rem; font-weight: 600; letter-spacing: -.01em; }
.facts span { color: var(--soft); font-size: .85rem; }
.bar { display: flex; height: .7rem; border-radius: .35rem; overflow: hidden; gap: 1px;
  background: var(--line); min-width: 7rem; }
.bar i { display: block; height: 100%; }
.big { height: 1.1rem; border-radius: .4rem; }
.train { background: var(--train); fill: var(--train); }
.validation { background: var(--validation); fill: var(--validation); }
.test { background: var(--test); fill: var(--test); }
.context { background: var(--context); fill: var(--context); }
.drop { background: var(--drop); fill: var(--drop); }
.key { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin-top: .7rem;
  font-size: .85rem; color: var(--soft); }
.key i, td > i { display: inline-block; width: .7rem; height: .7rem; border-radius: .2rem;
  margin-right: .4rem; }
th { text-align: left; font-weight: 500; font-size: .8rem; color: var(--soft); }
th, td { padding: .4rem .9rem .4rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
tr:last-child > td { border-bottom: 0; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.w { width: 22%; vertical-align: middle; }
td.name { overflow-wrap: anywhere; max-width: 16rem; }
summary { cursor: pointer; color: var(--soft); }
details p { font-size: .88rem; overflow-wrap: anywhere; }
tfoot td { font-weight: 600; }
.person { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1rem 1.5rem;
  margin-bottom: 1rem; }
.person h3 { grid-column: 1 / -1; font-size: .95rem; margin: 0; overflow-wrap: anywhere; }
.person h3 span { color: var(--soft); font-weight: 400; font-size: .85rem; }
@media (max-width: 44rem) { .person { grid-template-columns: 1fr; } }
figure { margin: 0; }
figcaption { color: var(--soft); font-size: .8rem; margin-bottom: .2rem; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 9px var(--font); fill: var(--soft); }
svg line { stroke: var(--line); }
.flow text { font: 12px var(--font); fill: var(--ink); }
.flow .read { fill: var(--soft); }
.flow .band { opacity: .3; }
.words { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: .3rem .5rem; margin: 0; }
.words span { border: 1px solid var(--line); border-radius: .8rem; padding: 0 .6rem;
  color: var(--ink); font-size: .85rem; }
"""
_WIDTH, _HEIGHT, _FOOT = 240, 76, 14
_FLOW_WIDTH, _FLOW_HEIGHT, _FLOW_LEFT, _FLOW_BEND, _FLOW_RIGHT = 760, 260, 90, 270, 450
_FLOW_MIN, _FLOW_GAP = 2.0, 14.0
"""Height of the narrowest stream, and between two, so that their labels stand apart."""


def ledger_page(ledger: Ledger, habits: Sequence[Habits], others: int = 0) -> str:
    """The page of the ledger.

    Args:
        ledger: of all messages.
        habits: of the personas to draw.
        others: number of personas that are not drawn.
    """
    sections = [_head(ledger), _flow(ledger), _rules(ledger), _people(ledger.people)]
    if habits:
        sections.append(_habits(habits, others))
    return document("myna prepare", _STYLE, "".join(sections))


def _head(ledger: Ledger) -> str:
    personas = [share for share in ledger.people if share.train]
    own = sum(share.characters - share.validation - share.test for share in personas)
    trained = sum(share.train for share in personas)
    facts = {
        "messages read": f"{ledger.messages:,}",
        "messages trained": f"{ledger.total('train'):,}",
        "held out": f"{ledger.total('validation') + ledger.total('test'):,}",
        "of what personas wrote, held out aside, is trained": _percent(trained, own),
        "personal data replaced": f"{sum(ledger.redacted.values()):,}",
    }
    balance = (
        "In = out + dropped: every message and every character is accounted for."
        if ledger.balanced
        else f"The ledger does not balance: {ledger.imbalance():,} messages are unaccounted for. "
        "This is a defect of myna."
    )
    cards = "".join(
        f'<div class="card"><b>{value}</b><span>{name}</span></div>'
        for name, value in facts.items()
    )
    totals: dict[Action, int] = {action: ledger.total(action) for action in ACTIONS}
    keys = "".join(
        f'<span><i class="{action}"></i>{label} {totals[action]:,} '
        f"({_percent(totals[action], ledger.messages)})</span>"
        for action, label in ACTION_LABELS.items()
    )
    return (
        f"<h1>What became of every message</h1><p>{balance}</p>"
        f'<div class="facts">{cards}</div><div class="card">'
        f'{_bar(totals, "bar big")}<div class="key">{keys}</div></div>'
    )


def _flow(ledger: Ledger) -> str:
    """The ledger as a picture: a stream of all messages that parts by outcome and rule."""
    rows = [row for row in ledger.rows if row.messages]
    if not rows:
        return ""
    order = list(ACTION_LABELS)
    rows.sort(key=lambda row: (order.index(row.action), -row.messages))
    shares = [max(_FLOW_MIN, _FLOW_HEIGHT * row.messages / ledger.messages) for row in rows]
    height = sum(shares) + _FLOW_GAP * (len(rows) - 1)
    whole = sum(_FLOW_HEIGHT * row.messages / ledger.messages for row in rows)
    left, right, parts = (height - whole) / 2, 0.0, []
    for row, share in zip(rows, shares, strict=True):
        width = _FLOW_HEIGHT * row.messages / ledger.messages
        label = f"{row.rule}: {row.messages:,} ({_percent(row.messages, ledger.messages)})"
        title = f"<title>{escape(row.why)}: {row.messages:,}</title>"
        parts.append(
            f'<path class="band {row.action}" d="M{_FLOW_LEFT + 10},{left:.1f} C{_FLOW_BEND},'
            f"{left:.1f} {_FLOW_BEND},{right:.1f} {_FLOW_RIGHT},{right:.1f} V{right + share:.1f} "
            f"C{_FLOW_BEND},{right + share:.1f} {_FLOW_BEND},{left + width:.1f} {_FLOW_LEFT + 10},"
            f'{left + width:.1f} Z">{title}</path>'
            f'<path class="{row.action}" d="M{_FLOW_RIGHT},{right:.1f} h10 v{share:.1f} h-10 Z">'
            f'{title}</path><text x="{_FLOW_RIGHT + 18}" y="{right + share / 2 + 4:.1f}">'
            f"{escape(label)}, {ACTION_LABELS[row.action]}</text>"
        )
        left, right = left + width, right + share + _FLOW_GAP
    top = (height - whole) / 2
    name = "Where the messages go"
    return (
        f'<section><h2>{name}</h2><div class="card"><svg class="flow" role="img" '
        f'aria-label="{name}" viewBox="0 -8 {_FLOW_WIDTH} {height + 16:.0f}">'
        f'<path class="read" d="M{_FLOW_LEFT},{top:.1f} h10 v{whole:.1f} h-10 Z"/>'
        f'<text x="0" y="{top + whole / 2:.1f}">{ledger.messages:,}</text>'
        f'<text x="0" y="{top + whole / 2 + 14:.1f}">messages</text>{"".join(parts)}</svg></div>'
        "</section>"
    )


def _rules(ledger: Ledger) -> str:
    rows = "".join(_rule(row, ledger.messages) for row in ledger.rows)
    replaced = ", ".join(f"{count:,} × {escape(kind)}" for kind, count in ledger.redacted.items())
    notes = [f"Replaced in texts: {replaced}."] if replaced else []
    notes_html = "".join(f"<p>{escape(note)}</p>" for note in (*notes, *ledger.notes))
    return (
        '<section><h2>Ledger</h2><div class="card"><table><thead><tr><th>what</th>'
        '<th>becomes</th><th class="n">messages</th><th class="n">share</th>'
        '<th class="n">characters</th><th>because</th></tr></thead>'
        f"<tbody>{rows}</tbody><tfoot><tr><td>messages read</td>"
        f"<td>{'balanced' if ledger.balanced else 'NOT BALANCED'}</td>"
        f'<td class="n">{ledger.messages:,}</td><td></td>'
        f'<td class="n">{ledger.characters:,}</td><td></td></tr></tfoot></table>{notes_html}</div>'
        "</section>"
    )


def _rule(row: LedgerRow, messages: int) -> str:
    examples = "".join(f"<p>{escape(example)}</p>" for example in row.examples)
    why, label = escape(row.why), ACTION_LABELS[row.action]
    if examples:
        why = f"<details><summary>{why}</summary>{examples}</details>"
    return (
        f'<tr><td>{escape(row.rule)}</td><td><i class="{row.action}"></i>{label}</td>'
        f'<td class="n">{row.messages:,}</td><td class="n">{_percent(row.messages, messages)}</td>'
        f'<td class="n">{row.characters:,}</td><td>{why}</td></tr>'
    )


def _people(people: Sequence[PersonShare], max_rows: int = 100) -> str:
    rows = []
    for share in people[:max_rows]:
        characters: dict[Action, int] = {
            "train": share.train,
            "validation": share.validation,
            "test": share.test,
        }
        characters["context"] = share.characters - sum(characters.values())
        kept = _percent(share.train, share.characters - share.validation - share.test)
        rows.append(
            f'<tr><td class="name">{escape(share.person)}</td>'
            f'<td class="n">{share.characters:,}</td><td class="n">{share.train:,}</td>'
            f'<td class="n">{share.validation + share.test:,}</td><td class="n"><b>{kept}</b></td>'
            f'<td class="w">{_bar(characters)}</td></tr>'
        )
    others = len(people) - max_rows
    more = f"<p>and {others:,} more, in ledger.json</p>" if others > 0 else ""
    return (
        "<section><h2>People</h2><p>Kept is the share of a person's characters that are trained, "
        "of all that are not held out; dropped messages stand in the ledger.</p>"
        '<div class="card"><table><thead><tr><th>person</th><th class="n">characters</th>'
        '<th class="n">trained</th><th class="n">held out</th><th class="n">kept</th><th></th>'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table>{more}</div></section>"
    )


def _habits(habits: Sequence[Habits], others: int) -> str:
    edges = [0, *LENGTH_BINS]
    lengths = [f"{a + 1 if a else 0}–{b}" for a, b in pairwise(edges)]
    lengths.append(f"{edges[-1] + 1}+")
    sizes = [str(n) for n in range(1, MAX_TURN_MESSAGES)] + [f"{MAX_TURN_MESSAGES}+"]
    cards = []
    for own in habits:
        charts = [
            _chart("characters of a message", own.lengths, lengths, every=2),
            _chart("messages of a turn", own.turns, sizes),
            _chart("hour of the day, UTC", own.hours, [str(hour) for hour in range(24)], every=6)
            if any(own.hours)
            else "<figure><figcaption>the chats have no times</figcaption></figure>",
        ]
        cards.append(
            f'<div class="card person"><h3>{escape(own.person)} '
            f"<span>{own.messages:,} messages</span></h3>{_words(own.words)}{''.join(charts)}</div>"
        )
    more = f"<p>and {others:,} more personas</p>" if others else ""
    return (
        "<section><h2>How they write</h2><p>Of all messages that stay. A good clone comes close "
        f"to these.</p>{''.join(cards)}{more}</section>"
    )


def _words(words: Sequence[str]) -> str:
    """The words that set a person apart, as a row of labels."""
    labels = "".join(f"<span>{escape(word)}</span>" for word in words)
    return f'<p class="words" title="words that set them apart">{labels}</p>' if words else ""


def _chart(title: str, counts: Sequence[int], names: Sequence[str], every: int = 1) -> str:
    """Bars of counts as a picture, with the share of each in its tooltip."""
    highest, total = max(counts), sum(counts)
    step = _WIDTH / len(counts)
    base = _HEIGHT - _FOOT
    bars = []
    for i, (count, name) in enumerate(zip(counts, names, strict=True)):
        height = (base - 4) * count / highest if highest else 0
        tip = f"{name}: {count:,} ({_percent(count, total)})"
        bars.append(
            f'<rect class="train" x="{i * step + 1:.1f}" y="{base - height:.1f}" '
            f'width="{step - 2:.1f}" height="{height:.1f}" rx="1.5"><title>{tip}</title></rect>'
        )
        if i % every == 0:
            bars.append(
                f'<text x="{i * step + step / 2:.1f}" y="{_HEIGHT - 3}" '
                f'text-anchor="middle">{name}</text>'
            )
    return (
        f'<figure><figcaption>{title}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'role="img" aria-label="{title}"><line x1="0" x2="{_WIDTH}" y1="{base}" y2="{base}"/>'
        f"{''.join(bars)}</svg></figure>"
    )


def _bar(counts: dict[Action, int], classes: str = "bar") -> str:
    total = sum(counts.values()) or 1
    pieces = "".join(
        f'<i class="{action}" style="width:{100 * counts[action] / total:.2f}%" '
        f'title="{ACTION_LABELS[action]}: {counts[action]:,}"></i>'
        for action in ACTION_LABELS
        if counts.get(action)
    )
    return f'<div class="{classes}">{pieces}</div>'


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


_CLASSES = ("context", "reply", "end")

_SAMPLES_STYLE = """
table { width: auto; }
td { padding: .1rem 1.5rem .1rem 0; }
td + td { text-align: right; font-variant-numeric: tabular-nums; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
.context { opacity: .6; }
.reply { background: color-mix(in srgb, limegreen 30%, transparent); }
.end { background: color-mix(in srgb, deepskyblue 40%, transparent); }
.control { font-size: .8em; border: 1px solid; border-radius: .3em; padding: 0 .2em; }
.fatal { color: crimson; font-weight: bold; }
"""
_LEGEND = (
    '<p><span class="reply">Replies</span> and their <span class="end">end-of-turn tokens</span> '
    'are trained; <span class="context">the rest</span> is context; '
    '<span class="control">control tokens</span> have a frame.</p>'
)


def samples_page(title: str, audit: Audit, rows: Iterable[Mapping[str, Any]]) -> str:
    """The page of samples.

    Args:
        title: of the page.
        audit: of all samples.
        rows: those to show: number, channel, segments, ids, target_spans.
    """
    cells = [
        ("samples", audit.samples),
        ("tokens", audit.tokens),
        ("of them trained", audit.trained),
        ("replies", audit.replies),
        ("replies without a trained end", audit.unended),
        ("shortest, in tokens", audit.shortest),
        ("median", audit.median),
        ("longest", audit.longest),
    ]
    table = "".join(f"<tr><td>{name}</td><td>{number:,}</td></tr>" for name, number in cells)
    fatal = "".join(f'<p class="fatal">{escape(line)}</p>' for line in audit.fatal)
    samples = "\n".join(map(_sample, rows))
    head = f"<h1>{escape(title)}</h1>\n{_LEGEND}\n<table>{table}</table>\n{fatal}\n"
    return document(title, _SAMPLES_STYLE, head + samples)


def _sample(row: Mapping[str, Any]) -> str:
    trained = sum(span["end"] - span["start"] for span in row["target_spans"])
    head = f"{row['number']:,} · {row['channel']} · {len(row['ids'])} tokens, {trained} trained"
    body = "".join(map(_segment, row["segments"]))
    # A newline right behind <pre> would not count.
    return f'<h2>{escape(head)}</h2>\n<pre class="card">\n{body}</pre>'


def _segment(segment: Mapping[str, Any]) -> str:
    classes = _CLASSES[segment["kind"]] + " control" * segment["control"]
    return f'<span class="{classes}">{escape(segment["text"])}</span>'


_BASE_STYLE = """:root { --font: system-ui, sans-serif, "Apple Color Emoji", "Segoe UI Emoji",
  "Noto Color Emoji"; }
:root { color-scheme: light dark; --ink: #1c1f24; --soft: #5d6673; --line: #dfe3e8;
  --card: #fff; --page: #f5f6f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #98a1ad; --line: #31363d;
  --card: #1d2126; --page: #14171a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 var(--font); }
@media print {
  :root { --ink: #000; --soft: #444; --line: #bbb; --card: #fff; --page: #fff;
    color-scheme: light; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  h2, h3 { break-after: avoid; }
  .card, figure, tr { break-inside: avoid; }
  .card { overflow: visible; }
}
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.05rem; margin: 2.5rem 0 .75rem; }
p { margin: .35rem 0 0; color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1rem 1.2rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
{style}</style></head>
<body><main>{body}</main></body></html>
"""


def document(title: str, style: str, body: str) -> str:
    """An HTML document with a plain-text title, further CSS, and a body of escaped HTML."""
    return _PAGE.format(title=escape(title), style=_BASE_STYLE + style, body=body)
