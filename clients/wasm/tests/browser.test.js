// The built package in a real browser, under a strict content security policy: what it says is what Node.js says.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { test } from "node:test";

import { trustRootDigest, verify } from "../pkg/node.js";

const ARTEFACTS = process.env.POA_INTEROP_ARTEFACTS;
const BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const DEADLINE_MS = 60_000;
const TYPES = { js: "text/javascript", wasm: "application/wasm", json: "application/json" };
// All that the package needs: scripts of one's own server, the right to compile WebAssembly, and to fetch it.
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'";
const time = "2026-01-02T03:04:05Z";

const PAGE = `<!doctype html><meta charset="utf-8"><title>verify</title><script type="module" src="/page.js"></script>`;
const SCRIPT = `
import { VerifyError, trustRootDigest, verify } from "/pkg/index.js";
const bytes = async (name) => new Uint8Array(await (await fetch("/artefacts/" + name)).arrayBuffer());
const [root, paid, disputed] = await Promise.all(["trust-root.json", "bundles/paid.json", "bundles/disputed.json"].map(bytes));
const options = { time: ${JSON.stringify(time)} };
const answer = { digest: trustRootDigest(root), paid: verify(paid, root, options), disputed: verify(disputed, root, options) };
paid[paid.indexOf(0x3a, 2000) + 5] ^= 1;
try { verify(paid, root, options); } catch (error) { answer.refused = error instanceof VerifyError && error.code; }
await fetch("/answer", { method: "POST", body: JSON.stringify(answer) });
`;

const folders = (process.env.PATH ?? "").split(delimiter);
const browser = BROWSERS.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);

function serve(answered) {
  return createServer(async (request, response) => {
    if (request.method === "POST") {
      let body = "";
      for await (const chunk of request) body += chunk;
      response.end();
      answered(JSON.parse(body));
      return;
    }
    response.setHeader("Content-Security-Policy", POLICY);
    const [, folder, name] = /^\/(pkg|artefacts)\/([\w./-]+)$/.exec(request.url) ?? [];
    if (request.url === "/") return response.setHeader("Content-Type", "text/html").end(PAGE);
    if (request.url === "/page.js") return response.setHeader("Content-Type", TYPES.js).end(SCRIPT);
    if (folder === undefined || name.includes("..")) return response.writeHead(404).end();
    response.setHeader("Content-Type", TYPES[name.split(".").pop()]);
    response.end(readFileSync(folder === "pkg" ? new URL(`../pkg/${name}`, import.meta.url) : `${ARTEFACTS}/${name}`));
  });
}

/** Removes a folder into which a process that is just ending may still write. */
async function removed(folder) {
  for (let left = 25; ; left -= 1) {
    try {
      return rmSync(folder, { recursive: true, force: true });
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

test("a browser verifies as Node.js does", { skip: browser === undefined && "no Chromium on the path" }, async () => {
  let server;
  let process_;
  const profile = mkdtempSync(join(tmpdir(), "poa-browser-"));
  try {
    const answer = await new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error("the page gave no answer")), DEADLINE_MS).unref();
      server = serve(resolve).listen(0, "127.0.0.1", () => {
        const flags = ["--headless", "--disable-gpu", "--no-first-run", `--user-data-dir=${profile}`];
        // Chromium's sandbox does not start for root. The page is our own.
        if (process.getuid?.() === 0) flags.push("--no-sandbox");
        process_ = spawn(browser, [...flags, `http://127.0.0.1:${server.address().port}/`], {
          stdio: "ignore",
          // A group of its own: the browser's other processes end with it.
          detached: true,
        });
        process_.on("error", reject);
      });
    });
    const file = (name) => readFileSync(`${ARTEFACTS}/${name}`);
    const root = file("trust-root.json");
    assert.equal(answer.digest, trustRootDigest(root));
    assert.deepEqual(answer.paid, verify(file("bundles/paid.json"), root, { time }));
    assert.deepEqual(answer.disputed, verify(file("bundles/disputed.json"), root, { time }));
    assert.equal(typeof answer.refused, "string");
  } finally {
    if (process_ !== undefined) {
      const ended = new Promise((resolve) => process_.once("exit", resolve));
      if (process_.exitCode === null) {
        process.kill(-process_.pid, "SIGKILL");
        await ended;
      }
    }
    server?.closeAllConnections();
    server?.close();
    await removed(profile);
  }
});
