"""`report.html`: the verdict, the gains, what calls cost, and how all of it was measured; nothing is loaded from elsewhere. Pure."""

from collections.abc import Sequence
from html import escape

from autobatch_batcher.advising.advice import REFUSED_MAX, WORTH, Advice
from autobatch_batcher.advising.law_fit import predicted_s
from autobatch_batcher.advising.measuring.measured import Measured, clients_in_words
from autobatch_batcher.advising.prediction import ExpectedGain, FoundLaw

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --soft: #666; --line: #ddd; --ours: #0a7d5c; --direct: #8a94a0 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eee; --paper: #16181c; --soft: #a0a6ad; --line: #343a40; --ours: #3ecf9c; --direct: #7d8894 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.7rem; line-height: 1.25 } h2 { font-size: 1.15rem; margin-top: 2.2rem }
.scroll, pre { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { text-align: right; padding: .3rem .45rem; border-bottom: 1px solid var(--line); white-space: nowrap }
th { color: var(--soft); font-weight: 500 } .soft { color: var(--soft) } .gain { color: var(--ours); font-weight: 600 }
.doubt { border-left: 3px solid #d08700; padding-left: .8rem } svg { width: 100%; height: auto }
svg text { fill: var(--soft); font-size: 12px }
"""
BAR_WIDTH, BAR_HEIGHT, LABELS = 480.0, 12, 110


def render(
    measured: Measured, found: FoundLaw, gains: Sequence[ExpectedGain], advice: Advice, config: str, seconds: float
) -> str:
    """Return the page.

    Args:
        measured: What was measured.
        found: The law that explains it.
        gains: What is expected, by clients.
        advice: What follows.
        config: The text of `config.toml`.
        seconds: How long was measured.
    """
    doubts = "".join(f"<p class=doubt>{escape(_sentence(each))}</p>" for each in advice.doubts)
    costs = "".join(f"<li>{escape(_sentence(each))}</li>" for each in advice.costs)
    model = f", model {escape(measured.model)}" if measured.model else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>autobatch before {escape(measured.url)}</title><style>{STYLE}</style></head><body>
<h1>{escape(_sentence(advice.verdict))}</h1>
<p class=soft>autobatch before {escape(measured.url)} ({escape(measured.kind)}{model}), measured with {escape(measured.texts)}
of {measured.lengths[0]} to {measured.lengths[-1]} characters.</p>
{doubts}
<h2>What clients get</h2>
{_bars(gains)}
{_gain_table(gains)}
<p class=soft>Each client sends one text, waits for its vector and sends the next. The direct side was measured, except where it says
simulated. The proxy's side is computed: the batcher's own code calls a simulated server of the law below. The range has what the
server's speed changed by while it was measured, and half of what the law misses of the direct side.</p>
<h2>What the server's work costs</h2>
<ul>{costs}</ul>
{_call_table(measured, found)}
<p class=soft>Each call was made alone, over and over; the median counts. The law misses single calls by {found.call_error:.0%}, and what
clients got by {found.load_error:.0%}.</p>
<h2>config.toml</h2>
<pre>{escape(config)}</pre>
<p class=soft>Measured for {seconds:.0f} s. A number at the end of each text makes it a new one, so that no cache answers.</p>
</body></html>
"""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _bars(gains: Sequence[ExpectedGain]) -> str:
    most = max(max(each.direct_per_s, each.proxied_per_s) for each in gains)
    step, parts = 2 * BAR_HEIGHT + 16, []
    for row, each in enumerate(gains):
        top = row * step + 4
        parts.append(
            f'<text x="{LABELS - 10}" y="{top + BAR_HEIGHT + 4}" text-anchor="end">{clients_in_words(each.clients)}</text>'
        )
        for line, (rate, colour) in enumerate(((each.direct_per_s, "direct"), (each.proxied_per_s, "ours"))):
            width = BAR_WIDTH * rate / most
            y = top + line * (BAR_HEIGHT + 2)
            parts.append(
                f'<rect x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR_HEIGHT}" rx="2" fill="var(--{colour})"/>'
            )
            parts.append(f'<text x="{LABELS + width + 6:.1f}" y="{y + BAR_HEIGHT - 2}">{rate:.0f}</text>')
    height = len(gains) * step + 4
    return (
        "<p class=soft>Texts a second: <span style='color:var(--direct)'>&#9632;</span> directly, "
        "<span style='color:var(--ours)'>&#9632;</span> through the proxy</p>"
        f'<svg viewBox="0 0 {LABELS + BAR_WIDTH + 60:.0f} {height}" role="img" aria-label="texts a second">{"".join(parts)}</svg>'
    )


def _gain_table(gains: Sequence[ExpectedGain]) -> str:
    rows = "".join(
        f"<tr><td>{each.clients}<td>{each.direct_per_s:.1f}{'' if each.is_measured else ' simulated'}<td>{each.proxied_per_s:.1f}"
        f"<td{' class=gain' if each.gain >= WORTH else ''}>{each.gain:.2f}<td>{each.low:.2f} to {each.high:.2f}"
        f"<td>{each.direct_p50_ms:.0f}, {each.direct_p99_ms:.0f}<td>{_proxied_ms(each)}"
        f"<td>{f'{each.refused:.0%}' if each.refused > REFUSED_MAX else ''}<td>{each.batch:.1f}</tr>"
        for each in gains
    )
    return (
        "<div class=scroll><table><tr><th>clients<th>directly, texts/s<th>proxy, texts/s<th>gain<th>range<th>p50, p99 ms"
        f"<th>p50, p99, proxy<th>refused<th>in a call</tr>{rows}</table></div>"
    )


def _proxied_ms(gain: ExpectedGain) -> str:
    return f"{gain.proxied_p50_ms:.0f}, {gain.proxied_p99_ms:.0f}" if gain.proxied_per_s else "-"


def _call_table(measured: Measured, found: FoundLaw) -> str:
    rows = "".join(
        f"<tr><td>{len(call.lengths)}<td>{sum(call.lengths)}<td>{max(call.lengths)}<td>{len(call.seconds)}"
        f"<td>{1e3 * call.usual_s:.2f}<td>{1e3 * min(call.seconds):.2f} to {1e3 * max(call.seconds):.2f}"
        f"<td>{1e3 * predicted_s(found.law, call.lengths):.2f}</tr>"
        for call in measured.calls
    )
    return (
        "<div class=scroll><table><tr><th>texts<th>characters<th>longest<th>times<th>took, ms<th>from, to<th>by the law, ms</tr>"
        f"{rows}</table></div>"
    )
