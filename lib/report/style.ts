/** Marks of figures, in a page and in a file. Series colours are those of Okabe and Ito, told apart by every eye. */
export const FIGURE_STYLE = `
svg text { font: 12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; fill: currentColor; }
svg .title { font-size: 13px; font-weight: 600; }
svg .label { font-size: 11px; opacity: .72; }
svg .tick { stroke: currentColor; opacity: .45; }
svg .grid { stroke: currentColor; opacity: .1; }
svg .line { fill: none; stroke-width: 1.6; stroke-linejoin: round; stroke-linecap: round; }
svg .line.data { stroke: #8a919e; } svg .area.data { fill: #8a919e; opacity: .28; }
svg .line.model { stroke: #0b84c6; } svg .area.model { fill: #0b84c6; opacity: .16; }
svg .line.validation { stroke: #d9730d; }
svg .line.reference { stroke: #1a9e77; stroke-dasharray: 5 4; }
svg .line.mark { stroke: currentColor; opacity: .5; stroke-width: 1.2; stroke-dasharray: 3 3; }
svg .bar { fill: none; stroke-width: 6; } svg .box { fill: none; stroke-width: 6; opacity: .75; }
svg .bar.data, svg .box.data { stroke: #8a919e; } svg .bar.model, svg .box.model { stroke: #0b84c6; }
svg .square.data { fill: #8a919e; fill-opacity: .45; } svg .square.model { fill: none; stroke: #0b84c6; stroke-width: 1.6; }
svg .positive { fill: #0b84c6; } svg .negative { fill: #d9730d; }
svg .dots { fill: none; stroke-linecap: round; stroke-width: 5.5; }
svg .dots.data, svg .dots.model { stroke: currentColor; stroke-width: 4; }
svg .hue0 { stroke: #0072b2; } svg .hue1 { stroke: #d9730d; } svg .hue2 { stroke: #1a9e77; } svg .hue3 { stroke: #b8408f; }
svg .hue4 { stroke: #56a9d9; } svg .hue5 { stroke: #c9a100; } svg .hue6 { stroke: #6b7280; }
svg .points { fill: none; stroke-linecap: round; }
svg .points.data { stroke: #8a919e; stroke-width: 4; opacity: .5; } svg .points.model { stroke: #0b84c6; stroke-width: 1.8; opacity: .75; }
`

export const PAGE_STYLE = `
:root { color-scheme: light dark; --ground: #f7f7f5; --card: #fff; --ink: #1d2129; --quiet: #646b78; --rule: #e3e4e0;
  --model: #0b84c6; --validation: #d9730d; --reference: #1a9e77; --data: #8a919e; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14161a; --card: #1c1f25; --ink: #e7e9ee; --quiet: #9aa2b1; --rule: #2d323b;
    --model: #4fb3ec; --validation: #f0994a; --reference: #4cc9a0; --data: #8a919e; }
  svg .line.model { stroke: #4fb3ec; } svg .points.model { stroke: #4fb3ec; } svg .area.model { fill: #4fb3ec; }
  svg .bar.model, svg .box.model, svg .square.model { stroke: #4fb3ec; } svg .positive { fill: #4fb3ec; } svg .negative { fill: #f0994a; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 1200px; margin: 0 auto; padding: 36px 20px 60px; }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -.01em; }
h2 { font-size: 18px; margin: 0 0 2px; }
p { margin: 0; }
.quiet { color: var(--quiet); }
.highlights { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 24px 0; }
.highlights div, section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.highlights div { padding: 12px 16px; }
.highlights b { display: block; font-size: 22px; font-weight: 600; line-height: 1.3; letter-spacing: -.01em; }
.highlights small { display: block; color: var(--quiet); line-height: 1.35; }
section { padding: 18px 20px 20px; margin: 0 0 20px; }
section > p { max-width: 78ch; margin-bottom: 14px; }
.panels { display: grid; gap: 12px 14px; align-items: start; grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--width, 300px)), 1fr)); }
.panels > svg { width: 100%; max-width: calc(1.25 * var(--width)); height: auto; }
.images { display: block; width: min(100%, 540px); image-rendering: pixelated; border-radius: 6px; background: #000004; }
.stage { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 280px), 1fr)); }
.key { white-space: nowrap; margin-left: 6px; }
.key i { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin: 0 5px 0 8px; }
.key .data { background: var(--data); } .key .model { background: var(--model); }
svg image { image-rendering: auto; }
.stage figure { margin: 0; }
.stage figcaption { font-size: 13px; font-weight: 600; margin-bottom: 5px; }
.stage canvas { display: block; width: 100%; aspect-ratio: 1; border-radius: 6px; background: #000004; }
.controls { display: flex; align-items: center; gap: 14px; margin-top: 14px; }
.controls button { font: inherit; font-weight: 600; min-width: 86px; padding: 6px 14px; color: #fff; background: #0873ad; border: 0;
  border-radius: 7px; cursor: pointer; }
.controls button:hover { filter: brightness(1.08); }
.controls button:focus-visible, .controls input:focus-visible { outline: 2px solid var(--model); outline-offset: 2px; }
.controls input { flex: 1; accent-color: #0873ad; min-width: 80px; }
.controls output { min-width: 74px; text-align: right; }
.charts { display: grid; gap: 18px 22px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
.chart { min-width: 0; }
.chart h3 { font-size: 13px; margin: 0 0 4px; }
.uplot .u-legend { font-size: 12px; color: var(--ink); text-align: left; }
.uplot .u-legend th { font-weight: 500; } .uplot { font-family: inherit; }
.tables { display: grid; gap: 10px 40px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); }
.tables h3 { font-size: 14px; margin: 6px 0 4px; }
table.facts { width: 100%; border-collapse: collapse; font-size: 14px; }
table.facts th { text-align: left; font-weight: 400; color: var(--quiet); padding: 4px 12px 4px 0; white-space: nowrap; }
table.facts td { text-align: right; padding: 4px 0; overflow-wrap: anywhere; }
table.facts tr + tr > * { border-top: 1px solid var(--rule); }
h3 { font-size: 14px; margin: 12px 0 4px; }
.wide { overflow-x: auto; }
table.rows { border-collapse: collapse; font-size: 13px; white-space: nowrap; }
table.rows th { text-align: right; vertical-align: bottom; white-space: normal; font-weight: 500; color: var(--quiet); padding: 3px 14px 3px 0; }
table.rows tr > :first-child { text-align: left; }
table.rows td { text-align: right; padding: 3px 14px 3px 0; border-top: 1px solid var(--rule); }
footer { color: var(--quiet); font-size: 13px; }
footer code { overflow-wrap: anywhere; }
`
