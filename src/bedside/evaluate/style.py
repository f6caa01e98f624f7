"""How the report looks, in light and dark surroundings."""

from __future__ import annotations

from collections.abc import Sequence

from bedside.evaluate.results import Candidate

STYLE = """
:root{color-scheme:light dark;--ground:#fbfbfa;--ink:#1d2327;--soft:#66707a;--line:#dfe3e6;--panel:#fff;
--m0:#0b6fa4;--m1:#8a3ea8;--m2:#0a7d55;--b0:#8b949c;--b1:#b5793a;--b2:#5f7a8a}
@media(prefers-color-scheme:dark){:root{--ground:#14181b;--ink:#e4e8ea;--soft:#98a3ab;--line:#2c3338;--panel:#1a1f23;
--m0:#4db6ea;--m1:#cf8cf0;--m2:#46cf9b;--b0:#8f99a1;--b1:#dba366;--b2:#8fb0c4}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1120px;margin:0 auto;padding:32px 24px}
h1{font-size:28px;margin:0 0 8px}h2{font-size:19px;margin:0}h3{font-size:14px;margin:20px 0 8px;font-weight:600}
h4{font-size:13px;margin:0;font-weight:600;overflow-wrap:anywhere}
p{max-width:76ch;margin:6px 0}.lead{font-size:16px}.facts,figcaption{color:var(--soft);font-size:13px}
section{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:20px 22px;margin:18px 0}
.results{display:flex;flex-wrap:wrap;gap:12px 28px;margin-top:12px}
.tables{flex:1 1 480px;overflow-x:auto}.curves{flex:1 1 240px;display:flex;flex-wrap:wrap;gap:12px}
table{border-collapse:collapse;margin:0 0 16px;font-variant-numeric:tabular-nums;font-size:13.5px}
th,td{padding:3px 9px;text-align:right;white-space:nowrap}th:first-child{text-align:left;font-weight:500;padding-left:0}
thead th{color:var(--soft);font-weight:500;border-bottom:1px solid var(--line)}
.best{font-weight:650}.spread td{color:var(--soft);font-size:11.5px;padding-top:0;line-height:1.1}
.key{display:inline-block;width:10px;height:10px;border-radius:5px;margin-right:7px}
.curve{width:250px;height:190px}.reliability{width:250px;height:250px}
.curve text,.reliability text{fill:var(--soft);font-size:11px}.curve .grid,.reliability .grid{stroke:var(--line)}
.curve polyline{fill:none;stroke-width:2}.curve .band{opacity:.14;stroke:none}
.curve .baseline{stroke-dasharray:5 3}
.examples{display:flex;flex-wrap:wrap;gap:18px 26px}
.panels{display:flex;gap:8px;align-items:flex-start}figure{margin:6px 0 0}figure svg{border-radius:4px;display:block;
max-width:100%;height:auto;background:#000}
summary{cursor:pointer;margin:18px 0}summary h2{display:inline}
footer{color:var(--soft);font-size:13px;margin-top:24px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px}
dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}
.legend i{display:inline-block;width:14px;height:4px;margin:0 5px 3px 12px;border-radius:2px}
.truth{background:#00e5ff}.answer{background:#ffd600}
.legend .positive,.legend .negative{width:10px;height:10px;border-radius:5px;margin-bottom:0}
.positive{background:#3ddc6b}.negative{background:#ff4d5e}
"""
COLOURS = ("m0", "m1", "m2", "b0", "b1", "b2")
STYLE += "".join(f".{c}{{background:var(--{c});stroke:var(--{c});fill:var(--{c})}}" for c in COLOURS)


def candidate_classes(candidates: Sequence[Candidate]) -> dict[str, str]:
    """A colour class for each candidate: strong colours for models, quiet ones for baselines."""
    classes: dict[str, str] = {}
    for kind, letter in (("model", "m"), ("baseline", "b")):
        names = [c.name for c in candidates if c.kind == kind]
        classes |= {name: f"{letter}{number % 3}" for number, name in enumerate(names)}
    return classes
