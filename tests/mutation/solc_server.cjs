// One solc for a whole run: a line of standard JSON in, a line of its answer out. The module's start and warming
// cost more than most of the compilations that tests/mutation/contracts.py asks for. Runs in the folder of the sources.
"use strict";

const fs = require("node:fs");
const readline = require("node:readline");
const solc = require("solc");

/** Finds what the input names but does not contain. */
function read(name) {
    return fs.existsSync(name) ? { contents: fs.readFileSync(name, "utf8") } : { error: `${name} not found` };
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
    process.stdout.write(`${solc.compile(line, { import: read })}\n`);
});
