// Lines over time by uPlot, and how both chart libraries learn the page's colours.

import { Component } from "preact";
import { clock, day } from "../format.js";
import { aligned } from "../series.js";
import { html } from "./dom.js";

const HEIGHT = 128;

/** A colour of the theme in force. @param {string} name of the variable */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** The library comes when the first chart is opened. @type {Promise<any> | undefined} */
let library;

/**
 * @typedef {{text: string, tint: string, points: [number, number][], dashed?: boolean, bars?: boolean}} Line
 * Draws anew only when a line, the theme or the title is another one.
 */
export class Lines extends Component {
  /** @param {any} props */
  constructor(props) {
    super(props);
    /** @type {any} */
    this.plot = null;
    /** @type {HTMLElement | null} */
    this.place = null;
    this.gone = false;
  }

  /** @param {any} next */
  shouldComponentUpdate(next) {
    const before = /** @type {any} */ (this.props);
    return ["label", "theme", "unit"].some((name) => next[name] !== before[name]) || before.lines.some((/** @type {Line} */ one, /** @type {number} */ at) => one.points !== next.lines[at]?.points) || before.lines.length !== next.lines.length;
  }

  componentDidMount() {
    library ??= import("uplot");
    void library.then((found) => {
      if (this.gone) return;
      this.Plot = found.default;
      this.observer = new ResizeObserver(() => this.fit());
      this.observer.observe(/** @type {HTMLElement} */ (this.place));
      this.build();
    });
  }

  componentDidUpdate() {
    if (this.Plot) this.build();
  }

  componentWillUnmount() {
    this.gone = true;
    this.observer?.disconnect();
    this.plot?.destroy();
  }

  fit() {
    const width = this.place?.clientWidth ?? 0;
    if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  build() {
    const { lines, unit } = /** @type {any} */ (this.props);
    const [dim, grid] = [colour("dim"), colour("line")];
    const axis = { stroke: dim, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "11px system-ui" };
    const options = {
      width: this.place?.clientWidth || 300,
      height: HEIGHT,
      tzDate: (/** @type {number} */ at) => this.Plot.tzDate(new Date(at * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { show: false },
      axes: [{ ...axis, values: whenTexts }, { ...axis, size: 62, space: 26, values: (/** @type {any} */ _, /** @type {number[]} */ values) => values.map((one) => `${Number(one.toPrecision(6))}${unit}`) }],
      series: [{}, ...lines.map((/** @type {Line} */ one) => ({
        stroke: colour(one.tint),
        width: 1.6,
        spanGaps: true,
        points: { show: one.points.length < 3 },
        ...(one.dashed && { dash: [5, 4] }),
        ...(one.bars && { paths: this.Plot.paths.bars({ size: [0.7, 40] }), fill: colour(one.tint) }),
      }))],
    };
    this.plot?.destroy();
    this.plot = new this.Plot(options, aligned(lines.map((/** @type {Line} */ one) => one.points)), this.place);
  }

  render() {
    const { label, lines } = /** @type {any} */ (this.props);
    return html`
      <figure class="lines">
        <figcaption>${label} ${lines.map((/** @type {Line} */ one) => html`<span class="key"><i class=${`tint-${one.tint} ${one.dashed ? "dashed" : ""}`}></i>${one.text} <b>${one.points.length ? last(one) : "–"}</b></span>`)}</figcaption>
        <div class="plot" role="img" aria-label=${`${label}: ${lines.map((/** @type {Line} */ one) => `${one.text} ${one.points.length ? `now ${last(one)}` : "not known"}`).join(", ")}`} ref=${(/** @type {any} */ place) => (this.place = place)}></div>
      </figure>
    `;
  }
}

/** Times of day, or days where the axis is long; UTC. @param {any} _ @param {number[]} seconds */
const whenTexts = (_, seconds) => {
  const long = (seconds.at(-1) ?? 0) - seconds[0] > 2 * 86_400;
  return seconds.map((one) => (long ? day(one * 1000).slice(0, -3) : clock(one * 1000).slice(0, 5)));
};

/** @param {Line} line */
const last = (line) => `${Number(line.points[line.points.length - 1][1].toPrecision(4))}%`;
