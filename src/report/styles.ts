/** The style sheet of a report: one 4-pixel grid, one type scale, one accent for "patched", grey for "unpatched". */
import { tintSteps } from "./charts/attention.ts";

const tints = tintSteps
  .map(
    ({ level, share }) =>
      `.h${level}{background:color-mix(in srgb,var(--heat) ${Math.round(70 * share)}%,transparent)}`,
  )
  .join("\n");

export const styles = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#f6f7f9, #0d1117);
  --surface: light-dark(#ffffff, #151b25);
  --line: light-dark(#dde2ea, #2a3341);
  --text: light-dark(#131a26, #e8edf5);
  --muted: light-dark(#566174, #a0acbd);
  --was: light-dark(#8a94a5, #7f8b9d);
  --is: light-dark(#2f55d4, #8fabff);
  --heat: light-dark(#e2471a, #ff7a45);
  --flag: light-dark(#0a7d55, #56e0ab);
  --good: light-dark(#12694a, #6fd6a9);
  --good-soft: light-dark(#e3f4ec, #11291f);
  --partial: light-dark(#7d5200, #f0c069);
  --partial-soft: light-dark(#fbf1dc, #2c230f);
  --bad: light-dark(#b3261e, #ff9d94);
  --bad-soft: light-dark(#fcebe9, #331a19);
  --neutral: light-dark(#47536a, #aab5c6);
  --neutral-soft: light-dark(#eceff4, #1b2330);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--text) }
main, footer { max-width: 1040px; margin: 0 auto; padding: 0 24px }
h1, h2, h3, p, ul, dl, dd, figure, table { margin: 0; padding: 0 }
small, figcaption { font-size: 12px; color: var(--muted) }
a { color: var(--is) }
code { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere }
.brand { display: flex; flex-wrap: wrap; gap: 4px 16px; padding: 32px 0 16px; color: var(--muted); font-size: 13px }
.brand b { color: var(--text); letter-spacing: .02em }
.verdict { padding: 28px 32px 24px; border-radius: 16px; border-left: 6px solid var(--tone); background: var(--tone-soft) }
.verdict h1 { font-size: 26px; line-height: 1.32; font-weight: 620; letter-spacing: -.012em; text-wrap: pretty }
.verdict .tone { display: block; margin-bottom: 8px; font-size: 12px; font-weight: 650; letter-spacing: .08em; text-transform: uppercase; color: var(--tone) }
.verdict p { margin-top: 12px; max-width: 78ch }
.good { --tone: var(--good); --tone-soft: var(--good-soft) }
.partial { --tone: var(--partial); --tone-soft: var(--partial-soft) }
.bad { --tone: var(--bad); --tone-soft: var(--bad-soft) }
.neutral { --tone: var(--neutral); --tone-soft: var(--neutral-soft) }
.keys { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px; margin: 12px 0 }
.key { padding: 16px 20px; border: 1px solid var(--line); border-radius: 12px; background: var(--surface) }
.key span { display: block; font-size: 13px; color: var(--muted) }
.key b { display: block; margin: 2px 0; font-size: 26px; line-height: 1.25; font-weight: 600; letter-spacing: -.02em; white-space: nowrap }
.key s { text-decoration: none; font-size: 15px; font-weight: 500; letter-spacing: 0; color: var(--was) }
nav { display: flex; flex-wrap: wrap; gap: 4px 20px; padding: 12px 0; font-size: 13px }
nav a { text-decoration: none }
nav a:hover { text-decoration: underline }
section { margin: 16px 0; padding: 24px 32px 28px; border: 1px solid var(--line); border-radius: 16px; background: var(--surface) }
section > h2 { font-size: 19px; font-weight: 620; letter-spacing: -.01em }
section > h3 { margin-top: 24px; font-size: 15px }
section > .lead { max-width: 78ch; margin: 4px 0 16px; color: var(--muted) }
.none { color: var(--muted) }
.legend { display: inline-flex; gap: 16px; font-size: 13px; color: var(--muted) }
.legend i { display: inline-block; width: 10px; height: 10px; margin-right: 6px; border-radius: 5px; background: var(--dot) }
.legend .was { --dot: var(--was) } .legend .is { --dot: var(--is) } .legend .failing { --dot: var(--heat) }

.interval-row { display: grid; grid-template-columns: 220px 112px 1fr 112px; gap: 16px; align-items: center; padding: 8px 0; border-top: 1px solid var(--line) }
.interval-row.head { border: 0; padding: 0; font-size: 12px; color: var(--muted) }
.interval-row b { font-weight: 600 } .interval-row small { display: block }
.interval-row > .was, .interval-row > .is { text-align: right }
.interval-row > .is b { color: var(--is) }
.plot { display: block } .plot svg { display: block; overflow: visible }
.scale { display: flex; justify-content: space-between; font-size: 11px; color: var(--muted) } .scale i { font-style: normal }
.axis { stroke: var(--line); stroke-width: 1 } .tick { stroke: var(--line); stroke-width: 1; stroke-dasharray: 1 3 }
.mark { stroke: var(--partial); stroke-width: 2; stroke-dasharray: 4 3 }
g.was line, g.is line { stroke: currentColor; stroke-width: 3; stroke-linecap: round; opacity: .45 }
g.was { color: var(--was) } g.is { color: var(--is) } g.was circle, g.is circle { fill: currentColor }

.wide { overflow-x: auto }
table { width: 100%; border-collapse: collapse; font-size: 14px }
th { padding: 6px 12px 6px 0; text-align: left; font-size: 12px; font-weight: 500; color: var(--muted); vertical-align: bottom }
td { padding: 7px 12px 7px 0; border-top: 1px solid var(--line); vertical-align: top }
td small { display: block; white-space: nowrap }
th.n, td.n { text-align: right; white-space: nowrap }
td.p { min-width: 120px; vertical-align: middle }
tr.own td { font-weight: 620; color: var(--is) } tr.own small { font-weight: 400 }
td.lost { color: var(--bad) } td.won { color: var(--good) }
.small-interval { display: block; overflow: visible } .thumb { display: block; width: 44px; height: 44px; border-radius: 6px; object-fit: contain; background: var(--ground) }
.excerpt { overflow-wrap: anywhere }

.example { padding: 20px 0; border-top: 1px solid var(--line) }
.example:first-of-type { border-top: 0; padding-top: 4px }
.example header { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: baseline; margin-bottom: 12px }
.example .why { font-weight: 620 }
.example .answers b { font-weight: 620 } .example .answers .right { color: var(--good) } .example .answers .wrong { color: var(--bad) }
.example .id { margin-left: auto }
.picture-view { display: flex; flex-wrap: wrap; gap: 24px; align-items: flex-start }
.picture { display: block; width: 112px; height: 112px; border-radius: 8px; background: var(--ground); overflow: hidden }
.picture-view > figure .picture { width: 248px; height: 248px }
.picture image { image-rendering: auto }
.grey image { filter: grayscale(1) } .veil { fill: var(--surface); fill-opacity: .35 } .heat { fill: var(--heat) }
.frame { fill: none; stroke: var(--flag); stroke-width: 1.4; vector-effect: none }
.strips { display: grid; gap: 8px } .strip { display: flex; flex-wrap: wrap; gap: 12px; align-items: center }
.strip-name { flex: none; width: 52px; font-size: 12px; color: var(--muted) }
figcaption { margin-top: 2px }
.token-line { display: flex; gap: 12px; padding: 4px 0 } .token-line .strip-name { padding-top: 5px }
.token-line p { font-size: 16px; line-height: 2; overflow-wrap: anywhere; min-width: 0 }
.token { padding: 2px 1px; border-radius: 4px }
.token.flagged { outline: 2px solid var(--flag); outline-offset: 1px }
.row-view { display: grid; grid-template-columns: repeat(auto-fill, minmax(400px, 1fr)); gap: 4px 48px }
.feature { display: grid; grid-template-columns: 120px 1fr 140px; gap: 8px; align-items: center; padding: 3px 6px; font-size: 13px }
.feature b { font-weight: 600; overflow-wrap: anywhere } .feature span { color: var(--muted); overflow-wrap: anywhere }
.feature svg { display: block } .feature rect { rx: 2px } rect.was { fill: var(--was) } rect.is { fill: var(--is) }
.feature.flagged { border-radius: 6px; outline: 2px solid var(--flag) }

.histogram { display: block; width: 100%; max-width: 860px; height: auto; margin: 8px 0 4px; overflow: visible }
.histogram .clean { fill: var(--is); fill-opacity: .75 } .histogram .failing { fill: var(--heat); fill-opacity: .85 }
.histogram text { font-size: 11px; fill: var(--muted) } .histogram text.gate { fill: var(--text); font-weight: 600 }
.histogram line.gate { stroke: var(--text); stroke-width: 1.5 } .histogram line.lax { stroke: var(--text); stroke-width: 1; stroke-dasharray: 3 3 }

.limits { display: grid; gap: 8px; padding-left: 20px; max-width: 82ch }
dl { display: grid; grid-template-columns: 180px 1fr; gap: 6px 16px; font-size: 14px } dt { color: var(--muted) } dd { overflow-wrap: anywhere }
footer { padding-top: 8px; padding-bottom: 40px; font-size: 13px; color: var(--muted) }
@media (max-width: 760px) {
  section, .verdict { padding: 20px } .verdict h1 { font-size: 21px }
  .interval-row { grid-template-columns: 1fr 1fr } .interval-row .plot { grid-column: 1 / -1; order: 3 } .interval-row > :first-child { grid-column: 1 / -1 } .interval-row.head { display: none }
  .interval-row > .was { text-align: left } dl { grid-template-columns: 1fr }
}
@media print {
  :root { color-scheme: light; font-size: 12px; --ground: #fff }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact }
  nav { display: none } main { max-width: none; padding: 0 }
  section { border: 0; padding: 12px 0; border-radius: 0 } section > h2, .example header { break-after: avoid }
  .example, .interval-row, tr, .key { break-inside: avoid } .wide { overflow: visible }
}
${tints}
`;
