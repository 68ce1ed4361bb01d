// solc's command line around the npm module, as far as forge and py-solc-x use it: `--version` and `--standard-json`
// (input on stdin). Other options are tolerated; of them only `--base-path` and `--include-path` mean something.
// A compilation takes seconds, so answers are kept in contracts/cache, by the hash of compiler and input.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");

const CACHE = path.join(__dirname, "cache", "solc");
const CACHED_ANSWERS_MAX = 16;
const SOLC_VERSION = require("solc/package.json").version;

function values(argv, option) {
    return argv.flatMap((word, i) => {
        if (word === option) return argv.slice(i + 1, i + 2);
        return word.startsWith(`${option}=`) ? [word.slice(option.length + 1)] : [];
    });
}

function compile(input, roots) {
    let readFiles = false;
    const answer = require("solc").compile(input, {
        import: (name) => {
            readFiles = true; // the input no longer says all, so its hash is no key
            const found = roots.map((root) => path.resolve(root, name)).find((file) => fs.existsSync(file));
            return found ? { contents: fs.readFileSync(found, "utf8") } : { error: `${name} not found` };
        },
    });
    return { answer, cacheable: !readFiles };
}

function keep(file, answer) {
    fs.mkdirSync(CACHE, { recursive: true });
    const partial = `${file}.${process.pid}`;
    fs.writeFileSync(partial, answer);
    fs.renameSync(partial, file); // never half an answer under the final name
    const age = (name) => fs.statSync(path.join(CACHE, name)).mtimeMs;
    const newestFirst = fs.readdirSync(CACHE).sort((a, b) => age(b) - age(a));
    newestFirst.slice(CACHED_ANSWERS_MAX).forEach((name) => fs.rmSync(path.join(CACHE, name), { force: true }));
}

function standardJson(argv) {
    const input = fs.readFileSync(0, "utf8");
    const key = crypto.createHash("sha256").update(`${SOLC_VERSION}\n${input}`).digest("hex");
    const file = path.join(CACHE, `${key}.json`);
    if (fs.existsSync(file)) return fs.readFileSync(file, "utf8");
    const roots = [...values(argv, "--base-path"), ...values(argv, "--include-path")];
    const { answer, cacheable } = compile(input, roots.length ? roots : ["."]);
    if (cacheable) keep(file, answer);
    return answer;
}

function main(argv) {
    if (argv.includes("--version")) {
        return `solc, the solidity compiler commandline interface\nVersion: ${require("solc").version()}\n`;
    }
    if (argv.includes("--standard-json")) return standardJson(argv);
    process.stderr.write("contracts/solc answers --version and --standard-json only\n");
    process.exitCode = 1;
    return "";
}

process.stdout.write(main(process.argv.slice(2)));
