// The operator's page: a token, then figures and the few actions of operation.

import { render } from "preact";
import { html } from "../views/dom.js";
import { Desk } from "./desk.js";
import { Page } from "./views.js";

const root = /** @type {HTMLElement} */ (document.getElementById("operator"));
root.replaceChildren(); // what stands there until this module runs
const desk = new Desk((state) => render(html`<${Page} state=${state} desk=${desk} />`, root));

const light = matchMedia("(prefers-color-scheme: light)").matches;
document.documentElement.dataset.theme = light ? "light" : "dark";
desk.set({});
setInterval(() => desk.tick(), 1000);
