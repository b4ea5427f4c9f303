#include "cli/report/style.h"

namespace ft::cli {
namespace {

constexpr std::string_view kStyleSheet = R"css(
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b1f24; --muted: #5c6570;
  --line: #e1e5ea; --plot: #fafbfc; --frame: #ffffff;
  --blue: #0072b2; --sky: #56b4e9; --orange: #e69f00; --green: #009e73;
  --purple: #cc79a7; --red: #d55e00; --on-dark: #ffffff; --bar-ink: #10151a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #101317; --card: #191d23; --ink: #e7eaee; --muted: #98a2ae;
    --line: #2b323b; --plot: #14181d; --frame: #14181d;
    --blue: #4aa8e0; --sky: #6fc1f2; --orange: #f0b32e; --green: #2dbd92;
    --purple: #dd98c0; --red: #ff8a4a; --on-dark: #0b0e11;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans",
  sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 56px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 6px;
  letter-spacing: -0.02em; }
h2 { font-size: 1.15rem; margin: 0 0 4px; letter-spacing: -0.01em; }
h3 { font-size: 0.98rem; margin: 0; }
p { margin: 0 0 14px; color: var(--muted); max-width: 46em; }
.lead { font-size: 1.05rem; margin-bottom: 26px; }
section { background: var(--card); border: 1px solid var(--line);
  border-radius: 14px; padding: 22px 24px; margin-top: 20px; }
.tiles { display: grid; gap: 12px; margin: 0;
  grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); }
.tiles div { background: var(--card); border: 1px solid var(--line);
  border-radius: 14px; padding: 14px 18px; display: flex;
  flex-direction: column; }
.tiles dt { color: var(--muted); font-size: 0.84rem; }
.tiles dd { margin: 0; font-size: 1.55rem; font-weight: 650; line-height: 1.3;
  letter-spacing: -0.02em; font-variant-numeric: tabular-nums; }
.tiles dd.note { font-size: 0.82rem; font-weight: 400; color: var(--muted);
  letter-spacing: 0; }
.scroll { overflow-x: auto; }
.row { display: flex; flex-wrap: wrap; gap: 20px 28px; }
.row > figure { flex: 1 1 310px; min-width: 0; margin: 0; }
figcaption { color: var(--muted); font-size: 0.88rem; margin-bottom: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 0.94rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: 7px 12px; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { color: var(--muted); font-weight: 500; font-size: 0.86rem; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tbody tr:last-child td { border-bottom: 0; }
summary { font-size: 1.15rem; font-weight: 700; cursor: pointer; }
details[open] summary { margin-bottom: 8px; }
details td, details th { padding: 4px 12px; }
pre { margin: 0; overflow-x: auto; font-size: 0.86rem; line-height: 1.5; }
footer { margin-top: 26px; color: var(--muted); font-size: 0.84rem; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 18px;
  padding: 0; margin: 0 0 10px; font-size: 0.86rem; color: var(--muted); }
.legend svg { width: 12px; height: 12px; margin-right: 6px;
  vertical-align: -1px; }
svg { display: block; font-family: inherit; }
.legend svg { display: inline; }
svg.map { width: 100%; min-width: 720px; }
svg.curve, svg.confusion, svg.scatter { width: 100%; }
svg text { fill: var(--ink); font-size: 11px; }
svg text.tick, svg text.class { fill: var(--muted); }
svg text.axis { fill: var(--muted); font-size: 11.5px; }
.end { text-anchor: end; } .mid { text-anchor: middle; }
.plot { fill: var(--plot); }
.grid { stroke: var(--line); stroke-width: 1; }
.mark { stroke: var(--muted); stroke-width: 1; }
.b-input { fill: var(--purple); } .b-forward { fill: var(--sky); }
.b-kept { fill: var(--orange); } .b-gradient { fill: var(--green); }
.outlined { stroke: var(--frame); stroke-width: 0.8; }
g:hover > [class^="b-"] { stroke: var(--ink); stroke-width: 1.6; }
svg text.bar-label { fill: var(--bar-ink); font-size: 10px;
  pointer-events: none; }
.phase { stroke: var(--muted); stroke-dasharray: 4 4; }
.alive { fill: var(--muted); fill-opacity: 0.35; stroke: var(--muted);
  stroke-width: 1; }
.probe { fill: transparent; } g:hover > .probe { fill: var(--ink);
  fill-opacity: 0.12; }
.peak { fill: var(--red); fill-opacity: 0.5; pointer-events: none; }
.legend .peak { fill-opacity: 1; }
.peak-mark { fill: var(--red); }
svg text.peak-label { fill: var(--ink); font-weight: 600; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.line.s-train { stroke: var(--blue); }
.line.s-validation { stroke: var(--red); stroke-dasharray: 6 4; }
.dot.s-train { fill: var(--blue); } .dot.s-validation { fill: var(--red); }
svg text.line-label.s-train { fill: var(--blue); font-weight: 600; }
svg text.line-label.s-validation { fill: var(--red); font-weight: 600; }
.ring { fill: none; stroke: var(--ink); stroke-width: 1.6; }
.cell.empty { fill: var(--line); fill-opacity: 0.45; }
.cell.diagonal { stroke: var(--muted); stroke-opacity: 0.5; }
.cell.right { fill: var(--blue); } .cell.wrong { fill: var(--orange); }
svg text.count { pointer-events: none; }
svg text.count.on-dark { fill: var(--on-dark); font-weight: 600; }
.point { fill-opacity: 0.75; stroke: var(--frame); stroke-width: 0.8; }
g:hover > .point { stroke: var(--ink); stroke-width: 1.6; }
svg text.point-label { font-weight: 600; }
.chosen { fill: var(--red); }
.c-matrix { fill: var(--blue); } .c-depthwise { fill: var(--sky); }
.c-elementwise { fill: var(--green); } .c-reduction { fill: var(--purple); }
.c-nonlinear { fill: var(--orange); } .c-movement { fill: var(--muted); }
.c-update { fill: var(--red); }
@media (max-width: 560px) {
  main { padding: 24px 12px 36px; } section { padding: 16px 14px; }
  h1 { font-size: 1.5rem; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  .tiles div { padding: 10px 12px; } .tiles dd { font-size: 1.2rem; }
}
@media print { section { break-inside: avoid; } }
)css";

}  // namespace

std::string_view style_sheet() { return kStyleSheet; }

}  // namespace ft::cli
