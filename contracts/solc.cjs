// solc's command line around the npm module, as far as forge and py-solc-x use it: `--version` and `--standard-json`
// (input on stdin). Other options are tolerated; of them only `--base-path` and `--include-path` mean something.
// Keeps nothing: both callers keep what they compiled.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const solc = require("solc");

function values(argv, option) {
    return argv.flatMap((word, i) => {
        if (word === option) return argv.slice(i + 1, i + 2);
        return word.startsWith(`${option}=`) ? [word.slice(option.length + 1)] : [];
    });
}

/** Finds what the input names but does not contain, as the native solc does. */
function reader(roots) {
    return (name) => {
        const found = roots.map((root) => path.resolve(root, name)).find((file) => fs.existsSync(file));
        return found ? { contents: fs.readFileSync(found, "utf8") } : { error: `${name} not found` };
    };
}

function answer(argv) {
    if (argv.includes("--version")) {
        return `solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`;
    }
    if (argv.includes("--standard-json")) {
        const roots = [...values(argv, "--base-path"), ...values(argv, "--include-path")];
        return solc.compile(fs.readFileSync(0, "utf8"), { import: reader(roots.length ? roots : ["."]) });
    }
    process.exitCode = 1;
    return "contracts/solc answers --version and --standard-json only\n";
}

process.stdout.write(answer(process.argv.slice(2)));
