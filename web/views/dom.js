// How views draw: htm templates over Preact. Text is escaped by default.

import htm from "htm";
import { Component, h } from "preact";

export const html = htm.bind(/** @type {any} */ (h));

/**
 * A view that draws again only when one of its properties is another thing.
 * @param {(props: any) => any} View
 * @returns {any}
 */
export const memo = (View) =>
  class extends Component {
    /** @param {any} next */
    shouldComponentUpdate(next) {
      const before = /** @type {any} */ (this.props);
      return Object.keys(next).some((name) => name !== "children" && next[name] !== before[name]);
    }

    render() {
      return View(this.props);
    }
  };

/** A figure that flashes when it rises or falls; the text says the same without colour. */
export class Live extends Component {
  /** @param {any} props */
  constructor(props) {
    super(props);
    /** @type {number} */
    this.turn = 0;
    this.move = "";
  }

  /** @param {any} next */
  shouldComponentUpdate(next) {
    const before = /** @type {any} */ (this.props);
    if (before.value && next.value && next.value !== before.value) {
      this.turn = 1 - this.turn; // two names of one animation, so that it starts anew
      this.move = `${next.value > before.value ? "up" : "down"}${this.turn}`;
    }
    return next.value !== before.value || next.text !== before.text || next.class !== before.class;
  }

  render() {
    const props = /** @type {any} */ (this.props);
    return html`<span class=${`live ${this.move} ${props.class ?? ""}`}>${props.text}</span>`;
  }
}
