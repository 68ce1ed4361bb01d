// What every card is made of.

import { money } from "../format.js";
import { html } from "../views/dom.js";

const CASH = 1e6;

/** @param {number | null | undefined} micro */
export const cash = (micro) => money(micro === null || micro === undefined ? null : micro / CASH);

/** @param {{title: string, wide?: boolean, children?: any}} props */
export const Card = ({ title, wide, children }) => html`<section class=${`panel card ${wide ? "across" : ""}`} aria-label=${title}><h2>${title}</h2>${children}</section>`;

/** @param {{rows: [string, any][]}} props */
export const Facts = ({ rows }) => html`<dl class="outcome">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
